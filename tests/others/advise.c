// SPDX-License-Identifier: GPL-2.0
/*
 * Calls madvise() as stress-ng's madvise stressor does, with the values of guard
 * pages among all others: on mappings of all kinds, page by page and whole, in
 * random order, with accesses in between whose signals it survives, and with
 * wrong arguments.
 *
 * usage: advise SECONDS [SEED]
 * Prints one TAP line. Exit status 0 if all calls behaved, 1 if not.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../guard.h"

#define PAGES	256UL
#define PAGE	4096UL
#define POISON	MADV_GUARD_POISON
#define UNPOISON MADV_GUARD_UNPOISON

/* All advice of 6.12 but that which takes memory away from the machine */
static const int advices[] = {
	0, 1, 2, 3, 4, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25,
	POISON, UNPOISON, POISON, UNPOISON,
};

#define NR_ADVICES (sizeof(advices) / sizeof(*advices))

static unsigned long calls[2], done[2], signals, refused;
static unsigned long state;
static int bad;

static unsigned long random_below(unsigned long n)
{
	state = state * 6364136223846793005UL + 1442695040888963407UL;
	return (state >> 33) % n;
}

static void touch(volatile char *p, size_t pages)
{
	for (size_t i = 0; i < pages; i++, p += PAGE)
		signals += (random_below(2) ? guard_store(p) : guard_load(p)) != 0;
}

static void wrong(const char *what, int ret)
{
	if (bad++ < 8)
		printf("# %s: %d, %s\n", what, ret, strerror(errno));
}

/* Does the mapping accept guards? */
static void advise(void *p, size_t length, int advice, bool may)
{
	int ret = madvise(p, length, advice);

	if (advice != POISON && advice != UNPOISON)
		return;
	calls[advice - POISON]++;
	done[advice - POISON] += !ret;
	/* ENOMEM means a hole, which an earlier call may have made */
	if (!may && !ret && length)
		wrong("success where no guards can be", ret);
	if (ret && errno != EINVAL && errno != ENOMEM && errno != EPERM)
		wrong("an error that madvise(2) does not have", ret);
	if (ret)
		refused++;
}

static void a_mapping(int flags, int prot, int fd, bool may)
{
	char *p = mmap(NULL, PAGES * PAGE, prot, flags, fd, 0);

	if (p == MAP_FAILED)
		return;
	touch(p, PAGES);
	for (size_t n = 0; n < 2 * NR_ADVICES; n++) {
		int advice = advices[random_below(NR_ADVICES)];

		if (random_below(2))
			advise(p, PAGES * PAGE, advice, may);
		else
			for (size_t i = 0; i < PAGES; i += 1 + random_below(8))
				advise(p + i * PAGE, (1 + random_below(2)) * PAGE, advice, may);
		if (!random_below(8)) {
			if (random_below(2))
				mlock(p + 5 * PAGE, 9 * PAGE);
			else
				munlock(p, PAGES * PAGE);
		}
		if (!random_below(4))
			touch(p, PAGES);
		if (!random_below(16)) {
			pid_t pid = fork();

			if (!pid) {
				touch(p, PAGES);
				_exit(0);
			}
			if (pid > 0)
				waitpid(pid, NULL, 0);
		}
	}
	/* Wrong arguments */
	for (int advice = POISON; advice <= UNPOISON; advice++) {
		if (!madvise(p + 1, PAGE, advice) || errno != EINVAL)
			wrong("an address within a page", 0);
		if (!madvise(p, -2 * PAGE, advice))
			wrong("a length that wraps", 0);
		if (madvise(p, 0, advice))
			wrong("no length", -1);
	}
	munmap(p, PAGES * PAGE);
	for (int advice = POISON; advice <= UNPOISON; advice++)
		if (!madvise(p, PAGES * PAGE, advice) || errno != ENOMEM)
			wrong("what is not mapped", 0);
}

int main(int argc, char **argv)
{
	time_t end = time(NULL) + (argc > 1 ? atoi(argv[1]) : 10);
	unsigned long rounds = 0;
	int file, memory;

	state = argc > 2 ? strtoul(argv[2], NULL, 0) : 1;
	guard_probe_start();
	file = open("/tmp/advise.file", O_RDWR | O_CREAT, 0600);
	memory = memfd_create("advise", 0);
	if (file < 0 || memory < 0 || ftruncate(file, PAGES * PAGE) ||
	    ftruncate(memory, PAGES * PAGE)) {
		printf("not ok - advise: files: %s\n", strerror(errno));
		return 1;
	}
	do {
		const int rw = PROT_READ | PROT_WRITE, anon = MAP_PRIVATE | MAP_ANONYMOUS;

		a_mapping(anon, rw, -1, true);
		a_mapping(anon | MAP_NORESERVE, rw, -1, true);
		a_mapping(anon | MAP_POPULATE, PROT_READ, -1, true);
		a_mapping(anon, PROT_NONE, -1, true);
		a_mapping(anon | MAP_GROWSDOWN, rw, -1, true);
		a_mapping(anon | MAP_LOCKED, rw, -1, true);
		a_mapping(MAP_SHARED | MAP_ANONYMOUS, rw, -1, false);
		a_mapping(MAP_PRIVATE, rw, file, false);
		a_mapping(MAP_SHARED, rw, file, false);
		a_mapping(MAP_PRIVATE, rw, memory, false);
		a_mapping(MAP_SHARED, rw, memory, false);
		rounds++;
	} while (time(NULL) < end);
	unlink("/tmp/advise.file");
	printf("# POISON %lu of %lu, UNPOISON %lu of %lu, %lu refused, %lu signals\n", done[0],
	       calls[0], done[1], calls[1], refused, signals);
	if (!done[0] || !done[1] || !refused || !signals)
		wrong("something was never seen to happen", 0);
	printf("%s - values 102 and 103 in a list of advice: %lu rounds\n", bad ? "not ok" : "ok",
	       rounds);
	return bad != 0;
}
