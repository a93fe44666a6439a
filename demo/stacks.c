// SPDX-License-Identifier: GPL-2.0
/*
 * stacks: tests corner cases of stackguard; prints TAP. Run it with
 * LD_PRELOAD=stackguard.so. It passes without it too, because a program must not
 * notice a difference other than the kind of its guards.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include "../tests/guard.h"

static unsigned int tests;
static bool bad;

static void ok(bool good, const char *what)
{
	bad |= !good;
	printf("%sok %u - %s\n", good ? "" : "not ", ++tests, what);
	fflush(stdout);
}

static bool faults(char *p)
{
	return guard_store(p) != 0;
}

struct view {
	char *low;
	size_t size, guard;
	bool ends_well;	/* is usable to the last byte, with a guard below it */
};

static void look(struct view *v)
{
	pthread_attr_t attr;
	void *low;

	if (pthread_getattr_np(pthread_self(), &attr))
		abort();
	pthread_attr_getstack(&attr, &low, &v->size);
	pthread_attr_getguardsize(&attr, &v->guard);
	pthread_attr_destroy(&attr);
	v->low = low;
	v->ends_well = !faults(v->low);
	if (v->guard)
		v->ends_well = v->ends_well && faults(v->low - 1) &&
			       faults(v->low - v->guard);
}

static void *looker(void *arg)
{
	look(arg);
	return arg;
}

/* Runs a thread with this stack and guard; returns what it saw. */
static struct view try_sizes(size_t stack, size_t guard)
{
	struct view v = { 0 };
	pthread_attr_t attr;
	pthread_t t;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, stack);
	pthread_attr_setguardsize(&attr, guard);
	if (pthread_create(&t, &attr, looker, &v))
		abort();
	pthread_join(t, NULL);
	pthread_attr_destroy(&attr);
	return v;
}

static void *exits(void *arg)
{
	pthread_exit(arg);
}

static void *waits(void *arg)
{
	pthread_barrier_wait(arg);
	for (;;)
		pause();
	return NULL;
}

static void *meets(void *arg)
{
	pthread_barrier_wait(arg);
	return NULL;
}

static void *meets_twice(void *arg)
{
	pthread_barrier_wait(arg);
	pthread_barrier_wait(arg);
	return NULL;
}

static void *forks(void *arg)
{
	int status = -1;
	pid_t child = fork();

	(void)arg;
	if (!child) {
		struct view v = { 0 };
		pthread_t t;

		/* The forking thread's guard and a new thread's. */
		look(&v);
		if (!v.ends_well || pthread_create(&t, NULL, looker, &v))
			_exit(1);
		pthread_join(t, NULL);
		_exit(v.ends_well ? 0 : 2);
	}
	waitpid(child, &status, 0);
	return (void *)(intptr_t)status;
}

static pthread_key_t key;
static struct view at_end;

static void at_thread_end(void *arg)
{
	look(arg);
}

static void *sets_key(void *arg)
{
	pthread_setspecific(key, arg);
	return NULL;
}

int main(void)
{
	size_t page = sysconf(_SC_PAGESIZE), stack = 256 * 1024;
	static char own[256 * 1024] __attribute__((aligned(65536)));
	struct view v = { 0 }, w;
	pthread_barrier_t two;
	pthread_attr_t attr;
	bool good = true;
	pthread_t t;
	void *result;

	guard_probe_start();
	pthread_barrier_init(&two, NULL, 2);

	good = !pthread_create(&t, NULL, looker, &v) &&
	       !pthread_join(t, &result) && result == &v;
	ok(good, "a thread with default attributes returns its value");
	ok(v.ends_well && v.guard == page, "its stack ends in a guard of one page");

	v = try_sizes(stack, 4 * page);
	ok(v.ends_well && v.guard == 4 * page && v.size == stack,
	   "a guard of four pages, and the stack is as large as asked for");
	/* The total size is as before, so glibc reuses the last thread's stack. */
	w = try_sizes(stack + 3 * page, page);
	ok(w.ends_well && w.size == stack + 3 * page && w.guard == page,
	   "a smaller guard on a stack used again");
	ok(w.low - w.guard == v.low - v.guard, "(and it was used again)");
	w = try_sizes(stack + 4 * page, 0);
	ok(w.ends_well && w.size == stack + 4 * page && !w.guard,
	   "no guard asked for on a stack used again: none there");
	w = try_sizes(stack, 4 * page);
	ok(w.ends_well && w.guard == 4 * page, "and a guard once more");
	w = try_sizes(stack, page + 1);
	ok(w.ends_well && w.guard >= page + 1, "a guard size that is no whole page");

	pthread_attr_init(&attr);
	pthread_attr_setstack(&attr, own, sizeof(own));
	v = (struct view){ 0 };
	good = !pthread_create(&t, &attr, looker, &v) && !pthread_join(t, NULL);
	pthread_attr_destroy(&attr);
	ok(good && v.low == own && v.size == sizeof(own) && !faults(own),
	   "the program's own stack is left alone");

	good = !pthread_create(&t, NULL, exits, &v) &&
	       !pthread_join(t, &result) && result == &v;
	ok(good, "pthread_exit");

	good = !pthread_create(&t, NULL, waits, &two);
	pthread_barrier_wait(&two);
	good = good && !pthread_cancel(t) && !pthread_join(t, &result) &&
	       result == PTHREAD_CANCELED;
	ok(good, "cancellation");

	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	good = !pthread_create(&t, &attr, meets, &two);
	pthread_attr_destroy(&attr);
	pthread_barrier_wait(&two);
	ok(good, "a detached thread");

	good = !pthread_create(&t, NULL, meets_twice, &two);
	pthread_barrier_wait(&two);
	good = good && !pthread_getattr_np(t, &attr);
	pthread_attr_getguardsize(&attr, &v.guard);
	pthread_attr_destroy(&attr);
	pthread_barrier_wait(&two);
	pthread_join(t, NULL);
	ok(good && v.guard == page, "one thread asks for the guard of another");

	good = !pthread_create(&t, NULL, forks, NULL) &&
	       !pthread_join(t, &result) && !result;
	ok(good, "fork in a thread: guards in the child, and threads can be made");

	pthread_key_create(&key, at_thread_end);
	good = !pthread_create(&t, NULL, sets_key, &at_end) && !pthread_join(t, NULL);
	ok(good && at_end.ends_well && at_end.guard == page,
	   "seen from a destructor of thread-specific data");

	good = true;
	for (int i = 0; i < 500 && good; i++)
		good = !pthread_create(&t, NULL, looker, &v) &&
		       !pthread_join(t, NULL) && v.ends_well;
	ok(good, "500 threads one after the other");

	if (mlockall(MCL_CURRENT | MCL_FUTURE)) {
		printf("ok %u - locked memory # SKIP mlockall not permitted\n", ++tests);
	} else {
		v = try_sizes(stack, 2 * page);
		ok(v.ends_well && v.guard == 2 * page,
		   "locked memory, where POISON is refused: guarded all the same");
	}
	printf("1..%u\n", tests);
	return bad;
}
