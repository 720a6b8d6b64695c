/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * The registers of a probed thread, per architecture. Layouts: struct pt_regs of the kernel's
 * arch/x86/include/uapi/asm/ptrace.h and struct user_pt_regs of arch/arm64/include/uapi/asm/ptrace.h.
 * Argument registers: System V AMD64 psABI 3.2.3; AAPCS64 6.4.
 */
#pragma once

#if defined(__TARGET_ARCH_x86)

struct pt_regs {
	u64 r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di, orig_ax, ip, cs, flags, sp, ss;
};

#define REG_SP(ctx) ((ctx)->sp)
#define REG_IP(ctx) ((ctx)->ip)
#define REG_RESULT(ctx) ((ctx)->ax)
/* The return address lies below the first stack argument; `ret` pops it. */
#define STACK_ARGUMENTS 8
#define RETURN_POPS 8
#define READ_RETURN_ADDRESS(to, ctx) bpf_probe_read_user(to, 8, (void *)(ctx)->sp)
#define LOAD_ARGUMENTS(to, ctx)                                                                            \
	do {                                                                                               \
		(to)[0] = (ctx)->di;                                                                       \
		(to)[1] = (ctx)->si;                                                                       \
		(to)[2] = (ctx)->dx;                                                                       \
		(to)[3] = (ctx)->cx;                                                                       \
		(to)[4] = (ctx)->r8;                                                                       \
		(to)[5] = (ctx)->r9;                                                                       \
		(to)[6] = 0;                                                                               \
		(to)[7] = 0;                                                                               \
	} while (0)

#elif defined(__TARGET_ARCH_arm64)

struct pt_regs {
	u64 regs[31], sp, pc, pstate;
};

#define REG_SP(ctx) ((ctx)->sp)
#define REG_IP(ctx) ((ctx)->pc)
#define REG_RESULT(ctx) ((ctx)->regs[0])
#define STACK_ARGUMENTS 0
#define RETURN_POPS 0
#define READ_RETURN_ADDRESS(to, ctx) (*(to) = (ctx)->regs[30])
#define LOAD_ARGUMENTS(to, ctx)                                                                            \
	do {                                                                                               \
		(to)[0] = (ctx)->regs[0];                                                                  \
		(to)[1] = (ctx)->regs[1];                                                                  \
		(to)[2] = (ctx)->regs[2];                                                                  \
		(to)[3] = (ctx)->regs[3];                                                                  \
		(to)[4] = (ctx)->regs[4];                                                                  \
		(to)[5] = (ctx)->regs[5];                                                                  \
		(to)[6] = (ctx)->regs[6];                                                                  \
		(to)[7] = (ctx)->regs[7];                                                                  \
	} while (0)

#else
#error "unsupported architecture"
#endif
