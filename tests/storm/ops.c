// SPDX-License-Identifier: GPL-2.0
/* The operations of the storm's threads, and their checks. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "storm.h"

#define BIT(state) (1U << (state))

static __thread int tube[2] = { -1, -1 };
static int mem_fd = -1, pagemap_fd = -1, clear_fd = -1;
/* A slot that is about to be poisoned, for op_hammer() */
static uint64_t hot;

/* --- access and check -------------------------------------------------------------- */

enum how { LOAD, STORE, FETCH, KERNEL_LOAD, KERNEL_STORE };

static bool drain(bool ok)
{
	uint64_t waste[8];

	while (read(tube[0], waste, sizeof(waste)) > 0)
		;
	return ok;
}

static bool kernel_load(void *p, uint64_t *v)
{
	struct iovec to = { v, 8 }, from = { p, 8 };
	struct timespec none = { 0, 0 };

	switch (random_below(4)) {
	case 0:
		if (write(tube[1], p, 8) != 8)
			return false;
		return read(tube[0], v, 8) == 8;
	case 1:
		return process_vm_readv(getpid(), &to, 1, &from, 1, 0) == 8;
	case 2:
		return pread(mem_fd, v, 8, (off_t)(uintptr_t)p) == 8;
	default:
		/* It reads the word; every result but EFAULT and a signal shows that it could */
		if (!syscall(SYS_futex, p, FUTEX_WAIT_PRIVATE, 0x5a5a5a5a, &none))
			return false;
		if (errno != EAGAIN && errno != ETIMEDOUT)
			return false;
		return try_load(p, v);
	}
}

static bool kernel_store(void *p, uint64_t v)
{
	struct iovec from = { &v, 8 }, to = { p, 8 };

	switch (random_below(3)) {
	case 0:
		if (write(tube[1], &v, 8) != 8)
			return drain(false);
		return drain(read(tube[0], p, 8) == 8);
	case 1:
		return process_vm_writev(getpid(), &from, 1, &to, 1, 0) == 8;
	default:
		return pwrite(mem_fd, &v, 8, (off_t)(uintptr_t)p) == 8;
	}
}

static const char *const how_names[] = {
	"load", "store", "fetch", "load by the kernel", "store by the kernel",
};

static const enum op how_ops[] = {
	OP_LOAD, OP_STORE, OP_FETCH, OP_KERNEL_LOAD, OP_KERNEL_STORE,
};

static void bounded(struct arena *a, struct slot *s, bool fresh)
{
	uint64_t populated;

	add(&s->accesses, 1);
	/* A page of a file may be empty although it is there */
	if (!fresh || (a->flags & A_SHARED))
		return;
	populated = add(&s->populated, 1);
	if (populated > POPULATED_BOUND(s->pages))
		fail("POISON of %s slot %zu (%zu pages) does not end: others have populated %lu pages meanwhile",
		     a->name, (size_t)(s - a->slot), s->pages, (unsigned long)populated);
}

/* Accesses one page, and fails if the result is wrong. */
static void visit(struct arena *a, size_t page, enum how how)
{
	struct slot *s = &a->slot[a->slot_of[page]];
	size_t at = random_below(4);
	uint64_t seq = load_acq(&a->seq);
	char *base = load_acq(&a->base);
	uint64_t w = load_acq(&s->word);
	uint64_t seen = load_acq(&a->seen[page]);
	uint64_t v = 0, after, want;
	enum state state = W_STATE(w), now;
	bool ok = false, same, settled, read = true;
	void *p;

	if (how == FETCH && (state != GUARD || !(a->flags & A_EXEC)))
		how = LOAD;
	/* Only public memory may be written without having it BUSY */
	if (s->kind != PUBLIC && (how == STORE || how == KERNEL_STORE))
		how = how == STORE ? LOAD : KERNEL_LOAD;
	/* The last word is `ret` or zero, in case the guard goes */
	if (how == FETCH)
		at = 3;
	else if (s->kind == PRIVATE)
		at = 0;
	want = s->kind == PRIVATE ? private_value(a, page, W_SEQ(w)) : value(a, page, at);
	p = base + page * PAGE + positions[at] * 8;

	if ((a->flags & A_UFFD) && state == GUARD) {
		me->probe_slot = (size_t)(s - a->slot);
		me->probe_seq = seq;
		me->probe_what = W_WHAT(w);
		store_rel(&me->probe, me->probe + 1);
		store_rel(&me->probe_arena, a);
	}
	switch (how) {
	case LOAD:
		ok = try_load(p, &v);
		break;
	case STORE:
		/* Load first, to see whether the store fills an empty page; it may rarely miss */
		if (state == POISONING && !try_load(p, &v)) {
			ok = false;
			break;
		}
		ok = try_store(p, want);
		read = false;
		break;
	case FETCH:
		ok = try_fetch(p);
		read = false;
		break;
	case KERNEL_LOAD:
		ok = kernel_load(p, &v);
		break;
	case KERNEL_STORE:
		ok = kernel_store(p, want);
		read = false;
		break;
	}
	/* Fetches are made only from guards, so they work if they fail */
	did(how_ops[how], how == FETCH ? !ok : ok);
	if (a->flags & A_UFFD)
		store_rel(&me->probe_arena, NULL);

	after = load_acq(&s->word);
	settled = !(seq & 1) && load_acq(&a->seq) == seq;
	same = settled && W_WHAT(after) == W_WHAT(w);
	now = W_STATE(after);

	if (same && state == GUARD) {
		did(OP_GUARD_HIT, !ok);
		if (got_sigbus && how != KERNEL_LOAD && how != KERNEL_STORE)
			fail("%s slot %zu: page %zu is a guard, and a %s got SIGBUS", a->name,
			     (size_t)(s - a->slot), page - s->first, how_names[how]);
		if (ok)
			fail("%s slot %zu (%zu pages): page %zu is a guard, and a %s succeeded (got %lx)",
			     a->name, (size_t)(s - a->slot), s->pages, page - s->first,
			     how_names[how], (unsigned long)v);
		return;
	}

	if (settled && W_SEQ(after) == W_SEQ(w) && state == POISONING) {
		if (ok) {
			bounded(a, s, how == STORE && !v);
			if (seen == W_SEQ(w) && (now == POISONING || now == GUARD))
				fail("%s slot %zu: page %zu was a guard, and while POISON was still under way a %s succeeded",
				     a->name, (size_t)(s - a->slot), page - s->first,
				     how_names[how]);
		} else if (same && how == LOAD && !(w & W_PROT)) {
			store_rel(&a->seen[page], W_SEQ(w));
		}
	}

	/* Other states: accesses that may not fail, and that may not succeed */
	if (!ok && same && how == LOAD && !(w & W_PROT) && (state == OPEN || state == KEEP))
		fail("%s slot %zu (%zu pages): page %zu is %s, and a load failed", a->name,
		     (size_t)(s - a->slot), s->pages, page - s->first, state_name(state));
	if (!ok || !read)
		return;
	if (state == KEEP && same) {
		did(OP_KEEP_CHECK, v == want);
		if (v != want)
			fail("%s slot %zu (%zu pages): page %zu word %zu is outside, and has changed to %lx",
			     a->name, (size_t)(s - a->slot), s->pages, page - s->first,
			     positions[at], (unsigned long)v);
	}
	if (s->kind == PUBLIC && v && v != want)
		fail("%s slot %zu (%zu pages): page %zu word %zu has %lx, which nobody wrote there",
		     a->name, (size_t)(s - a->slot), s->pages, page - s->first,
		     positions[at], (unsigned long)v);
	if (s->kind == PRIVATE && state == OPEN && same && v && v != want)
		fail("%s slot %zu (%zu pages): page %zu has %lx of an earlier time", a->name,
		     (size_t)(s - a->slot), s->pages, page - s->first, (unsigned long)v);
}

