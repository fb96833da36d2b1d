<?php // What PHP makes of a request. Found wherever there is no file.
header('Content-Type: application/json');
echo json_encode($_SERVER, JSON_INVALID_UTF8_SUBSTITUTE);
