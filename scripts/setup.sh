#!/usr/bin/env bash
# Make this checkout ready: host tools, .venv, a Docker engine, the image of the bridge.
# Safe to repeat; what is up to date is skipped. usage: setup.sh [--venv-only | --browser]
# --browser: only what the browser tests need beside that, which nobody needs to run the bot.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/stage.sh
source "$here/stage.sh"
cd "$here/.."

STAMP=.venv/threadsmith-stamp
python=${PYTHON:-python3}

# need COMMAND PACKAGE : install what is missing, or say what to install.
need() {
  if command -v "$1" >/dev/null; then return; fi
  can_apt || die "'$1' is missing: install it (the package is mostly called '$2')"
  stage "installing $2" apt_install "$2"
}

python_ready() {
  need "$python" python3
  "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    die "$("$python" --version) is too old: Python 3.11 or newer is needed (PYTHON=... picks another)"
  # Debian keeps the module that fills a new environment in a package of its own.
  if "$python" -c 'import ensurepip, venv' 2>/dev/null; then return; fi
  can_apt || die "$python cannot make virtual environments: install python3-venv"
  stage "installing python3-venv" apt_install python3-venv
}

fingerprint() {
  {
    "$python" -c 'import sys; print(sys.version, sys.prefix)'
    pwd # the environment holds absolute paths
    sha256sum pyproject.toml scripts/constraints.txt
  } | sha256sum | cut -c1-32
}

install_packages() {
  local pip=(.venv/bin/python -m pip --disable-pip-version-check --quiet install
    -c scripts/constraints.txt)
  rm -f "$STAMP"
  # A copied or half-made environment is made anew in place.
  .venv/bin/python -c 'import pip' 2>/dev/null || "$python" -m venv --clear .venv
  "$python" -m venv .venv
  # Dependency groups need a newer pip than Debian 12 brings.
  quietly "${pip[@]}" pip
  quietly "${pip[@]}" --editable . --group dev
  printf '%s\n' "$wanted" >"$STAMP"
}

one_at_a_time .cache/setup.lock
if [[ ${1:-} == --browser ]]; then
  need chromium chromium
  need chromedriver chromium-driver
  # Nothing fails without it, but emoji are boxes in the pictures of the page.
  if can_apt && [[ -z $(fc-list :lang=und-zsye 2>/dev/null) ]]; then
    stage "installing fonts-noto-color-emoji" apt_install fonts-noto-color-emoji
  fi
  exit 0
fi
need git git
python_ready
wanted=$(fingerprint)
if [[ ! -x .venv/bin/threadsmith || $(cat "$STAMP" 2>/dev/null) != "$wanted" ]]; then
  stage "installing the Python packages into .venv" install_packages
fi
if [[ ${1:-} == --venv-only ]]; then exit 0; fi
need rg ripgrep
"$here/engine.sh" ensure 8>&-
"$here/build-image.sh"
