#!/usr/bin/env bash
# Build threadsmith-bridge:<version> and :latest; does nothing while nothing that goes in changed.
# BRIDGE_IMAGE names another repository for the image, so that two checkouts share an engine.
#
# The base is BASE_IMAGE (variable or first argument) if given, else the official Python image if
# it is here or its registry answers, else a Debian made by base-image.sh.
# PIP_INDEX_URL, PIP_EXTRA_INDEX_URL, PIP_TRUSTED_HOST (or pip.conf), proxies and certificate
# authorities of this machine serve the build; of these only the authorities stay in the image.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/stage.sh
source "$here/stage.sh"
cd "$here/.."

OFFICIAL=python:3.13-slim
REGISTRY_TIMEOUT_SECONDS=5
NAME=${BRIDGE_IMAGE:-threadsmith-bridge}
NAME=${NAME%:*}
STAGED=.cache/image/ca
base=${1:-${BASE_IMAGE:-}}
version=$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml | head -n 1)

# Stage the authorities that this machine trusts beyond Debian's own set.
stage_authorities() {
  rm -rf "$STAGED"
  mkdir -p "$STAGED"
  python3 - "$STAGED" <<'PYTHON'
import os, re, sys
from pathlib import Path

PEM = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)


def certificates(path: Path) -> dict[str, str]:
    try:
        found = PEM.findall(path.read_text(errors="replace"))
    except OSError:
        return {}
    return {"".join(one.split()): one for one in found}


known: dict[str, str] = {}
for path in Path("/usr/share/ca-certificates/mozilla").glob("*.crt"):
    known |= certificates(path)
named = (os.environ.get(name) for name in ("SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE"))
# A whole bundle can only be told from Debian's where Debian's own certificates are there to compare.
bundles = {Path(value) for value in named if value} if known else set()
extra: dict[str, str] = {}
for path in [*sorted(Path("/usr/local/share/ca-certificates").glob("**/*.crt")), *sorted(bundles)]:
    extra |= certificates(path)
for number, key in enumerate(sorted(extra.keys() - known.keys()), 1):
    Path(sys.argv[1], f"build-machine-{number}.crt").write_text(extra[key] + "\n")
PYTHON
}

# One hash of every input. An explicit base counts by its id, the others by their recipe.
inputs_hash() {
  {
    printf '%s\n' "$version"
    if [[ -n $base ]]; then docker image inspect --format '{{.Id}}' "$base" 2>/dev/null || true; fi
    find bridge pyproject.toml scripts/constraints.txt scripts/trust-ca.sh scripts/base-image.sh \
      Dockerfile.bridge .dockerignore "$STAGED" -type f -not -path '*/__pycache__/*' -print0 |
      LC_ALL=C sort -z | xargs -0 sha256sum
  } | sha256sum | cut -c1-32
}

# The same as code_hash in bot/runtime/checks.py.
code_hash() {
  find bridge -name '*.py' -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum |
    cut -c1-32
}

choose_base() {
  if [[ -n $base ]]; then return; fi
  if docker image inspect "$OFFICIAL" >/dev/null 2>&1; then
    base=$OFFICIAL
  elif timeout "$REGISTRY_TIMEOUT_SECONDS" docker manifest inspect "$OFFICIAL" >/dev/null 2>&1 &&
    stage "pulling $OFFICIAL" docker pull -q "$OFFICIAL" >&2; then
    base=$OFFICIAL
  else
    say "    no registry has $OFFICIAL for this engine: the base is built here"
    base=$("$here/base-image.sh")
  fi
}

# pip_setting NAME : of the environment, else of pip.conf; folders of this machine are left out.
pip_setting() {
  local variable=PIP_${1^^} value word kept=()
  variable=${variable//-/_}
  value=${!variable:-$(python3 -m pip config get "global.$1" 2>/dev/null || true)}
  for word in $value; do
    if [[ $word != file:* && $word != /* ]]; then kept+=("$word"); fi
  done
  printf '%s' "${kept[*]:-}"
}

build() {
  local arguments=(--file Dockerfile.bridge --build-arg "BASE_IMAGE=$base"
    --build-arg "VERSION=$version" --build-arg "CODE=$(code_hash)"
    --label "threadsmith.inputs=$inputs"
    --tag "$NAME:$version" --tag "$NAME:latest")
  local setting value
  for setting in index-url extra-index-url trusted-host; do
    value=$(pip_setting "$setting")
    setting=PIP_${setting^^}
    if [[ -n $value ]]; then arguments+=(--build-arg "${setting//-/_}=$value"); fi
  done
  for setting in HTTP_PROXY HTTPS_PROXY NO_PROXY http_proxy https_proxy no_proxy; do
    if [[ -n ${!setting:-} ]]; then arguments+=(--build-arg "$setting"); fi
  done
  # A proxy or an index on this machine's own loopback is out of a build container's reach.
  if [[ "${arguments[*]} ${http_proxy:-} ${https_proxy:-} ${HTTP_PROXY:-} ${HTTPS_PROXY:-}" == \
    *//@(127.|localhost)* ]]; then arguments+=(--network host); fi
  # A command line without the buildx plugin knows only the legacy builder.
  docker buildx version >/dev/null 2>&1 || export DOCKER_BUILDKIT=0
  docker build "${arguments[@]}" . </dev/null 2>&1 | progress
}

# The legacy builder's steps as far as they run, BuildKit's output as it is, and all of a failure.
progress() {
  local log line step=
  log=$(mktemp)
  while IFS= read -r line; do
    printf '%s\n' "$line" >>"$log"
    case $line in
      "Step "*) step=$line ;;
      " ---> Running in "*) if [[ $step == *" : RUN "* ]]; then printf '    %.100s\n' "$step" >&2; fi ;;
      '#'*) printf '    %s\n' "$line" >&2 ;;
    esac
  done
  if ! grep -qE '^Successfully tagged|naming to .*threadsmith' "$log"; then tail -n 40 "$log" >&2; fi
  rm -f "$log"
}

# Drop the image that the build replaced, unless a tag, a container or another image needs it.
drop_replaced() {
  local tags
  tags=$(docker image inspect --format '{{len .RepoTags}}' "$1" 2>/dev/null || true)
  if [[ $tags == 0 ]]; then docker image rm "$1" >/dev/null 2>&1 || true; fi
}

"$here/engine.sh" check
one_at_a_time .cache/image.lock
stage_authorities
inputs=$(inputs_hash)
built=$(docker image inspect --format '{{index .Config.Labels "threadsmith.inputs"}}' \
  "$NAME:$version" 2>/dev/null || true)
latest=$(docker image inspect --format '{{index .Config.Labels "threadsmith.inputs"}}' \
  "$NAME:latest" 2>/dev/null || true)
if [[ $built == "$inputs" && $latest == "$inputs" ]]; then exit 0; fi
replaced=$(docker image inspect --format '{{.Id}}' "$NAME:latest" 2>/dev/null || true)
choose_base
stage "building $NAME:$version on $base" build
if [[ -n $replaced ]]; then drop_replaced "$replaced"; fi
