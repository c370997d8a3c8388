#!/usr/bin/env bash
# Have a Docker engine: `check` tells whether one answers, `ensure` installs and starts one if not.
# An engine that answers already is used as it is. Only root on Debian/Ubuntu gets an installation.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/stage.sh
source "$here/stage.sh"

SOCKET=/var/run/docker.sock
PID_FILE=/var/run/docker.pid
LOG=/var/log/threadsmith-dockerd.log
START_TIMEOUT_SECONDS=60

answers() {
  command -v docker >/dev/null &&
    timeout 10 docker version --format '{{.Server.Version}}' </dev/null >/dev/null 2>&1
}

advise() {
  cat >&2 <<TEXT
error: no Docker engine answers, and this script can install one only as root on Debian or Ubuntu.
  Linux: install Docker Engine from your distribution, start it, and add yourself to the group
         'docker', or run this once as root.
  macOS: start Docker Desktop, colima or OrbStack; these scripts also need GNU's coreutils and a
         bash newer than 3.
  Windows: start Docker Desktop with WSL 2, and work inside WSL.
  An engine elsewhere: export DOCKER_HOST.
Then 'docker version' must show a Server section.
TEXT
  exit 1
}

install_engine() {
  apt_install docker.io iptables ca-certificates
  # From Debian 13 on, the command line is a package of its own.
  command -v docker >/dev/null || apt_install docker-cli
}

start_with_systemd() {
  systemctl start docker || die "systemctl start docker failed: see 'journalctl -u docker'"
  answers || die "the service docker runs, but the engine does not answer: see 'journalctl -u docker'"
}

# Where nothing supervises services. The engine outlives this script; --ip keeps ports that a
# container publishes without an address off the network.
start_detached() {
  # A machine that went down hard leaves the file behind, and its number may be another's by now.
  if [[ $(cat "/proc/$(cat "$PID_FILE" 2>/dev/null)/comm" 2>/dev/null) != dockerd ]]; then
    rm -f "$PID_FILE"
  fi
  setsid nohup dockerd --host "unix://$SOCKET" --ip 127.0.0.1 >>"$LOG" 2>&1 </dev/null 8>&- &
  local pid=$! deadline=$((SECONDS + START_TIMEOUT_SECONDS))
  until answers; do
    if ! kill -0 "$pid" 2>/dev/null || ((SECONDS >= deadline)); then
      # Not ours alone: another start may have won the race for the socket.
      answers && return
      say "the last lines of $LOG:"
      tail -n 25 "$LOG" >&2
      die "dockerd did not come up"
    fi
    sleep 0.3
  done
  say "    dockerd runs (process $pid), its log is $LOG"
}

ensure() {
  if answers; then return; fi
  if [[ -n ${DOCKER_HOST:-} ]]; then
    die "DOCKER_HOST is set, but the engine there does not answer; fix or unset it"
  fi
  can_apt || advise
  # Two checkouts may set themselves up at once.
  one_at_a_time /run/lock/threadsmith-engine.lock
  if answers; then return; fi
  if ! command -v dockerd >/dev/null || ! command -v docker >/dev/null; then
    stage "installing the Docker engine" install_engine
  fi
  if answers; then return; fi # the package may have started it
  if [[ -d /run/systemd/system ]]; then
    stage "starting the Docker engine" start_with_systemd
  else
    stage "starting the Docker engine" start_detached
  fi
}

case ${1:-} in
  check) answers || die "no Docker engine answers; 'make setup' installs or explains" ;;
  ensure) ensure ;;
  *) die "usage: engine.sh check|ensure" ;;
esac
