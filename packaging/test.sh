#!/bin/sh
# Sets up what the tests need and runs everything a change has to pass. With CI=true nothing that can be
# tested here may be skipped (test/allowed-skips.txt). What comes from a network is fetched first: as root the tests run
# in a network namespace that has a loopback device and nothing else.
# Usage: sh packaging/test.sh [VITEST_ARGUMENT...]
set -eu
cd "$(dirname "$0")/.."
. packaging/setup.sh

step() { printf '\n== %s\n' "$*"; }

# check NAME COMMAND...: a failure is told at the end, after everything else has had its say.
failed=''
check() {
  step "$1"
  name=$1
  shift
  "$@" || failed="$failed, $name"
}

# need PROGRAM PACKAGE: installs the package when the program is missing; tests that need it are skipped otherwise.
need() {
  have "$1" || apt_install "$2" && return 0
  echo "No $1 (package $2)." >&2
  [ "${CI:-}" != true ]
}

if ! node_here; then
  echo "The tests need Node.js $NODE_MAJOR or newer and npm; found: $(node --version 2>/dev/null || echo none)." >&2
  exit 3
fi

step 'System packages'
libbpf_here || apt_install libbpf1 || [ "${CI:-}" != true ]
need cc gcc
[ -e /usr/include/stdlib.h ] || apt_install libc6-dev
need strip binutils
need clang clang
need clang-14 clang-14
need llvm-strip-14 llvm-14
[ -e /usr/include/bpf/bpf_helpers.h ] || apt_install libbpf-dev || [ "${CI:-}" != true ]
need strace strace
need setpriv util-linux
need ip iproute2
need setcap libcap2-bin
need rpmbuild rpm
[ "$(uname -m)" != x86_64 ] || need aarch64-linux-gnu-gcc gcc-aarch64-linux-gnu
need sqlite3 sqlite3
need systemd-analyze systemd
need mandoc mandoc
need zsh zsh
need fish fish

step 'npm packages'
npm_packages

# What tests fetch comes while other checks run.
mkdir -p build
npm run --silent test:fetch >build/fetched.txt 2>&1 &
fetching=$!

check 'Types' npm run --silent typecheck
check 'Lint and format' npm run --silent lint
check 'Command manifest' npm run --silent manifest:check
check 'BPF object' sh packaging/check-bpf.sh
step 'Workload'
sh test/workload/build.sh

check 'What tests fetch' wait "$fetching"
cat build/fetched.txt

without_network() { unshare --net sh -c 'ip link set lo up && exec "$@"' sh "$@"; }
place=''
if [ "$(id -u)" = 0 ] && without_network true; then
  place=without_network
  # test/packaging/no-network.test.ts holds it to that.
  export INGERO_TEST_NETWORK=none
else
  echo 'The tests run with the network of this host: to do without takes root and unshare --net.' >&2
fi

rm -f build/test-report.json
check 'Tests' $place npx vitest run --reporter=default --reporter=json --outputFile.json=build/test-report.json "$@"
# Vitest's own closing lines differ by version and terminal; the one this prints does not.
check 'Result' node packaging/test-report.mjs build/test-report.json
[ -z "$failed" ] || echo "Failed: ${failed#, }" >&2
[ -z "$failed" ]
