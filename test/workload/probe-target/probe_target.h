// Functions to put probes on: one for each way arguments, return values and entries can look.
#ifndef PROBE_TARGET_H
#define PROBE_TARGET_H

#include <stdbool.h>
#include <stdint.h>

#pragma GCC visibility push(default)

struct pt_pair { // 8 bytes: one register
  uint32_t first, second;
};
struct pt_dim3 { // 12 bytes: two registers
  uint32_t x, y, z;
};
struct pt_big { // 24 bytes: on the stack (x86-64), by reference (AArch64)
  uint64_t width, height, depth;
};
struct pt_id { // 128 bytes, as ncclUniqueId
  uint64_t words[16];
};
struct pt_record {
  uint32_t kind;
  int32_t change;
  uint64_t size;
};

// Calls.
long pt_recurse(int depth);
int pt_outer(int value);
int pt_middle(int value);
int pt_inner(int value);
int pt_tail(int value);
int pt_call(void (*fn)(void *argument), void *argument);
int pt_hit(uint64_t value);
int pt_sleep(int ms);
int pt_spin(int us);

// Arguments.
uint64_t pt_args14(uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f, uint64_t g, uint64_t h,
                   uint64_t i, uint64_t j, uint64_t k, uint64_t l, uint64_t m, uint64_t n);
int pt_narrow(int8_t a, uint8_t b, int16_t c, uint16_t d, int32_t e, uint32_t f, int8_t g, uint8_t h, int16_t i,
              uint16_t j, int32_t k, uint32_t l, bool m, int64_t n);
int pt_floats(double x, int a, float y, int b);
int pt_take_pair(int before, struct pt_pair pair, int after);
int pt_take_dim3(const void *func, struct pt_dim3 grid, struct pt_dim3 block, void **args, uint64_t shared,
                 void *stream);
int pt_take_big(int before, struct pt_big big, int after);
int pt_take_id(void **comm, int ranks, struct pt_id id, int rank);

// Memory. None of these looks at what its argument points to.
int pt_read(const struct pt_record *record);
int pt_string(const char *text);
// Writes through its arguments and returns 0, or leaves them alone and returns -22.
int pt_out(uint64_t *value, uint32_t *small, bool fail);

// Return values.
int pt_int(int value);
long pt_long(long value);
void pt_void(int value);
int pt_negative(int value);
bool pt_bool(int value);
uint8_t pt_u8(int value);
uint64_t pt_u64(uint64_t value);
struct pt_big pt_make(uint64_t seed);

// Entries: each returns value + 1 and begins as its name says (x86-64; elsewhere as usual).
int pt_endbr(int value);
int pt_thunk(int value);
int pt_load(int value);
int pt_movabs(int value);
int pt_sub(int value);
int pt_nop(int value);

#pragma GCC visibility pop

#endif
