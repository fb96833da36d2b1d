<?php // PHP looks for a script in the nearest folder that there is.
require __DIR__ . '/../index.php';
