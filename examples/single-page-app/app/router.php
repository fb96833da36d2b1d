<?php
// Serves the page, and an API that believes X-User-Id. It is reachable through Usher only.

declare(strict_types=1);

$path = parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH);
if ($path === '/api/time') {
    header('Content-Type: application/json');
    exit(json_encode(['time' => date('H:i:s'), 'user' => $_SERVER['HTTP_X_USER_NAME'] ?? null]) . "\n");
}
$files = ['/' => 'text/html; charset=utf-8', '/app.js' => 'text/javascript; charset=utf-8'];
if (!isset($files[$path])) {
    http_response_code(404);
    exit("There is nothing here.\n");
}
header('Content-Type: ' . $files[$path]);
readfile(__DIR__ . ($path === '/' ? '/index.html' : $path));
