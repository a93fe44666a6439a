// SPDX-License-Identifier: GPL-2.0
/*
 * MADV_FREE in a child makes the parent lose contents, on 6.12.117 with swap on
 * zram: see docs/testing.md. Status 0: kept, 1: lost, 2: could not be tried.
 */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT 21
#endif

int main(void)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	volatile char *p = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	pid_t pid;

	if (p == MAP_FAILED)
		return 2;
	*p = 7;
	/* Swap it out, and in by a load: then it is clean, and in no swap cache */
	if (madvise((void *)(uintptr_t)p, page, MADV_PAGEOUT) || *p != 7)
		return 2;
	pid = fork();
	if (pid < 0)
		return 2;
	if (!pid)
		_exit(madvise((void *)(uintptr_t)p, page, MADV_FREE) ? 2 : 0);
	if (waitpid(pid, NULL, 0) != pid || madvise((void *)(uintptr_t)p, page, MADV_PAGEOUT))
		return 2;
	if (*p == 7) {
		puts("kept");
		return 0;
	}
	puts("lost");
	return 1;
}
