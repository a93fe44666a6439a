/* SPDX-License-Identifier: MIT */
/*
 * System calls, which return -errno and leave errno alone; locks.
 */
#ifndef GF_SYS_H
#define GF_SYS_H

#include "gf.h"

#if defined(__x86_64__)
static inline long gf_syscall(long nr, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "0"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return ret;
}
#elif defined(__aarch64__)
static inline long gf_syscall(long nr, long a, long b, long c, long d, long e, long f)
{
	register long x8 __asm__("x8") = nr;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;
	register long x5 __asm__("x5") = f;

	__asm__ volatile("svc 0"
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
			 : "memory");
	return x0;
}
#else
#error "guardfree does not know this machine's system calls"
#endif

#define gf_sys(...)		gf_sys_(__VA_ARGS__, 0, 0, 0, 0, 0, 0)
#define gf_sys_(nr, a, b, c, d, e, f, ...) \
	gf_syscall(nr, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))

struct gf_lock {
	u32 word;
};

void gf_lock_slow(struct gf_lock *lock);
void gf_wake(struct gf_lock *lock);

static inline void gf_lock(struct gf_lock *lock)
{
	u32 was = 0;

	if (unlikely(!__atomic_compare_exchange_n(&lock->word, &was, 1, false,
						  __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)))
		gf_lock_slow(lock);
}

static inline void gf_unlock(struct gf_lock *lock)
{
	if (unlikely(__atomic_exchange_n(&lock->word, 0, __ATOMIC_RELEASE) == 2))
		gf_wake(lock);
}

/* All of a small file, as a string; -errno or the length */
long gf_read_file(const char *path, char *buf, size_t size);

/* What it cost; written without atomicity where a lost count is no harm. */
struct gf_counts {
	u64 poison, unpoison, vector, map, other;
};

extern struct gf_counts gf_calls HIDDEN;

/* Before PAGE is used */
void gf_page_init(void);

#endif