static enum how any_how(void)
{
	static const enum how hows[] = { LOAD, LOAD, LOAD, STORE, STORE, STORE, FETCH,
					 KERNEL_LOAD, KERNEL_STORE };

	return hows[random_below(sizeof(hows) / sizeof(*hows))];
}

/* --- choice of arenas and slots --------------------------------------------------- */

static struct arena *any_arena(unsigned int flags)
{
	struct arena *a;

	do
		a = &ctl->arena[random_below(ctl->narenas)];
	while (flags && !(a->flags & flags));
	/* The big arena is slow, so choose it less often */
	if ((a->flags & A_BIG) && !flags && random_below(4))
		a = &ctl->arena[random_below(ctl->narenas)];
	return a;
}

static struct slot *any_slot(struct arena *a)
{
	return &a->slot[random_below(a->nslots)];
}

static struct slot *any_target(struct arena *a)
{
	struct slot *s = any_slot(a);

	for (int i = 0; s->kind == KEEPER && i < 20; i++)
		s = any_slot(a);
	return s->kind == KEEPER ? NULL : s;
}

static size_t any_page(const struct slot *s)
{
	switch (random_below(4)) {
	case 0: return s->first;
	case 1: return s->first + s->pages - 1;
	default: return s->first + random_below(s->pages);
	}
}

/* --- poison, unpoison ----------------------------------------------------------- */

/* Repeats the call if the arena has moved meanwhile. Returns an errno. */
int advise_stable(struct arena *a, size_t first, size_t pages, int advice)
{
	for (;;) {
		uint64_t seq = load_acq(&a->seq);
		char *base = load_acq(&a->base);
		int err;

		if (seq & 1) {
			sched_yield();
			continue;
		}
		err = guard_advise(base + first * PAGE, pages * PAGE, advice) ? errno : 0;
		if (load_acq(&a->seq) == seq)
			return err;
	}
}

/* The same for adjacent slots, each an element of a vector. */
static int advise_vector(struct arena *a, struct slot *s, size_t n, int advice)
{
	for (;;) {
		uint64_t seq = load_acq(&a->seq);
		char *base = load_acq(&a->base);
		struct iovec iov[MAX_SPAN];
		ssize_t total = 0, done;
		int err = 0;

		if (seq & 1) {
			sched_yield();
			continue;
		}
		for (size_t i = 0; i < n; i++) {
			iov[i].iov_base = base + s[i].first * PAGE;
			iov[i].iov_len = s[i].pages * PAGE;
			total += iov[i].iov_len;
		}
		done = guard_advise_vector(iov, n, advice);
		if (done < 0)
			err = errno;
		else if (done != total)
			err = EIO;
		if (load_acq(&a->seq) == seq)
			return err;
	}
}

/* Takes adjacent slots that are in the state; returns how many. */
static size_t take_span(struct arena *a, struct slot *s, enum state state)
{
	size_t most = random_below(4) ? 1 : 1 + random_below(MAX_SPAN), n = 0;
	uint64_t old;

	while (n < most && s + n < a->slot + a->nslots && s[n].kind != KEEPER &&
	       slot_take(&s[n], &old, BIT(state)))
		n++;
	return n;
}

static size_t span_pages(const struct slot *s, size_t n)
{
	return s[n - 1].first + s[n - 1].pages - s[0].first;
}

static uint64_t thread_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static uint64_t switches(void)
{
	struct rusage r;

	getrusage(RUSAGE_THREAD, &r);
	return r.ru_nvcsw + r.ru_nivcsw;
}

static void most(uint64_t *most, uint64_t value)
{
	uint64_t is = load_acq(most);

	while (value > is && !__atomic_compare_exchange_n(most, &is, value, false,
							  __ATOMIC_SEQ_CST,
							  __ATOMIC_SEQ_CST))
		;
}

