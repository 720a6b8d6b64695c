// How driver functions are exported. The real libcuda's exports are thunks: compare a global with a magic
// number (is the driver being torn down?), jump away if so, else jump through a table. Where a probe goes
// and what it costs depends on those bytes, so on x86-64 ours are the same.
#ifndef WORKLOAD_CUDA_ENTRY_H
#define WORKLOAD_CUDA_ENTRY_H

#include "cuda_api.h"

#ifdef __x86_64__
// clang-format off
#define THUNK(name)                                                \
  __asm__(".pushsection .data.rel.ro, \"aw\"\n"                    \
          #name "_slot: .quad driver_" #name "\n"                  \
          ".popsection\n"                                          \
          ".pushsection .text\n"                                   \
          ".p2align 4\n"                                           \
          ".globl " #name "\n"                                     \
          ".type " #name ", @function\n"                           \
          #name ":\n"                                              \
          ".cfi_startproc\n"                                       \
          "cmpl $0x321cba00, driver_state(%rip)\n"               \
          "je 1f\n"                                                \
          "jmp *" #name "_slot(%rip)\n"                            \
          "1: movl $4, %eax\n" /* CUDA_ERROR_DEINITIALIZED */      \
          "ret\n"                                                  \
          ".cfi_endproc\n"                                         \
          ".size " #name ", . - " #name "\n"                       \
          ".popsection\n")
// clang-format on
#define NAMED_ENTRY(name)                                                                                        \
  THUNK(name);                                                                                                 \
  extern __typeof__(name) driver_##name __attribute__((visibility("hidden")));                                 \
  CUresult driver_##name
// One more step, so that ENTRY(SZ(name)) sees the name with its suffix.
#define ENTRY(name) NAMED_ENTRY(name)
#else
#define ENTRY(name) CUresult name
#endif

extern int driver_state __attribute__((visibility("hidden")));

#endif
