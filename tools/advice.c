// SPDX-License-Identifier: GPL-2.0
/*
 * Makes, takes away and hits a guard, for tools/survey to look at with strace,
 * perf, gdb and valgrind.
 *
 * usage: advice [hit]
 *   with hit, the last it does is to store to a guard, of which it dies
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef SYS_pidfd_open
#define SYS_pidfd_open		434
#endif
#ifndef SYS_process_madvise
#define SYS_process_madvise	440
#endif

int main(int argc, char **argv)
{
	size_t page = sysconf(_SC_PAGESIZE);
	struct iovec vector;
	char *p;

	(void)argv;
	p = mmap(NULL, 4 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return 3;
	memset(p, 1, 4 * page);
	/* By their numbers: libraries of today do not have the names. */
	if (madvise(p + page, page, 102) || madvise(p + page, page, 103) ||
	    madvise(p + page, page, 102)) {
		perror("advice: madvise");
		return 2;
	}
	vector.iov_base = p + 2 * page;
	vector.iov_len = page;
	if (syscall(SYS_process_madvise, syscall(SYS_pidfd_open, getpid(), 0), &vector, 1, 102,
		    0) != (long)page)
		perror("advice: process_madvise");
	/* The kernel's access is an error, not a signal. */
	if (write(1, p + page, 1) != -1)
		return 1;
	if (argc > 1)
		*(volatile char *)(p + page) = 2;
	return 0;
}