static void round_over(void)
{
	static char *const argv[] = { "storm", "--done", NULL };

	switch (ctl->ending) {
	case END_EXIT:
		store_rel(&ctl->stop, 1);
		break;
	case END_GROUP:
		_exit(0);
	case END_EXEC:
		/* Other threads may still send it when exec has removed the handler */
		signal(SIGUSR1, SIG_IGN);
		execv("/proc/self/exe", argv);
		fail("exec: %s", strerror(errno));
		_exit(1);
	default:
		/* The supervisor kills it */
		break;
	}
}

static void op_poison(void)
{
	struct arena *a = any_arena(0);
	struct slot *s = any_target(a);
	bool vector = !random_below(4);
	uint64_t ns, switched;
	size_t n, pages;
	int err;

	if (!s)
		return;
	store_rel(&hot, (uint64_t)(a - ctl->arena) << 32 | (uint64_t)(s - a->slot) | 1UL << 63);
	n = take_span(a, s, OPEN);
	if (!n)
		return;
	pages = span_pages(s, n);
	for (size_t i = 0; i < n; i++)
		slot_poisoning(&s[i]);
	switched = switches();
	ns = thread_ns();
	err = vector ? advise_vector(a, s, n, ADV_POISON) :
		       advise_stable(a, s->first, pages, ADV_POISON);
	ns = thread_ns() - ns;
	switched = switches() - switched;
	if (err)
		fail("POISON of %zu pages of %s from slot %zu (%zu slots%s): %s (%d)", pages,
		     a->name, (size_t)(s - a->slot), n, vector ? ", vector" : "",
		     strerror(err), err);
	for (size_t i = 0; i < n; i++) {
		uint64_t populated = load_acq(&s[i].populated);

		slot_guarded(&s[i]);
		/* The share of the bound in thousandths, then the slot's figures */
		most(&ctl->most_share,
		     populated * 1000 / POPULATED_BOUND(s[i].pages) << 48 |
		     s[i].pages << 24 | (populated & 0xffffff));
		most(&ctl->most_accesses, load_acq(&s[i].accesses));
	}
	most(&ctl->most_ns, ns);
	most(&ctl->most_switches, switched);
	for (size_t i = 0; i < n; i++)
		visit(a, any_page(&s[i]), any_how());
	for (size_t i = 0; i < n; i++)
		slot_leave(&s[i]);
	did(vector ? OP_POISON_VECTOR : OP_POISON, !err);
	if (add(&ctl->poisons, 1) >= load_acq(&ctl->limit))
		round_over();
}

/* Poisons a slot that another thread is poisoning or has poisoned. */
static void op_again(enum state state)
{
	struct arena *a = any_arena(0);
	struct slot *s = any_slot(a);
	uint64_t seq;
	int err;

	for (int i = 0; i < 30 && W_STATE(load_acq(&s->word)) != state; i++)
		s = any_slot(a);
	if (!slot_join(s, state))
		return;
	seq = W_SEQ(load_acq(&s->word));
	err = advise_stable(a, s->first, s->pages, ADV_POISON);
	if (err)
		fail("another POISON of %s slot %zu: %s (%d)", a->name,
		     (size_t)(s - a->slot), strerror(err), err);
	if (W_SEQ(load_acq(&s->word)) == seq)
		slot_guarded(s);
	visit(a, any_page(s), any_how());
	slot_leave(s);
	did(state == GUARD ? OP_REPOISON : OP_JOIN, !err);
}

/* Loads a word of a slot that the caller has BUSY; false if it cannot. */
static bool load_sure(struct arena *a, size_t page, size_t at, uint64_t *v)
{
	for (;;) {
		uint64_t seq = load_acq(&a->seq);
		char *base = load_acq(&a->base);
		bool ok;

		if (seq & 1) {
			sched_yield();
			continue;
		}
		ok = try_load(base + page * PAGE + positions[at] * 8, v);
		if (ok || load_acq(&a->seq) == seq)
			return ok;
	}
}

static bool store_sure(struct arena *a, size_t page, size_t at, uint64_t v)
{
	for (;;) {
		uint64_t seq = load_acq(&a->seq), readonly = load_acq(&a->readonly);
		char *base = load_acq(&a->base);

		if ((seq | readonly) & 1) {
			sched_yield();
			continue;
		}
		if (try_store(base + page * PAGE + positions[at] * 8, v)) {
			/* Unless it went to the empty memory at the arena's old place */
			if (load_acq(&a->seq) == seq)
				return true;
		} else if (load_acq(&a->seq) == seq && load_acq(&a->readonly) == readonly) {
			return false;
		}
	}
}

/* A private slot, BUSY and without guards, must be empty. Writes new contents. */
static void check_and_fill(struct arena *a, struct slot *s, const char *after)
{
	uint64_t next = W_SEQ(load_acq(&s->word)) + 1, v = 0;

	if (s->kind != PRIVATE)
		return;
	for (size_t page = s->first; page < s->first + s->pages; page++) {
		bool ok = load_sure(a, page, 0, &v);

		did(OP_EMPTY_CHECK, ok && (!v || a->flags & A_SHARED));
		if (!ok)
			fail("%s slot %zu (%zu pages): page %zu cannot be loaded after %s",
			     a->name, (size_t)(s - a->slot), s->pages, page - s->first, after);
		else if (v != (a->flags & A_SHARED ? private_value(a, page, 0) : 0))
			fail("%s slot %zu (%zu pages): page %zu is not %s after %s: %lx",
			     a->name, (size_t)(s - a->slot), s->pages, page - s->first,
			     a->flags & A_SHARED ? "as the file" : "empty", after, (unsigned long)v);
		if (ok && !store_sure(a, page, 0, private_value(a, page, next)))
			fail("%s slot %zu (%zu pages): page %zu cannot be stored to after %s",
			     a->name, (size_t)(s - a->slot), s->pages, page - s->first, after);
	}
}

