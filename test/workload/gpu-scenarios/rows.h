// Truth lines of single calls: what the columns of a call's row must be. A column the call does not set is
// not named; a value that a call hands out is null where it failed.
#ifndef WORKLOAD_ROWS_H
#define WORKLOAD_ROWS_H

#include "tally.h"

void row_begin(const char *scenario, const char *op, const char *symbol, int result);
void row_end(void);
// Rows begun so far, and the bytes of this one.
unsigned int row_count(void);
uint64_t row_bytes(void);

// Passed in, handed out.
void in(const char *column, uint64_t value);
void in_signed(const char *column, int value);
void in_text(const char *column, const char *value);
void in_ptr(const char *column, const void *value);
void in_copy(uint64_t dst, uint64_t src, size_t bytes);
void in_launch(const void *func, dim3 grid, dim3 block, size_t shared_mem, const void *stream);
void out(const char *column, uint64_t value);
void out_ptr(const char *column, const void *value);

// No columns.
#define NONE (void)0

#endif
