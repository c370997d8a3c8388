#!/usr/bin/env bash
# Build threadsmith-base:<suite>, a small Debian with Python, for engines that reach no registry.
# Prints the image's name. The packages come from the mirror that this machine's apt uses.
# usage: base-image.sh [trixie|bookworm]   (default: the newest one this machine can verify)
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/stage.sh
source "$here/stage.sh"

KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg
PACKAGES=ca-certificates,python3,python3-venv,python3-pip

# The suite's scripts and its archive's keys must both be here.
can_bootstrap() {
  [[ -e /usr/share/debootstrap/scripts/$1 && -e /usr/share/keyrings/debian-archive-$1-stable.gpg ]]
}

# mirror_of LABEL : the address that apt has for this part of Debian, or nothing.
mirror_of() {
  # The placeholders are apt's, not the shell's.
  # shellcheck disable=SC2016
  apt-get indextargets --format '$(ORIGIN)|$(LABEL)|$(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
    awk -F'|' -v label="$1" '$1 == "Debian" && $2 == label && $3 ~ /^https?:/ { print $3; exit }'
}

write_sources() {
  local root=$1 main=$2 security=$3
  rm -f "$root/etc/apt/sources.list"
  {
    printf 'Types: deb\nURIs: %s\nSuites: %s %s-updates\nComponents: main\nSigned-By: %s\n' \
      "$main" "$suite" "$suite" "$KEYRING"
    if [[ -n $security ]]; then
      printf '\nTypes: deb\nURIs: %s\nSuites: %s-security\nComponents: main\nSigned-By: %s\n' \
        "$security" "$suite" "$KEYRING"
    fi
  } >"$root/etc/apt/sources.list.d/debian.sources"
}

# What a container never reads is left out now and by every later installation.
slim() {
  local root=$1
  cat >"$root/etc/dpkg/dpkg.cfg.d/slim" <<'TEXT'
path-exclude /usr/share/doc/*
path-include /usr/share/doc/*/copyright
path-exclude /usr/share/man/*
path-exclude /usr/share/info/*
path-exclude /usr/share/locale/*
path-exclude /usr/share/lintian/*
TEXT
  find "$root/usr/share/doc" -type f ! -name copyright -delete
  find "$root/usr/share/doc" -type l -delete
  find "$root/usr/share/doc" -depth -type d -empty -delete
  rm -rf "$root"/usr/share/{man,info,locale,lintian}/* "$root"/var/cache/apt/*.bin \
    "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/* "$root"/var/log/*.log \
    "$root"/var/log/apt/* "$root"/var/cache/debconf/*-old "$root"/etc/resolv.conf \
    "$root"/etc/hostname "$root"/etc/apt/apt.conf.d/00build
}

bootstrap() {
  local root=$1 main security
  main=$(mirror_of Debian)
  security=$(mirror_of Debian-Security)
  # Without a mirror of its own debootstrap takes Debian's default.
  quietly debootstrap --variant=minbase --include="$PACKAGES" "--keyring=$KEYRING" \
    "$suite" "$root" ${main:+"$main"}
  main=${main:-$(awk '/^deb / { print $2; exit }' "$root/etc/apt/sources.list")}
  write_sources "$root" "$main" "$security"
  # A machine on a frozen mirror has told its apt not to mind the age of the lists.
  apt-config dump | grep -E '^Acquire::(Check-Valid-Until|Check-Date|https?::Proxy) ' \
    >"$root/etc/apt/apt.conf.d/00build" || true
  quietly env DEBIAN_FRONTEND=noninteractive chroot "$root" sh -euc \
    'apt-get -q update && apt-get -q -y upgrade && apt-get -q clean'
  slim "$root"
}

import() {
  tar --create --numeric-owner --xattrs --one-file-system --directory "$1" . |
    docker import --change "LABEL threadsmith.recipe=$recipe" --change 'CMD ["python3"]' \
      --change 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' \
      --change 'ENV LANG=C.UTF-8' - "$image" >/dev/null
}

suite=${1:-}
if [[ -z $suite ]]; then
  # debootstrap may not be installed yet; the archive's keys decide whether trixie is possible.
  suite=bookworm
  if [[ -e /usr/share/keyrings/debian-archive-trixie-stable.gpg ]]; then suite=trixie; fi
fi
image=threadsmith-base:$suite
recipe=$(sha256sum "${BASH_SOURCE[0]}" | cut -c1-16)
found=$(docker image inspect --format '{{index .Config.Labels "threadsmith.recipe"}}' "$image" \
  2>/dev/null || true)

if [[ $found != "$recipe" ]]; then
  can_apt || die "building the base image needs root on Debian or Ubuntu;" \
    "elsewhere set BASE_IMAGE to an image with Python 3.11 or newer, and apt"
  command -v debootstrap >/dev/null ||
    stage "installing debootstrap" apt_install debootstrap debian-archive-keyring tar
  can_bootstrap "$suite" || die "this machine has no debootstrap script or archive key for $suite"
  root=$(mktemp -d "${TMPDIR:-/var/tmp}/threadsmith-base.XXXXXX")
  # debootstrap mounts /proc inside; a removal must not walk into it.
  trap 'umount -q "$root/proc" "$root/sys" 2>/dev/null || true; rm -rf --one-file-system "$root"' EXIT
  chmod 755 "$root"
  stage "bootstrapping Debian $suite" bootstrap "$root"
  stage "importing $image" import "$root"
fi
printf '%s\n' "$image"