static void op_unpoison(void)
{
	struct arena *a = any_arena(0);
	struct slot *s = any_target(a);
	size_t n, pages;
	int err;

	for (int i = 0; s && i < 10 && W_STATE(load_acq(&s->word)) != GUARD; i++)
		s = any_target(a);
	if (!s)
		return;
	n = take_span(a, s, GUARD);
	if (!n)
		return;
	pages = span_pages(s, n);
	err = random_below(4) ? advise_stable(a, s->first, pages, ADV_UNPOISON) :
				advise_vector(a, s, n, ADV_UNPOISON);
	if (err)
		fail("UNPOISON of %zu pages of %s from slot %zu: %s (%d)", pages, a->name,
		     (size_t)(s - a->slot), strerror(err), err);
	for (size_t i = 0; i < n; i++) {
		check_and_fill(a, &s[i], "UNPOISON");
		slot_put(&s[i], OPEN);
	}
	did(OP_UNPOISON, !err);
}

/* POISON and UNPOISON of one slot by several threads. */
static void op_chaos(void)
{
	struct arena *a = any_arena(0);
	struct slot *s = any_target(a);
	uint64_t old;
	int err = 0;

	if (!s || s->kind != PUBLIC)
		return;
	if (!slot_join(s, CHAOS)) {
		if (!slot_take(s, &old, BIT(OPEN)))
			return;
		slot_put(s, CHAOS);
		/* Another thread may have ended it already */
		while (!slot_join(s, CHAOS))
			if (W_STATE(load_acq(&s->word)) != CHAOS)
				return;
	}
	for (size_t i = 0; i < 8 && !err; i++) {
		size_t first = s->first + random_below(s->pages);
		size_t pages = 1 + random_below(s->first + s->pages - first);

		err = advise_stable(a, first, pages,
				    random_below(2) ? ADV_POISON : ADV_UNPOISON);
		visit(a, any_page(s), any_how());
	}
	if (!slot_leave(s)) {
		if (!err)
			err = advise_stable(a, s->first, s->pages, ADV_UNPOISON);
		slot_put(s, OPEN);
	}
	if (err)
		fail("POISON and UNPOISON of %s slot %zu at the same time: %s (%d)",
		     a->name, (size_t)(s - a->slot), strerror(err), err);
	did(OP_CHAOS, !err);
}

/* --- access ------------------------------------------------------------------------ */

static void op_visits(void)
{
	for (size_t i = 0; i < 24; i++) {
		struct arena *a = any_arena(0);

		visit(a, any_page(any_slot(a)), any_how());
	}
}

/* Fills a slot again and again, before and while it is poisoned. */
static void op_hammer(void)
{
	uint64_t at = load_acq(&hot), w, seq;
	struct arena *a = any_arena(0);
	struct slot *s = any_slot(a);
	bool met = false;

	if (at && random_below(4)) {
		a = &ctl->arena[at >> 32 & 0xff];
		s = &a->slot[at & 0xffff];
	}
	if (s->kind != PUBLIC)
		return;
	w = load_acq(&s->word);
	seq = W_SEQ(w);
	for (size_t i = 0; !load_acq(&ctl->stop) && !load_acq(&ctl->failed); i++) {
		visit(a, any_page(s), STORE);
		w = load_acq(&s->word);
		if (W_STATE(w) == POISONING)
			met = true;
		else if (W_SEQ(w) != seq || i > 200)
			break;
		seq = W_SEQ(w);
		/* Empty it first, or there is nothing to fault in */
		if (W_STATE(w) == OPEN && !random_below(16)) {
			char *base = load_acq(&a->base);

			other_advise(base + any_page(s) * PAGE, PAGE, MADV_DONTNEED);
		}
	}
	did(OP_HAMMER, met);
}

/* --- advice ------------------------------------------------------------------------ */

/* Advice for a part of a slot; if it discards, only where contents may go. */
static void op_advice(enum op op, int advice, bool discards)
{
	struct arena *a = any_arena(0);
	struct slot *s = discards ? any_target(a) : any_slot(a);
	size_t first, pages;
	uint64_t seq, w;
	bool ok;

	if (!s)
		return;
	first = s->first + random_below(s->pages);
	pages = 1 + random_below(s->first + s->pages - first);
	if (op == OP_POPULATE && pages > 64)
		pages = 64;
	if (op == OP_PAGEOUT && !random_below(4)) {
		first = 0;
		pages = a->pages;
	}
	seq = load_acq(&a->seq);
	w = load_acq(&s->word);
	ok = !other_advise(load_acq(&a->base) + first * PAGE, pages * PAGE, advice);
	did(op, ok);
	if (op == OP_POPULATE && ok && W_STATE(w) == GUARD && !(seq & 1) &&
	    W_WHAT(load_acq(&s->word)) == W_WHAT(w) && load_acq(&a->seq) == seq)
		fail("MADV_POPULATE of %zu guards of %s slot %zu succeeded", pages, a->name,
		     (size_t)(s - a->slot));
	visit(a, first, any_how());
}

static void op_collapse(void)
{
	struct arena *a = any_arena(A_HUGE | (random_below(4) ? 0 : A_SHARED));
	char *base = load_acq(&a->base), *huge;

	huge = (char *)(((uintptr_t)base + HUGE - 1) & -HUGE);
	/* It refuses ranges with guards, so choose the end more often, see arena.c */
	huge += HUGE * (random_below(2) ? a->pages * PAGE / HUGE - 1 :
					  random_below(a->pages * PAGE / HUGE));
	if (huge + HUGE > base + a->pages * PAGE)
		return;
	did(OP_COLLAPSE, !madvise(huge, HUGE, ADV_COLLAPSE));
	visit(a, (size_t)(huge - base) / PAGE, any_how());
}

static void op_toggle(enum op op, unsigned int flag, int on, int off)
{
	struct arena *a = any_arena(flag);
	char *base = load_acq(&a->base);

	madvise(base, a->pages * PAGE, off);
	did(op, !madvise(base, a->pages * PAGE, on));
}

/* --- mappings ----------------------------------------------------------------------- */

