#!/bin/bash
# Traces real CUDA, PyTorch and NCCL programs on a host with a GPU, and times them with and without.
# Usage: bash test/gpu/run.sh INGERO OUT, as root. INGERO is the command, OUT a folder for captures and logs.
# What fails is told in OUT/log.txt and the rest goes on. test/gpu/compare.py then compares.
set -u
ingero=$1
out=$2
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
packs='--pack cuda-runtime --pack cuda-driver --pack nccl --pack pytorch-allocator'
mkdir -p "$out"

# step NAME SECONDS COMMAND...: runs it with its output in OUT/NAME.txt; a failure is told and the rest goes on.
step() {
  local name=$1 limit=$2 begin=$SECONDS status=0
  shift 2
  timeout "$limit" "$@" >"$out/$name.txt" 2>&1 || status=$?
  echo "$name: exit $status, $((SECONDS - begin)) s" | tee -a "$out/log.txt"
}

step host 20 sh -c 'uname -a; nvidia-smi; cat /proc/sys/kernel/unprivileged_bpf_disabled; ls /sys/kernel/btf /sys/fs/bpf /sys/kernel/tracing | head -20'
step check 60 "$ingero" check
step check-json 60 "$ingero" check --json
for linking in static shared; do
  step "build-$linking" 60 nvcc -O2 -std=c++17 -cudart "$linking" -o "$work/calls-$linking" "$here/calls.cu"
  step "count-$linking" 60 "$ingero" trace --out "$out/count-$linking.duckdb" --pack cuda-runtime --pack cuda-driver -- "$work/calls-$linking" count
done
step train 120 "$ingero" trace --out "$out/train.duckdb" $packs -- python3 "$here/train.py" --steps 10 --profile "$out/train-profile.json" --oom
step train-stacks 120 "$ingero" trace --out "$out/train-stacks.duckdb" $packs --stacks -- python3 "$here/train.py" --steps 5
step train-stripped 120 "$ingero" trace --out "$out/train-stripped.duckdb" $packs --scan-stripped -- python3 "$here/train.py" --steps 5

# A program that runs already, found by a trace of the whole host.
python3 "$here/train.py" --steps 100000 >"$out/running-train.txt" 2>&1 &
sleep 9
step running 60 "$ingero" trace --out "$out/running.duckdb" $packs --duration 2s
kill %1
wait

# What recording costs: the same program with and without, in turn; alone, and eight at a time.
eight='for _ in 1 2 3 4 5 6 7 8; do "$0" bench & done; wait'
for round in 1 2 3; do
  step "bench-plain-$round" 60 "$work/calls-shared" bench
  step "bench-traced-$round" 60 "$ingero" trace --out "$work/bench.duckdb" --force --pack cuda-runtime -- "$work/calls-shared" bench
  step "eight-plain-$round" 60 bash -c "$eight" "$work/calls-shared"
  step "eight-traced-$round" 60 "$ingero" trace --out "$work/bench.duckdb" --force --pack cuda-runtime -- bash -c "$eight" "$work/calls-shared"
done
for round in 1 2 3; do
  step "train-plain-$round" 60 python3 "$here/train.py" --steps 500
  step "train-runtime-$round" 60 "$ingero" trace --out "$work/timed.duckdb" --force --pack cuda-runtime -- python3 "$here/train.py" --steps 500
  step "train-traced-$round" 60 "$ingero" trace --out "$work/timed.duckdb" --force $packs -- python3 "$here/train.py" --steps 500
done
step train-compiled 180 "$ingero" trace --out "$out/train-compiled.duckdb" $packs -- python3 "$here/train.py" --steps 5 --compile
rm -rf "$work"
