#!/usr/bin/env bash
# Start the image the way agents run it (read-only, next to no capabilities) and name what it holds.
# usage: try-image.sh [image]
set -euo pipefail
image=${1:-${BRIDGE_IMAGE:-threadsmith-bridge:latest}}
run=(docker run --rm --network none --read-only --tmpfs /tmp
  --volume /workspace --volume /state --cap-drop ALL --cap-add SETUID --cap-add SETGID
  --security-opt no-new-privileges --memory 256m --memory-swap 256m --pids-limit 64)

# The container's shell expands these.
# shellcheck disable=SC2016
"${run[@]}" --entrypoint sh "$image" -euc '
  test "$(stat -c %u:%a /workspace /state | tr "\n" " ")" = "10002:755 10001:700 "
  touch /tmp/probe
  /opt/bridge/bin/python -I -c "import bridge.protocol, openai, aiohttp, sys; print(\"bridge on Python\", sys.version.split()[0])"
  git --version; rg --version | head -n 1; python3 --version; pip --version | cut -d" " -f1,2
  echo "node $(node --version), npm $(npm --version)"' 2>&1
"${run[@]}" "$image" --version
docker image inspect --format '{{.Size}} bytes, {{index .Config.Labels "threadsmith.inputs"}}' "$image"
