// SPDX-License-Identifier: MIT
/*
 * A conservative scanner, as a collector or a leak checker has one: it looks for
 * a value in all memory that it may write, by /proc/self/maps. A guard is
 * in a mapping that says rw-p, and reading it is a SIGSEGV.
 *
 *	cc -O2 scanner.c
 *
 * usage: scanner plain|asks
 *   plain: believes maps, and dies at the first guard (status 1)
 *   asks: leaves out the guards that guard_pages.h finds in the mapping
 */
#define _GNU_SOURCE
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "../../include/guard_pages.h"

#define PAGES	4000

static size_t scanned, guards;

/* The value itself must not lie in memory. */
static uintptr_t wanted(void)
{
	volatile uintptr_t part = 0x1234;

	return ~(part << 16 | 0x5678);
}

static unsigned int scan(uintptr_t from, uintptr_t to)
{
	unsigned int found = 0;

	for (; from < to; from += sizeof(uintptr_t)) {
		found += *(volatile uintptr_t *)from == wanted();
		scanned += sizeof(uintptr_t);
	}
	return found;
}

/* What lies between the guards. */
static unsigned int scan_between(int pagemap, uintptr_t from, uintptr_t to)
{
	struct guard_pages_run run = { 0 };
	unsigned int found = 0;

	for (; guard_pages_next_in(pagemap, from, to, &run) == 1; from = run.end) {
		found += scan(from, run.start);
		guards += run.end - run.start;
	}
	return found + scan(from, to);
}

static void on_segv(int sig, siginfo_t *info, void *context)
{
	static const char text[] = "scanner: died: ";
	const char *what = guard_pages_classify(info) == GUARD_PAGES_HIT_GUARD ?
		"it read a guard\n" : "it read something else\n";

	(void)sig;
	(void)context;
	if (write(2, text, sizeof(text) - 1) < 0 || write(2, what, strlen(what)) < 0)
		_exit(2);
	_exit(1);
}

int main(int argc, char **argv)
{
	struct sigaction sa = { .sa_sigaction = on_segv, .sa_flags = SA_SIGINFO };
	const bool asks = argc == 2 && !strcmp(argv[1], "asks");
	const size_t page = sysconf(_SC_PAGESIZE);
	unsigned int found = 0;
	uintptr_t from, to;
	char line[512], perm[5], *p;
	int pagemap;
	FILE *maps;

	if (argc != 2 || (!asks && strcmp(argv[1], "plain"))) {
		fputs("usage: scanner plain|asks\n", stderr);
		return 2;
	}
	p = mmap(NULL, PAGES * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED || sigaction(SIGSEGV, &sa, NULL))
		return 2;
	/* Ten references, each between guards. */
	for (int i = 0; i < 10; i++) {
		guard_pages_set(p + (3 * i + 1) * page, page);
		*(uintptr_t *)(p + (3 * i + 2) * page) = wanted();
	}
	guard_pages_set(p + 40 * page, 3000 * page);

	maps = fopen("/proc/self/maps", "re");
	pagemap = guard_pages_open(-1);
	if (!maps || pagemap < 0) {
		perror("scanner: /proc");
		return 2;
	}
	while (fgets(line, sizeof(line), maps)) {
		if (sscanf(line, "%lx-%lx %4s", &from, &to, perm) != 3 || strncmp(perm, "rw", 2) ||
		    strstr(line, "[stack]"))
			continue;
		found += asks ? scan_between(pagemap, from, to) : scan(from, to);
	}
	printf("%u references in %zu kB, beside %zu kB of guards\n", found, scanned / 1024, guards / 1024);
	return 0;
}
