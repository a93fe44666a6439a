// SPDX-License-Identifier: GPL-2.0
/*
 * contend: measures the gain of the VMA lock. One thread sets and removes guards,
 * another works elsewhere in the same address space, each on a CPU of its own.
 *
 * The kernel takes the lock of the VMA for a range in one VMA, and the mmap lock
 * for a range over two VMAs. Both cases have as many pages. Wall time is useful
 * only as a ratio within a run, so the cases take turns, in short rounds.
 *
 * It prints a line for each pair of cases, with medians over the rounds:
 *	contend TAB guards by / other thread TAB guard calls a second TAB
 *	                                        steps a second of the other
 * usage: contend [ROUNDS]	(default 9)
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../include/guard_pages.h"

#define PAGES	16UL
#define ROUND	200000000L	/* ns */
#define MOST	99

enum guards { NO_GUARD, VMA_LOCK, MMAP_LOCK, PROTECT, GUARD_KINDS };
enum other { IDLE, MAP, FAULT, FORK, OTHER_KINDS };

static const char *const guard_name[] = {
	"nobody", "POISON in one VMA", "POISON over two VMAs", "mprotect",
};
static const char *const other_name[] = { "idle", "maps", "faults", "forks" };

static pthread_barrier_t barrier;
static bool stop, finish;		/* __atomic accesses only */
static enum guards guards;
static enum other other;
static size_t page;
static char *one_vma, *two_vmas, *theirs;
static double rate[2];

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

__attribute__((noreturn))
static void die(const char *what)
{
	fprintf(stderr, "contend: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		die("two CPUs are needed");
}

static char *map(size_t len)
{
	char *p = mmap(NULL, len, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		die("mmap");
	return p;
}

static unsigned long guard_step(void)
{
	size_t len = PAGES * page;
	char *p = guards == MMAP_LOCK ? two_vmas : one_vma;

	if (guards == PROTECT) {
		if (mprotect(p, len, PROT_NONE) ||
		    mprotect(p, len, PROT_READ | PROT_WRITE))
			die("mprotect");
	} else if (madvise(p, len, MADV_GUARD_POISON) ||
		   madvise(p, len, MADV_GUARD_UNPOISON)) {
		die("MADV_GUARD_POISON");
	}
	return 2;
}

static unsigned long other_step(void)
{
	int status;
	pid_t child;
	char *p;

	switch (other) {
	case MAP:
		p = map(PAGES * page);
		*p = 1;
		munmap(p, PAGES * page);
		break;
	case FAULT:
		for (size_t i = 0; i < PAGES; i++)
			theirs[i * page] = 1;
		if (madvise(theirs, PAGES * page, MADV_DONTNEED))
			die("MADV_DONTNEED");
		break;
	case FORK:
		child = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
		if (!child)
			_exit(0);
		if (child < 0 || syscall(SYS_wait4, child, &status, 0, NULL) != child)
			die("fork");
		break;
	default:
		return 0;
	}
	return 1;
}

static void *worker(void *arg)
{
	bool is_guard = arg == &rate[0];
	double *result = arg;

	pin(!is_guard);
	for (;;) {
		unsigned long steps = 0;
		double start;

		pthread_barrier_wait(&barrier);
		if (__atomic_load_n(&finish, __ATOMIC_ACQUIRE))
			return NULL;
		start = now();
		if (is_guard ? guards != NO_GUARD : other != IDLE)
			while (!__atomic_load_n(&stop, __ATOMIC_RELAXED))
				steps += is_guard ? guard_step() : other_step();
		*result = steps ? steps / (now() - start) : 0;
		pthread_barrier_wait(&barrier);
	}
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *v, unsigned long n)
{
	qsort(v, n, sizeof(*v), by_size);
	return v[n / 2];
}

int main(int argc, char **argv)
{
	static double seen[GUARD_KINDS][OTHER_KINDS][2][MOST];
	const struct timespec round = { .tv_nsec = ROUND };
	unsigned long rounds = argc > 1 ? strtoul(argv[1], NULL, 10) : 9;
	pthread_t thread[2];
	char *p;

	if (argc > 2 || !rounds || rounds > MOST) {
		fprintf(stderr, "usage: contend [ROUNDS] (1 to %d)\n", MOST);
		return 2;
	}
	page = sysconf(_SC_PAGESIZE);

	/* Leave unmapped pages between them, so that VMAs do not merge. */
	p = map(16 * PAGES * page);
	munmap(p + 4 * PAGES * page, page);
	munmap(p + 9 * PAGES * page, page);
	one_vma = p + PAGES * page;
	two_vmas = p + 6 * PAGES * page;
	theirs = p + 12 * PAGES * page;
	/* Split the VMA by a flag that has no effect here. */
	if (madvise(two_vmas + PAGES / 2 * page, page * PAGES, MADV_DONTDUMP))
		die("MADV_DONTDUMP");
	memset(one_vma, 1, PAGES * page);
	memset(two_vmas, 1, PAGES * page);
	if (madvise(one_vma, PAGES * page, MADV_GUARD_POISON)) {
		fprintf(stderr, "contend: this kernel lacks MADV_GUARD_POISON\n");
		return 2;
	}

	pthread_barrier_init(&barrier, NULL, 3);
	for (int i = 0; i < 2; i++) {
		errno = pthread_create(&thread[i], NULL, worker, &rate[i]);
		if (errno)
			die("pthread_create");
	}
	/* Round 0 warms up and is overwritten by the last. */
	for (unsigned long r = 0; r <= rounds; r++) {
		for (int o = 0; o < OTHER_KINDS; o++) {
			for (int g = 0; g < GUARD_KINDS; g++) {
				guards = g;
				other = o;
				__atomic_store_n(&stop, false, __ATOMIC_RELAXED);
				pthread_barrier_wait(&barrier);
				nanosleep(&round, NULL);
				__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
				pthread_barrier_wait(&barrier);
				seen[g][o][0][r % rounds] = rate[0];
				seen[g][o][1][r % rounds] = rate[1];
			}
		}
		fprintf(stderr, "contend: round %lu of %lu\n", r, rounds);
	}
	__atomic_store_n(&finish, true, __ATOMIC_RELEASE);
	pthread_barrier_wait(&barrier);
	for (int i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);

	for (int o = 0; o < OTHER_KINDS; o++)
		for (int g = 0; g < GUARD_KINDS; g++)
			if (g != NO_GUARD || o != IDLE)
				printf("contend\t%s / %s\t%.0f\t%.0f\n",
				       guard_name[g], other_name[o],
				       median(seen[g][o][0], rounds),
				       median(seen[g][o][1], rounds));
	return 0;
}