static void op_mprotect(void)
{
	struct arena *a = any_arena(0);
	struct slot *s = any_slot(a);
	char *base;
	uint64_t old;
	bool ok;

	if (!geometry_trylock(a))
		return;
	if (s->kind == KEEPER ? slot_take(s, &old, BIT(KEEP)) : slot_protect(s)) {
		base = a->base + s->first * PAGE;
		ok = !mprotect(base, s->pages * PAGE, random_below(2) ? PROT_NONE : PROT_READ);
		for (size_t i = 0; i < 4; i++)
			visit(a, any_page(s), any_how());
		if (mprotect(base, s->pages * PAGE, a->prot)) {
			fail("mprotect back of %s slot %zu: %s", a->name,
			     (size_t)(s - a->slot), strerror(errno));
			ok = false;
		}
		if (s->kind == KEEPER)
			slot_put(s, KEEP);
		else
			slot_unprotect(s);
		did(OP_MPROTECT, ok);
	}
	geometry_unlock(a);
}

static void op_mprotect_all(void)
{
	struct arena *a = any_arena(0);
	bool ok;

	if (!geometry_trylock(a))
		return;
	add(&a->readonly, 1);
	ok = !mprotect(a->base, a->pages * PAGE, PROT_READ | (a->prot & PROT_EXEC));
	for (size_t i = 0; i < 4; i++)
		visit(a, any_page(any_slot(a)), any_how());
	if (mprotect(a->base, a->pages * PAGE, a->prot)) {
		fail("mprotect back of %s: %s", a->name, strerror(errno));
		ok = false;
	}
	add(&a->readonly, 1);
	did(OP_MPROTECT_ALL, ok);
	geometry_unlock(a);
}

static bool move(char *from, size_t length, char *to)
{
	int flags = MREMAP_MAYMOVE | MREMAP_FIXED;
	bool stay = !random_below(3);

	if (stay)
		flags |= MREMAP_DONTUNMAP;
	/* It copies KSM pages, and a signal interrupts that */
	while (mremap(from, length, length, flags, to) == MAP_FAILED)
		if (errno != EINTR)
			return false;
	/* Keep other mappings out of here */
	if (mmap(from, length, PROT_NONE,
		 MAP_PRIVATE | MAP_ANONYMOUS | (stay ? MAP_FIXED : MAP_FIXED_NOREPLACE),
		 -1, 0) != from)
		fail("the place that was moved away from is taken: %s", strerror(errno));
	return true;
}

/* Moves an arena to its other home, and back the next time. */
static void op_move(void)
{
	struct arena *a = any_arena(A_MOVE);
	char *from, *to;

	if (!geometry_trylock(a))
		return;
	from = a->base;
	to = a->home[from == a->home[0]];
	add(&a->seq, 1);
	if (!move(from, a->pages * PAGE, to)) {
		/* If it is more than one mapping by now, move the slots one by one */
		if (errno != EFAULT)
			fail("mremap of %s: %s", a->name, strerror(errno));
		for (size_t i = 0; i < a->nslots; i++) {
			struct slot *s = &a->slot[i];

			if (!move(from + s->first * PAGE, s->pages * PAGE, to + s->first * PAGE))
				fail("mremap of %s slot %zu: %s", a->name, i, strerror(errno));
		}
	}
	store_rel(&a->base, to);
	add(&a->seq, 1);
	for (size_t i = 0; i < 4; i++)
		visit(a, any_page(any_slot(a)), any_how());
	did(OP_MOVE, true);
	geometry_unlock(a);
}

/* Moves a slot away, checks it there, and moves it back. */
static void op_move_piece(void)
{
	struct arena *a = any_arena(0);
	struct slot *s = any_slot(a);
	size_t page = any_page(s), length = s->pages * PAGE;
	char *home, *away;
	uint64_t old, v;

	if (!geometry_trylock(a))
		return;
	if (!slot_take(s, &old, BIT(OPEN) | BIT(GUARD) | BIT(KEEP))) {
		geometry_unlock(a);
		return;
	}
	home = a->base + s->first * PAGE;
	away = a->park + s->first * PAGE;
	if (!move(home, length, away)) {
		fail("mremap of %s slot %zu (%s) away: %s", a->name, (size_t)(s - a->slot),
		     state_name(W_STATE(old)), strerror(errno));
	} else {
		bool ok = try_load(away + (page - s->first) * PAGE + positions[2] * 8, &v);

		if (W_STATE(old) == GUARD && ok)
			fail("%s slot %zu: page %zu, a guard, was moved, and a load succeeded",
			     a->name, (size_t)(s - a->slot), page - s->first);
		if (W_STATE(old) == KEEP && (!ok || v != value(a, page, 2)))
			fail("%s slot %zu: page %zu lost its contents by mremap", a->name,
			     (size_t)(s - a->slot), page - s->first);
		if (!move(away, length, home))
			fail("mremap of %s slot %zu (%s) back: %s", a->name,
			     (size_t)(s - a->slot), state_name(W_STATE(old)), strerror(errno));
	}
	/* The contents of a private slot depend on its sequence number */
	if (s->kind == PRIVATE && W_STATE(old) == OPEN) {
		uint64_t next = W_SEQ(load_acq(&s->word)) + 1;

		for (size_t i = s->first; i < s->first + s->pages; i++)
			if (!store_sure(a, i, 0, private_value(a, i, next)))
				fail("%s slot %zu: page %zu cannot be stored to after mremap",
				     a->name, (size_t)(s - a->slot), i - s->first);
	}
	slot_put(s, W_STATE(old));
	did(OP_MOVE_PIECE, true);
	geometry_unlock(a);
}

