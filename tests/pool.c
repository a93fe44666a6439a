// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of include/guard_stacks.h: C that is C++ as well.
 *
 * usage: pool guards|fallback|none|here
 *   what the kernel must have; none: the header meets no guards, whatever the kernel
 *   has; here: what it finds
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

/* So that the header meets a kernel without guards. */
static inline int test_madvise(void *addr, size_t len, int advice);
/* And to count one system call. */
#include <sys/syscall.h>
static int vectors;
#define madvise		test_madvise
#define syscall(nr, ...)	(vectors += (nr) == SYS_process_madvise, (syscall)(nr, __VA_ARGS__))
#include "../include/guard_stacks.h"
#undef madvise
#undef syscall
#include "children.h"
#include "guard.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#ifndef MCL_ONFAULT
#define MCL_ONFAULT	4
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE	25
#endif
#define KIB		((size_t)1024)

static size_t page;
static int expected, no_guards;

static inline int test_madvise(void *addr, size_t len, int advice)
{
	if (no_guards && (advice == MADV_GUARD_POISON || advice == MADV_GUARD_UNPOISON)) {
		errno = EINVAL;
		return -1;
	}
	return madvise(addr, len, advice);
}

#define FAILS(expr, bad, error) do { \
	errno = 0; \
	CHECK((expr) == (bad)); \
	check(errno == (error), "line %d: errno %d expected", __LINE__, error); \
} while (0)

static struct guard_stacks pool;
static struct guard_stacks_stats stats;

static void init(size_t size, size_t max)
{
	if (guard_stacks_init(&pool, size, 0, max, 0)) {
		printf("# no pool: %s\n", strerror(errno));
		fflush(stdout);
		_exit(1);
	}
}

static char *get(void)
{
	return (char *)guard_stacks_get(&pool);
}

static int put(void *low)
{
	return guard_stacks_put(&pool, low);
}

static size_t resident(const char *p, size_t len)
{
	static unsigned char core[1 << 16];
	size_t n = 0, i;

	if (mincore((void *)(uintptr_t)p, len, core))
		return SIZE_MAX;
	for (i = 0; i < len / page; i++)
		n += core[i] & 1;
	return n;
}

static int vmas(const char *p, size_t len)
{
	unsigned long start, end, from = (unsigned long)p;
	FILE *f = fopen("/proc/self/maps", "r");
	char line[512];
	int n = 0;

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%lx-%lx", &start, &end) == 2 && start < from + len && end > from)
			n++;
	if (f)
		fclose(f);
	return n;
}

/* All of the stack can be used, and what is just below it cannot. */
static int guarded(char *low)
{
	void *found = NULL;
	size_t at;

	for (at = 0; at < pool.size; at += page)
		if (guard_store(low + at))
			return 0;
	if (guard_store(low + pool.size - 1))
		return 0;
	return guard_load(low - 1) == SIGSEGV && guard_store(low - 1) == SIGSEGV &&
	       guard_store(low - pool.guard) == SIGSEGV &&
	       guard_stacks_find(&pool, low - 1, &found) == GUARD_STACKS_BELOW && found == low &&
	       guard_stacks_find(&pool, low, &found) == GUARD_STACKS_IN_STACK && found == low &&
	       guard_stacks_find(&pool, low + pool.size - 1, &found) == GUARD_STACKS_IN_STACK &&
	       found == low;
}

/* This action for a system call, with this third argument (-1: any). */
static int filter(unsigned int nr, int advice, unsigned int action)
{
	const unsigned int half = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? 4 : 0;
	struct sock_filter code[] = {
		{ BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(struct seccomp_data, nr) },
		{ BPF_JMP | BPF_JEQ | BPF_K, (unsigned char)(advice < 0 ? 2 : 0), 3, nr },
		{ BPF_LD | BPF_W | BPF_ABS, 0, 0,
		  (unsigned int)offsetof(struct seccomp_data, args[2]) + half },
		{ BPF_JMP | BPF_JEQ | BPF_K, 0, 1, (unsigned int)advice },
		{ BPF_RET | BPF_K, 0, 0, action },
		{ BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW },
	};
	struct sock_fprog prog;

	prog.len = sizeof(code) / sizeof(code[0]);
	prog.filter = code;
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog, 0, 0);
}

