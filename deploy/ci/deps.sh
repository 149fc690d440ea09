#!/usr/bin/env bash
# Installs what the tests need besides Go, gcc, make and git: real servers from Debian.
set -euo pipefail
missing=()
command -v redis-server >/dev/null || missing+=(redis-server)
command -v openssl >/dev/null || missing+=(openssl)
# a judge of XML schemas, for the outside test data
command -v xmllint >/dev/null || missing+=(libxml2-utils)
# HL7 and FHIR clients that others wrote
command -v node >/dev/null || missing+=(nodejs)
command -v npm >/dev/null || missing+=(npm)
[ ${#missing[@]} -eq 0 ] && exit 0
as_root=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || { echo "missing: ${missing[*]}; install them with: apt-get install ${missing[*]}" >&2; exit 1; }
  as_root=(sudo)
fi
command -v apt-get >/dev/null || { echo "missing: ${missing[*]}; install them with your package manager" >&2; exit 1; }
echo "installing ${missing[*]}"
"${as_root[@]}" apt-get update -qq
# The tests start servers of their own; the package must not start one.
DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 "${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
