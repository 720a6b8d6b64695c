#!/bin/sh
# Rebuilds the BPF object and compares it, byte for byte, with the committed one. The bytes are those of Debian's
# clang 14.0.6; with another compiler nothing can be said, which is a failure in CI. Usage: packaging/check-bpf.sh
set -eu
cd "$(dirname "$0")/.."
clang=${CLANG:-clang-14}
version=$("$clang" --version 2>/dev/null | head -n 1) || true
case $version in
*'clang version 14.0.6'*) ;;
*)
  echo "Not compared: needs clang 14.0.6 (Debian 12), found ${version:-none}." >&2
  [ "${CI:-}" != true ]
  exit
  ;;
esac
built=$(mktemp -d)
trap 'rm -rf "$built"' EXIT
sh packaging/build-bpf.sh "$built"
for file in ingero.x64.bpf.o ingero.arm64.bpf.o digests.json; do
  if ! cmp "$built/$file" "src/loader/bpf/$file"; then
    echo "src/loader/bpf/$file is not what its source compiles to; run \`sh packaging/build-bpf.sh\`." >&2
    exit 1
  fi
done
echo 'The committed BPF objects are what their source compiles to.'
