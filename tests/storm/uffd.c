// SPDX-License-Identifier: GPL-2.0
/* The storm's userfaultfd: its monitor, and operations of the threads. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "storm.h"

/* Newer than the headers of some systems */
struct move {
	uint64_t dst, src, len, mode;
	int64_t moved;
};
#define MOVE		_IOWR(UFFDIO, 0x05, struct move)
#define FEATURE_MOVE	(1UL << 16)

static int fd = -1;
static bool can_move;

bool uffd_open(void)
{
	struct uffdio_api api = { .api = UFFD_API };
	int first = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);

	if (first < 0 || ioctl(first, UFFDIO_API, &api))
		return false;
	close(first);
	can_move = api.features & FEATURE_MOVE;
	api = (struct uffdio_api){
		.api = UFFD_API,
		.features = UFFD_FEATURE_THREAD_ID | UFFD_FEATURE_EVENT_REMOVE |
			    UFFD_FEATURE_PAGEFAULT_FLAG_WP | (can_move ? FEATURE_MOVE : 0),
	};
	fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	return fd >= 0 && !ioctl(fd, UFFDIO_API, &api);
}

static struct arena *the_arena(void)
{
	struct arena *a = ctl->arena;

	/* There is one */
	while (!(a->flags & A_UFFD))
		a++;
	return a;
}

static void wake(uint64_t start)
{
	struct uffdio_range range = { start, PAGE };

	ioctl(fd, UFFDIO_WAKE, &range);
}

static bool copy(const struct arena *a, size_t page, char *at)
{
	static __thread uint64_t content[512];
	struct uffdio_copy args = {
		.dst = (uintptr_t)at, .src = (uintptr_t)content, .len = PAGE,
	};

	wrong_copy(at);
	for (size_t i = 0; i < 4; i++)
		content[positions[i]] = value(a, page, i);
	return !ioctl(fd, UFFDIO_COPY, &args);
}

static bool zero(char *at)
{
	struct uffdio_zeropage args = { .range = { (uintptr_t)at, PAGE } };

	return !ioctl(fd, UFFDIO_ZEROPAGE, &args);
}

/*
 * The probe that each worker was making just before the messages were read. If the
 * number has changed since, another thread woke it, and it has gone on.
 */
static uint64_t probing[MAX_WORKERS];

static void note_probes(void)
{
	for (int i = 0; i < MAX_WORKERS; i++)
		probing[i] = load_acq(&ctl->worker[i].probe_arena) ? load_acq(&ctl->worker[i].probe) : 0;
}

/* @tid waits for a page; was it one that it knows to be a guard? */
static void suspect(int tid, const struct arena *a, size_t page)
{
	for (int i = 0; i < MAX_WORKERS; i++) {
		struct worker *w = &ctl->worker[i];
		const struct slot *s = &a->slot[a->slot_of[page]];

		if (w->tid != tid || load_acq(&w->probe_arena) != a)
			continue;
		if (w->probe_slot == a->slot_of[page] && !(w->probe_seq & 1) &&
		    load_acq(&s->word) >> 8 == w->probe_what && load_acq(&a->seq) == w->probe_seq &&
		    load_acq(&w->probe) == probing[i])
			fail("%s slot %zu: page %zu is a guard, and its monitor was asked for it",
			     a->name, (size_t)(s - a->slot), page - s->first);
	}
}

static void on_pagefault(const struct uffd_msg *msg)
{
	uint64_t at = msg->arg.pagefault.address & -PAGE;
	size_t page;
	struct arena *a = arena_at((char *)(uintptr_t)at, &page);

	if (!a) {
		wake(at);
		return;
	}
	suspect((int)msg->arg.pagefault.feat.ptid, a, page);
	if (msg->arg.pagefault.flags & UFFD_PAGEFAULT_FLAG_WP) {
		struct uffdio_writeprotect wp = { .range = { at, PAGE } };

		if (!did(OP_UFFD_WPFAULT, !ioctl(fd, UFFDIO_WRITEPROTECT, &wp)))
			wake(at);
		return;
	}
	/*
	 * The page may have become a guard, or its registration may be gone, so
	 * have the waiting thread look again.
	 */
	if (!did(OP_UFFD_FAULT, a->slot[a->slot_of[page]].kind == PUBLIC && random_below(2) ?
		 copy(a, page, (char *)(uintptr_t)at) : zero((char *)(uintptr_t)at)))
		wake(at);
}

