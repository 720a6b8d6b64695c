#!/bin/sh
# Compiles the BPF object for both architectures with the pinned compiler (clang 14, Debian 12), so that the
# same source gives the same bytes. Usage: packaging/build-bpf.sh [OUTPUT_DIR]   (default: src/loader/bpf)
set -eu
cd "$(dirname "$0")/../src/loader/bpf"
out=${1:-.}
clang=${CLANG:-clang-14}
strip=${LLVM_STRIP:-llvm-strip-14}
for arch in x86:x64 arm64:arm64; do
  object="$out/ingero.${arch#*:}.bpf.o"
  "$clang" -g -O2 -Wall -Wextra -Wno-unused-parameter -target bpf -mcpu=v3 "-D__TARGET_ARCH_${arch%:*}" \
    -I/usr/include/"$(uname -m)"-linux-gnu -fdebug-compilation-dir=. -c ingero.bpf.c -o "$object"
  "$strip" -g "$object"
done
cd "$out"
sha256sum ingero.arm64.bpf.o ingero.x64.bpf.o |
  awk 'BEGIN { printf "{" } { printf "%s\n  \"%s\": \"%s\"", (NR == 1 ? "" : ","), $2, $1 } END { printf "\n}\n" }' >digests.json
