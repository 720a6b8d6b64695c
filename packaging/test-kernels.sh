#!/bin/sh
# Boots kernels of Debian 12, Debian 13 and its backports in emulated machines, x86-64 and AArch64, and traces the
# workload there with the folder package. Sets up what it needs. Takes 15 to 40 minutes; runs on x86-64.
# Usage: sh packaging/test-kernels.sh [VITEST_ARGUMENT...]
set -eu
cd "$(dirname "$0")/.."
. packaging/setup.sh

have cc || apt_install gcc libc6-dev
have cpio || apt_install cpio
have aarch64-linux-gnu-gcc || apt_install gcc-aarch64-linux-gnu
[ -e /usr/aarch64-linux-gnu/include/stdlib.h ] || apt_install libc6-dev-arm64-cross
have qemu-system-x86_64 || apt_install qemu-system-x86
have qemu-system-aarch64 || apt_install qemu-system-arm
npm_packages
npm run --silent build
exec npx vitest run --config test/kernels/vitest.config.ts "$@"