/* ---- the tests, each in a process of its own -------------------------------- */

static void stacks(void)
{
	char *low[5000];
	size_t i, j;

	init(16 * KIB, 5000);
	CHECK(pool.size == (16 * KIB + page - 1) / page * page && pool.guard == page && pool.max == 5000);
	errno = 4711;
	for (i = 0; i < 5000; i++) {
		low[i] = get();
		if (!CHECK(low[i] && !((uintptr_t)low[i] % page)))
			return;
		if (guard_stacks_how(&pool, low[i]) != expected)
			check(0, "stack %d has guard %d", (int)i, guard_stacks_how(&pool, low[i]));
	}
	CHECK(errno == 4711);
	/* A write to one is none to another. */
	for (i = 0; i < 5000; i += 7) {
		memset(low[i], (int)(i % 100), pool.size);
		CHECK(guard_load(low[i] - 1) == SIGSEGV);
	}
	for (i = 0; i < 5000; i += 7)
		for (j = 0; j < pool.size; j++)
			if (low[i][j] != (char)(i % 100)) {
				check(0, "stack %d, byte %d", (int)i, (int)j);
				break;
			}
	for (i = 0; i < 5000; i += 11)
		CHECK(guarded(low[i]));
	check(vmas(pool.base_, pool.slot_ * 5000) <= (expected == GUARD_PAGES_POISON ? 2 : 10001),
	      "%d mappings", vmas(pool.base_, pool.slot_ * 5000));
	guard_stacks_count(&pool, &stats);
	CHECK(stats.stacks == 5000 && stats.taken == 5000 && !stats.idle);
	CHECK(stats.poison == (expected == GUARD_PAGES_POISON ? 5000 : 0));
	CHECK(stats.prot_none == (expected == GUARD_PAGES_POISON ? 0 : 5000));
	FAILS(get(), (char *)NULL, EAGAIN);
	CHECK(put(low[17]) == 0);
	CHECK(get() == low[17]);
	i = pool.slot_ * 5000;
	guard_stacks_destroy(&pool);
	CHECK(!vmas(pool.base_, i));
}

static void arguments(void)
{
	FAILS(guard_stacks_init(&pool, 0, 0, 10, 0), -1, EINVAL);
	FAILS(guard_stacks_init(&pool, page, 0, 0, 0), -1, EINVAL);
	FAILS(guard_stacks_init(&pool, SIZE_MAX, 0, 1, 0), -1, ENOMEM);
	FAILS(guard_stacks_init(&pool, page, SIZE_MAX, 1, 0), -1, ENOMEM);
	FAILS(guard_stacks_init(&pool, page, 0, SIZE_MAX, 0), -1, ENOMEM);
	FAILS(guard_stacks_init(&pool, SIZE_MAX / 64, 0, 1000, 0), -1, ENOMEM);
	/* One stack, and sizes that are no whole pages; a larger guard. */
	CHECK(!guard_stacks_init(&pool, page + 1, 2 * page + 1, 1, 0));
	CHECK(pool.size == 2 * page && pool.guard == 3 * page);
	CHECK(guarded(get()));
	FAILS(get(), (char *)NULL, EAGAIN);
	guard_stacks_destroy(&pool);
	/* 63, 64, 65: the last word of the maps is not full. */
	{
		size_t max, i;

		for (max = 63; max < 66; max++) {
			init(page, max);
			for (i = 0; i < max; i++)
				CHECK(get() != NULL);
			FAILS(get(), (char *)NULL, EAGAIN);
			guard_stacks_count(&pool, &stats);
			CHECK(stats.stacks == max && stats.taken == max);
			guard_stacks_destroy(&pool);
		}
	}
}

