#define _GNU_SOURCE
#include "site.h"

#include <stdio.h>
#include <string.h>

// Pages of the library nobody has read yet.
static const char pages[3 * 4096] __attribute__((aligned(4096))) = {[4096] = 'c', 'o', 'l', 'd', 0};

int site_open(const char *path, int mode) { return path == NULL ? 5 : mode; }
int site_pair(const char *first, const char *second) { return first == second; }
int site_message(const char **text, int code) {
  *text = code == 0 ? "all is well" : "not looked at";
  return code;
}
int site_describe(struct site_info *info, int code) {
  info->id = 41;
  memcpy(info->name, "twelve bytes", 12);
  if (code == 1) strcpy(info->name, "short");
  return 0;
}
const char *site_error(int code) { return code == 0 ? NULL : pages + 4096; }
void *site_alloc(size_t size) { return (void *)(0x7000000000000000 + size); }
int site_poll(int *state, int code) {
  *state = 100 + code;
  return code;
}
int site_set_device(int device, int code) {
  site_use_context(NULL);
  return code;
}
int site_get_device(int *device) {
  *device = 6;
  return 0;
}
int site_use_context(void *context) { return 0; }
int site_work(uint64_t value) { return 0; }
// Each level has a name of its own, so their strings must not be mixed up.
int site_outer(const char *name, int depth) {
  char inner[32];
  if (depth > 0) {
    snprintf(inner, sizeof inner, "level %d", depth - 1);
    site_outer(inner, depth - 1);
  }
  return 0;
}
