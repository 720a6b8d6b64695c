// probe-target: calls the functions of libprobe_target.so with known arguments, and tells the truth about
// it, one JSON object per line. README.md lists the commands.
#define _GNU_SOURCE
#include <pthread.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "probe_target.h"

static int64_t now_ns(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static volatile int64_t sink;

// A truth line: {"call":NAME,"args":[ARGS],"returns":VALUE}; numbers a double cannot hold are strings.
#define TOLD(name, args, returns) printf("{\"call\":\"%s\",\"args\":[%s],\"returns\":%s}\n", name, args, returns)

static const char *number(int64_t value) {
  static char texts[4][32];
  static int next;
  char *text = texts[next++ % 4];
  bool exact = value < (1LL << 53) && value > -(1LL << 53);
  snprintf(text, sizeof texts[0], exact ? "%ld" : "\"%ld\"", value);
  return text;
}

static const char *unsigned_number(uint64_t value) {
  static char text[32];
  snprintf(text, sizeof text, value < (1ULL << 53) ? "%lu" : "\"%lu\"", value);
  return text;
}

static void arguments(void) {
  TOLD("pt_args14", "101,102,103,104,105,106,107,108,109,110,111,112,113,114",
       unsigned_number(pt_args14(101, 102, 103, 104, 105, 106, 107, 108, 109, 110, 111, 112, 113, 114)));
  TOLD("pt_narrow", "-1,255,-2,65535,-3,4294967295,-4,254,-5,65534,-6,4294967294,true,-7",
       number(pt_narrow(-1, 255, -2, 65535, -3, 0xffffffff, -4, 254, -5, 65534, -6, 0xfffffffe, true, -7)));
  TOLD("pt_floats", "1.5,21,2.5,22", number(pt_floats(1.5, 21, 2.5f, 22)));
  TOLD("pt_take_pair", "31,[32,33],34", number(pt_take_pair(31, (struct pt_pair){32, 33}, 34)));
  TOLD("pt_take_dim3", "4096,[41,42,43],[44,45,46],0,47,48",
       number(pt_take_dim3((void *)4096, (struct pt_dim3){41, 42, 43}, (struct pt_dim3){44, 45, 46}, NULL, 47,
                           (void *)48)));
  TOLD("pt_take_big", "51,[52,53,54],55", number(pt_take_big(51, (struct pt_big){52, 53, 54}, 55)));
  struct pt_id id;
  for (unsigned int i = 0; i < 16; i++) id.words[i] = 600 + i;
  TOLD("pt_take_id", "0,61,[600,601,602,603,604,605,606,607,608,609,610,611,612,613,614,615],62",
       number(pt_take_id(NULL, 61, id, 62)));
}

static void memory(void) {
  struct pt_record record = {71, -72, 73};
  TOLD("pt_read", "[71,-72,73]", number(pt_read(&record)));
  TOLD("pt_read", "null", number(pt_read(NULL)));
  // Mapped in no process, then mapped but never touched: a program that cannot fault cannot read either.
  TOLD("pt_read", "\"unmapped\"", number(pt_read((struct pt_record *)0x10000)));
  int size = 1 << 16;
  struct pt_record *cold = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  TOLD("pt_read", "\"untouched\"", number(pt_read(cold)));
  TOLD("pt_string", "\"a string\"", number(pt_string("a string")));
  TOLD("pt_string", "null", number(pt_string(NULL)));
  uint64_t value = 0x1111;
  uint32_t small = 0x2222;
  TOLD("pt_out", "4369,8738,true", number(pt_out(&value, &small, true)));
  TOLD("pt_out", "\"1234605616436508552\",4294967280,false", number(pt_out(&value, &small, false)));
}

static void returns(void) {
  TOLD("pt_int", "81", number(pt_int(81)));
  TOLD("pt_int", "-82", number(pt_int(-82)));
  TOLD("pt_negative", "83", number(pt_negative(83)));
  TOLD("pt_long", "\"-9223372036854775808\"", number(pt_long(INT64_MIN)));
  TOLD("pt_long", "84", number(pt_long(84)));
  TOLD("pt_u64", "\"18446744073709551615\"", unsigned_number(pt_u64(UINT64_MAX)));
  TOLD("pt_u8", "511", number(pt_u8(511)));
  TOLD("pt_bool", "85", pt_bool(85) ? "true" : "false");
  TOLD("pt_bool", "0", pt_bool(0) ? "true" : "false");
  pt_void(86);
  TOLD("pt_void", "86", "null");
  struct pt_big made = pt_make(87);
  TOLD("pt_make", "87", made.depth == 89 ? "[87,88,89]" : "\"wrong\"");
}

static void entries(void) {
  TOLD("pt_endbr", "91", number(pt_endbr(91)));
  TOLD("pt_thunk", "92", number(pt_thunk(92)));
  TOLD("pt_load", "93", number(pt_load(93)));
  TOLD("pt_movabs", "94", number(pt_movabs(94)));
  TOLD("pt_sub", "95", number(pt_sub(95)));
  TOLD("pt_nop", "96", number(pt_nop(96)));
}

static void recurse(long depth, long times) {
  for (long i = 0; i < times; i++) sink = pt_recurse((int)depth);
  printf("{\"command\":\"recurse\",\"tid\":%d,\"calls\":{\"pt_recurse\":%ld},\"deepest\":%ld}\n", gettid(),
         times * (depth + 1), depth + 1);
}

// A tail call: pt_int is called from where pt_tail was.
static void nest(long times) {
  for (long i = 0; i < times; i++) {
    sink = pt_outer((int)i);
    sink = pt_tail((int)i);
  }
  printf("{\"command\":\"nest\",\"tid\":%d,\"calls\":{\"pt_outer\":%ld,\"pt_middle\":%ld,\"pt_inner\":%ld,"
         "\"pt_tail\":%ld,\"pt_int\":%ld}}\n",
         gettid(), times, times, 2 * times, times, times);
}

static jmp_buf way_out;
static void leap(void *unused) {
  (void)unused;
  longjmp(way_out, 1);
}
static void descend(void *levels) {
  intptr_t left = (intptr_t)levels;
  pt_call(left > 1 ? descend : leap, (void *)(left - 1));
}

// Calls nested that deep are left at once, without a return; then one call returns.
static void leave_by_longjmp(long depth, long times) {
  for (volatile long i = 0; i < times; i++) {
    if (setjmp(way_out) == 0) descend((void *)(intptr_t)depth);
    sink = pt_int((int)i);
  }
  printf("{\"command\":\"longjmp\",\"tid\":%d,\"unwound\":{\"pt_call\":%ld},\"calls\":{\"pt_int\":%ld}}\n", gettid(),
         depth * times, times);
}

static void leave_thread(void *tid) {
  *(int *)tid = gettid();
  pthread_exit(NULL);
}
static void *leaving_thread(void *tid) {
  pt_call(leave_thread, tid);
  return NULL;
}

static void leave_by_thread_exit(long times) {
  printf("{\"command\":\"threadexit\",\"thread_exited\":{\"pt_call\":%ld},\"tids\":[", times);
  for (long i = 0; i < times; i++) {
    pthread_t thread;
    int tid = 0;
    if (pthread_create(&thread, NULL, leaving_thread, &tid) != 0) abort();
    pthread_join(thread, NULL);
    printf("%s%d", i ? "," : "", tid);
  }
  puts("]}");
}

struct hammer {
  long index, count;
  int tid;
};

static void *hammer_thread(void *argument) {
  struct hammer *hammer = argument;
  char name[16];
  snprintf(name, sizeof name, "hammer-%ld", hammer->index);
  prctl(PR_SET_NAME, name);
  hammer->tid = gettid();
  uint64_t base = (uint64_t)hammer->index << 32;
  for (long i = 0; i < hammer->count; i++) pt_hit(base + (uint64_t)i);
  return NULL;
}

// Every thread makes another number of calls: N, N + 1, ... The argument is thread << 32 | i.
static void hammer(long threads, long count) {
  enum { MAX_THREADS = 1024 };
  static struct hammer hammers[MAX_THREADS];
  static pthread_t ids[MAX_THREADS];
  if (threads > MAX_THREADS) threads = MAX_THREADS;
  for (long i = 0; i < threads; i++) {
    hammers[i] = (struct hammer){i, count + i, 0};
    if (pthread_create(&ids[i], NULL, hammer_thread, &hammers[i]) != 0) abort();
  }
  long total = 0;
  for (long i = 0; i < threads; i++) {
    pthread_join(ids[i], NULL);
    total += hammers[i].count;
  }
  printf("{\"command\":\"hammer\",\"pid\":%d,\"calls\":{\"pt_hit\":%ld},\"threads\":[", getpid(), total);
  for (long i = 0; i < threads; i++)
    printf("%s{\"tid\":%d,\"name\":\"hammer-%ld\",\"calls\":%ld}", i ? "," : "", hammers[i].tid, i,
           hammers[i].count);
  puts("]}");
}

static void hit_children(long children, long count) {
  printf("{\"command\":\"fork\",\"calls\":{\"pt_hit\":%ld},\"children\":[", children * count);
  fflush(stdout);
  for (long i = 0; i < children; i++) {
    pid_t child = fork();
    if (child < 0) abort();
    if (child == 0) {
      for (long j = 0; j < count; j++) pt_hit((uint64_t)j);
      _exit(0);
    }
    waitpid(child, NULL, 0);
    printf("%s%d", i ? "," : "", child);
  }
  puts("]}");
}

#define STORM(call)                                                                                            \
  for (long i = 0; i < count; i++) call

static void storm(long count, const char *function) {
  int64_t before = now_ns();
  if (strcmp(function, "pt_endbr") == 0)
    STORM(pt_endbr(1));
  else if (strcmp(function, "pt_thunk") == 0)
    STORM(pt_thunk(1));
  else if (strcmp(function, "pt_load") == 0)
    STORM(pt_load(1));
  else if (strcmp(function, "pt_movabs") == 0)
    STORM(pt_movabs(1));
  else if (strcmp(function, "pt_sub") == 0)
    STORM(pt_sub(1));
  else if (strcmp(function, "pt_nop") == 0)
    STORM(pt_nop(1));
  else if (strcmp(function, "pt_args14") == 0)
    STORM(pt_args14(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14));
  else
    STORM(pt_hit((uint64_t)i));
  double ns = (double)(now_ns() - before) / (double)count;
  printf("{\"command\":\"storm\",\"function\":\"%s\",\"calls\":{\"%s\":%ld},\"ns_per_call\":%.1f}\n", function,
         function, count, ns);
}

static void usage(void) {
  fputs("usage: probe-target [--wait] COMMAND\n"
        "commands: all | arguments | memory | returns | entries | recurse DEPTH [TIMES] | nest TIMES\n"
        "          longjmp DEPTH TIMES | threadexit TIMES | hammer THREADS CALLS | fork CHILDREN CALLS\n"
        "          sleep MS | spin US | hang | storm CALLS [FUNCTION]\n",
        stderr);
  exit(2);
}

int main(int argc, char **argv) {
  int first = 1;
  if (argc > 1 && strcmp(argv[1], "--wait") == 0) {
    // Whoever traces this process attaches in the meantime; a line or the end of input lets it go on.
    first = 2;
    printf("{\"ready\":true,\"pid\":%d}\n", getpid());
    fflush(stdout);
    for (int c = getchar(); c != '\n' && c != EOF; c = getchar()) {
    }
  }
  if (first >= argc) usage();
  const char *command = argv[first];
  long n[2] = {1, 1};
  for (int i = 0; i < 2 && first + 1 + i < argc; i++) n[i] = strtol(argv[first + 1 + i], NULL, 10);
  bool all = strcmp(command, "all") == 0, known = all;
#define COMMAND(name, action)                                                                                  \
  if (strcmp(command, name) == 0) {                                                                            \
    action;                                                                                                    \
    known = true;                                                                                              \
  }
  if (all) {
    arguments();
    memory();
    returns();
    entries();
    recurse(5, 1);
    nest(3);
  }
  COMMAND("arguments", arguments())
  COMMAND("memory", memory())
  COMMAND("returns", returns())
  COMMAND("entries", entries())
  COMMAND("recurse", recurse(n[0], n[1]))
  COMMAND("nest", nest(n[0]))
  COMMAND("longjmp", leave_by_longjmp(n[0], n[1]))
  COMMAND("threadexit", leave_by_thread_exit(n[0]))
  COMMAND("hammer", hammer(n[0], n[1]))
  COMMAND("fork", hit_children(n[0], n[1]))
  COMMAND("sleep", TOLD("pt_sleep", number(n[0]), number(pt_sleep((int)n[0]))))
  COMMAND("spin", TOLD("pt_spin", number(n[0]), number(pt_spin((int)n[0]))))
  COMMAND("hang", { printf("{\"command\":\"hang\",\"in_flight\":\"pt_sleep\",\"tid\":%d}\n", gettid());
                    fflush(stdout);
                    pt_sleep(1000000000); })
  COMMAND("storm", storm(n[0], first + 2 < argc ? argv[first + 2] : "pt_hit"))
  if (!known) usage();
  return 0;
}
