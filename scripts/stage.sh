# Sourced by the other scripts: progress lines with durations, clear failures, and apt.
# shellcheck shell=bash

say() { printf '%s\n' "$*" >&2; }

die() {
  say "error: $*"
  exit 1
}

# stage TITLE COMMAND... : run the command; name it first, and its duration when that was over 2 s.
stage() {
  local title=$1 began=$SECONDS
  shift
  say "==> $title"
  "$@"
  if ((SECONDS - began > 2)); then say "    $title: $((SECONDS - began)) s"; fi
}

# quietly COMMAND... : hide the output of a chatty command, unless it fails.
quietly() {
  local log status=0
  log=$(mktemp)
  "$@" >"$log" 2>&1 </dev/null || status=$?
  if ((status != 0)); then
    tail -n 40 "$log" >&2
    say "error: '$*' failed with status $status"
  fi
  rm -f "$log"
  return "$status"
}

# one_at_a_time FILE : wait until no other run holds the file; file descriptor 8 keeps it until exit.
one_at_a_time() {
  mkdir -p "$(dirname "$1")"
  exec 8>"$1"
  command -v flock >/dev/null || return 0
  flock -n 8 && return
  say "    waiting for another run that holds $1"
  flock -w 900 8 || die "another run has held $1 for fifteen minutes"
}

# True where these scripts may install packages themselves: root on Debian, Ubuntu or their kin.
can_apt() { ((EUID == 0)) && command -v apt-get >/dev/null && [[ -f /etc/debian_version ]]; }

# apt_install PACKAGE... : the package lists of a bare machine are empty or stale, so update first.
apt_install() {
  export DEBIAN_FRONTEND=noninteractive
  local options=(-q -o Acquire::Retries=3 -o DPkg::Lock::Timeout=300)
  quietly apt-get "${options[@]}" update &&
    quietly apt-get "${options[@]}" install -y --no-install-recommends "$@"
}
