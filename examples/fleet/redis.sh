#!/bin/sh
# Starts Redis with one user, Usher, who may do what Usher does and whose password is a secret of this stack.
set -eu
umask 077
rights='~usher:* &usher:* +get +set +eval +time +publish +subscribe +xadd +xrange +pexpire +pttl'
printf 'user default off\nuser usher on >%s %s\n' "$(cat /run/secrets/redis)" "$rights" > /data/users.acl
exec redis-server /etc/redis.conf "$@"
