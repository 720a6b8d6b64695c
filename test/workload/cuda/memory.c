#define _GNU_SOURCE
#include "memory.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "model.h"

struct range {
  uint64_t base;
  size_t size;
  enum memory memory;
  int device;
};

// Sorted by base; device addresses mostly grow, so that insertion is mostly at the end.
static struct range *ranges;
static size_t range_count, range_room;
static uint64_t used[MAX_DEVICES];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

// Freed device blocks, handed out again to requests of the same size: real allocators reuse addresses,
// and whoever pairs allocations with frees has to cope.
enum { REUSE_SLOTS = 256 };
static struct {
  uint64_t base;
  size_t size;
} reusable[REUSE_SLOTS];
static size_t reusable_count;

static const size_t arena_size = (size_t)1 << 40;
static uint64_t arena_next, arena_end;

// Kinds that are addresses of the arena only.
enum { WITHOUT_PAGES = DEVICE_MEMORY | IPC_MEMORY | RESERVED_MEMORY };

static size_t rounded(size_t size) { return (size + 511) & ~(size_t)511; }

// Index of the first range that begins after the address.
static size_t upper_bound(uint64_t address) {
  size_t low = 0, high = range_count;
  while (low < high) {
    size_t middle = (low + high) / 2;
    if (ranges[middle].base <= address)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

static struct range *at(uint64_t address) {
  size_t index = upper_bound(address);
  return index == 0 ? NULL : &ranges[index - 1];
}

static bool insert(struct range range) {
  if (range_count == range_room) {
    size_t room = range_room ? range_room * 2 : 1024;
    struct range *grown = realloc(ranges, room * sizeof *grown);
    if (!grown) return false;
    ranges = grown;
    range_room = room;
  }
  size_t index = upper_bound(range.base);
  memmove(&ranges[index + 1], &ranges[index], (range_count - index) * sizeof *ranges);
  ranges[index] = range;
  range_count++;
  return true;
}

static uint64_t device_address(size_t size) {
  for (size_t i = reusable_count; i-- > 0;) {
    if (reusable[i].size != size) continue;
    uint64_t base = reusable[i].base;
    reusable[i] = reusable[--reusable_count];
    return base;
  }
  if (!arena_next) {
    // Reserved without access: nothing else gets these addresses, and touching them is a fault.
    void *arena = mmap(NULL, arena_size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (arena == MAP_FAILED) return 0;
    arena_next = ((uintptr_t)arena + ((1 << 21) - 1)) & ~(uint64_t)((1 << 21) - 1);
    arena_end = (uintptr_t)arena + arena_size;
  }
  if (size > arena_end - arena_next) return 0;
  uint64_t base = arena_next;
  arena_next += size;
  return base;
}

static uint64_t mapped_address(size_t size) {
  void *pages = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return pages == MAP_FAILED ? 0 : (uintptr_t)pages;
}

uint64_t memory_allocate(enum memory memory, size_t size, int device) {
  bool on_device = memory == DEVICE_MEMORY || memory == MANAGED_MEMORY;
  uint64_t base = 0;
  pthread_mutex_lock(&lock);
  if (!on_device || (size <= config.memory_bytes && used[device] + rounded(size) <= config.memory_bytes)) {
    base = memory & WITHOUT_PAGES ? device_address(rounded(size)) : mapped_address(size);
    if (base && !insert((struct range){base, size, memory, device})) base = 0;
    if (base && on_device) used[device] += rounded(size);
  }
  pthread_mutex_unlock(&lock);
  return base;
}

bool memory_register(uint64_t address, size_t size) {
  pthread_mutex_lock(&lock);
  struct range *range = at(address);
  bool taken = range && address < range->base + range->size;
  bool done = !taken && insert((struct range){address, size, REGISTERED_MEMORY, 0});
  pthread_mutex_unlock(&lock);
  return done;
}

static void forget(struct range *range) {
  if (range->memory == DEVICE_MEMORY || range->memory == MANAGED_MEMORY)
    used[range->device] -= rounded(range->size);
  if (range->memory == MANAGED_MEMORY || range->memory == HOST_MEMORY)
    munmap((void *)(uintptr_t)range->base, range->size);
  if ((range->memory & WITHOUT_PAGES) && reusable_count < REUSE_SLOTS) {
    reusable[reusable_count].base = range->base;
    reusable[reusable_count++].size = rounded(range->size);
  }
}

bool memory_release(uint64_t address, unsigned int kinds) {
  pthread_mutex_lock(&lock);
  struct range *range = at(address);
  bool found = range && range->base == address && ((unsigned int)range->memory & kinds);
  if (found) {
    forget(range);
    size_t after = range_count - (size_t)(range - ranges) - 1;
    memmove(range, range + 1, after * sizeof *range);
    range_count--;
  }
  pthread_mutex_unlock(&lock);
  return found;
}

enum memory memory_at(uint64_t address, size_t size) {
  pthread_mutex_lock(&lock);
  struct range *range = at(address);
  bool inside = range && size <= range->size && address - range->base <= range->size - size;
  enum memory memory = inside ? range->memory : UNKNOWN_MEMORY;
  pthread_mutex_unlock(&lock);
  return memory;
}

void memory_info(int device, uint64_t *free_bytes, uint64_t *total_bytes) {
  pthread_mutex_lock(&lock);
  *free_bytes = config.memory_bytes - used[device];
  *total_bytes = config.memory_bytes;
  pthread_mutex_unlock(&lock);
}

void memory_reset(int device) {
  pthread_mutex_lock(&lock);
  size_t kept = 0;
  for (size_t i = 0; i < range_count; i++) {
    bool on_device = ranges[i].memory == DEVICE_MEMORY || ranges[i].memory == MANAGED_MEMORY;
    if (on_device && ranges[i].device == device)
      forget(&ranges[i]);
    else
      ranges[kept++] = ranges[i];
  }
  range_count = kept;
  pthread_mutex_unlock(&lock);
}
