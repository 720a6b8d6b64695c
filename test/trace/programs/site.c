#define _GNU_SOURCE
#include "site.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

// A text in pages of a file that nobody has touched, its last byte before `end` of the second page.
static const char *untouched(const char *text, size_t at) {
  static char name[] = "/tmp/site-XXXXXX";
  strcpy(name, "/tmp/site-XXXXXX");
  int fd = mkstemp(name);
  unlink(name);
  if (fd < 0 || ftruncate(fd, 3 * 4096) < 0 || pwrite(fd, text, strlen(text) + 1, at) < 0) abort();
  char *pages = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
  close(fd);
  return pages + at;
}

static void strings(void) {
  static char longer[600];
  memset(longer, 'x', sizeof longer - 1);
  site_open("/models/plain.bin", 0);
  site_open("/models/refused", 5);
  site_open(NULL, 0);
  site_open((const char *)0x10, 0);
  site_open("", 0);
  site_open("exactly twenty bytes", 0);
  site_open("exactly twenty bytes!", 0);
  site_open("nineteen bytes and\xc3\xa9\xc3\xa9", 0);
  site_open("bad \xff\xfe utf-8 \x1b[31m", 0);
  site_open(longer, 0);
  site_open(untouched("in the cold", 100), 0);
  site_open(untouched("across two pages", 4096 - 6), 0);
  site_pair("left", "right");
  site_pair(longer, longer + 300);
  const char *text;
  site_message(&text, 0);
  site_message(&text, 5);
  struct site_info info;
  site_describe(&info, 0);
  site_describe(&info, 1);
  site_error(0);
  site_error(1);
  site_alloc(64);
  site_outer("level 5", 5);
}

static void states(void) {
  int state;
  site_poll(&state, 0);
  site_poll(&state, 7);
  site_poll(&state, 5);
}

static void *other_thread(void *unused) {
  site_work(90);
  site_set_device(2, 0);
  site_work(91);
  return unused;
}

static void devices(void) {
  int device;
  pthread_t thread;
  site_work(1);
  site_set_device(3, 0);
  site_work(2);
  site_set_device(4, 5);
  site_work(3);
  site_set_device(0, 0);
  site_work(4);
  site_use_context(NULL);
  site_work(5);
  site_get_device(&device);
  site_work(6);
  if (pthread_create(&thread, NULL, other_thread, NULL) != 0) abort();
  pthread_join(thread, NULL);
  site_work(7);
}

static __attribute__((noinline)) void inner_caller(uint64_t value) {
  site_work(value);
  __asm__ volatile("" ::: "memory");
}
static __attribute__((noinline)) void one_way(uint64_t value) {
  inner_caller(value);
  __asm__ volatile("" ::: "memory");
}
static __attribute__((noinline)) void other_way(uint64_t value) {
  inner_caller(value);
  __asm__ volatile("" ::: "memory");
}

int main(int argc, char **argv) {
  const char *command = argc > 1 ? argv[1] : "";
  if (strcmp(command, "strings") == 0) strings();
  if (strcmp(command, "states") == 0) states();
  if (strcmp(command, "devices") == 0) devices();
  if (strcmp(command, "work") == 0)
    for (long i = 0, calls = atol(argv[2]); i < calls; i++) site_work((uint64_t)(i % 2));
  if (strcmp(command, "stacks") == 0) {
    for (long i = 0; i < 50; i++) {
      one_way(1);
      other_way(2);
    }
    // The files of the frames are looked up while the process lives.
    usleep(600000);
  }
  if (strcmp(command, "all") == 0) {
    strings();
    states();
    devices();
  }
  return 0;
}
