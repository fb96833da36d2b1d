#!/bin/sh
# Makes what an example keeps secret, in ./secrets, once: a session secret, a self-signed certificate for localhost, and
# whatever else is named. A certificate of an authority that your browser trusts is better: put it in its place.
set -eu
mkdir -p secrets
for name in usher_session "$@"; do
  [ -s "secrets/$name" ] || openssl rand -hex 32 > "secrets/$name"
done
[ -s secrets/site.pem ] || openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 \
  -subj /CN=localhost -addext subjectAltName=DNS:localhost -keyout secrets/site.key -out secrets/site.pem 2>/dev/null
# The container's user is not yours.
chmod 644 secrets/*