static void what_is_put(void)
{
	char *low, *other;

	init(16 * KIB, 100);
	low = get();
	other = get();
	FAILS(put(low + 1), -1, EINVAL);
	FAILS(put(low - page), -1, EINVAL);
	FAILS(put(low + pool.size), -1, EINVAL);
	FAILS(put(NULL), -1, EINVAL);
	FAILS(put(pool.base_ - pool.slot_ + (low - pool.base_)), -1, EINVAL);
	/* Never made. */
	FAILS(put(low + 99 * pool.slot_), -1, EINVAL);
	CHECK(put(low) == 0);
	FAILS(put(low), -1, EINVAL);
	CHECK(get() == low);
	CHECK(put(low) == 0);
	CHECK(guard_stacks_trim(&pool, 0) == 1);
	FAILS(put(low), -1, EINVAL);
	CHECK(put(other) == 0);
	guard_stacks_count(&pool, &stats);
	CHECK(stats.taken == 0 && stats.idle == 1);
	CHECK(guard_stacks_how(&pool, low + 1) == 0);
	CHECK(guard_stacks_find(&pool, pool.base_ - 1, NULL) == GUARD_STACKS_ELSEWHERE);
	CHECK(guard_stacks_find(&pool, pool.base_ + 100 * pool.slot_, NULL) == GUARD_STACKS_ELSEWHERE);
}

static void trims(void)
{
	char *low[200];
	size_t i;

	init(16 * KIB, 200);
	for (i = 0; i < 200; i++) {
		low[i] = get();
		memset(low[i], 1, pool.size);
	}
	for (i = 0; i < 200; i++)
		if (i != 70)
			CHECK(put(low[i]) == 0);
	errno = 4711;
	CHECK(guard_stacks_trim(&pool, 1000) == 0);
	CHECK(resident(low[0], pool.size) == pool.size / page);
	CHECK(guard_stacks_trim(&pool, 9) == 190);
	guard_stacks_count(&pool, &stats);
	CHECK(stats.stacks == 200 && stats.taken == 1 && stats.idle == 9);
	CHECK(errno == 4711);
	for (i = 0; i < 200; i++) {
		const size_t want = i < 9 || i == 70 ? pool.size / page : 0;

		if (resident(low[i], pool.size) != want)
			check(0, "stack %d: %d pages", (int)i, (int)resident(low[i], pool.size));
		if (guard_load(low[i] - 1) != SIGSEGV)
			check(0, "stack %d has no guard", (int)i);
	}
	/* Idle ones are used first, then those without memory. */
	for (i = 0; i < 9; i++)
		CHECK(get() <= low[8]);
	CHECK(get() > low[8]);
	CHECK(low[70][0] == 1);
}

static void resizes(void)
{
	char *low[300];
	size_t i;

	init(16 * KIB, 3000);
	CHECK(guard_stacks_resize(&pool, 2000) == 2000);
	guard_stacks_count(&pool, &stats);
	CHECK(stats.stacks == 2000 && stats.taken == 0 && stats.idle == 0);
	for (i = 0; i < 300; i++)
		memset(low[i] = get(), 1, pool.size);
	for (i = 0; i < 300; i++)
		if (i != 250)
			put(low[i]);
	errno = 4711;
	CHECK(guard_stacks_resize(&pool, 100) == 100);
	CHECK(errno == 4711);
	guard_stacks_count(&pool, &stats);
	CHECK(stats.stacks == 100 && stats.taken == 1);
	CHECK(stats.poison + stats.prot_none == 100);
	/* What is taken stays, others are gone with their memory. */
	CHECK(guarded(low[250]));
	CHECK(guarded(low[98]));
	CHECK(guard_load(low[249]) == SIGSEGV && resident(low[249], pool.size) == 0);
	CHECK(guard_load(low[299]) == SIGSEGV && resident(low[299], pool.size) == 0);
	FAILS(put(low[299]), -1, EINVAL);
	/* And back. */
	CHECK(guard_stacks_resize(&pool, 5000) == 3000);
	for (i = 0; i < 2999; i++) {
		char *p = get();

		if (!p || guard_load(p - 1) != SIGSEGV || guard_store(p) || p == low[250]) {
			check(0, "stack %d of %p", (int)i, (void *)p);
			break;
		}
	}
	FAILS(get(), (char *)NULL, EAGAIN);
	CHECK(guard_stacks_resize(&pool, 0) == 3000);
}

/* A call for each guard is not permitted: it must be one call for many. */
static void by_vector(void)
{
	size_t i;

	CHECK(guard_pages_available() == (expected == GUARD_PAGES_POISON));
	init(16 * KIB, 3000);
	CHECK(!filter(SYS_madvise, MADV_GUARD_POISON, SECCOMP_RET_KILL_PROCESS));
	CHECK(guard_stacks_resize(&pool, 3000) == 3000);
	check(vectors == (expected == GUARD_PAGES_POISON ? 3 : 0), "%d calls for 3,000 guards", vectors);
	guard_stacks_count(&pool, &stats);
	CHECK(expected != GUARD_PAGES_POISON || stats.poison == 3000);
	for (i = 0; i < 3000; i++) {
		char *p = get();

		if (guard_load(p - 1) != SIGSEGV || guard_store(p))
			check(0, "stack %d", (int)i);
	}
}

