"""Compares what ingero recorded of test/gpu/train.py with what the CUDA profiler (CUPTI, through PyTorch) and PyTorch's
allocator say of the same run. Usage: python3 compare.py INGERO OUT, where OUT is what run.sh wrote. Prints one line per
operation, and writes OUT/train.json: the profiler's counts and times, and PyTorch's counters."""

import json
import statistics
import subprocess
import sys
from collections import defaultdict

ingero, out = sys.argv[1:]

with open(f"{out}/train-profile.json") as file:
    profile = json.load(file)
base = profile["baseTimeNanoseconds"]
seen = defaultdict(list)
for event in profile["traceEvents"]:
    if event.get("ph") == "X" and event.get("cat") in ("cuda_runtime", "cuda_driver"):
        seen[event["name"]].append((base + round(event["ts"] * 1000), round(event["dur"] * 1000)))
first = min(start for calls in seen.values() for start, _ in calls) - 200_000
last = max(start for calls in seen.values() for start, _ in calls) + 200_000

columns = "SELECT op::VARCHAR AS op, epoch_ns(start_time) AS start_ns, duration_ns FROM"
sql = f"{columns} cuda_events UNION ALL {columns} cuda_driver_events ORDER BY start_ns"
rows = subprocess.run(
    [ingero, "query", f"{out}/train.duckdb", sql, "--format", "jsonl"], check=True, capture_output=True, text=True
).stdout
recorded = defaultdict(list)
for row in map(json.loads, rows.splitlines()):
    if first <= int(row["start_ns"]) <= last:
        recorded[row["op"]].append((int(row["start_ns"]), row["duration_ns"]))

print("operation, profiler's calls, ingero's calls, and in microseconds: start against the profiler's, duration against it")
for op, theirs in sorted(seen.items(), key=lambda item: -len(item[1])):
    theirs.sort()
    ours = recorded[op]
    line = f"{op:40} {len(theirs):6} {len(ours):6}"
    if len(ours) == len(theirs):
        starts = statistics.median(a[0] - b[0] for a, b in zip(ours, theirs)) / 1000
        durations = statistics.median(a[1] - b[1] for a, b in zip(ours, theirs)) / 1000
        line += f" {starts:8.1f} {durations:8.1f}"
    print(line)

with open(f"{out}/train.txt") as file:
    said = next(json.loads(line) for line in file if line.startswith('{"pid"'))
with open(f"{out}/train.json", "w") as file:
    json.dump(
        {
            "torch": said["torch"],
            "nccl": said["nccl"],
            "first_ns": str(first),
            "last_ns": str(last),
            "profiler": {op: {"calls": len(calls), "ns": sum(ns for _, ns in calls)} for op, calls in sorted(seen.items())},
            "memory": said["memory"],
        },
        file,
        indent=2,
    )
