// SPDX-License-Identifier: GPL-2.0
/*
 * The process that tests/visible.t looks at from outside.
 *
 * usage: victim wait
 *   makes guards, prints "vma START END GUARDS" for each mapping that has some,
 *   and "run START END PAGES" for each run in it, then "ready", and waits until
 *   its standard input ends. Addresses are hexadecimal without 0x.
 * usage: victim poison|none|freed
 *   prints "page ADDRESS" and stores to it: a guard, a page of a PROT_NONE
 *   mapping, or an address that is not mapped. Dies and leaves a core.
 * usage: victim efault
 *   prints "page ADDRESS" and has the kernel read from a guard, so write() fails.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "../../include/guard_pages.h"

#define PAGES			2048

static size_t page;

static void must(int good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "victim: %s: %s\n", what, strerror(errno));
	exit(3);
}

/* Between two mappings that it cannot merge with. */
static char *map(size_t pages)
{
	char *p = mmap(NULL, (pages + 2) * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	must(p != MAP_FAILED, "mmap");
	must(!mprotect(p + page, pages * page, PROT_READ | PROT_WRITE), "mprotect");
	return p + page;
}

static void poison(char *p, size_t pages)
{
	must(!madvise(p, pages * page, MADV_GUARD_POISON), "MADV_GUARD_POISON");
}

static void vma(char *p, size_t pages, size_t guards)
{
	printf("vma %lx %lx %zu\n", (unsigned long)p, (unsigned long)p + pages * page, guards);
}

static void run(char *p, size_t pages)
{
	printf("run %lx %lx %zu\n", (unsigned long)p, (unsigned long)p + pages * page, pages);
}

static void wait_for_end(void)
{
	char *first = map(16), *second = map(PAGES), *third = map(4), *none = map(8);
	char c;

	/* Pages with contents, pages without, and guards in place of contents. */
	memset(first, 1, 12 * page);
	poison(first, 1);
	poison(first + 4 * page, 4);
	poison(first + 15 * page, 1);
	/* Every other page of several page tables. */
	for (size_t i = 0; i < PAGES; i += 2)
		poison(second + i * page, 1);
	/* A whole mapping that is read-only. */
	poison(third, 4);
	must(!mprotect(third, 4 * page, PROT_READ), "mprotect");
	/* A mapping that has no guards any more. */
	poison(none, 8);
	must(!madvise(none, 8 * page, MADV_GUARD_UNPOISON), "MADV_GUARD_UNPOISON");

	vma(first, 16, 6);
	run(first, 1);
	run(first + 4 * page, 4);
	run(first + 15 * page, 1);
	vma(second, PAGES, PAGES / 2);
	for (size_t i = 0; i < PAGES; i += 2)
		run(second + i * page, 1);
	vma(third, 4, 4);
	run(third, 4);
	vma(none, 8, 0);
	puts("ready");
	fflush(stdout);
	while (read(0, &c, 1) > 0)
		;
}

/* The core must name this function. */
__attribute__((noinline)) static void overrun(volatile char *p)
{
	*p = 1;
}

int main(int argc, char **argv)
{
	const char *what = argc == 2 ? argv[1] : "";
	const struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };
	char *p;

	page = sysconf(_SC_PAGESIZE);
	if (!strcmp(what, "wait")) {
		wait_for_end();
		return 0;
	}
	p = map(8);
	memset(p, 'x', 8 * page);
	if (!strcmp(what, "poison") || !strcmp(what, "efault"))
		poison(p + 4 * page, 1);
	else if (!strcmp(what, "none"))
		must(!mprotect(p + 4 * page, page, PROT_NONE), "mprotect");
	else if (!strcmp(what, "freed"))
		must(!munmap(p + 4 * page, page), "munmap");
	else
		return 2;
	must(!setrlimit(RLIMIT_CORE, &unlimited), "setrlimit");
	must(!prctl(PR_SET_DUMPABLE, 1, 0, 0, 0), "prctl");
	printf("page %lx\n", (unsigned long)p + 4 * page);
	fflush(stdout);
	if (!strcmp(what, "efault")) {
		int fds[2];

		must(!pipe(fds), "pipe");
		return !(write(fds[1], p + 4 * page, 1) == -1 && errno == EFAULT);
	}
	overrun(p + 4 * page + 8);
	return 3;
}
