/* SPDX-License-Identifier: GPL-2.0 */
/*
 * For the programs of tests/, demo/, bench/ and tools/, C and C++: the two advice
 * values, accesses that may end in a signal, and PAGEMAP_SCAN's structures.
 *
 *	guard_probe_start();
 *	if (guard_store(p) == SIGSEGV && guard_probe.code == SEGV_ACCERR)
 *		...
 */
#ifndef TESTS_GUARD_H
#define TESTS_GUARD_H

#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <ucontext.h>
/* MADV_GUARD_POISON and MADV_GUARD_UNPOISON */
#include "../include/guard_pages.h"

/* ---- accesses that may fail ---- */

/* The calling thread's last probe. */
static __thread struct guard_probe {
	sigjmp_buf back;
	volatile sig_atomic_t armed;
	volatile uintptr_t addr, ip;	/* of the access; ip is 0 where it is not known */
	volatile int code;		/* si_code */
} guard_probe;

static inline uintptr_t guard_probe_ip(const void *context)
{
	const ucontext_t *uc = (const ucontext_t *)context;

#if defined(__x86_64__)
	return uc->uc_mcontext.gregs[16];	/* REG_RIP */
#elif defined(__i386__)
	return uc->uc_mcontext.gregs[14];	/* REG_EIP */
#elif defined(__aarch64__)
	return uc->uc_mcontext.pc;
#elif defined(__arm__)
	return uc->uc_mcontext.arm_pc;
#elif defined(__riscv)
	return uc->uc_mcontext.__gregs[REG_PC];
#elif defined(__s390__)
	return uc->uc_mcontext.psw.addr;
#elif defined(__powerpc64__)
	return uc->uc_mcontext.gp_regs[32];	/* PT_NIP */
#else
	(void)uc;
	return 0;
#endif
}

static inline void guard_probe_caught(int sig, siginfo_t *si, void *context)
{
	/* No probe: the program itself is wrong, and dies when it goes on. */
	if (!guard_probe.armed) {
		signal(sig, SIG_DFL);
		return;
	}
	guard_probe.armed = 0;
	guard_probe.addr = (uintptr_t)si->si_addr;
	guard_probe.ip = guard_probe_ip(context);
	guard_probe.code = si->si_code;
	siglongjmp(guard_probe.back, sig);
}

/* Catches SIGSEGV and SIGBUS, in all threads. Returns 0, or -1 with errno. */
static inline int guard_probe_start(void)
{
	struct sigaction sa;

	sigemptyset(&sa.sa_mask);
	sa.sa_sigaction = guard_probe_caught;
	/* NODEFER, so that the jump need not restore the signal mask. */
	sa.sa_flags = SA_SIGINFO | SA_NODEFER;
	return sigaction(SIGSEGV, &sa, NULL) || sigaction(SIGBUS, &sa, NULL) ? -1 : 0;
}

/* Runs f(p). Returns 0, or the signal that ended it. */
static inline int guard_try(void (*f)(volatile char *p), volatile char *p)
{
	int sig;

	guard_probe.addr = guard_probe.ip = 0;
	guard_probe.code = 0;
	sig = sigsetjmp(guard_probe.back, 0);
	if (!sig) {
		guard_probe.armed = 1;
		f(p);
		guard_probe.armed = 0;
	}
	return sig;
}

static inline void guard_do_load(volatile char *p)
{
	(void)*p;
}

static inline void guard_do_store(volatile char *p)
{
	*p = 7;
}

static inline int guard_load(volatile void *p)
{
	return guard_try(guard_do_load, (volatile char *)p);
}

static inline int guard_store(volatile void *p)
{
	return guard_try(guard_do_store, (volatile char *)p);
}

/* ---- how guards show ---- */

/* /proc/PID/pagemap has 64 bits for each page. */
#define PM_GUARD		(1ULL << 58)
#define PM_SWAPPED		(1ULL << 62)
#define PM_PRESENT		(1ULL << 63)

/*
 * PAGEMAP_SCAN. <linux/fs.h> has it since 6.7, and conflicts with <sys/mount.h> of
 * some C libraries.
 */
#define SCAN_WPALLOWED		(1ULL << 0)
#define SCAN_WRITTEN		(1ULL << 1)
#define SCAN_PRESENT		(1ULL << 3)
#define SCAN_SWAPPED		(1ULL << 4)
#define SCAN_GUARD		(1ULL << 8)

struct scan_region {
	uint64_t start, end, categories;
};

struct scan_arg {
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
	uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};

#define SCAN			_IOWR('f', 16, struct scan_arg)

#endif /* TESTS_GUARD_H */
