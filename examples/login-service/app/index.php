<?php
// A legacy application, small enough to read: POST /auth/login and POST /auth/refresh answer tokens in JSON, everything
// else believes X-User-Id. It knows nothing of Usher. Not a model for an application: two users, passwords in the source.

declare(strict_types=1);

const USERS = [
    'alice' => ['password' => 'wonderland', 'roles' => ['reader']],
    'admin' => ['password' => 'looking-glass', 'roles' => ['reader', 'admin']],
];
const STORE = '/tmp/refresh-tokens';

function base64url(string $bytes): string
{
    return rtrim(strtr(base64_encode($bytes), '+/', '-_'), '=');
}

function answer(int $status, array $body): never
{
    http_response_code($status);
    header('Content-Type: application/json');
    header('Cache-Control: no-store');
    exit(json_encode($body, JSON_UNESCAPED_SLASHES) . "\n");
}

function tokens(string $user): never
{
    $secret = trim(file_get_contents(getenv('TOKEN_SECRET_FILE')));
    $claims = ['iss' => 'legacy-app', 'aud' => 'web', 'sub' => $user, 'roles' => USERS[$user]['roles'],
        'iat' => time(), 'exp' => time() + 60];
    $input = base64url('{"alg":"HS256","typ":"JWT"}') . '.' . base64url(json_encode($claims));
    $access = $input . '.' . base64url(hash_hmac('sha256', $input, $secret, true));

    $refresh = bin2hex(random_bytes(32));
    @mkdir(STORE, 0700);
    file_put_contents(STORE . '/' . hash('sha256', $refresh), $user);
    answer(200, ['accessToken' => $access, 'refreshToken' => $refresh]);
}

function login(array $body): never
{
    $user = (string) ($body['username'] ?? '');
    $known = USERS[$user]['password'] ?? '';
    if ($known === '' || !hash_equals($known, (string) ($body['password'] ?? ''))) {
        answer(401, ['error' => 'wrong user or password']);
    }
    tokens($user);
}

// A refresh token is good once: whoever removes its file has spent it.
function refresh(array $body): never
{
    $file = STORE . '/' . hash('sha256', (string) ($body['refreshToken'] ?? ''));
    $user = @file_get_contents($file);
    if ($user === false || !@unlink($file)) {
        answer(401, ['error' => 'invalid_grant']);
    }
    tokens($user);
}

$path = parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH);
$body = json_decode(file_get_contents('php://input') ?: '{}', true) ?: $_POST;
match (true) {
    $path === '/auth/login' && $_SERVER['REQUEST_METHOD'] === 'POST' => login($body),
    $path === '/auth/refresh' && $_SERVER['REQUEST_METHOD'] === 'POST' => refresh($body),
    $path === '/login' => print file_get_contents(__DIR__ . '/login.html'),
    default => answer(200, [
        'path' => $path,
        'user' => $_SERVER['HTTP_X_USER_ID'] ?? null,
        'roles' => $_SERVER['HTTP_X_USER_ROLES'] ?? null,
        'cookies' => array_keys($_COOKIE),
    ]),
};
