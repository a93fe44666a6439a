// SPDX-License-Identifier: GPL-2.0
/* The storm's memory: arenas, slots and their words, accesses that may fail. */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "storm.h"

/* Pages at the end of a file that come and go */
#define TAIL	24

/* The words of a page that the storm uses */
const size_t positions[4] = { 0, 1, 255, 511 };

static const struct {
	const char *name;
	unsigned int flags;
	size_t pages, skew, longest;
} plan[] = {
	/* skew: pages after a multiple of 2 MiB */
	{ "small", A_EXEC, 96, 0, 8 },
	{ "huge", A_HUGE | A_MOVE, 1536, 0, 600 },
	{ "ksm", A_KSM | A_MOVE, 256, 300, 24 },
	{ "uffd", A_UFFD, 256, 400, 24 },
	{ "moving", A_MOVE, 300, 450, 40 },
	{ "mixed", A_HUGE | A_KSM | A_MOVE, 1030, 253, 513 },
	{ "big", A_BIG, 8192, 7, 8192 },
	{ "shared", A_FILE | A_SHARED | A_MOVE, 1100, 0, 40 },
	{ "copied", A_FILE | A_MOVE, 200, 30, 24 },
};

static bool is_keeper(const struct arena *a, size_t nr)
{
	/* In the big arena, slot 1 comes and goes, and the others keep their contents */
	if (a->flags & A_BIG)
		return nr != 1;
	if ((a->flags & A_HUGE) && !(a->flags & A_KSM) && nr == 0)
		return false;
	return random_below(100) < 40;
}

static void add_slot(struct arena *a, size_t *at, size_t pages, enum kind kind)
{
	struct slot *s = &a->slot[a->nslots];

	*s = (struct slot){ .first = *at, .pages = pages, .kind = kind };
	s->word = W_MAKE(1, kind == KEEPER ? KEEP : OPEN);
	for (size_t i = 0; i < pages; i++)
		a->slot_of[*at + i] = a->nslots;
	*at += pages;
	a->nslots++;
}

/* Lays out arenas and slots by the seed; maps nothing. */
void arenas_describe(void)
{
	ctl->narenas = sizeof(plan) / sizeof(*plan);
	for (size_t n = 0; n < ctl->narenas; n++) {
		struct arena *a = &ctl->arena[n];
		size_t at = 0;

		memset(a, 0, sizeof(*a));
		a->name = plan[n].name;
		a->flags = plan[n].flags;
		a->pages = plan[n].pages;
		a->prot = PROT_READ | PROT_WRITE | (a->flags & A_EXEC ? PROT_EXEC : 0);
		if (a->flags & A_FILE)
			a->tail = a->pages - TAIL;
		while (at < a->pages) {
			size_t left = (at < a->tail ? a->tail : a->pages) - at, pages;
			enum kind kind = KEEPER;

			if (a->flags & A_BIG)
				pages = at == 0 ? 5 : left > 5 ? left - 5 : left;
			else if ((a->flags & A_HUGE) && !(a->flags & A_KSM) &&
				 (at == 0 || left <= 512))
				pages = left < 512 ? left : 512;
			else if (random_below(2))
				pages = 1 + random_below(plan[n].longest);
			else
				pages = 1 + random_below(8);
			/* Leave room for the slot of a huge page */
			if ((a->flags & A_HUGE) && !(a->flags & A_KSM) && at &&
			    left > 512 && left - 512 < pages)
				pages = left - 512;
			if (pages > left || a->nslots == MAX_SLOTS - 1 ||
			    (a->flags & A_FILE && at < a->tail && a->nslots >= MAX_SLOTS - 32))
				pages = left;
			if ((a->flags & A_HUGE) && !(a->flags & A_KSM) && at &&
			    pages == left)
				kind = KEEPER;
			else if (!is_keeper(a, a->nslots))
				kind = (a->flags & A_BIG) || random_below(4) ? PUBLIC : PRIVATE;
			/* What is written there gets lost */
			if ((a->flags & A_FILE) && at >= a->tail)
				kind = PUBLIC;
			add_slot(a, &at, pages, kind);
		}
	}
}

