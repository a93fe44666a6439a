// SPDX-License-Identifier: GPL-2.0
/*
 * Poisons and unpoisons a range that three threads fault in as fast as they can.
 * Every call must return 0, and after each POISON every access must fail until
 * the UNPOISON.
 *
 * usage: faulters MODE ROUNDS
 *   plain  64 pages
 *   fork   64 pages, and another thread that forks all the time
 *   swap   64 pages, and another thread that pages them out
 *   huge   2 huge pages, MADV_HUGEPAGE
 * Prints one TAP line. Exit status 0 if it holds, 1 if not, 2 for bad usage.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guard.h"

#define HUGE_SIZE	(2UL << 20)

static volatile char *range;
static size_t page, pages;
static volatile bool done;
static unsigned long faults;

/* Is the access to one page a SIGSEGV? */
static bool is_guard(size_t i, bool write)
{
	volatile char *p = range + i * page;

	return (write ? guard_store(p) : guard_load(p)) == SIGSEGV;
}

static void *faulter(void *arg)
{
	unsigned long n = 0, at = (unsigned long)arg;

	while (!done) {
		is_guard(at % pages, at % 3);
		at++;
		n++;
	}
	__atomic_add_fetch(&faults, n, __ATOMIC_RELAXED);
	return NULL;
}

static void *forker(void *arg)
{
	while (!done) {
		pid_t pid = fork();

		if (!pid)
			_exit(0);
		if (pid > 0)
			waitpid(pid, NULL, 0);
	}
	return arg;
}

static void *pager(void *arg)
{
	while (!done)
		madvise((void *)range, pages * page, MADV_PAGEOUT);
	return arg;
}

int main(int argc, char **argv)
{
	const char *mode = argc == 3 ? argv[1] : "";
	unsigned long rounds = argc == 3 ? strtoul(argv[2], NULL, 10) : 0;
	void *(*other)(void *) = NULL;
	pthread_t thread[4];
	unsigned long round, bad = 0;
	size_t n = 0, length;
	bool huge = !strcmp(mode, "huge");

	if (!strcmp(mode, "fork"))
		other = forker;
	else if (!strcmp(mode, "swap"))
		other = pager;
	else if (strcmp(mode, "plain") && !huge)
		rounds = 0;
	if (!rounds) {
		fprintf(stderr, "usage: faulters plain|fork|swap|huge ROUNDS\n");
		return 2;
	}

	page = sysconf(_SC_PAGESIZE);
	length = huge ? 2 * HUGE_SIZE : 64 * page;
	pages = length / page;
	range = mmap(NULL, length + HUGE_SIZE, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (range == MAP_FAILED) {
		perror("faulters: mmap");
		return 1;
	}
	range = (char *)(((unsigned long)range + HUGE_SIZE - 1) & -HUGE_SIZE);
	if (huge)
		madvise((void *)range, length, MADV_HUGEPAGE);

	guard_probe_start();
	for (; n < 3; n++)
		pthread_create(&thread[n], NULL, faulter, (void *)(n * 21));
	if (other)
		pthread_create(&thread[n++], NULL, other, NULL);

	for (round = 0; round < rounds && !bad; round++) {
		if (madvise((void *)range, length, MADV_GUARD_POISON)) {
			printf("# round %lu: POISON: %s\n", round, strerror(errno));
			bad++;
		}
		/* In a huge range, check other pages in each round */
		for (size_t i = huge ? round % 8 : 0; i < pages; i += huge ? 8 : 1) {
			if (!is_guard(i, round & 1)) {
				printf("# round %lu: page %zu of %zu can be %s\n", round, i,
				       pages, round & 1 ? "written" : "read");
				bad++;
			}
		}
		if (madvise((void *)range, length, MADV_GUARD_UNPOISON)) {
			printf("# round %lu: UNPOISON: %s\n", round, strerror(errno));
			bad++;
		}
	}
	done = true;
	while (n)
		pthread_join(thread[--n], NULL);
	printf("# %lu accesses by others\n", faults);
	printf("%s - %s: %lu times poisoned under three threads that fault\n",
	       bad ? "not ok" : "ok", mode, rounds);
	return bad != 0;
}
