/* SPDX-License-Identifier: MIT */
/*
 * The caller's stack.
 */
#ifndef GF_STACK_H
#define GF_STACK_H

#include "gf.h"

struct gf_regs {
	uintptr_t pc, sp, fp;
#ifdef __aarch64__
	uintptr_t lr;		/* 0 if it is a caller's: its own return address is on the stack */
	bool by_fp;		/* so sp is only a bound of it */
#endif
};

/*
 * The return addresses from @regs on; the first is @regs->pc. With @exact it
 * is the address of an instruction rather than a return address. @top is where
 * the thread's stack ends.
 */
u32 gf_unwind(struct gf_regs regs, uintptr_t top, bool exact, uintptr_t *pc, u32 max);
/* The same, kept in the depot */
u32 gf_stack_here(struct gf_regs caller, uintptr_t top);
/* Before leaks are looked for: the words that are kept are not the program's. */
void gf_stack_clear(void);
/* Reads a word that may not be there. */
bool gf_peek(uintptr_t addr, uintptr_t *value);
extern const char gf_peek_insn[], gf_same_insn[], gf_peek_fixup[];
void gf_unwind_forget(void);
extern bool gf_constructed;	/* libc is set up, its list of modules too */

/* The registers of the caller of the function that this is used in */
#ifdef __x86_64__
#define GF_CALLER_SP(fa)	((uintptr_t)((fa) + 2))
#else
#define GF_CALLER_SP(fa)	((uintptr_t)__builtin_dwarf_cfa())
#endif
#define GF_CALLER() ({							\
	uintptr_t *fa_ = __builtin_frame_address(0);			\
	(struct gf_regs){ .pc = fa_[1], .sp = GF_CALLER_SP(fa_), .fp = fa_[0] }; })

#endif