/* Runs until somebody writes to the pipe in @arg, a worker's. */
void *uffd_monitor(void *arg)
{
	int *end = arg;
	struct pollfd fds[2] = { { .fd = fd, .events = POLLIN },
				 { .fd = end[0], .events = POLLIN } };

	me = &ctl->worker[MAX_WORKERS - 2];
	me->id = MAX_WORKERS - 2;
	me->random = mix(ctl->seed ^ ctl->round << 20 ^ 0xffd);
	for (;;) {
		struct uffd_msg msg[16];
		ssize_t n;

		me->doing = "poll";
		poll(fds, 2, -1);
		if (fds[1].revents)
			return NULL;
		me->doing = "read";
		note_probes();
		n = read(fd, msg, sizeof(msg));
		me->doing = "resolve";
		for (ssize_t i = 0; i < n / (ssize_t)sizeof(*msg); i++) {
			if (msg[i].event == UFFD_EVENT_PAGEFAULT)
				on_pagefault(&msg[i]);
			else if (msg[i].event == UFFD_EVENT_REMOVE)
				did(OP_UFFD_REMOVE, true);
		}
	}
}

void uffd_register(void)
{
	struct arena *a = the_arena();
	struct uffdio_register args = {
		.range = { (uintptr_t)load_acq(&a->base), a->pages * PAGE },
		.mode = UFFDIO_REGISTER_MODE_MISSING | UFFDIO_REGISTER_MODE_WP,
	};

	did(OP_UFFD_REGISTER, !ioctl(fd, UFFDIO_REGISTER, &args));
}

void uffd_unregister(void)
{
	struct arena *a = the_arena();
	struct uffdio_range range = { (uintptr_t)load_acq(&a->base), a->pages * PAGE };

	did(OP_UFFD_UNREGISTER, !ioctl(fd, UFFDIO_UNREGISTER, &range));
}

/* Fills a page; onto a guard this must fail. */
void uffd_fill(void)
{
	static const char *const names[] = { "UFFDIO_COPY", "UFFDIO_ZEROPAGE", "UFFDIO_MOVE" };
	static const enum op ops[] = { OP_UFFD_COPY, OP_UFFD_ZERO, OP_UFFD_MOVE };
	struct arena *a = the_arena();
	size_t page = random_below(a->pages), how = random_below(3);
	struct slot *s = &a->slot[a->slot_of[page]];
	uint64_t seq = load_acq(&a->seq), w = load_acq(&s->word);
	char *at = load_acq(&a->base) + page * PAGE;
	bool ok;

	if (s->kind == KEEPER)
		return;
	if (s->kind == PRIVATE)
		how = 1;
	if (how == 2) {
		struct move args = { .dst = (uintptr_t)at, .src = (uintptr_t)me->scratch,
				     .len = PAGE };

		if (!can_move)
			return;
		for (size_t i = 0; i < 4; i++)
			((volatile uint64_t *)me->scratch)[positions[i]] = value(a, page, i);
		ok = !ioctl(fd, MOVE, &args);
	} else {
		ok = how ? zero(at) : copy(a, page, at);
	}
	if (seq & 1 || W_WHAT(load_acq(&s->word)) != W_WHAT(w) || load_acq(&a->seq) != seq ||
	    W_STATE(w) != GUARD) {
		did(ops[how], ok);
		return;
	}
	did(OP_UFFD_REFUSED, !ok);
	if (ok)
		fail("%s slot %zu: page %zu is a guard, and %s succeeded", a->name,
		     (size_t)(s - a->slot), page - s->first, names[how]);
}

void uffd_protect(void)
{
	struct arena *a = the_arena();
	struct slot *s = &a->slot[random_below(a->nslots)];
	struct uffdio_writeprotect wp = {
		.range = { (uintptr_t)load_acq(&a->base) + s->first * PAGE, s->pages * PAGE },
		.mode = random_below(2) ? UFFDIO_WRITEPROTECT_MODE_WP : 0,
	};

	did(OP_UFFD_WP, !ioctl(fd, UFFDIO_WRITEPROTECT, &wp));
}