bool in_tail(const struct arena *a, const struct slot *s)
{
	return (a->flags & A_FILE) && s->first >= a->tail;
}

/* Maps part of the arena, new; MAP_FAILED if that fails */
char *slot_map(const struct arena *a, size_t first, size_t pages, char *at)
{
	int flags = MAP_FIXED | (a->flags & A_SHARED ? MAP_SHARED : MAP_PRIVATE);

	if (!(a->flags & A_FILE))
		return mmap(at, pages * PAGE, a->prot, flags | MAP_ANONYMOUS, -1, 0);
	return mmap(at, pages * PAGE, a->prot, flags, a->file, (off_t)(first * PAGE));
}

static void open_file(struct arena *a)
{
	const size_t room = a->pages * PAGE + HUGE;
	char *p = mmap(NULL, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	a->file = memfd_create("storm", MFD_CLOEXEC);
	a->mirror = (char *)(((uintptr_t)p + HUGE - 1) & -HUGE);
	if (p == MAP_FAILED || a->file < 0 || ftruncate(a->file, (off_t)(a->pages * PAGE)) ||
	    mmap(a->mirror, a->pages * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
		 a->file, 0) == MAP_FAILED) {
		fail("file of arena %s: %s", a->name, strerror(errno));
		_exit(1);
	}
	a->room[3] = p;
	a->mirror_room = room;
}

static char *reserve(struct arena *a, int nr, size_t skew)
{
	char *p;

	a->roomy = (a->pages + skew + 1) * PAGE + HUGE;
	p = mmap(NULL, a->roomy, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED) {
		fail("mmap of %zu bytes: %s", a->roomy, strerror(errno));
		_exit(1);
	}
	a->room[nr] = p;
	/* The ends stay PROT_NONE, so that arenas do not merge */
	return (char *)(((uintptr_t)p + HUGE - 1) & -HUGE) + skew * PAGE;
}

/* Maps and fills the arenas that arenas_describe() laid out. */
void arenas_map(void)
{
	for (size_t n = 0; n < ctl->narenas; n++) {
		struct arena *a = &ctl->arena[n];
		size_t length = a->pages * PAGE;

		a->home[0] = reserve(a, 0, plan[n].skew);
		a->home[1] = reserve(a, 1, plan[n].skew);
		a->park = reserve(a, 2, plan[n].skew);
		if (a->flags & A_FILE)
			open_file(a);
		a->base = slot_map(a, 0, a->pages, a->home[0]);
		if (a->base == MAP_FAILED) {
			fail("mmap of arena %s: %s", a->name, strerror(errno));
			_exit(1);
		}
		if (a->flags & A_HUGE)
			madvise(a->base, length, MADV_HUGEPAGE);
		if (a->flags & A_KSM)
			madvise(a->base, length, MADV_MERGEABLE);
		for (size_t page = 0; page < a->pages; page++) {
			struct slot *s = &a->slot[a->slot_of[page]];
			uint64_t *p = (uint64_t *)(a->base + page * PAGE);

			if (s->kind == KEEPER)
				for (size_t i = 0; i < 4; i++)
					p[positions[i]] = value(a, page, i);
			else if (s->kind == PRIVATE)
				p[0] = private_value(a, page, W_SEQ(s->word));
		}
	}
}

uint64_t value(const struct arena *a, size_t page, size_t position)
{
	/* `ret`, in case a fetch succeeds */
	if ((a->flags & A_EXEC) && position == 3)
		return 0xc3c3c3c3c3c3c3c3UL;
	/* The same in each page, for KSM to merge */
	if (a->flags & A_KSM)
		page = 0;
	return mix(ctl->seed ^ (uint64_t)(a - ctl->arena + 1) << 40 ^ page << 8 ^ position) | 1;
}

uint64_t private_value(const struct arena *a, size_t page, uint64_t seq)
{
	/* A guard leaves what is in a file as it is */
	if (a->flags & A_SHARED)
		seq = 0;
	return mix(ctl->seed ^ (uint64_t)(a - ctl->arena + 1) << 56 ^ page << 40 ^ seq) | 1;
}

const char *state_name(enum state state)
{
	static const char *const names[] = {
		[OPEN] = "OPEN", [BUSY] = "BUSY", [POISONING] = "POISONING",
		[GUARD] = "GUARD", [CHAOS] = "CHAOS", [KEEP] = "KEEP",
	};

	return names[state];
}

/* --- words ---------------------------------------------------------------- */

#define STATE_BIT(state) (1U << (state))

/* From one of @states (bits), with no call under way, to BUSY. */
bool slot_take(struct slot *s, uint64_t *old, unsigned int states)
{
	uint64_t w = load_acq(&s->word);

	if (!(states & STATE_BIT(W_STATE(w))) || W_PINS(w))
		return false;
	if ((w & W_PROT) && s->kind != PUBLIC)
		return false;
	if (!__atomic_compare_exchange_n(&s->word, &w,
					 W_MAKE(W_SEQ(w) + 1, BUSY) | (w & W_PROTS), false,
					 __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		return false;
	*old = w;
	return true;
}

/* From BUSY to @state. */
void slot_put(struct slot *s, enum state state)
{
	uint64_t w = load_acq(&s->word);

	while (!__atomic_compare_exchange_n(&s->word, &w,
					    W_MAKE(W_SEQ(w) + 1, state) | (w & W_PROTS),
					    false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		;
}

/* From BUSY to POISONING, with one call, the caller's, under way. */
void slot_poisoning(struct slot *s)
{
	uint64_t w = load_acq(&s->word);

	store_rel(&s->populated, 0);
	store_rel(&s->accesses, 0);
	while (!__atomic_compare_exchange_n(&s->word, &w,
					    (W_MAKE(W_SEQ(w) + 1, POISONING) | (w & W_PROTS)) + 1,
					    false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		;
}

/* A POISON has returned 0. Another may still be under way. */
void slot_guarded(struct slot *s)
{
	uint64_t w = load_acq(&s->word);

	while (W_STATE(w) == POISONING &&
	       !__atomic_compare_exchange_n(&s->word, &w,
					    (w & ~0xf00UL) | (uint64_t)GUARD << 8, false,
					    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		;
}

/* Counts one more call under way, if the slot is in @state. */
bool slot_join(struct slot *s, enum state state)
{
	uint64_t w = load_acq(&s->word);

	return W_STATE(w) == state && W_PINS(w) < 200 &&
	       __atomic_compare_exchange_n(&s->word, &w, w + 1, false,
					   __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

/*
 * Counts one call less. The last to leave CHAOS gets the slot BUSY, and 0. Others
 * get the number of calls that are left, or 1.
 */
unsigned int slot_leave(struct slot *s)
{
	uint64_t w = load_acq(&s->word), to;
	bool last;

	do {
		last = W_STATE(w) == CHAOS && W_PINS(w) == 1;
		to = last ? W_MAKE(W_SEQ(w) + 1, BUSY) | (w & W_PROTS) : w - 1;
	} while (!__atomic_compare_exchange_n(&s->word, &w, to, false, __ATOMIC_SEQ_CST,
					      __ATOMIC_SEQ_CST));
	return last ? 0 : 1;
}

/* Marks that accesses may fail because of the protection; fails if it is BUSY. */
bool slot_protect(struct slot *s)
{
	uint64_t w = load_acq(&s->word);

	return W_STATE(w) != BUSY && !(w & W_PROT) &&
	       __atomic_compare_exchange_n(&s->word, &w, w | W_PROT, false,
					   __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

void slot_unprotect(struct slot *s)
{
	uint64_t w = load_acq(&s->word);

	while (!__atomic_compare_exchange_n(&s->word, &w,
					    (w & ~W_PROTS) | ((w + W_PROT) & W_PROTS), false,
					    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		;
}

bool geometry_trylock(struct arena *a)
{
	return !__atomic_exchange_n(&a->geometry, 1, __ATOMIC_SEQ_CST);
}

void geometry_unlock(struct arena *a)
{
	store_rel(&a->geometry, 0);
}

/* The arena, and the page in it, of an address in either home; or NULL. */
struct arena *arena_at(const char *addr, size_t *page)
{
	for (size_t n = 0; n < ctl->narenas; n++) {
		struct arena *a = &ctl->arena[n];

		for (int i = 0; i < 2; i++) {
			if (addr >= a->home[i] && addr < a->home[i] + a->pages * PAGE) {
				*page = (size_t)(addr - a->home[i]) / PAGE;
				return a;
			}
		}
	}
	return NULL;
}

/* --- accesses that may fail ------------------------------------------------- */

static __thread struct {
	sigjmp_buf back;
	const volatile void *volatile at;
	volatile bool fetch;
} escape;

/* Nothing is mapped there. Zeros, run as an instruction, write to it. */
#define NOWHERE ((void *)8)

/* Can the file end in front of it? */
static bool may_be_beyond(const volatile char *at)
{
	for (size_t n = 0; n < ctl->narenas; n++) {
		const struct arena *a = &ctl->arena[n];
		const char *const places[] = { a->home[0], a->home[1], a->park, a->mirror };

		for (int i = 0; (a->flags & A_FILE) && i < 4; i++)
			if (at >= places[i] + a->tail * PAGE && at < places[i] + a->pages * PAGE)
				return true;
	}
	return false;
}

__thread bool got_sigbus;

static void on_fault(int sig, siginfo_t *info, void *context)
{
	const volatile void *at = escape.at;

	(void)context;
	if (!at) {
		fail("%s at %p, which no operation accesses", strsignal(sig), info->si_addr);
		_exit(1);
	}
	/* The fetch from an empty page succeeded */
	if (escape.fetch && sig == SIGSEGV && info->si_addr == NOWHERE)
		siglongjmp(escape.back, 2);
	got_sigbus = sig == SIGBUS && may_be_beyond(at);
	if (sig != SIGSEGV && !got_sigbus)
		fail("an access to %p got %s", (const void *)at, strsignal(sig));
	else if (info->si_addr != (const void *)at)
		fail("an access to %p says that it failed at %p", (const void *)at,
		     info->si_addr);
	siglongjmp(escape.back, 1);
}

static void on_poke(int sig)
{
	(void)sig;
}

void handlers(void)
{
	struct sigaction sa = {
		.sa_sigaction = on_fault,
		.sa_flags = SA_NODEFER | SA_SIGINFO,
	};

	sigaction(SIGSEGV, &sa, NULL);
	sigaction(SIGBUS, &sa, NULL);
	sigaction(SIGILL, &sa, NULL);
	/* Without SA_RESTART, to see restart codes that leak */
	sa = (struct sigaction){ .sa_handler = on_poke };
	sigaction(SIGUSR1, &sa, NULL);
}

bool try_load(const volatile void *p, uint64_t *v)
{
	got_sigbus = false;
	if (sigsetjmp(escape.back, 0)) {
		escape.at = NULL;
		return false;
	}
	escape.at = p;
	*v = *(const volatile uint64_t *)p;
	escape.at = NULL;
	return true;
}

bool try_store(volatile void *p, uint64_t v)
{
	got_sigbus = false;
	if (sigsetjmp(escape.back, 0)) {
		escape.at = NULL;
		return false;
	}
	escape.at = p;
	*(volatile uint64_t *)p = v;
	escape.at = NULL;
	return true;
}

/* Calls @p, which may be a guard, `ret`, or zeros. */
bool try_fetch(const volatile void *p)
{
	const int how = sigsetjmp(escape.back, 0);

	if (!how)
		got_sigbus = false;
	escape.fetch = !how;
	if (how) {
		escape.at = NULL;
		return how == 2;
	}
	escape.at = p;
#ifdef __x86_64__
	/* Zeros are `add %al,(%rax)`. The first one must fault. */
	__asm__ volatile("sub $128, %%rsp; call *%[p]; add $128, %%rsp"
			 : : [p] "r"(p), "a"(NOWHERE) : "memory", "cc");
#else
	(void)*(const volatile uint64_t *)p;
#endif
	escape.at = NULL;
	escape.fetch = false;
	return true;
}
