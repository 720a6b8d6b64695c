// gpu-scenarios: makes CUDA runtime calls with known counts and tells the truth about them, one JSON
// object per line. README.md lists the scenarios and what they print.
#define _GNU_SOURCE
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "scenarios.h"

struct options options = {.seed = 1, .ms = 400, .detail = "cudaLaunchKernel"};

static const struct scenario {
  const char *name;
  void (*run)(FILE *out);
} scenarios[] = {
    {"steady", run_steady},         {"pageable", run_pageable}, {"leak", run_leak},   {"stall", run_stall},
    {"errors", run_errors},         {"hang", run_hang},         {"threads", run_threads}, {"nested", run_nested},
    {"fork", run_fork},             {"short", run_short},       {"longjmp", run_longjmp},
    {"threadexit", run_threadexit}, {"args", run_args},         {"driver-args", run_driver_args}, {"storm", run_storm},
    {"sync-loop", run_sync_loop},   {"tiny", run_tiny},         {"contend", run_contend},
};

static const struct scenario *find(const char *name) {
  for (size_t i = 0; i < sizeof scenarios / sizeof *scenarios; i++)
    if (strcmp(scenarios[i].name, name) == 0) return &scenarios[i];
  return NULL;
}

// The extras are gathered first: a scenario may print lines of its own before its truth line.
static void run(const struct scenario *scenario) {
  tally_start(1);
  if (scenario->run == run_hang) {
    printf("{\"scenario\":\"hang\",\"pid\":%d,\"tid\":%d,\"real\":%s,", getpid(), gettid(),
           options.real ? "true" : "false");
    run_hang(stdout);
  }
  char *extras = NULL;
  size_t length = 0;
  FILE *gathered = open_memstream(&extras, &length);
  if (!gathered) abort();
  scenario->run(gathered);
  fclose(gathered);
  printf("{\"scenario\":\"%s\",\"pid\":%d,\"tid\":%d,\"real\":%s,\"seed\":%lu,", scenario->name, getpid(), gettid(),
         options.real ? "true" : "false", options.seed);
  print_totals(stdout);
  printf("%s}\n", extras);
  fflush(stdout);
  free(extras);
}

// About ten seconds: a job that runs well, then has one trouble after another.
static void run_all(void) {
  static const struct {
    const char *name;
    long count, pause_us;
  } parts[] = {
      {"steady", 800, 5000}, {"pageable", 80, 2000}, {"leak", 600, 2000},
      {"stall", 120, 4000},  {"errors", 60, 2000},   {"threads", 150, 2000},
  };
  long count = options.count;
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
    // --count is a percentage here, so that tests can take a short run.
    options.count = count > 0 ? (parts[i].count * count + 99) / 100 : parts[i].count;
    options.pause_us = parts[i].pause_us;
    run(find(parts[i].name));
  }
}

static void usage(void) {
  fputs("usage: gpu-scenarios [--real] [--wait] [--seed N] [--count N] [--threads N] [--ms N] [--pause-us N]\n"
        "                     SCENARIO [N] [OPERATION]\nscenarios: all",
        stderr);
  for (size_t i = 0; i < sizeof scenarios / sizeof *scenarios; i++) fprintf(stderr, " %s", scenarios[i].name);
  fputs("\n", stderr);
  exit(2);
}

// Whoever traces this process attaches in the meantime; a line or the end of standard input lets it go on.
static void wait_for_go(void) {
  printf("{\"ready\":true,\"pid\":%d}\n", getpid());
  fflush(stdout);
  for (int c = getchar(); c != '\n' && c != EOF; c = getchar()) {
  }
}

int main(int argc, char **argv) {
  static const struct option known[] = {
      {"real", no_argument, NULL, 'r'},         {"wait", no_argument, NULL, 'w'},
      {"seed", required_argument, NULL, 's'},   {"count", required_argument, NULL, 'c'},
      {"threads", required_argument, NULL, 't'}, {"ms", required_argument, NULL, 'm'},
      {"pause-us", required_argument, NULL, 'p'}, {NULL, 0, NULL, 0},
  };
  bool wait = false;
  for (int option; (option = getopt_long(argc, argv, "", known, NULL)) != -1;) {
    switch (option) {
    case 'r':
      options.real = true;
      break;
    case 'w':
      wait = true;
      break;
    case 's':
      options.seed = strtoul(optarg, NULL, 10);
      break;
    case 'c':
      options.count = strtol(optarg, NULL, 10);
      break;
    case 't':
      options.threads = (int)strtol(optarg, NULL, 10);
      break;
    case 'm':
      options.ms = strtol(optarg, NULL, 10);
      break;
    case 'p':
      options.pause_us = strtol(optarg, NULL, 10);
      break;
    default:
      usage();
    }
  }
  if (optind >= argc) usage();
  const char *name = argv[optind];
  if (strcmp(name, "short-child") == 0 && argc - optind == 4) {
    run_short_child(atoi(argv[optind + 1]), atoi(argv[optind + 2]), atoi(argv[optind + 3]));
    return surprises ? 1 : 0;
  }
  const struct scenario *scenario = find(name);
  if (!scenario && strcmp(name, "all") != 0) usage();
  if (optind + 1 < argc) options.count = strtol(argv[optind + 1], NULL, 10);
  if (optind + 2 < argc) options.detail = argv[optind + 2];
  // A storm measures calls, not waiting; what is about waiting has to wait.
  if (scenario && scenario->run == run_storm) setenv("STUB_CUDA_FAST", "1", 0);
  bool waits = !scenario || scenario->run == run_hang || scenario->run == run_stall || scenario->run == run_errors;
  if (waits) unsetenv("STUB_CUDA_FAST");
  if (wait) wait_for_go();
  if (scenario)
    run(scenario);
  else
    run_all();
  return surprises ? 1 : 0;
}
