// SPDX-License-Identifier: MIT
/*
 * What guardfree wants of the system, without libc: it may be called before
 * libc is set up, in a signal handler, or while libc holds its locks.
 */
#include "sys.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/auxv.h>
#include <sys/syscall.h>

#define FUTEX_WAIT_PRIVATE 128
#define FUTEX_WAKE_PRIVATE 129

struct gf_counts gf_calls;

#ifdef __aarch64__
u32 gf_page_shift = 12;

void gf_page_init(void)
{
	gf_page_shift = __builtin_ctzl(getauxval(AT_PAGESZ));
}
#else
void gf_page_init(void)
{
}
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
