// The pretended device: handles, streams as timelines, and how long things take.
#ifndef WORKLOAD_CUDA_MODEL_H
#define WORKLOAD_CUDA_MODEL_H

#include <stdatomic.h>
#include <stdbool.h>

#include "cuda_api.h"

enum { MAX_DEVICES = 16 };

// From the environment, read when the library is loaded (README.md lists the variables).
struct config {
  bool fast;             // no waiting at all, for benchmarks
  double speed;          // divides every duration
  int64_t kernel_ns;     // an ordinary kernel
  uint64_t memory_bytes; // of each device
  int devices;
};
extern struct config config;

enum kind { FREE_SLOT, STREAM, EVENT, GRAPH, GRAPH_EXEC, POOL, ARRAY, MODULE, FUNCTION, CONTEXT, LIBRARY, KERNEL, PHYSICAL };

// Every handle but a pointer to memory is the address of one of these.
struct object {
  _Atomic int kind;
  unsigned int flags;
  int device;
  _Atomic int64_t time;             // stream: busy until then; event: happens then (0: never recorded)
  _Atomic(struct object *) capture; // stream: the graph its work goes to
  _Atomic int64_t cost;             // graph: device time of its work
  uint64_t bytes;                   // array: size
  const char *name;                 // function: name in the module
};

struct object *object_new(enum kind kind);
// NULL where the handle is none of that kind.
struct object *object_get(const void *handle, enum kind kind);
void object_delete(struct object *object);

// The stream a handle stands for; per_thread decides what the null stream is. NULL: no such stream.
struct object *stream_get(CUstream handle, bool per_thread);

extern _Thread_local int current_device;

int64_t now_ns(void);
void sleep_until(int64_t time);
// Queues work of that length and returns when it will be done. On a capturing stream it becomes part of
// the graph instead, and 0 is returned.
int64_t stream_work(struct object *stream, int64_t ns);
// When the stream, or everything the device was given, is done.
int64_t stream_idle_at(struct object *stream);
int64_t device_idle_at(void);
int64_t kernel_ns(const struct object *function, void **params);

#endif
