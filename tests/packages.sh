# Installing Debian packages for the tests and the benchmark; sourced by both.

as_root=()
if [ "$(id -u)" -ne 0 ]; then as_root=(sudo); fi

# Debian starts a service when it is installed, unless this file forbids it. Nobody wants an nginx that listens.
forbid_services() {
  local policy=/usr/sbin/policy-rc.d
  if [ -e "$policy" ]; then return; fi
  printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
  "${as_root[@]}" chmod 755 "$policy"
  trap allow_services EXIT
}

allow_services() {
  if [ -z "$(trap -p EXIT)" ]; then return; fi
  trap - EXIT
  "${as_root[@]}" rm -f /usr/sbin/policy-rc.d
}

# Installs Debian packages whose command or file is missing: `need COMMAND-OR-FILE PACKAGE…`.
need() {
  local what=$1
  shift
  if command -v "$what" >/dev/null || [ -e "$what" ]; then return; fi
  echo "installing: $*" >&2
  forbid_services
  "${as_root[@]}" apt-get update --quiet --quiet >&2
  "${as_root[@]}" apt-get install --option DPkg::Lock::Timeout=300 --quiet --yes --no-install-recommends "$@" >&2
}
