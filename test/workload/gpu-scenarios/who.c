// Scenarios about who calls: threads, processes, short-lived processes.
#define _GNU_SOURCE
#include <pthread.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "scenarios.h"

// Every thread or child makes a different number of calls, so that a mix-up shows.
static long calls_of(int index) { return count_or(25) + index; }

static void *thread_main(void *argument) {
  int index = (int)(intptr_t)argument;
  tally_use(index + 1);
  name_thread("worker-%d", index);
  MUST(cudaSetDevice, 0, (index % 2));
  do_calls(calls_of(index), (unsigned int)index);
  return NULL;
}

static void print_slots(FILE *out, const char *name, int slots) {
  fprintf(out, ",\"%s\":[", name);
  for (int slot = 1; slot <= slots; slot++) {
    const struct tally *one = tally_slot(slot);
    fprintf(out, "%s{\"pid\":%d,\"tid\":%d,\"name\":\"%s\",", slot > 1 ? "," : "", one->pid, one->tid, one->name);
    print_ops(out, one);
    fputs("}", out);
  }
  fputs("]", out);
}

void run_threads(FILE *out) {
  int count = threads_or(4);
  pthread_t threads[256];
  if (count > 256) count = 256;
  tally_start(count + 1);
  for (int i = 0; i < count; i++)
    if (pthread_create(&threads[i], NULL, thread_main, (void *)(intptr_t)i) != 0) abort();
  for (int i = 0; i < count; i++) pthread_join(threads[i], NULL);
  print_slots(out, "threads", count);
}

// Children start before this process used CUDA, as they must.
void run_fork(FILE *out) {
  int count = threads_or(3);
  tally_start(count + 1);
  for (int i = 0; i < count; i++) {
    pid_t child = fork();
    if (child < 0) abort();
    if (child > 0) continue;
    tally_use(i + 1);
    name_thread("child-%d", i);
    do_calls(calls_of(i), (unsigned int)i);
    _exit(surprises ? 1 : 0);
  }
  int status = 0;
  while (wait(&status) > 0)
    if (status != 0) surprises++;
  print_slots(out, "children", count);
}

void run_short_child(int fd, int slots, int slot) {
  tally_join(fd, slots, slot);
  tally_name("gpu-scenarios");
  do_calls(1 + slot % 3, (unsigned int)slot);
}

void run_short(FILE *out) {
  int count = threads_or(20);
  int fd = tally_start(count + 1);
  for (int i = 1; i <= count; i++) {
    pid_t child = fork();
    if (child < 0) abort();
    if (child == 0) {
      char fd_text[16], slots_text[16], slot_text[16];
      snprintf(fd_text, sizeof fd_text, "%d", fd);
      snprintf(slots_text, sizeof slots_text, "%d", count + 1);
      snprintf(slot_text, sizeof slot_text, "%d", i);
      execl("/proc/self/exe", "gpu-scenarios", "short-child", fd_text, slots_text, slot_text,
            options.real ? "--real" : NULL, (char *)NULL);
      _exit(127);
    }
    int status = 0;
    if (waitpid(child, &status, 0) < 0 || status != 0) surprises++;
  }
  print_slots(out, "children", count);
}
