#include "model.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct config config;
_Thread_local int current_device;

enum { OBJECTS = 1 << 16 };
static struct object objects[OBJECTS];
static unsigned int next_object;
static pthread_mutex_t objects_lock = PTHREAD_MUTEX_INITIALIZER;

static struct object legacy_stream = {.kind = STREAM};
static _Thread_local struct object thread_stream = {.kind = STREAM};
static _Atomic int64_t last_work;

static double number(const char *name, double fallback) {
  const char *text = getenv(name);
  return text && *text ? strtod(text, NULL) : fallback;
}

__attribute__((constructor)) static void read_config(void) {
  config.fast = number("STUB_CUDA_FAST", 0) != 0;
  config.speed = number("STUB_CUDA_SPEED", 1);
  if (config.speed <= 0) config.speed = 1;
  config.kernel_ns = (int64_t)(number("STUB_CUDA_KERNEL_US", 50) * 1000);
  config.memory_bytes = (uint64_t)number("STUB_CUDA_MEMORY", 80.0 * (1 << 30));
  config.devices = (int)number("STUB_CUDA_DEVICES", 2);
  if (config.devices < 0 || config.devices > MAX_DEVICES) config.devices = 2;
}

// Slots are taken in rotation, so that a handle comes back only after all others were used.
struct object *object_new(enum kind kind) {
  pthread_mutex_lock(&objects_lock);
  struct object *found = NULL;
  for (unsigned int tried = 0; tried < OBJECTS && !found; tried++) {
    struct object *candidate = &objects[next_object++ % OBJECTS];
    if (candidate->kind == FREE_SLOT) found = candidate;
  }
  if (found) {
    found->flags = 0;
    found->device = current_device;
    found->time = 0;
    found->capture = NULL;
    found->cost = 0;
    found->bytes = 0;
    found->name = NULL;
    found->kind = kind;
  }
  pthread_mutex_unlock(&objects_lock);
  return found;
}

struct object *object_get(const void *handle, enum kind kind) {
  uintptr_t offset = (uintptr_t)handle - (uintptr_t)objects;
  if (offset >= sizeof objects || offset % sizeof *objects != 0) return NULL;
  struct object *object = &objects[offset / sizeof *objects];
  return object->kind == (int)kind ? object : NULL;
}

void object_delete(struct object *object) { object->kind = FREE_SLOT; }

struct object *stream_get(CUstream handle, bool per_thread) {
  switch ((uintptr_t)handle) {
  case 0:
    return per_thread ? &thread_stream : &legacy_stream;
  case 1:
    return &legacy_stream;
  case 2:
    return &thread_stream;
  default:
    return object_get(handle, STREAM);
  }
}

int64_t now_ns(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

void sleep_until(int64_t time) {
  if (config.fast || time <= now_ns()) return;
  struct timespec until = {.tv_sec = time / 1000000000, .tv_nsec = time % 1000000000};
  while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) != 0) {
  }
}

static void raise_to(_Atomic int64_t *value, int64_t least) {
  int64_t seen = *value;
  while (seen < least && !atomic_compare_exchange_weak(value, &seen, least)) {
  }
}

int64_t stream_work(struct object *stream, int64_t ns) {
  struct object *graph = stream->capture;
  if (graph) {
    graph->cost += ns;
    return 0;
  }
  if (config.fast) return 0;
  ns = (int64_t)((double)ns / config.speed);
  int64_t now = now_ns();
  int64_t busy = stream->time;
  int64_t done;
  do {
    done = (busy > now ? busy : now) + ns;
  } while (!atomic_compare_exchange_weak(&stream->time, &busy, done));
  raise_to(&last_work, done);
  return done;
}

// The legacy default stream waits for every other stream, as the real one does.
int64_t stream_idle_at(struct object *stream) { return stream == &legacy_stream ? last_work : stream->time; }

int64_t device_idle_at(void) { return last_work; }

int64_t kernel_ns(const struct object *function, void **params) {
  // The one kernel whose length the workload chooses: its first parameter is microseconds.
  if (strcmp(function->name, "busy_wait_us") == 0 && params) return (int64_t)*(const uint64_t *)params[0] * 1000;
  return config.kernel_ns;
}
