#define _GNU_SOURCE
#include "tally.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

const char *const op_names[OP_COUNT] = {
#define API(name, params) #name,
#define API_SZ(name, params) API(name, params)
#define API_DS(name, params) API(name, params)
#include "cudart_api.def"
};

static struct tally *slots;
static int slot_count;
static _Thread_local struct tally *mine;

static void map(int fd, int count) {
  slots = mmap(NULL, (size_t)count * sizeof *slots, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (slots == MAP_FAILED) {
    perror("mmap");
    exit(2);
  }
  slot_count = count;
}

int tally_start(int count) {
  int fd = memfd_create("tally", 0);
  if (fd < 0 || ftruncate(fd, (off_t)((size_t)count * sizeof *slots)) != 0) {
    perror("memfd_create");
    exit(2);
  }
  if (slots) munmap(slots, (size_t)slot_count * sizeof *slots);
  map(fd, count);
  tally_use(0);
  return fd;
}

void tally_join(int fd, int count, int slot) {
  map(fd, count);
  tally_use(slot);
}

void tally_use(int slot) {
  mine = &slots[slot];
  mine->pid = getpid();
  mine->tid = gettid();
}

void tally_name(const char *name) { strncpy(mine->name, name, sizeof mine->name - 1); }

const struct tally *tally_slot(int slot) { return &slots[slot]; }

static void add_error(struct op_tally *op, int code, uint64_t calls) {
  for (int i = 0; i < MAX_CODES; i++) {
    if (op->errors[i].calls && op->errors[i].code != code) continue;
    op->errors[i].code = code;
    op->errors[i].calls += calls;
    return;
  }
  fprintf(stderr, "gpu-scenarios: more than %d different errors of one operation\n", MAX_CODES);
  exit(2);
}

void tally_many(enum op op, cudaError_t result, uint64_t calls, uint64_t bytes) {
  struct op_tally *counted = &mine->ops[op];
  counted->calls += calls;
  counted->bytes += bytes;
  if (result == cudaSuccess)
    counted->ok_bytes += bytes;
  else
    add_error(counted, (int)result, calls);
}

cudaError_t tally(enum op op, uint64_t bytes, cudaError_t result) {
  tally_many(op, result, 1, bytes);
  return result;
}

static void print_op(FILE *out, const char *name, const struct op_tally *op, bool first) {
  fprintf(out, "%s\"%s\":{\"calls\":%lu,\"bytes\":%lu,\"ok_bytes\":%lu,\"errors\":{", first ? "" : ",", name,
          op->calls, op->bytes, op->ok_bytes);
  for (int i = 0; i < MAX_CODES && op->errors[i].calls; i++)
    fprintf(out, "%s\"%d\":%lu", i ? "," : "", op->errors[i].code, op->errors[i].calls);
  fputs("}}", out);
}

void print_ops(FILE *out, const struct tally *tally) {
  bool first = true;
  fputs("\"ops\":{", out);
  for (int op = 0; op < OP_COUNT; op++) {
    if (!tally->ops[op].calls) continue;
    print_op(out, op_names[op], &tally->ops[op], first);
    first = false;
  }
  fputs("}", out);
}

void print_totals(FILE *out) {
  struct tally *total = calloc(1, sizeof *total);
  if (!total) abort();
  uint64_t calls = 0, errors = 0;
  for (int slot = 0; slot < slot_count; slot++) {
    for (int op = 0; op < OP_COUNT; op++) {
      const struct op_tally *from = &slots[slot].ops[op];
      struct op_tally *to = &total->ops[op];
      to->calls += from->calls;
      to->bytes += from->bytes;
      to->ok_bytes += from->ok_bytes;
      calls += from->calls;
      for (int i = 0; i < MAX_CODES && from->errors[i].calls; i++) {
        add_error(to, from->errors[i].code, from->errors[i].calls);
        errors += from->errors[i].calls;
      }
    }
  }
  print_ops(out, total);
  fprintf(out, ",\"calls\":%lu,\"errors\":%lu", calls, errors);
  free(total);
}
