#!/bin/sh
# Makes what an example keeps secret, in ./secrets, once: a session secret, a self-signed certificate for localhost
# (anew when it is about to expire), and whatever else is named. A certificate of an authority that your browser trusts
# is better: put it in its place.
set -eu
mkdir -p secrets
for name in usher_session "$@"; do
  [ -s "secrets/$name" ] || openssl rand -hex 32 > "secrets/$name"
done
openssl x509 -checkend 86400 -noout -in secrets/site.pem >/dev/null 2>&1 ||
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj /CN=localhost \
    -addext subjectAltName=DNS:localhost -keyout secrets/site.key -out secrets/site.pem
# The container's user is not yours.
chmod 755 secrets
chmod 644 secrets/* ./*.yaml