/* Maps new memory over a slot, which drops guards and contents. */
static void op_map_over(void)
{
	struct arena *a = any_arena(0);
	struct slot *s = any_target(a);
	uint64_t old;
	char *at;

	if (!s || !geometry_trylock(a))
		return;
	if (slot_take(s, &old, BIT(OPEN) | BIT(GUARD))) {
		at = slot_map(a, s->first, s->pages, a->base + s->first * PAGE);
		if (at == MAP_FAILED)
			fail("mmap over %s slot %zu: %s", a->name, (size_t)(s - a->slot),
			     strerror(errno));
		if (a->flags & A_HUGE)
			madvise(at, s->pages * PAGE, MADV_HUGEPAGE);
		if (a->flags & A_KSM)
			madvise(at, s->pages * PAGE, MADV_MERGEABLE);
		check_and_fill(a, s, "mmap over it");
		slot_put(s, OPEN);
		did(OP_MAP_OVER, true);
	}
	geometry_unlock(a);
}

/* --- files -------------------------------------------------------------------------- */

/* Takes the end of the file away and gives it back. Nobody keeps anything there. */
static void op_truncate(void)
{
	struct arena *a = any_arena(A_FILE);
	size_t first = 0, done, pages = a->pages - a->tail;
	bool ok = true;

	if (!geometry_trylock(a))
		return;
	while (!in_tail(a, &a->slot[first]))
		first++;
	for (done = first; done < a->nslots && slot_protect(&a->slot[done]); done++)
		;
	if (done == a->nslots) {
		ok = !wrong_truncate(a, a->tail + random_below(pages));
		for (size_t i = 0; i < 4; i++)
			visit(a, a->tail + random_below(pages), any_how());
		if (ftruncate(a->file, (off_t)(a->pages * PAGE)) || !ok)
			fail("truncate of %s: %s", a->name, strerror(errno));
		did(OP_TRUNCATE, ok);
	}
	while (done-- > first)
		slot_unprotect(&a->slot[done]);
	geometry_unlock(a);
}

/* A hole in what anybody may write, through a mapping or not. */
static void op_punch(void)
{
	struct arena *a = any_arena(A_FILE);
	struct slot *s = any_slot(a);
	size_t first = s->first + random_below(s->pages);
	size_t pages = 1 + random_below(s->first + s->pages - first);

	if ((a->flags & A_SHARED) && s->kind != PUBLIC)
		return;
	did(OP_PUNCH, !wrong_punch(a, first, pages));
	visit(a, first, any_how());
}

/* The mirror has no guards, so it can be collapsed. Its pages are the file's. */
static void op_mirror(void)
{
	struct arena *a = any_arena(A_SHARED);
	struct slot *s = any_slot(a);
	size_t page = any_page(s);
	uint64_t v = 0, want = s->kind == PRIVATE ? private_value(a, page, 0) : value(a, page, 0);
	char *p = a->mirror + page * PAGE;
	bool ok;

	if (!random_below(8))
		did(OP_COLLAPSE_FILE,
		    !madvise(a->mirror + random_below(a->pages * PAGE / HUGE) * HUGE, HUGE, ADV_COLLAPSE));
	ok = try_load(p, &v);
	did(OP_MIRROR, ok);
	if (in_tail(a, s))
		return;
	if (!ok)
		fail("%s slot %zu: page %zu cannot be loaded from another mapping of the file", a->name,
		     (size_t)(s - a->slot), page - s->first);
	else if (v != want && (v || s->kind != PUBLIC))
		fail("%s slot %zu: page %zu of the file has %lx", a->name, (size_t)(s - a->slot),
		     page - s->first, (unsigned long)v);
	if (s->kind == PUBLIC && random_below(2))
		try_store(p, want);
	visit(a, page, any_how());
}

static void op_mlock(void)
{
	struct arena *a = any_arena(0);
	struct slot *s = any_slot(a);
	uint64_t old;
	bool ok;

	if (s->kind != KEEPER || s->pages > 512 || !geometry_trylock(a))
		return;
	if (slot_take(s, &old, BIT(KEEP))) {
		ok = !mlock(a->base + s->first * PAGE, s->pages * PAGE);
		munlock(a->base + s->first * PAGE, s->pages * PAGE);
		slot_put(s, KEEP);
		did(OP_MLOCK, ok);
	}
	geometry_unlock(a);
}

/* --- the rest ------------------------------------------------------------------------- */

static void op_signal(void)
{
	struct worker *w = &ctl->worker[random_below(ctl->nworkers)];

	if (w->tid)
		did(OP_SIGNAL, !syscall(SYS_tgkill, getpid(), w->tid, SIGUSR1));
}

static void op_clear_refs(void)
{
	did(OP_CLEAR_REFS, write(clear_fd, "4", 1) == 1);
}

/* Checks that pagemap and mincore show a guard as not present, not swapped. */
static void op_look(void)
{
	struct arena *a = any_arena(0);
	struct slot *s = any_slot(a);
	size_t page = any_page(s);
	uint64_t seq = load_acq(&a->seq), w = load_acq(&s->word), entry;
	char *p = load_acq(&a->base) + page * PAGE;
	unsigned char core = 0;
	bool got, gotcore, same;

	got = pread(pagemap_fd, &entry, 8, (off_t)((uintptr_t)p / PAGE * 8)) == 8;
	gotcore = !mincore(p, PAGE, &core);
	same = !(seq & 1) && W_WHAT(load_acq(&s->word)) == W_WHAT(w) && load_acq(&a->seq) == seq;
	did(OP_PAGEMAP, got);
	did(OP_MINCORE, gotcore);
	if (!same || W_STATE(w) != GUARD || (ctl->without & WITHOUT_PAGEMAP))
		return;
	if (got && entry >> 62)
		fail("%s slot %zu: page %zu is a guard, and pagemap says %lx", a->name,
		     (size_t)(s - a->slot), page - s->first, (unsigned long)entry);
	if (gotcore && (core & 1))
		fail("%s slot %zu: page %zu is a guard, and mincore says resident", a->name,
		     (size_t)(s - a->slot), page - s->first);
}

