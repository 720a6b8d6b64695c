#include "rows.h"

#include <string.h>

static unsigned int sequence;
static bool first_column, failed;
static uint64_t bytes_told;

void row_begin(const char *scenario, const char *op, const char *symbol, int result) {
  printf("{\"scenario\":\"%s\",\"seq\":%u,\"op\":\"%s\",\"symbol\":\"%s\",\"return_code\":%d,\"columns\":{",
         scenario, sequence++, op, symbol, result);
  first_column = true;
  failed = result != 0;
  bytes_told = 0;
}

void row_end(void) { puts("}}"); }

unsigned int row_count(void) { return sequence; }

uint64_t row_bytes(void) { return bytes_told; }

static void separate(void) {
  if (!first_column) fputs(",", stdout);
  first_column = false;
}

void in(const char *column, uint64_t value) {
  separate();
  printf("\"%s\":%lu", column, value);
  if (strcmp(column, "bytes") == 0) bytes_told = value;
}

void in_signed(const char *column, int value) {
  separate();
  printf("\"%s\":%d", column, value);
}

void in_text(const char *column, const char *value) {
  separate();
  printf("\"%s\":\"%s\"", column, value);
}

void in_ptr(const char *column, const void *value) { in(column, (uintptr_t)value); }

void in_copy(uint64_t dst, uint64_t src, size_t bytes) {
  in("bytes", bytes);
  in("dst_ptr", dst);
  in("src_ptr", src);
}

void in_launch(const void *func, dim3 grid, dim3 block, size_t shared_mem, const void *stream) {
  in_ptr("func", func);
  in("grid_x", grid.x), in("grid_y", grid.y), in("grid_z", grid.z);
  in("block_x", block.x), in("block_y", block.y), in("block_z", block.z);
  in("shared_mem_bytes", shared_mem);
  in_ptr("stream", stream);
}

void out(const char *column, uint64_t value) {
  separate();
  if (failed)
    printf("\"%s\":null", column);
  else
    printf("\"%s\":%lu", column, value);
}

void out_ptr(const char *column, const void *value) { out(column, (uintptr_t)value); }
