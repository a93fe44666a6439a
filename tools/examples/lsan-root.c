// SPDX-License-Identifier: MIT
/*
 * For tools/lsan-gcc-12.patch: the only reference to an object lies behind a guard, in a
 * root region. Without the patch, the leak checker dies. Status: 0 if there is no
 * leak, 1 if there is; with an argument, there is one.
 *
 *	gcc -fsanitize=leak lsan-root.c
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

void __lsan_register_root_region(const void *begin, size_t size);
int __lsan_do_recoverable_leak_check(void);

int main(int argc, char **argv)
{
	long page = sysconf(_SC_PAGESIZE);
	char *p = mmap(NULL, 16 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int leaks;

	(void)argv;
	__lsan_register_root_region(p, 16 * page);
	*(void **)(p + 8 * page) = malloc(100);
	if (argc > 1)
		*(void **)(p + 8 * page) = NULL;
	if (madvise(p + 4 * page, page, 102)) {
		perror("lsan-root: no guard");
		return 2;
	}
	leaks = __lsan_do_recoverable_leak_check();
	puts(leaks ? "a leak" : "no leak");
	fflush(stdout);
	_exit(leaks != 0);
}