static void op_migrate(void)
{
	struct arena *a = any_arena(0);
	struct slot *s = any_slot(a);
	char *base = load_acq(&a->base);
	void *page[16];
	int node[16], status[16];
	bool ok = false;

	for (size_t i = 0; i < 16; i++) {
		page[i] = base + any_page(s) * PAGE;
		node[i] = (int)random_below(ctl->nodes);
	}
	if (!syscall(SYS_move_pages, 0, 16UL, page, node, status, 2 /* MPOL_MF_MOVE */))
		for (size_t i = 0; i < 16; i++)
			ok |= status[i] >= 0;
	did(OP_MIGRATE, ok);
}

static const struct {
	void (*run)(void);
	const char *name;
	enum op op;		/* for op_advice */
	int advice;
	bool discards;
	unsigned int weight, not_without;
} table[] = {
	{ op_poison, "poison", .weight = 60 },
	{ op_unpoison, "unpoison", .weight = 60 },
	{ NULL, "join", OP_JOIN, .weight = 12 },
	{ NULL, "repoison", OP_REPOISON, .weight = 6 },
	{ op_chaos, "chaos", .weight = 8 },
	{ op_visits, "visits", .weight = 50 },
	{ op_hammer, "hammer", .weight = 14 },
	{ NULL, "dontneed", OP_DONTNEED, MADV_DONTNEED, true, .weight = 10 },
	{ NULL, "dontneed locked", OP_DONTNEED, ADV_DONTNEED_LOCKED, true, .weight = 2 },
	{ NULL, "free", OP_FREE, MADV_FREE, true, .weight = 8 },
	{ NULL, "cold", OP_COLD, ADV_COLD, .weight = 2 },
	{ NULL, "pageout", OP_PAGEOUT, ADV_PAGEOUT, .weight = 6 },
	{ NULL, "willneed", OP_WILLNEED, MADV_WILLNEED, .weight = 2 },
	{ NULL, "populate", OP_POPULATE, ADV_POPULATE_WRITE, .weight = 4 },
	{ NULL, "populate read", OP_POPULATE, ADV_POPULATE_READ, .weight = 4 },
	{ op_collapse, "collapse", .weight = 3 },
	{ NULL, "huge advice", OP_HUGE_ADVICE, .weight = 1 },
	{ NULL, "ksm advice", OP_KSM_ADVICE, .weight = 1 },
	{ op_mprotect, "mprotect", .weight = 5 },
	{ op_mprotect_all, "mprotect all", .weight = 2 },
	{ op_move, "move", .weight = 2 },
	{ op_move_piece, "move piece", .weight = 4 },
	{ op_map_over, "map over", .weight = 3 },
	{ op_truncate, "truncate", .weight = 4 },
	{ op_punch, "punch", .weight = 6 },
	{ op_mirror, "mirror", .weight = 8 },
	{ op_mlock, "mlock", .weight = 2 },
	{ op_signal, "signal", .weight = 6 },
	{ op_clear_refs, "clear_refs", .weight = 1 },
	{ op_look, "look", .weight = 4 },
	{ op_migrate, "migrate", .weight = 2, .not_without = WITHOUT_NUMA },
	{ uffd_register, "uffd register", .weight = 3, .not_without = WITHOUT_UFFD },
	{ uffd_unregister, "uffd unregister", .weight = 1, .not_without = WITHOUT_UFFD },
	{ uffd_fill, "uffd fill", .weight = 10, .not_without = WITHOUT_UFFD },
	{ uffd_protect, "uffd protect", .weight = 4, .not_without = WITHOUT_UFFD },
};

static void run_one(void)
{
	unsigned int total = 0, n = 0, at;

	for (n = 0; n < sizeof(table) / sizeof(*table); n++)
		total += table[n].weight;
	at = random_below(total);
	for (n = 0; at >= table[n].weight; n++)
		at -= table[n].weight;
	if (table[n].not_without & ctl->without)
		return;
	me->doing = table[n].name;
	if (table[n].run)
		table[n].run();
	else if (table[n].op == OP_JOIN)
		op_again(POISONING);
	else if (table[n].op == OP_REPOISON)
		op_again(GUARD);
	else if (table[n].op == OP_HUGE_ADVICE)
		op_toggle(OP_HUGE_ADVICE, A_HUGE, MADV_HUGEPAGE, MADV_NOHUGEPAGE);
	else if (table[n].op == OP_KSM_ADVICE)
		op_toggle(OP_KSM_ADVICE, A_KSM, MADV_MERGEABLE, MADV_UNMERGEABLE);
	else
		op_advice(table[n].op, table[n].advice, table[n].discards);
	me->doing = "between";
}

/* Opens what the threads share, before they start. */
bool ops_open(void)
{
	mem_fd = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
	pagemap_fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	clear_fd = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);
	return mem_fd >= 0 && pagemap_fd >= 0 && clear_fd >= 0;
}

static void start(void *arg)
{
	me = arg;
	me->tid = (int)syscall(SYS_gettid);
	me->random = mix(ctl->seed ^ ctl->round << 20 ^ (uint64_t)me->id << 50);
	me->doing = "starting";
	if (pipe2(tube, O_NONBLOCK)) {
		fail("pipe: %s", strerror(errno));
		_exit(1);
	}
}

void *work(void *arg)
{
	start(arg);
	while (!load_acq(&ctl->stop) && !load_acq(&ctl->failed))
		run_one();
	me->doing = "done";
	return NULL;
}

/* --- fork ------------------------------------------------------------------------- */

struct snapshot {
	uint64_t seq, word[MAX_SLOTS];
	char *base;
};

/*
 * In a child: a slot whose word is the same now as before fork() had this state
 * when the page tables were copied.
 */
static bool snapped(const struct snapshot *then, const struct arena *a, size_t i)
{
	const struct snapshot *was = &then[a - ctl->arena];

	return !(was->seq & 1) && load_acq(&a->seq) == was->seq &&
	       W_WHAT(load_acq(&a->slot[i].word)) == W_WHAT(was->word[i]);
}

