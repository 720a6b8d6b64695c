#!/bin/sh
# Traces the bundled workload live through the kernel into run.duckdb and prints what the named queries find.
# Sets up what it needs. Where this host cannot trace, it says why and uses a recorded capture instead.
# Usage: sh packaging/demo.sh
set -eu
cd "$(dirname "$0")/.."
. packaging/setup.sh

RECORDED=test/fixtures/demo-v1.duckdb

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

compiler_here() { have cc && echo 'int main(void) { return 0; }' | cc -pthread -x c -o /dev/null - 2>/dev/null; }

# not_ready: what `ingero check` found missing, and how to get it; nothing on a host that can trace.
not_ready() {
  { node bin/ingero.js check --json 2>&1 || true; } | node -e '
    const { checks } = JSON.parse(require("node:fs").readFileSync(0, "utf8"));
    for (const { name, status, value, detail, next } of checks) {
      if (status !== "fail") continue;
      console.log(`  - ${name}: ${value}${detail ? `; ${detail.split("\n")[0]}` : ""}`);
      if (next) console.log(`      ${next}`);
    }'
}

if ! node_here; then
  echo "ingero needs Node.js $NODE_MAJOR or newer and npm; found: $(node --version 2>/dev/null || echo none)." >&2
  echo '  Debian 13, Ubuntu 25.04 or newer: apt-get install nodejs npm; older: a package of the Node.js project.' >&2
  exit 3
fi
npm_packages
npm run --silent build

libbpf_here || apt_install libbpf1 || true
compiler_here || apt_install gcc libc6-dev || true
missing=$(not_ready)
if ! compiler_here; then
  missing="$missing
  - C compiler: not found; it builds the workload
      apt-get install gcc libc6-dev   (RHEL, Fedora: dnf install gcc glibc-devel)"
fi
if [ -n "$missing" ]; then
  printf 'This host cannot trace yet. Missing:\n%s\n' "$missing"
  printf '\nUntil then, here is what the queries find in %s, a capture of the same\nworkload that was recorded on another machine with an older schema.\n' "$RECORDED"
  rm -f build/recorded.duckdb
  mkdir -p build
  ingero migrate "$RECORDED" --out build/recorded.duckdb
  ask build/recorded.duckdb
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
