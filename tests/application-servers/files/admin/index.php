<?php // Found where `/admin/` is, and executed or shown as it stands: either way it says whose it is.
echo "Nobody but the admins may read this.\n";
