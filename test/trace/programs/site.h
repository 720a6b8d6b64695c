// A library a site might have: strings, handles, states that are no errors, devices.
#ifndef SITE_H
#define SITE_H
#include <stddef.h>
#include <stdint.h>

struct site_info {
  int id;
  char name[12];
};

int site_open(const char *path, int mode);
int site_pair(const char *first, const char *second);
int site_message(const char **text, int code);
int site_describe(struct site_info *info, int code);
const char *site_error(int code);
void *site_alloc(size_t size);
int site_poll(int *state, int code);
int site_set_device(int device, int code);
int site_get_device(int *device);
int site_use_context(void *context);
int site_work(uint64_t value);
int site_outer(const char *name, int depth);

#endif
