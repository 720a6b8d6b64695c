#define _GNU_SOURCE
#include "probe_target.h"

#include <time.h>

// Nothing is looked at, so that nothing is faulted in; the compiler must not drop or merge the functions.
#define USE(value) __asm__ volatile("" : : "r"(value) : "memory")

// Entries of real libraries mostly begin with a push, also those of functions that could do without.
#define KEEP_FRAME() __asm__ volatile("" : : "r"(__builtin_frame_address(0)))

static volatile uint64_t seen;

// Inlined into itself, it would be entered less often than it is called.
__attribute__((noinline)) long pt_recurse(int depth) {
  long below = depth > 0 ? pt_recurse(depth - 1) : -1;
  USE(below); // a frame for every call: no loop in its place
  return below + 1;
}

int pt_outer(int value) {
  int result = pt_middle(value + 1);
  USE(result);
  return result + 100;
}

int pt_middle(int value) {
  int result = pt_inner(value + 1) + pt_inner(value + 2);
  USE(result);
  return result;
}

int pt_inner(int value) {
  KEEP_FRAME();
  seen = (uint64_t)value;
  return value;
}

int pt_tail(int value) {
  KEEP_FRAME();
  return pt_int(value + 1);
}

int pt_call(void (*fn)(void *argument), void *argument) {
  fn(argument);
  seen = 0;
  return 0;
}

int pt_hit(uint64_t value) {
  KEEP_FRAME();
  seen = value;
  return (int)value;
}

int pt_sleep(int ms) {
  struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};
  return clock_nanosleep(CLOCK_MONOTONIC, 0, &time, NULL);
}

int pt_spin(int us) {
  struct timespec start, now;
  clock_gettime(CLOCK_MONOTONIC, &start);
  do clock_gettime(CLOCK_MONOTONIC, &now);
  while ((now.tv_sec - start.tv_sec) * 1000000 + (now.tv_nsec - start.tv_nsec) / 1000 < us);
  return us;
}

uint64_t pt_args14(uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f, uint64_t g, uint64_t h,
                   uint64_t i, uint64_t j, uint64_t k, uint64_t l, uint64_t m, uint64_t n) {
  return a + b + c + d + e + f + g + h + i + j + k + l + m + n;
}

int pt_narrow(int8_t a, uint8_t b, int16_t c, uint16_t d, int32_t e, uint32_t f, int8_t g, uint8_t h, int16_t i,
              uint16_t j, int32_t k, uint32_t l, bool m, int64_t n) {
  return (int)(a + b + c + d + e + (int32_t)f + g + h + i + j + k + (int32_t)l + m + n);
}

int pt_floats(double x, int a, float y, int b) {
  KEEP_FRAME();
  return (int)x + a + (int)y + b;
}

int pt_take_pair(int before, struct pt_pair pair, int after) {
  KEEP_FRAME();
  return before + (int)(pair.first + pair.second) + after;
}

int pt_take_dim3(const void *func, struct pt_dim3 grid, struct pt_dim3 block, void **args, uint64_t shared,
                 void *stream) {
  USE(func);
  USE(args);
  USE(stream);
  return (int)(grid.x + grid.y + grid.z + block.x + block.y + block.z + shared);
}

int pt_take_big(int before, struct pt_big big, int after) {
  return before + (int)(big.width + big.height + big.depth) + after;
}

int pt_take_id(void **comm, int ranks, struct pt_id id, int rank) {
  USE(comm);
  return (int)(id.words[0] + id.words[15]) + ranks + rank;
}

int pt_read(const struct pt_record *record) {
  KEEP_FRAME();
  USE(record);
  return 1;
}

int pt_string(const char *text) {
  KEEP_FRAME();
  USE(text);
  return 2;
}

int pt_out(uint64_t *value, uint32_t *small, bool fail) {
  KEEP_FRAME();
  if (fail) return -22;
  *value = 0x1122334455667788;
  *small = 0xfffffff0;
  return 0;
}

int pt_int(int value) {
  KEEP_FRAME();
  return value;
}

long pt_long(long value) {
  KEEP_FRAME();
  return value;
}

void pt_void(int value) {
  KEEP_FRAME();
  seen = (uint64_t)value;
}

int pt_negative(int value) {
  KEEP_FRAME();
  return -value;
}

bool pt_bool(int value) {
  KEEP_FRAME();
  return value != 0;
}

uint8_t pt_u8(int value) {
  KEEP_FRAME();
  return (uint8_t)value;
}

uint64_t pt_u64(uint64_t value) {
  KEEP_FRAME();
  return value;
}

struct pt_big pt_make(uint64_t seed) {
  KEEP_FRAME();
  return (struct pt_big){seed, seed + 1, seed + 2};
}
