// SPDX-License-Identifier: MIT
/*
 * What guardfree wants of the system, without libc: it may be called before
 * libc is set up, in a signal handler, or while libc holds its locks.
 */
#include "sys.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>

#define FUTEX_WAIT_PRIVATE 128
#define FUTEX_WAKE_PRIVATE 129

struct gf_counts gf_calls;

#if defined(__x86_64__)
long gf_syscall(long nr, long a, long b, long c, long d, long e, long f)
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
long gf_syscall(long nr, long a, long b, long c, long d, long e, long f)
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

/* Locks: 0 free, 1 held, 2 held and somebody may wait. */

void gf_lock_slow(struct gf_lock *lock)
{
	int spin;

	for (spin = 0; spin < 64; spin++) {
		u32 was = 0;

		if (__atomic_compare_exchange_n(&lock->word, &was, 1, false,
						__ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
			return;
	}
	while (__atomic_exchange_n(&lock->word, 2, __ATOMIC_ACQUIRE))
		gf_sys(SYS_futex, &lock->word, FUTEX_WAIT_PRIVATE, 2, NULL);
}

void gf_wake(struct gf_lock *lock)
{
	gf_sys(SYS_futex, &lock->word, FUTEX_WAKE_PRIVATE, 1);
}

long gf_read_file(const char *path, char *buf, size_t size)
{
	long fd = gf_sys(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC), n;
	size_t len = 0;

	buf[0] = 0;
	if (fd < 0)
		return fd;
	while (len < size - 1) {
		n = gf_sys(SYS_read, fd, buf + len, size - 1 - len);
		if (n == -EINTR)
			continue;
		if (n <= 0)
			break;
		len += n;
	}
	gf_sys(SYS_close, fd);
	buf[len] = 0;
	return len;
}
