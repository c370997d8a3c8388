#!/bin/sh
# Runs in the image's build: trust the certificates of the build machine that lie beside this file.
# build-image.sh stages them where a machine has authorities of its own (a company's proxy, say).
set -eu
command -v update-ca-certificates >/dev/null || {
  apt-get -q update
  DEBIAN_FRONTEND=noninteractive apt-get -q -y install --no-install-recommends ca-certificates
}
for certificate in "$(dirname "$0")"/*.crt; do
  [ -e "$certificate" ] || continue
  cp "$certificate" /usr/local/share/ca-certificates/
done
update-ca-certificates >/dev/null
