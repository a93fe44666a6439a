// SPDX-License-Identifier: MIT
/*
 * stackguard: an LD_PRELOAD library that guards the thread stacks of unmodified
 * programs by MADV_GUARD_POISON instead of by PROT_NONE mappings.
 *
 *   LD_PRELOAD=.../stackguard.so program
 *   STACKGUARD_VERBOSE=1   one line on stderr when the program exits
 *   STACKGUARD=off         change nothing, but count as with VERBOSE
 *
 * glibc maps a stack together with its guard and then protects the guard, which
 * splits the mapping into two VMAs for each thread. This library asks glibc for
 * a stack that has no guard and is larger by its size, and each thread poisons
 * the lowest pages of its stack before it runs code of the program. A stack then
 * stays one VMA, and neighbouring stacks merge.
 *
 * Without POISON, threads are as safe as before. If the kernel does not have it,
 * glibc sets its own guard. If it refuses (after mlockall(), memory is locked),
 * the thread protects the pages instead.
 *
 * glibc reuses the stacks of ended threads. Guards survive that, and poisoning
 * them again changes nothing. If an earlier thread had a larger guard, the rest
 * of it is removed.
 *
 * The library does not see, and glibc guards as always: threads that libc starts
 * itself (C11 thrd_create, timers and message queues with SIGEV_THREAD, aio,
 * getaddrinfo_a), stacks that the program supplies, programs that call clone(2)
 * themselves, static programs. It is written for glibc 2.36, and relies on
 * pthread_attr_t being copyable for the time of one call.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../include/guard_pages.h"

#define EXPORT __attribute__((visibility("default")))

struct thread {
	struct thread *next, **link;	/* the list of live threads */
	void *(*start)(void *);
	void *arg;
	size_t guard;			/* bytes, whole pages */
	bool poison;			/* else glibc sets the guard */
	pthread_t self;
	char *low, *high;		/* the stack with its guard */
};

static int (*real_create)(pthread_t *, const pthread_attr_t *,
			  void *(*)(void *), void *);
static int (*real_getattr)(pthread_t, pthread_attr_t *);

static pthread_once_t once = PTHREAD_ONCE_INIT;
static size_t page;
static bool kernel_has_guards, counting, switched_off;
static int report_fd = -1;

/* The largest guard so far; a reused stack may have it. */
static size_t widest;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct thread *threads;
static unsigned long live, peak, peak_vmas, poisoned, protected, plain, failed;
static bool peak_counted;

/* The calling thread's record, and its guard, which it needs until the very end. */
#define PER_THREAD static __thread __attribute__((tls_model("initial-exec")))
PER_THREAD struct thread *mine;
PER_THREAD size_t my_guard;

static void lock_it(void)
{
	pthread_mutex_lock(&lock);
}

static void unlock_it(void)
{
	pthread_mutex_unlock(&lock);
}

/* Only the thread that forked goes on in the child. */
static void in_child(void)
{
	threads = NULL;
	live = 0;
	if (mine) {
		mine->next = NULL;
		mine->link = &threads;
		threads = mine;
		live = 1;
	}
	pthread_mutex_unlock(&lock);
}

static void setup(void)
{
	const char *s;

	/* Because ISO C has no cast from void * to a function pointer. */
	*(void **)&real_create = dlsym(RTLD_NEXT, "pthread_create");
	*(void **)&real_getattr = dlsym(RTLD_NEXT, "pthread_getattr_np");
	page = sysconf(_SC_PAGESIZE);

	s = getenv("STACKGUARD");
	switched_off = s && !strcmp(s, "off");
	s = getenv("STACKGUARD_VERBOSE");
	counting = switched_off || (s && *s && strcmp(s, "0"));

	/* Some programs (xz) have closed stderr by the time of the report. */
	if (counting)
		report_fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 200);

	kernel_has_guards = guard_pages_available();
	pthread_atfork(lock_it, unlock_it, in_child);
}

/*
 * Counts the VMAs with stacks and guards of live threads, at each new peak of
 * live threads, if STACKGUARD_VERBOSE asks for it.
 */
static unsigned long count_vmas(void)
{
	unsigned long n = 0;
	char line[512];
	FILE *f = fopen("/proc/self/maps", "re");

	if (!f)
		return 0;
	while (fgets(line, sizeof(line), f)) {
		unsigned long start, end;

		if (sscanf(line, "%lx-%lx", &start, &end) != 2)
			continue;
		for (struct thread *t = threads; t; t = t->next) {
			if ((uintptr_t)t->low < end && (uintptr_t)t->high > start) {
				n++;
				break;
			}
		}
	}
	fclose(f);
	return n;
}

/* Called at the peak, before the first thread leaves it, with the lock held. */
static void count_peak(void)
{
	if (counting && !peak_counted && live == peak) {
		peak_vmas = count_vmas();
		peak_counted = true;
	}
}

static void enter(struct thread *t)
{
	lock_it();
	t->next = threads;
	t->link = &threads;
	if (threads)
		threads->link = &t->next;
	threads = t;
	if (++live > peak) {
		peak = live;
		peak_counted = false;
	}
	unlock_it();
}

static void leave(void *record)
{
	struct thread *t = record;

	lock_it();
	count_peak();
	*t->link = t->next;
	if (t->next)
		t->next->link = t->link;
	live--;
	unlock_it();
	mine = NULL;
	free(t);
}

static void tally(unsigned long *what)
{
	__atomic_fetch_add(what, 1, __ATOMIC_RELAXED);
}