static void one_by_one(void)
{
	char *p;

	CHECK(!filter(SYS_process_madvise, -1, SECCOMP_RET_ERRNO | EPERM));
	init(16 * KIB, 300);
	CHECK(guard_stacks_resize(&pool, 300) == 300);
	guard_stacks_count(&pool, &stats);
	CHECK((expected == GUARD_PAGES_POISON ? stats.poison : stats.prot_none) == 300);
	while ((p = get()))
		CHECK(guarded(p));
}

/* The kernel has guards, but from some time on refuses them. */
static void neither(void)
{
	char *p;

	init(16 * KIB, 300);
	CHECK(guarded(get()));
	CHECK(!filter(SYS_process_madvise, -1, SECCOMP_RET_ERRNO | EPERM));
	CHECK(!filter(SYS_madvise, MADV_GUARD_POISON, SECCOMP_RET_ERRNO | ENOMEM));
	while ((p = get()))
		CHECK(guarded(p));
	guard_stacks_count(&pool, &stats);
	CHECK(stats.stacks == 300 && stats.poison + stats.prot_none == 300);
	CHECK(stats.prot_none >= 292);
}

/* 100,000 stacks, also where each guard is a mapping. */
static void many(void)
{
	const size_t n = sizeof(void *) == 8 ? 100000 : 40000;
	char *low = NULL;
	size_t i, bare = 0;

	init(page, n);
	for (i = 0; i < n; i++) {
		low = get();
		if (!low)
			break;
		if (!guard_stacks_how(&pool, low))
			bare++;
	}
	CHECK(i == n);
	if (expected == GUARD_PAGES_POISON) {
		CHECK(bare == 0);
		CHECK(vmas(pool.base_, n * pool.slot_) <= 2);
	} else {
		check(bare > n / 2 && vmas(pool.base_, n * pool.slot_) < 65530 / 2 + 10,
		      "%d without a guard of their own, %d mappings", (int)bare, vmas(pool.base_, n * pool.slot_));
		CHECK(guarded(pool.base_ + pool.guard));
		/* An overflow ends at the guard of the group. */
		for (i = 0; i < 20 && !guard_stacks_how(&pool, low); i++) {
			CHECK(!guard_store(low - 1));
			low -= pool.slot_;
		}
		CHECK(i < 20 && guarded(low));
		/* There is room for others. */
		CHECK(mmap(NULL, page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED);
	}
	guard_stacks_destroy(&pool);
}

/* With EACH, none is without. */
static void each(void)
{
	const size_t n = sizeof(void *) == 8 ? 100000 : 40000;
	char *low = NULL;
	size_t i;

	CHECK(!guard_stacks_init(&pool, page, 0, n, GUARD_STACKS_EACH));
	for (i = 0; i < n; i++) {
		errno = 0;
		low = get();
		if (!low)
			break;
		if (guard_stacks_how(&pool, low) != expected)
			check(0, "stack %d", (int)i);
	}
	if (expected == GUARD_PAGES_POISON) {
		CHECK(i == n);
		return;
	}
	check(i > 20000 && i < 32800 && errno == ENOMEM, "%d stacks", (int)i);
	FAILS(get(), (char *)NULL, ENOMEM);
	low = pool.base_ + 100 * pool.slot_ + pool.guard;
	CHECK(put(low) == 0);
	CHECK(get() == low && guarded(low));
	guard_stacks_count(&pool, &stats);
	CHECK(stats.stacks == i && stats.prot_none == i && stats.taken == i);
}

static void forks(void)
{
	char *low, *mine, *idle;
	int status = -1;
	pid_t pid;

	init(16 * KIB, 100);
	low = get();
	idle = get();
	*low = 1;
	CHECK(put(idle) == 0);
	pid = fork();
	if (!pid) {
		int i;

		/* It has the stack, and makes more, with guards. */
		CHECK(*low == 1 && guarded(low));
		CHECK(get() == idle);
		for (i = 0; i < 98; i++)
			CHECK(guarded(get()));
		FAILS(get(), (char *)NULL, EAGAIN);
		CHECK(put(low) == 0);
		CHECK(guard_stacks_trim(&pool, 0) == 1);
		_exit(in_test);
	}
	CHECK(waitpid(pid, &status, 0) == pid && status == 0);
	/* Here, nothing has changed. */
	guard_stacks_count(&pool, &stats);
	CHECK(stats.stacks == 8 && stats.taken == 1 && stats.idle == 1);
	CHECK(*low == 1);
	CHECK(guard_load(low + 50 * pool.slot_) == SIGSEGV);
	mine = get();
	CHECK(mine == idle && guarded(mine));
}

/* ---- threads and signals ----------------------------------------------------- */

#define THREADS	8
static char owner[10000];
static int stop;

/* Takes and gives back; nobody else may have the stack meanwhile. */
static void *churn(void *arg)
{
	char *mine[20];
	unsigned int seed = (unsigned int)(uintptr_t)arg, i, n = 0, at;
	const int rounds = 4000;
	int r;

	for (r = 0; r < rounds && !__atomic_load_n(&stop, __ATOMIC_RELAXED); r++) {
		seed = seed * 1103515245 + 12345;
		if (n < 20 && (seed >> 16 & 1)) {
			char *p = get();

			if (!p)
				continue;
			at = (unsigned int)((size_t)(p - pool.base_) / pool.slot_);
			if (__atomic_exchange_n(&owner[at], 1, __ATOMIC_SEQ_CST))
				check(0, "two have stack %u", at);
			*(unsigned int *)(void *)p = at;
			mine[n++] = p;
		} else if (n) {
			i = (seed >> 20) % n;
			at = (unsigned int)((size_t)(mine[i] - pool.base_) / pool.slot_);
			if (*(unsigned int *)(void *)mine[i] != at)
				check(0, "stack %u has other contents", at);
			__atomic_store_n(&owner[at], 0, __ATOMIC_SEQ_CST);
			if (put(mine[i]))
				check(0, "cannot put back stack %u", at);
			mine[i] = mine[--n];
		}
		if ((seed >> 24 & 127) == 1)
			guard_stacks_trim(&pool, seed >> 28);
		if ((seed >> 24 & 127) == 2)
			guard_stacks_resize(&pool, seed >> 24);	/* at most 255 */
	}
	while (n) {
		at = (unsigned int)((size_t)(mine[--n] - pool.base_) / pool.slot_);
		__atomic_store_n(&owner[at], 0, __ATOMIC_SEQ_CST);
		put(mine[n]);
	}
	return NULL;
}

static void threads(void)
{
	pthread_t t[THREADS];
	char *p;
	size_t i;

	/* Fewer than all of them may want. */
	init(page, 100);
	for (i = 0; i < THREADS; i++)
		CHECK(!pthread_create(&t[i], NULL, churn, (void *)(uintptr_t)(i + 1)));
	for (i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	guard_stacks_count(&pool, &stats);
	CHECK(stats.taken == 0 && stats.stacks <= 100);
	CHECK(stats.poison + stats.prot_none == stats.stacks);
	for (i = 0; (p = get()); i++)
		CHECK(guarded(p));
	CHECK(i == 100);
}

/* Children made while threads work can go on with their pool. */
static void forks_among_threads(void)
{
	pthread_t t[THREADS];
	int status, round;
	size_t i;
	pid_t pid;

	init(page, sizeof(owner));
	for (i = 0; i < THREADS; i++)
		CHECK(!pthread_create(&t[i], NULL, churn, (void *)(uintptr_t)(i + 1)));
	for (round = 0; round < 6; round++) {
		pid = fork();
		if (!pid) {
			char *p;

			for (i = 0; (p = get()); i++)
				if (i < 50 && guard_stacks_how(&pool, p) && !guarded(p))
					_exit(1);
			/* Lost are 20 for each thread, and the batch that it was just making. */
			_exit(errno != EAGAIN ? 2 : i < sizeof(owner) - THREADS * (20 + 1024) ? 3 : 0);
		}
		status = -1;
		CHECK(waitpid(pid, &status, 0) == pid);
		check(status == 0, "child %d: status %x", round, status);
	}
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	for (i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
}

static int handled;

static void on_signal(int sig)
{
	const int saved = errno;
	char *p = get(), *q = get();

	(void)sig;
	if (p && q && (p == q || __atomic_exchange_n(&owner[(size_t)(p - pool.base_) / pool.slot_], 1, __ATOMIC_SEQ_CST)))
		check(0, "a handler got a stack that is taken");
	if (p) {
		*p = 1;
		__atomic_store_n(&owner[(size_t)(p - pool.base_) / pool.slot_], 0, __ATOMIC_SEQ_CST);
		put(p);
	}
	if (q)
		put(q);
	if (handled % 16 == 0)
		guard_stacks_trim(&pool, 0);
	if (handled % 64 == 0)
		guard_stacks_resize(&pool, 4);
	__atomic_store_n(&handled, handled + 1, __ATOMIC_RELAXED);
	errno = saved;
}

static void *signaller(void *target)
{
	int n = 0;

	while (n < 500) {
		pthread_kill(*(pthread_t *)target, SIGUSR1);
		/* It arrives at any instruction of the other's. */
		while (__atomic_load_n(&handled, __ATOMIC_RELAXED) <= n)
			sched_yield();
		n++;
	}
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	return NULL;
}

static void signals(void)
{
	pthread_t t, me = pthread_self();
	struct sigaction sa;

	init(page, 60);
	memset(&sa, 0, sizeof(sa));
	sa.sa_handler = on_signal;
	sigaction(SIGUSR1, &sa, NULL);
	CHECK(!pthread_create(&t, NULL, signaller, &me));
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED))
		churn((void *)(uintptr_t)(1 + handled));
	pthread_join(t, NULL);
	guard_stacks_count(&pool, &stats);
	CHECK(stats.taken == 0);
}

/* ---- locked memory ------------------------------------------------------------ */

static void locked_before(void)
{
	char *low[20];
	size_t i;

	CHECK(!mlockall(MCL_CURRENT | MCL_FUTURE));
	init(16 * KIB, 20);
	for (i = 0; i < 20; i++) {
		low[i] = get();
		check(resident(low[i], pool.size) == pool.size / page, "%d of %d pages resident",
		      (int)resident(low[i], pool.size), (int)(pool.size / page));
		CHECK(guarded(low[i]));
		CHECK(guard_stacks_how(&pool, low[i]) == expected);
		/* It is locked. */
		FAILS(madvise(low[i], page, MADV_DONTNEED), -1, EINVAL);
	}
	/* A mapping for each batch: what is not locked yet does not merge with what is. */
	if (expected == GUARD_PAGES_POISON)
		check(vmas(pool.base_, pool.slot_ * 20) <= 3, "%d mappings", vmas(pool.base_, pool.slot_ * 20));
	put(low[3]);
	CHECK(guard_stacks_trim(&pool, 0) == 1);
	CHECK(resident(low[3], pool.size) == 0);
	CHECK(get() == low[3] && guarded(low[3]));
}

static void locked_on_fault(void)
{
	char *low;

	CHECK(!mlockall(MCL_FUTURE | MCL_ONFAULT));
	init(16 * KIB, 20);
	low = get();
	CHECK(resident(low, pool.size) == 0);
	FAILS(madvise(low, page, MADV_DONTNEED), -1, EINVAL);
	CHECK(guard_stacks_how(&pool, low) == expected);
	CHECK(guarded(low));
}

static void locked_after(void)
{
	char *low, *p;

	init(16 * KIB, 20);
	low = get();
	CHECK(!mlockall(MCL_CURRENT) || errno == ENOMEM);
	CHECK(guarded(low));
	while ((p = get())) {
		CHECK(guard_stacks_how(&pool, p) == expected);
		CHECK(guarded(p));
	}
	CHECK(errno == EAGAIN);
	FAILS(madvise(low + 19 * pool.slot_, page, MADV_DONTNEED), -1, EINVAL);
}

/* ---- huge pages ---------------------------------------------------------------- */

static void blocks(void)
{
	const size_t block = page / 8 * page;
	char *low[4], *p;
	size_t i;

	if (block > 4096 * KIB) {
		puts("# SKIP blocks are too large");
		return;
	}
	init(2 * block, 4);
	for (i = 0; i < 4; i++) {
		low[i] = get();
		/* All of it is whole blocks, and the guard is in another one. */
		CHECK(!((uintptr_t)low[i] % block));
		CHECK(guarded(low[i]));
		CHECK(!madvise(low[i], 2 * block, MADV_DONTNEED));
	}
	/* Each stack's block is huge, if the kernel has huge pages at all. */
	p = (char *)mmap(NULL, 2 * block, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	p = (char *)(((uintptr_t)p + block - 1) & ~(uintptr_t)(block - 1));
	*p = 1;
	if (madvise(p, block, MADV_COLLAPSE) && errno == EINVAL) {
		puts("# no huge pages here: only the addresses are tested");
		return;
	}
	for (i = 0; i < 4; i++) {
		low[i][block] = low[i][block + 1] = 1;
		CHECK(!madvise(low[i] + block, block, MADV_COLLAPSE));
		CHECK(resident(low[i] + block, block) == block / page);
		low[i][0] = 1;
		CHECK(!madvise(low[i], block, MADV_COLLAPSE));
	}
	guard_stacks_destroy(&pool);
	/* Small stacks: nothing of others lies in their blocks. */
	init(64 * KIB, 100);
	CHECK(!((uintptr_t)pool.base_ % block));
	guard_stacks_destroy(&pool);
	/* Not if they are not wanted. */
	CHECK(!guard_stacks_init(&pool, block, 0, 2, GUARD_STACKS_SMALL_PAGES));
	p = get();
	*p = 1;
	CHECK(madvise(p, block, MADV_COLLAPSE));
	CHECK(resident(p, block) == 1);
}

/* ---- what it needs of the caller's stack ------------------------------------- */

static ucontext_t main_context, fiber;
static char *made_on_fiber[2];

static void on_fiber(void)
{
	made_on_fiber[0] = get();
	guard_stacks_resize(&pool, 2000);
	made_on_fiber[1] = get();
	guard_stacks_put(&pool, made_on_fiber[1]);
	guard_stacks_trim(&pool, 0);
}

static void small_stack(void)
{
	/* With what swapcontext() and the C library's own functions need. */
	static char stack[16384] __attribute__((aligned(16)));
	size_t i;

	init(16 * KIB, 3000);
	/* Resolve symbols, if that is still to be done. */
	put(get());
	CHECK(!guard_stacks_resize(&pool, 0));
	memset(stack, 0x55, sizeof(stack));
	getcontext(&fiber);
	fiber.uc_stack.ss_sp = stack;
	fiber.uc_stack.ss_size = sizeof(stack);
	fiber.uc_link = &main_context;
	makecontext(&fiber, on_fiber, 0);
	swapcontext(&main_context, &fiber);
	CHECK(made_on_fiber[0] && guarded(made_on_fiber[0]));
	for (i = 0; i < sizeof(stack) && stack[i] == 0x55; i++)
		;
	check(sizeof(stack) - i < 1024, "%d bytes of stack", (int)(sizeof(stack) - i));
}

int main(int argc, char **argv)
{
	const char *what = argc == 2 ? argv[1] : "";

	page = (size_t)sysconf(_SC_PAGESIZE);
	guard_probe_start();
	if (!strcmp(what, "none"))
		no_guards = 1;
	if (!strcmp(what, "here"))
		what = guard_pages_available() ? "guards" : "fallback";
	expected = !strcmp(what, "guards") ? GUARD_PAGES_POISON : GUARD_PAGES_PROT_NONE;
	if (expected == GUARD_PAGES_PROT_NONE && strcmp(what, "fallback") && strcmp(what, "none")) {
		fputs("usage: pool guards|fallback|none|here\n", stderr);
		return 2;
	}

	RUN(stacks);
	RUN(arguments);
	RUN(what_is_put);
	RUN(trims);
	RUN(resizes);
	RUN(by_vector);
	RUN(one_by_one);
	RUN(neither);
	RUN(many);
	RUN(each);
	RUN(forks);
	RUN(threads);
	RUN(forks_among_threads);
	RUN(signals);
	RUN(locked_before);
	RUN(locked_on_fault);
	RUN(locked_after);
	RUN(blocks);
	RUN(small_stack);
	printf("1..%d\n", count);
	return failed != 0;
}
