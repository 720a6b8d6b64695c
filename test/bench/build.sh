#!/bin/sh
# Compiles src and the benches into build/js, beside links to the data files the code looks up from its root.
set -eu
cd "$(dirname "$0")/../.."
npx tsc -p tsconfig.bench.json
for name in package.json schema probes queries; do ln -sfn "../../$name" "build/js/$name"; done
mkdir -p build/js/src/loader
ln -sfn ../../../../src/loader/bpf build/js/src/loader/bpf
