<?php
// An application without users of its own: whoever X-User-Id names is asking. It is reachable through Usher only, which is
// why it may believe that.

declare(strict_types=1);

$user = $_SERVER['HTTP_X_USER_ID'] ?? null;
$name = htmlspecialchars($_SERVER['HTTP_X_USER_NAME'] ?? $user ?? 'nobody');
$roles = htmlspecialchars($_SERVER['HTTP_X_USER_ROLES'] ?? 'none');
$path = htmlspecialchars(parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH));
if (!str_contains($_SERVER['HTTP_ACCEPT'] ?? '', 'text/html')) {
    header('Content-Type: application/json');
    exit(json_encode(['path' => $path, 'user' => $user, 'roles' => $roles], JSON_UNESCAPED_SLASHES) . "\n");
}
?>
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>An application</title>
<h1>Good day, <?= $name ?></h1>
<p>You are at <code><?= $path ?></code>. Your roles: <?= $roles ?>.</p>
<p><a href="/admin/">Administration</a> · <a href="/.usher/sign-out">Sign out</a></p>
