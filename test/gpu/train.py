"""A training loop that knows what it did. Prints one JSON object: steps per second, what PyTorch's own counters say of
memory, and with --profile what its profiler (CUPTI) saw of every CUDA call, as a trace file. Needs a GPU and PyTorch."""

import argparse
import json
import os
import tempfile
import time

import torch
import torch.distributed as dist
from torch import nn

arguments = argparse.ArgumentParser()
arguments.add_argument("--steps", type=int, default=30)
arguments.add_argument("--profile", help="write the profiler's trace of the steps here")
arguments.add_argument("--compile", action="store_true", help="compile the model with Triton")
arguments.add_argument("--oom", action="store_true", help="end with an allocation no GPU can serve")
options = arguments.parse_args()

torch.manual_seed(0)
device = torch.device("cuda", 0)
store = os.path.join(tempfile.mkdtemp(), "store")
dist.init_process_group("nccl", init_method=f"file://{store}", rank=0, world_size=1, device_id=device)

layer = nn.TransformerEncoderLayer(d_model=256, nhead=4, dim_feedforward=1024, batch_first=True)
model = nn.Sequential(nn.TransformerEncoder(layer, 2, enable_nested_tensor=False), nn.Linear(256, 10)).to(device)
if options.compile:
    model = torch.compile(model)
parallel = nn.parallel.DistributedDataParallel(model, device_ids=[0])
optimizer = torch.optim.AdamW(parallel.parameters(), lr=1e-3)
loss_of = nn.CrossEntropyLoss()


def step(number):
    inputs = torch.randn(32, 64, 256)
    if number % 2:
        inputs = inputs.pin_memory()
    inputs = inputs.to(device, non_blocking=True)
    labels = torch.randint(10, (32 * 64,), device=device)
    optimizer.zero_grad(set_to_none=True)
    loss = loss_of(parallel(inputs).view(-1, 10), labels)
    loss.backward()
    optimizer.step()
    total = torch.ones(1024, device=device)
    dist.all_reduce(total)
    return loss.item()


for number in range(5):
    step(number)
torch.cuda.synchronize()

profiler = None
if options.profile:
    activities = [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]
    profiler = torch.profiler.profile(activities=activities)
    profiler.start()
begin = time.perf_counter()
for number in range(options.steps):
    step(number)
torch.cuda.synchronize()
seconds = time.perf_counter() - begin
if profiler:
    profiler.stop()
    profiler.export_chrome_trace(options.profile)

caught = None
if options.oom:
    try:
        torch.empty(1 << 45, dtype=torch.uint8, device=device)
    except torch.cuda.OutOfMemoryError as error:
        caught = str(error)[:60]

memory = torch.cuda.memory_stats(device)
print(
    json.dumps(
        {
            "pid": os.getpid(),
            "torch": torch.__version__,
            "nccl": ".".join(map(str, torch.cuda.nccl.version())),
            "steps_per_second": options.steps / seconds,
            "caught": caught,
            "memory": {
                key: memory[key]
                for key in (
                    "allocated_bytes.all.current",
                    "allocated_bytes.all.peak",
                    "reserved_bytes.all.current",
                    "allocation.all.allocated",
                    "allocation.all.freed",
                    "segment.all.allocated",
                    "num_alloc_retries",
                    "num_ooms",
                )
            },
        }
    )
)
dist.destroy_process_group()