static void check_child(const struct snapshot *then, bool grandchild)
{
	for (size_t n = 0; n < ctl->narenas; n++) {
		struct arena *a = &ctl->arena[n];

		for (size_t i = 0; i < a->nslots; i++) {
			struct slot *s = &a->slot[i];
			uint64_t w = then[n].word[i], v = 0;
			enum state state = W_STATE(w);
			size_t page = any_page(s), at = random_below(4);
			char *p = then[n].base + page * PAGE;
			bool ok;

			/* 0 means that the state at fork() is not known */
			if (!w || (w & W_PROT))
				continue;
			if (s->kind == PRIVATE)
				at = 0;
			ok = try_load(p + positions[at] * 8, &v);
			if (state == GUARD) {
				if (ok || got_sigbus || try_store(p, 1))
					fail("%s slot %zu: page %zu is a guard, and not one in a %schild",
					     a->name, i, page - s->first,
					     grandchild ? "grand" : "");
				did(OP_FORK_CHECK, !ok);
			} else if ((state == KEEP || state == OPEN) && !in_tail(a, s)) {
				uint64_t want = s->kind == PRIVATE ?
					private_value(a, page, W_SEQ(w)) : value(a, page, at);

				if (!ok)
					fail("%s slot %zu: page %zu is %s, and a load failed in a %schild",
					     a->name, i, page - s->first, state_name(state),
					     grandchild ? "grand" : "");
				else if (v != want && (state == KEEP || v))
					fail("%s slot %zu: page %zu (%s) has %lx in a %schild",
					     a->name, i, page - s->first, state_name(state),
					     (unsigned long)v, grandchild ? "grand" : "");
			}
		}
	}
}

static void wait_for(pid_t pid, const char *what)
{
	int status = 0;

	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (status)
		fail("a %s ended with status %x", what, status);
}

static void child(struct snapshot *then)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* Forget slots that changed during fork(); later changes are only the parent's */
	for (size_t n = 0; n < ctl->narenas; n++)
		for (size_t i = 0; i < ctl->arena[n].nslots; i++)
			if (!snapped(then, &ctl->arena[n], i))
				then[n].word[i] = 0;
	check_child(then, false);
	if (!random_below(8)) {
		pid_t pid = fork();

		if (!pid) {
			check_child(then, true);
			_exit(load_acq(&ctl->failed) ? 1 : 0);
		}
		if (pid > 0)
			wait_for(pid, "grandchild");
	}
	/* The child has all slots for itself, and the parent must not notice changes */
	for (int i = 0; i < 6; i++) {
		struct arena *a = any_arena(0);
		struct slot *s = any_slot(a);
		size_t page = any_page(s);
		char *base = then[a - ctl->arena].base;
		char *at = base + s->first * PAGE, *p = base + page * PAGE;
		uint64_t w = then[a - ctl->arena].word[s - a->slot], v = 1;

		/* A thread that had it BUSY may have mapped it elsewhere */
		if (!w || (w & W_PROT) || W_STATE(w) == BUSY || s->pages > 600 || in_tail(a, s))
			continue;
		if (W_STATE(w) != GUARD && !(a->flags & A_SHARED))
			try_store(p, 0xbadc0ffee);
		if (guard_advise(at, s->pages * PAGE, ADV_POISON)) {
			fail("%s slot %zu: POISON in a child: %s", a->name,
			     (size_t)(s - a->slot), strerror(errno));
			continue;
		}
		if (try_load(p, &v))
			fail("%s slot %zu: page %zu can be read after POISON in a child",
			     a->name, (size_t)(s - a->slot), page - s->first);
		if (random_below(2))
			continue;
		if (guard_advise(at, s->pages * PAGE, ADV_UNPOISON))
			fail("%s slot %zu: UNPOISON in a child: %s", a->name,
			     (size_t)(s - a->slot), strerror(errno));
		else if (!try_load(p, &v))
			fail("%s slot %zu: page %zu cannot be loaded after UNPOISON in a child",
			     a->name, (size_t)(s - a->slot), page - s->first);
		else if (v && !(a->flags & A_SHARED))
			fail("%s slot %zu: page %zu is not empty after UNPOISON in a child: %lx",
			     a->name, (size_t)(s - a->slot), page - s->first, (unsigned long)v);
	}
	_exit(load_acq(&ctl->failed) ? 1 : 0);
}

void *forks(void *arg)
{
	struct snapshot then[MAX_ARENAS];

	start(arg);
	while (!load_acq(&ctl->stop) && !load_acq(&ctl->failed)) {
		pid_t pid;

		me->doing = "fork";
		if (!random_below(8)) {
			pid = vfork();
			if (!pid)
				_exit(0);
			if (did(OP_VFORK, pid > 0))
				wait_for(pid, "child of vfork");
			continue;
		}
		for (size_t n = 0; n < ctl->narenas; n++) {
			struct arena *a = &ctl->arena[n];

			then[n].seq = load_acq(&a->seq);
			then[n].base = load_acq(&a->base);
			for (size_t i = 0; i < a->nslots; i++)
				then[n].word[i] = load_acq(&a->slot[i].word);
		}
		pid = wrong_fork();
		if (!pid)
			child(then);
		if (did(OP_FORK, pid > 0))
			wait_for(pid, "child");
	}
	me->doing = "done";
	return NULL;
}

/* --- the end ------------------------------------------------------------------------- */

/* After all threads have ended, every page must be as its slot says. */
void audit(void)
{
	for (size_t n = 0; n < ctl->narenas; n++) {
		struct arena *a = &ctl->arena[n];

		for (size_t i = 0; i < a->nslots; i++) {
			struct slot *s = &a->slot[i];
			uint64_t w = load_acq(&s->word);
			enum state state = W_STATE(w);

			if (W_PINS(w) || (w & W_PROT) || state == BUSY || state == POISONING ||
			    state == CHAOS)
				fail("%s slot %zu was left %s", a->name, i, state_name(state));
			for (size_t j = 0; j < s->pages; j += 1 + s->pages / 600)
				visit(a, s->first + j, j % 3 ? LOAD : STORE);
		}
	}
}
