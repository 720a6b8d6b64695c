// Entries as they occur in real libraries, and two that cost a single step. In assembly, because a
// compiler promises none of them.
#include "probe_target.h"

#ifdef __x86_64__

int pt_entry_state __attribute__((visibility("hidden")));

// clang-format off
#define FUNCTION(name, body)                         \
  __asm__(".text\n.p2align 4\n"                      \
          ".globl " #name "\n"                       \
          ".type " #name ", @function\n"             \
          #name ":\n.cfi_startproc\n"                \
          body                                       \
          ".cfi_endproc\n.size " #name ", . - " #name "\n")
#define FRAMED                                       \
  "push %rbp\n.cfi_adjust_cfa_offset 8\n"            \
  "leal 1(%rdi), %eax\n"                             \
  "pop %rbp\n.cfi_adjust_cfa_offset -8\n"            \
  "ret\n"

FUNCTION(pt_endbr, "endbr64\n" FRAMED);                                          // gcc's default; NCCL in Debian
FUNCTION(pt_thunk, "cmpl $0x321cba00, pt_entry_state(%rip)\n"                    // libcuda
                   "je 1f\n"
                   "jmp 2f\n"
                   "1: movl $-1, %eax\nret\n"
                   "2: leal 1(%rdi), %eax\nret\n");
FUNCTION(pt_load, "movq .Lslot(%rip), %rax\n" FRAMED                             // libc10 in the wheels
                  ".pushsection .data\n.Lslot: .quad 0\n.popsection\n");
FUNCTION(pt_movabs, "movabs $0x1122334455667788, %rax\n" FRAMED);                // NCCL in the wheels
FUNCTION(pt_sub, "subq $24, %rsp\n.cfi_adjust_cfa_offset 24\n"                   // no cheap place to be had
                 "leal 1(%rdi), %eax\n"
                 "addq $24, %rsp\n.cfi_adjust_cfa_offset -24\nret\n");
FUNCTION(pt_nop, ".byte 0x0f, 0x1f, 0x44, 0, 0\n" FRAMED);                       // five-byte nop
// clang-format on

#else

int pt_endbr(int value) { return value + 1; }
int pt_thunk(int value) { return value + 1; }
int pt_load(int value) { return value + 1; }
int pt_movabs(int value) { return value + 1; }
int pt_sub(int value) { return value + 1; }
int pt_nop(int value) { return value + 1; }

#endif