static void remember_widest(size_t guard)
{
	size_t seen = __atomic_load_n(&widest, __ATOMIC_RELAXED);

	while (guard > seen &&
	       !__atomic_compare_exchange_n(&widest, &seen, guard, true,
					    __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		;
}

static void guard_own_stack(struct thread *t)
{
	static const char warning[] =
		"stackguard: a thread runs without a guard: neither POISON nor PROT_NONE could be set\n";
	size_t wide = __atomic_load_n(&widest, __ATOMIC_RELAXED);
	int how;

	if (wide > t->guard && t->low + wide < (char *)__builtin_frame_address(0))
		guard_pages_clear(t->low + t->guard, wide - t->guard, PROT_READ | PROT_WRITE,
				  __atomic_load_n(&protected, __ATOMIC_RELAXED) ?
				  GUARD_PAGES_PROT_NONE : GUARD_PAGES_POISON);
	if (!t->guard)
		return;
	remember_widest(t->guard);

	how = guard_pages_set(t->low, t->guard);
	if (how == GUARD_PAGES_POISON) {
		tally(&poisoned);
	} else if (how == GUARD_PAGES_PROT_NONE || !mprotect(t->low, t->guard, PROT_NONE)) {
		tally(&protected);
	} else {
		ssize_t n = write(STDERR_FILENO, warning, sizeof(warning) - 1);

		(void)n;
		tally(&failed);
	}
}

static void *run(void *record)
{
	struct thread *t = record;
	pthread_attr_t attr;
	void *result, *low;
	size_t size;
	int state;

	t->self = pthread_self();
	if (!real_getattr(t->self, &attr)) {
		pthread_attr_getstack(&attr, &low, &size);
		pthread_attr_destroy(&attr);
		t->low = low;
		t->high = t->low + size;
		if (t->poison) {
			guard_own_stack(t);
		} else {
			t->low -= t->guard;
			if (t->guard)
				tally(&plain);
		}
	} else {
		/* Out of memory, so the end of the stack is not known. */
		t->guard = 0;
		tally(&failed);
	}
	mine = t;
	my_guard = t->poison ? t->guard : 0;
	enter(t);

	/* leave() runs too if the thread is cancelled or calls pthread_exit. */
	pthread_cleanup_push(leave, t);
	result = t->start(t->arg);
	/* A cancellation would be too late from here on. */
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	pthread_cleanup_pop(1);
	return result;
}

static bool has_own_stack(const pthread_attr_t *attr)
{
	void *low = NULL;
	size_t size = 0;

	/* glibc stores the upper end, so the sum is zero if none is set. */
	return !pthread_attr_getstack(attr, &low, &size) &&
	       (uintptr_t)low + size != 0;
}

EXPORT int pthread_create(pthread_t *thread, const pthread_attr_t *attr,
			  void *(*start)(void *), void *arg)
{
	pthread_attr_t copy, def;
	struct thread *t;
	size_t size, guard;
	int r;

	pthread_once(&once, setup);
	if (!real_create)
		return EAGAIN;
	if (!real_getattr || (!counting && !kernel_has_guards) ||
	    (attr && has_own_stack(attr)))
		return real_create(thread, attr, start, arg);

	t = calloc(1, sizeof(*t));
	if (!t)
		return real_create(thread, attr, start, arg);
	if (!attr && pthread_getattr_default_np(&def)) {
		free(t);
		return real_create(thread, attr, start, arg);
	}

	/*
	 * A shallow copy: affinity and signal mask are shared with the
	 * original, which outlives the call. It is never destroyed.
	 */
	copy = attr ? *attr : def;
	pthread_attr_getguardsize(&copy, &guard);
	pthread_attr_getstacksize(&copy, &size);
	t->start = start;
	t->arg = arg;
	t->guard = (guard + page - 1) & -page;
	t->poison = kernel_has_guards && !switched_off &&
		    t->guard >= guard && size + t->guard >= size;
	if (t->poison) {
		pthread_attr_setguardsize(&copy, 0);
		pthread_attr_setstacksize(&copy, size + t->guard);
		r = real_create(thread, &copy, run, t);
	} else {
		r = real_create(thread, attr, run, t);
	}
	if (r)
		free(t);
	if (!attr)
		pthread_attr_destroy(&def);
	return r;
}

/* As glibc does it, the guard is no part of the stack. */
EXPORT int pthread_getattr_np(pthread_t thread, pthread_attr_t *attr)
{
	struct thread *t = NULL;
	size_t size, guard = 0;
	void *low;
	int r;

	pthread_once(&once, setup);
	if (!real_getattr)
		return ENOSYS;
	r = real_getattr(thread, attr);
	if (r)
		return r;

	if (pthread_equal(thread, pthread_self())) {
		guard = my_guard;
	} else {
		lock_it();
		for (t = threads; t && !pthread_equal(t->self, thread); t = t->next)
			;
		if (t && t->poison)
			guard = t->guard;
		unlock_it();
	}
	if (guard) {
		pthread_attr_getstack(attr, &low, &size);
		pthread_attr_setstack(attr, (char *)low + guard, size - guard);
		pthread_attr_setguardsize(attr, guard);
	}
	return 0;
}

__attribute__((destructor))
static void report(void)
{
	if (report_fd < 0 || !peak)
		return;
	lock_it();
	count_peak();
	unlock_it();
	dprintf(report_fd,
		"stackguard: %lu threads guarded by poison, %lu by PROT_NONE, %lu not; at most %lu at once, their stacks in %lu VMAs\n",
		poisoned, plain + protected, failed, peak, peak_vmas);
}
