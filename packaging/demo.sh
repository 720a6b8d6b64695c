#!/bin/sh
# Traces the bundled workload live through the kernel into run.duckdb and prints what the named queries find.
# Sets up what it needs. Where this host cannot trace, it says why and uses a recorded capture instead.
# Usage: sh packaging/demo.sh
set -eu
cd "$(dirname "$0")/.."
. packaging/setup.sh

RECORDED=test/fixtures/demo-v1.duckdb
missing=''
# lacks WHAT HOW: remembers a thing that is missing and how to get it.
lacks() { missing="$missing  - $1
      $2
"; }

show() { printf '\n$ %s\n' "$*"; }

# ingero ARGUMENT...: shows the command as one would type it, and runs it.
ingero() {
  show ingero "$@"
  node bin/ingero.js "$@"
}

# ask CAPTURE: what the named queries find in it.
ask() {
  ingero run-query cuda-api-sum "$1" --max-rows 12
  ingero run-query slow-memcpy "$1" --param limit=5
  ingero run-query alloc-balance "$1"
  ingero run-query api-errors "$1"
  ingero run-query what-was-lost "$1" --max-rows 5
  show sha256sum "$1"
  sha256sum "$1"
}

if ! node_here; then
  echo "ingero needs Node.js $NODE_MAJOR or newer and npm; found: $(node --version 2>/dev/null || echo none)." >&2
  echo "  Debian 13, Ubuntu 25.04 or newer: apt-get install nodejs npm; older: a package from nodejs.org" >&2
  exit 3
fi
npm_packages
npm run --silent build

if [ "$(id -u)" != 0 ]; then
  lacks 'root, which putting probes in the kernel takes' 'sudo sh packaging/demo.sh'
fi
if ! libbpf_here && ! apt_install libbpf1; then
  lacks 'libbpf 1.x, which loads the BPF object' 'apt-get install libbpf1   (RHEL, Fedora: dnf install libbpf)'
fi
if ! { have cc && echo 'int main(void){return 0;}' | cc -pthread -x c -o /dev/null - 2>/dev/null; } &&
  ! apt_install gcc libc6-dev; then
  lacks 'a C compiler, which builds the workload' 'apt-get install gcc libc6-dev'
fi
# With the above in place, what is left is up to the kernel; `check` tries it.
if [ -z "$missing" ] && ! report=$(node bin/ingero.js check 2>&1); then
  lacks 'BPF on this kernel or in this container; `ingero check` says:' \
    "$(printf '%s\n' "$report" | grep -E '^(fail|Not ready)' | head -n 8 | sed '2,$s/^/      /')"
fi

if [ -n "$missing" ]; then
  printf 'This host cannot trace yet. Missing:\n%s' "$missing"
  printf 'Until then, here is what the queries find in %s, a capture of the same\nworkload that was recorded on another machine.\n' "$RECORDED"
  ask "$RECORDED"
  exit 0
fi

sh test/workload/build.sh
if [ -e run.duckdb ]; then
  kept="run-$(date +%Y%m%d-%H%M%S).duckdb"
  mv run.duckdb "$kept"
  echo "run.duckdb exists already; kept as $kept"
fi
# The workload prints its own account of what it called, as JSON; here it would hide what ingero says.
show 'ingero trace --out run.duckdb -- build/workload/gpu-scenarios all'
status=0
node bin/ingero.js trace --out run.duckdb -- build/workload/gpu-scenarios all >build/trace.txt || status=$?
grep -v '^{' build/trace.txt || true
[ "$status" = 0 ] || exit "$status"
ask run.duckdb
