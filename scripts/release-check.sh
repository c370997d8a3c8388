#!/usr/bin/env bash
# Build the release, install it into an empty environment, and try it there, away from the checkout.
# Takes the files as they are in the working tree, needs a package index, leaves nothing behind.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/stage.sh
source "$here/stage.sh"
cd "$here/.."

checkout=$PWD
version=$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml | head -n 1)
work=$(mktemp -d "${TMPDIR:-/tmp}/threadsmith-release.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir "$work/source" "$work/home" "$work/elsewhere"

# The files that git knows or would take, so that leftovers of other builds do not get in.
copy_source() {
  local path
  git ls-files -z --cached --others --exclude-standard |
    while IFS= read -r -d '' path; do
      if [[ -e $path ]]; then printf '%s\0' "$path"; fi
    done | tar --null -T - -cf - | tar -xf - -C "$work/source"
}

changelog_names_version() {
  grep -qE "^## \[?${version//./\\.}\]? - [0-9]{4}-[0-9]{2}-[0-9]{2}$" CHANGELOG.md ||
    die "CHANGELOG.md has no dated section for $version"
}

# The wheel is built from the sdist, so a file that the sdist lacks cannot hide.
build_archives() {
  quietly .venv/bin/python -m build --dependency-constraints-txt scripts/constraints.txt \
    --outdir "$work/dist" "$work/source"
}

# Compares the archives with the source: every file of the packages is in both, and the licence.
check_archives() {
  .venv/bin/python -I - "$work" "$version" <<'PYTHON'
import sys
import tarfile
import zipfile
from email import message_from_bytes
from pathlib import Path

work, version = Path(sys.argv[1]), sys.argv[2]
name = f"threadsmith-{version}"
packages = ("bot", "bridge", "playground")
source = work / "source"
code = {
    path.relative_to(source).as_posix()
    for package in packages
    for path in (source / package).rglob("*")
    if path.is_file()
}
for folder in ("bot/store/migrations/versions/", "playground/web/"):
    if not any(path.startswith(folder) for path in code):
        sys.exit(f"error: there are no files in {folder}; this check looks in the wrong place")

with tarfile.open(work / "dist" / f"{name}.tar.gz") as archive:
    packed = {member.name.removeprefix(f"{name}/") for member in archive if member.isfile()}
if missing := (code | {"LICENSE", "README.md", "pyproject.toml"}) - packed:
    sys.exit(f"error: the sdist lacks {', '.join(sorted(missing))}")

with zipfile.ZipFile(work / "dist" / f"{name}-py3-none-any.whl") as wheel:
    packed = set(wheel.namelist())
    metadata = message_from_bytes(wheel.read(f"{name}.dist-info/METADATA"))
if missing := (code | {f"{name}.dist-info/licenses/LICENSE"}) - packed:
    sys.exit(f"error: the wheel lacks {', '.join(sorted(missing))}")
if strangers := {path.partition("/")[0] for path in packed} - {*packages, f"{name}.dist-info"}:
    sys.exit(f"error: the wheel would install {', '.join(sorted(strangers))} as well")
if metadata["License-Expression"] != "Apache-2.0":
    sys.exit(f"error: the wheel names the licence {metadata['License-Expression']}")
PYTHON
}

install_wheel() {
  "${PYTHON:-.venv/bin/python}" -m venv "$work/venv"
  local pip=("$work/venv/bin/python" -m pip --disable-pip-version-check --quiet)
  quietly "${pip[@]}" install -c scripts/constraints.txt "$work"/dist/*.whl
  quietly "${pip[@]}" check
}

# installed COMMAND... : run it in an empty folder, without the settings and packages of this shell.
installed() {
  (cd "$work/elsewhere" && env -i PATH="$work/venv/bin:/usr/bin:/bin" HOME="$work/home" \
    DATA_DIR="$work/data" LANG=C.UTF-8 "$@")
}

try_command() {
  local answer
  answer=$(installed threadsmith --help)
  [[ $answer == "Usage: threadsmith "* ]] || die "the installed 'threadsmith --help' says '$answer'"
  answer=$(installed threadsmith --version)
  [[ $answer == *" $version" ]] || die "the installed command says '$answer', not $version"
}

# Any command that opens the store makes the tables first.
try_migrations() {
  local newest reached
  newest=$(find "$work/source/bot/store/migrations/versions" -name '[0-9]*.py' -exec basename {} \; |
    LC_ALL=C sort | tail -n 1)
  quietly installed threadsmith forget-secrets --yes
  reached=$(installed python -I -c 'import sqlite3, sys
print(*sqlite3.connect(sys.argv[1]).execute("select version_num from alembic_version").fetchone())' \
    "$work/data/threadsmith.db")
  [[ $newest == "$reached"_* ]] || die "the database is at $reached, the newest migration is $newest"
}

# Starts the playground and compares each file of its page with the checkout's.
try_page() {
  installed python -I - "$checkout/playground/web" <<'PYTHON'
import json
import subprocess
import sys
from pathlib import Path
from urllib.request import ProxyHandler, build_opener

web = Path(sys.argv[1])
ports = [word for name in ("slack", "model", "git") for word in (f"--{name}-port", "0")]
command = [sys.executable, "-I", "-m", "playground", "--announce", "--with-parent", *ports]
opener = build_opener(ProxyHandler({}))
with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as playground:
    try:
        page = json.loads(playground.stdout.readline())["SLACK_API_URL"].removesuffix("api/")
        for path in sorted(path for path in web.rglob("*") if path.is_file()):
            with opener.open(f"{page}web/{path.relative_to(web).as_posix()}", timeout=10) as answer:
                if answer.read() != path.read_bytes():
                    sys.exit(f"error: the installed playground serves another {path.name}")
    finally:
        playground.terminate()
PYTHON
}

changelog_names_version
copy_source
stage "building the sdist and the wheel of $version" build_archives
stage "comparing them with the source" check_archives
stage "installing the wheel into an empty environment" install_wheel
stage "asking the installed command" try_command
stage "making a database with the installed migrations" try_migrations
stage "serving the installed page of the playground" try_page
say "threadsmith $version can be released ($SECONDS s)"
