// SPDX-License-Identifier: GPL-2.0
/*
 * The operations: each draws its arguments, applies itself to the model, and
 * compares the kernel's result. It must work in any state, because shrink.c may
 * have left out operations before it. If the model cannot predict the result, the
 * operation is not made (SKIPPED).
 */
#include "model.h"

uint64_t has;
bool mainline;
int depth;

#define A(i) o->a[i]

static bool is_op(const struct op *o, const char *name);

/* The number of pages that one operation may fill, to limit its time */
#define FILL 64

/* --- Changes of a run, for model_change() --------------------------------- */

static void to_unmapped(struct run *r, uint32_t arg)
{
	(void)arg;
	r->st = UNMAPPED;
}

static void to_empty(struct run *r, uint32_t arg)
{
	(void)arg;
	r->st = EMPTY;
	r->fl &= F_EDGE;
}

static void to_guard(struct run *r, uint32_t arg)
{
	(void)arg;
	r->st = GUARD;
	r->fl &= F_EDGE;
}

static void to_unguard(struct run *r, uint32_t arg)
{
	if (r->st == GUARD)
		to_empty(r, arg);
}

/* As by MADV_DONTNEED */
static void discard(struct run *r, uint32_t arg)
{
	if (r->st != GUARD && r->st != UNMAPPED)
		to_empty(r, arg);
}

static void lazy(struct run *r, uint32_t arg)
{
	if (r->st == ERROR) {
		to_empty(r, arg);
	} else if (r->st == DATA || r->st == LAZY) {
		r->st = LAZY;
		r->fl &= ~F_SHARED;
		if (r->fl & F_WP)
			r->fl |= F_WPQ;
	} else if (r->st == EMPTY && r->fl & F_WP && r->fl & F_POP) {
		/* The page may go, and its protection with it */
		r->fl |= F_WPQ;
	}
}

/* There may be a page now; it still reads as 0 */
static void populate(struct run *r, uint32_t arg)
{
	(void)arg;
	if (r->st == EMPTY)
		r->fl |= F_POP;
}

static void fill_protected(struct run *r, uint32_t arg)
{
	if (r->fl & (F_WP | F_WPQ))
		populate(r, arg);
}

static void set_attr(struct run *r, uint32_t bits)
{
	if (r->st != UNMAPPED)
		r->at |= bits;
}

static void clear_attr(struct run *r, uint32_t bits)
{
	if (r->st != UNMAPPED)
		r->at &= ~bits;
}

static void set_prot(struct run *r, uint32_t bits)
{
	if (r->st != UNMAPPED)
		r->at = (r->at & ~(AT_R | AT_W | AT_X)) | bits;
}

/* mprotect() fills locked memory that becomes writable */
static void fill_locked(struct run *r, uint32_t arg)
{
	(void)arg;
	if ((r->at & (AT_LOCKED | AT_ONFAULT | AT_W)) == AT_LOCKED)
		populate(r, 0);
}

static void set_lock(struct run *r, uint32_t bits)
{
	if (r->st != UNMAPPED)
		r->at = (r->at & ~(AT_LOCKED | AT_ONFAULT)) | bits;
}

/* Changes attributes; splits VMAs only if any attribute differs */
static void attributes(uint32_t pg, uint32_t n, void (*fn)(struct run *, uint32_t), uint32_t arg)
{
	bool changes = false;

	for_parts(r, pg, n) {
		struct run old = r;

		fn(&r, arg);
		changes |= r.at != old.at;
	}
	if (!changes)
		return;
	model_edges(pg, n);
	model_change(pg, n, fn, arg);
}

static void wrote(uint32_t pg, uint32_t n, uint32_t id, uint32_t step)
{
	for_parts(r, pg, n) {
		struct run new = r;

		if (r.at & AT_SHM) {
			files_write(r.fp, r.n, id, step);
		} else {
			new.st = DATA;
			new.id = id;
			new.fl = step ? F_STEP : 0;
			model_set(&new);
		}
		id += r.n * step;
	}
}

/* A private mapping of a file copies what it fills in for writing */
static bool copies(const struct run *r)
{
	return (r->at & (AT_FILE | AT_SHM | AT_W)) == (AT_FILE | AT_W) && r->st == EMPTY;
}

static bool any_copies(uint32_t pg, uint32_t n)
{
	for_parts(r, pg, n)
		if (copies(&r))
			return true;
	return false;
}

/* Filled in for writing; it ends at the end of the file */
static void populate_written(uint32_t pg, uint32_t n)
{
	for_parts(r, pg, n) {
		if (!copies(&r) || (r.fl & F_EOF))
			continue;
		for (uint32_t i = 0; i < r.n; i++)
			wrote(r.pg + i, 1, page_id(&r, i), 1);
	}
	model_change(pg, n, populate, 0);
}

/* --- Results -------------------------------------------------------------- */

static enum outcome expect(int64_t got, int64_t value)
{
	if (got != value)
		diverge(W_RESULT, 0, value, 0, 0, "returned %lld (%s), not %lld (%s)", (long long)got,
			got < 0 && got > -4096 ? strerror(-got) : "", (long long)value,
			value < 0 && value > -4096 ? strerror(-value) : "");
	return got < 0 ? FAILURE : SUCCESS;
}

/* The result of a call that did @done pages: an error only if that is 0 */
static int64_t far_or(uint32_t done, int err)
{
	return done ? (int64_t)done : err;
}

/* Pages before the first that fails; *why is 0 if none fails, -1 if not known */
static uint32_t accessible(uint32_t pg, uint32_t n, bool write, bool force, int *why)
{
	uint32_t done = 0;

	*why = 0;
	for_parts(r, pg, n) {
		*why = model_access(&r, write, force);
		if (*why)
			return done;
		done += r.n;
	}
	return done;
}

/* Compares what was read with the model */
static void compare(uint32_t pg, uint32_t n, uint32_t (*val)[2])
{
	for_parts(r, pg, n) {
		for (uint32_t i = 0; i < r.n; i++) {
			const uint32_t *v = val[r.pg - pg + i], id = page_id(&r, i), last = last_of(id);

			if ((v[0] == id && v[1] == last) || (r.st == LAZY && !v[0] && !v[1]))
				continue;
			if (r.st == LAZY)
				diverge(W_ZERO_OR, r.pg + i, id, ~id, 0, "reads %#x %#x, not %#x or 0",
					v[0], v[1], id);
			diverge(W_CONTENTS, r.pg + i, id, last, 0, "reads %#x %#x, not %#x", v[0], v[1], id);
		}
	}
}

/* --- Drawing arguments ---------------------------------------------------- */

enum kind { ANY, MAPPED, FREE, GUARDS, CONTENTS, WRITABLE, READABLE, ANON, WATCHED, WATCHED_EMPTY, WATCHED_WP,
	    WATCHED_GUARD, UNWATCHED, LOCKED, ATTR, PLAIN_EMPTY, BEFORE_HOLE, MOVABLE, MOVE_TO, HELD, FILES };

static bool is_kind(const struct run *r, enum kind kind, uint32_t attr)
{
	switch (kind) {
	case ANY: return true;
	case MAPPED: return r->st != UNMAPPED;
	case FREE: return r->st == UNMAPPED && WIN(r->pg) < W_BRK;
	case GUARDS: return r->st == GUARD;
	case CONTENTS: return r->st == DATA;
	case WRITABLE: return !model_access(r, true, false);
	case READABLE: return !model_access(r, false, false);
	case HELD: return r->st == DATA || (r->st == EMPTY && r->at & AT_NOTANON);
	case FILES: return r->at & AT_FILE;
	case ANON: return r->st != UNMAPPED && is_anon(r);
	case WATCHED: return r->at & (AT_MISS | AT_WP);
	case WATCHED_EMPTY: return r->at & (AT_MISS | AT_WP) && r->st == EMPTY && !(r->fl & F_POP);
	case WATCHED_GUARD: return r->at & (AT_MISS | AT_WP) && r->st == GUARD;
	case WATCHED_WP: return r->at & (AT_WP | AT_ASYNC);
	case UNWATCHED: return r->st != UNMAPPED && is_anon(r) && !(r->at & AT_UFFD);
	case LOCKED: return r->at & AT_LOCKED;
	case ATTR: return r->at & attr;
	case BEFORE_HOLE: return r + 1 < &runs[nr_runs] && r->st != UNMAPPED && !(r->at & (AT_SEALED | AT_SHM)) && WIN(r->pg) < W_BRK &&
				 WIN(r[1].pg) == WIN(r->pg) && r[1].st == UNMAPPED;
	case MOVABLE: return r->st == DATA && is_anon(r) && r->at & AT_W && !(r->fl & (F_SHARED | F_WP)) &&
			     !(r->at & (AT_MERGE | AT_HUGE | AT_ASYNC));
	case MOVE_TO: return is_kind(r, WATCHED_EMPTY, 0) && r->at & AT_W && !(r->fl & F_WP) &&
			     !(r->at & (AT_MERGE | AT_HUGE));
	case PLAIN_EMPTY: return r->st == EMPTY && !(r->fl & F_POP) && (r->at & AT_R) && is_anon(r) &&
				 !(r->at & AT_UFFD);
	}
	return false;
}

static uint32_t some_length(void)
{
	switch (rnd(16)) {
	case 0 ... 5:
		return 1;
	case 6 ... 9:
		return 1 + rnd(4);
	case 10 ... 12:
		return 1 + rnd(16);
	case 13 ... 14:
		return 1 + rnd(64);
	default:
		return 1 + rnd(rnd(4) ? 256 : rt_ppt * 2);
	}
}

static int some_window(void)
{
	static const uint8_t often[] = {
		W_TABLE, W_TABLE, W_TABLE, W_TABLE, W_PUD, W_PUD, W_PUD, W_PMD, W_PMD, W_PMD, W_SMALL,
		W_SMALL, W_BRK, W_BRK, W_STACK, W_BIG,
	};

	return often[rnd(sizeof(often))];
}

/* The first page after a boundary of page tables, unless that depends on addresses */
static uint32_t first_of_table(uint32_t win)
{
	if (win == W_STACK || (win == W_BRK && (uint64_t)rt_ppt * rt_psz > 16 << 20))
		return UINT32_MAX;
	return rt_ppt - rt_win[win].base / rt_psz % rt_ppt;
}

/* Draws a range of at most @max pages, which mostly begins in a run of the kind */
static void pick_attr(enum kind kind, uint32_t attr, uint32_t max, uint32_t *pg, uint32_t *n)
{
	uint32_t start, len, win, how = rnd(16);

	if (how < 12) {
		int i = rnd(nr_runs), left;
		const struct run *r;

		/* Try some at random, then all that follow, because there may be few */
		for (left = 6; left && !is_kind(&runs[i], kind, attr); left--)
			i = rnd(nr_runs);
		for (left = left ? 0 : nr_runs; left && !is_kind(&runs[i], kind, attr); left--)
			i = i + 1 < nr_runs ? i + 1 : 0;
		r = &runs[i];
		win = WIN(r->pg);
		start = OFF(r->pg);
		len = some_length();
		switch (rnd(4)) {
		case 0:
			start += r->n - 1;
			break;
		case 1:
			start += rnd(r->n);
			break;
		case 2:
			len = r->n;
			break;
		}
		if (!rnd(8))
			start -= rnd(start < 4 ? start + 1 : 4);
	} else if (how < 15) {
		uint32_t table;

		win = some_window();
		table = first_of_table(win);
		if (table < rt_win[win].pages)
			start = table + rnd((rt_win[win].pages - table) / rt_ppt + 1) * rt_ppt;
		else
			start = rnd(rt_win[win].pages);
		if (start >= rt_win[win].pages)
			start = table < rt_win[win].pages ? table : 0;
		start -= rnd(start < 5 ? start + 1 : 5);
		len = rnd(4) ? 1 + rnd(8) : rt_ppt + rnd(4);
	} else {
		win = some_window();
		start = rnd(rt_win[win].pages);
		len = some_length();
	}
	/* Rarely GiBs, which take as long as thousands of other operations */
	if (len > 3 * rt_ppt && rnd(100))
		len = some_length();
	if (win == W_BIG && !rnd(400))
		len = 1 + rnd(rt_win[win].pages);
	if (len > rt_win[win].pages - start)
		len = rt_win[win].pages - start;
	*pg = PG(win, start);
	*n = len > max ? max : len;
}

/* Half of the ranges in windows with all that a page table maps begin and end with such */
static void maybe_whole(uint32_t *pg, uint32_t *n, uint32_t max)
{
	const uint32_t win = WIN(*pg), first = first_of_table(win) % rt_ppt;
	uint32_t tables, from, most;

	if (win >= W_BRK || first + rt_ppt > rt_win[win].pages || max < rt_ppt || rnd(2))
		return;
	tables = (rt_win[win].pages - first) / rt_ppt;
	from = OFF(*pg) < first ? 0 : (OFF(*pg) - first) / rt_ppt;
	if (from >= tables)
		from = tables - 1;
	most = max / rt_ppt < tables - from ? max / rt_ppt : tables - from;
	*pg = PG(win, first + from * rt_ppt);
	*n = (*n + rt_ppt - 1) / rt_ppt;
	*n = (*n < most ? *n : most) * rt_ppt;
}

/* The first page of such */
static uint32_t some_table(void)
{
	const uint32_t win = rnd(2) ? W_PMD : W_BIG, first = first_of_table(win) % rt_ppt;

	return PG(win, first + rnd((rt_win[win].pages - first) / rt_ppt) * rt_ppt);
}

static void pick(struct op *o, enum kind kind, uint32_t max)
{
	uint32_t pg, n;

	pick_attr(kind, 0, max, &pg, &n);
	o->a[0] = pg;
	o->a[1] = n;
}

static void pick_whole(struct op *o, enum kind kind, uint32_t max)
{
	uint32_t pg, n;

	pick_attr(kind, 0, max, &pg, &n);
	maybe_whole(&pg, &n, max);
	o->a[0] = pg;
	o->a[1] = n;
}

/* Not in the heap or the stack, which libc uses */
static bool is_ours(uint32_t pg)
{
	return WIN(pg) < W_BRK;
}

static uint32_t new_id(uint32_t n)
{
	const uint32_t id = sh->next_id;

	sh->next_id += n;
	return id;
}

/* --- fork ----------------------------------------------------------------- */

static void gen_none(struct op *o)
{
	(void)o;
}

static enum outcome run_fork(const struct op *o)
{
	uint64_t start;
	int64_t pid, r;

	(void)o;
	if (depth == 3)
		return SKIPPED;
	model_fork(false);
	pid = x_fork();
	if (!pid) {
		depth++;
		model_fork(true);
		check_everything(o->check);
		return SUCCESS;
	}
	start = profile ? now_ns() : 0;
	/* The child makes the operations up to OP_END, then the parent those after it */
	r = x_wait(pid);
	/* The child counts its own operations */
	if (profile)
		sh->ns[OP_FORK][0] -= now_ns() - start;
	if (sh->div.kind)
		_exit(1);
	model_catch_up();
	if (r)
		diverge(W_OTHER, 0, 0, 0, 0, "the child ended with %lld", (long long)r);
	return expect(pid < 0 ? pid : 0, 0);
}

static enum outcome run_end(const struct op *o)
{
	(void)o;
	if (!depth)
		return SKIPPED;
	_exit(0);
}

/* --- madvise -------------------------------------------------------------- */

enum advice_id { V_POISON, V_UNPOISON, V_DONTNEED, V_FREE, V_DONTNEED_LOCKED, V_COLD, V_PAGEOUT, V_WILLNEED,
		 V_NORMAL, V_RANDOM, V_SEQUENTIAL, V_HUGEPAGE, V_NOHUGEPAGE, V_COLLAPSE, V_DONTFORK, V_DOFORK,
		 V_WIPEONFORK, V_KEEPONFORK, V_DONTDUMP, V_DODUMP, V_MERGEABLE, V_UNMERGEABLE, V_REMOVE,
		 V_POPULATE_READ, V_POPULATE_WRITE, NR_ADVICE };

static const struct {
	int value, weight;
	enum kind on;
	uint32_t max;		/* in pages */
	uint64_t needs;
	int tables;
} advices[NR_ADVICE] = {
	[V_POISON]		= { MADV_GUARD_POISON, 240, MAPPED, ~0u, 0, T_POISON },
	[V_UNPOISON]		= { MADV_GUARD_UNPOISON, 110, GUARDS, ~0u, 0, T_UNPOISON },
	[V_DONTNEED]		= { MADV_DONTNEED, 40, MAPPED, ~0u, 0, T_NONE },
	[V_FREE]		= { MADV_FREE, 20, CONTENTS, ~0u, 0, T_NONE },
	[V_DONTNEED_LOCKED]	= { MADV_DONTNEED_LOCKED, 10, LOCKED, ~0u, HAS_DLOCKED, T_NONE },
	[V_COLD]		= { MADV_COLD, 8, HELD, 4096, HAS_LRU, T_NONE },
	[V_PAGEOUT]		= { MADV_PAGEOUT, 16, HELD, 256, HAS_LRU, T_NONE },
	[V_WILLNEED]		= { MADV_WILLNEED, 6, HELD, 256, 0, T_NONE },
	[V_NORMAL]		= { MADV_NORMAL, 4, MAPPED, ~0u, 0, T_ENDS },
	[V_RANDOM]		= { MADV_RANDOM, 2, MAPPED, ~0u, 0, T_ENDS },
	[V_SEQUENTIAL]		= { MADV_SEQUENTIAL, 2, MAPPED, ~0u, 0, T_ENDS },
	[V_HUGEPAGE]		= { MADV_HUGEPAGE, 2, MAPPED, 2048, HAS_THP, T_ENDS },
	[V_NOHUGEPAGE]		= { MADV_NOHUGEPAGE, 3, MAPPED, ~0u, HAS_THP, T_ENDS },
	[V_COLLAPSE]		= { MADV_COLLAPSE, 2, ANON, 1100, HAS_COLLAPSE | HAS_THP, T_FILL },
	[V_DONTFORK]		= { MADV_DONTFORK, 4, MAPPED, ~0u, 0, T_ENDS },
	[V_DOFORK]		= { MADV_DOFORK, 5, MAPPED, ~0u, 0, T_ENDS },
	[V_WIPEONFORK]		= { MADV_WIPEONFORK, 5, ANON, ~0u, HAS_WIPE, T_ENDS },
	[V_KEEPONFORK]		= { MADV_KEEPONFORK, 5, MAPPED, ~0u, HAS_WIPE, T_ENDS },
	[V_DONTDUMP]		= { MADV_DONTDUMP, 2, MAPPED, ~0u, 0, T_ENDS },
	[V_DODUMP]		= { MADV_DODUMP, 3, MAPPED, ~0u, 0, T_ENDS },
	[V_MERGEABLE]		= { MADV_MERGEABLE, 4, ANON, 4096, HAS_KSM, T_ENDS },
	[V_UNMERGEABLE]		= { MADV_UNMERGEABLE, 4, MAPPED, 4096, HAS_KSM, T_ENDS },
	[V_REMOVE]		= { MADV_REMOVE, 6, ATTR, 4096, 0, T_NONE },
	[V_POPULATE_READ]	= { MADV_POPULATE_READ, 8, MAPPED, 16, HAS_POPULATE, T_FILL },
	[V_POPULATE_WRITE]	= { MADV_POPULATE_WRITE, 8, MAPPED, 16, HAS_POPULATE, T_FILL },
};

static const char *const advice_names[] = {
	"POISON", "UNPOISON", "DONTNEED", "FREE", "DONTNEED_LOCKED", "COLD", "PAGEOUT", "WILLNEED", "NORMAL",
	"RANDOM", "SEQUENTIAL", "HUGEPAGE", "NOHUGEPAGE", "COLLAPSE", "DONTFORK", "DOFORK", "WIPEONFORK",
	"KEEPONFORK", "DONTDUMP", "DODUMP", "MERGEABLE", "UNMERGEABLE", "REMOVE", "POPULATE_READ",
	"POPULATE_WRITE", NULL
};

#define SEALS_WRITE	(F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)

/* -errno if madvise() refuses a VMA, else 0 */
static int refuses(const struct run *r, enum advice_id v)
{
	const bool sealed = (r->at & AT_SEALED) && !(r->at & AT_W) && is_anon(r);

	switch (v) {
	case V_POISON:
		/* It takes access away, whatever is mapped; mainline sees only what is lost */
		if ((r->at & AT_SEALED) && !(r->at & AT_W) && (is_anon(r) || !mainline))
			return -EPERM;
		return (r->at & AT_LOCKED) && !(has & HAS_LOCKED) ? -EINVAL : 0;
	case V_DONTNEED:
		if (sealed)
			return -EPERM;
		return r->at & AT_LOCKED ? -EINVAL : 0;
	case V_FREE:
		if (sealed)
			return -EPERM;
		return !is_anon(r) || (r->at & AT_LOCKED) ? -EINVAL : 0;
	case V_DONTNEED_LOCKED:
		return sealed ? -EPERM : 0;
	case V_COLD:
	case V_PAGEOUT:
		return r->at & AT_LOCKED ? -EINVAL : 0;
	case V_DONTFORK:
		return sealed ? -EPERM : 0;
	case V_WIPEONFORK:
		if (sealed)
			return -EPERM;
		return is_anon(r) ? 0 : -EINVAL;
	case V_WILLNEED:
		/* Without CONFIG_SWAP, it accepts only files */
		return is_anon(r) && !(has & HAS_READAHEAD) ? -EBADF : 0;
	case V_REMOVE:
		if (sealed)
			return -EPERM;
		if ((r->at & AT_LOCKED) || is_anon(r))
			return -EINVAL;
		if (!(r->at & AT_SHM) || (r->at & AT_NOMAYW))
			return -EACCES;
		if ((r->at & AT_DISK) && !(has & HAS_PUNCH))
			return -EOPNOTSUPP;
		return (r->at & AT_FILE) && !(r->at & AT_DISK) && files->seals & SEALS_WRITE ? -EPERM : 0;
	default:
		return 0;
	}
}

static void advise(uint32_t pg, uint32_t n, enum advice_id v)
{
	static const struct {
		uint32_t set, clear;
	} attr[NR_ADVICE] = {
		[V_NORMAL] = { 0, AT_RANDOM | AT_SEQ },
		[V_RANDOM] = { AT_RANDOM, AT_SEQ },
		[V_SEQUENTIAL] = { AT_SEQ, AT_RANDOM },
		[V_HUGEPAGE] = { AT_HUGE, AT_NOHUGE },
		[V_NOHUGEPAGE] = { AT_NOHUGE, AT_HUGE },
		[V_DONTFORK] = { AT_NOFORK, 0 },
		[V_DOFORK] = { 0, AT_NOFORK },
		[V_WIPEONFORK] = { AT_WIPE, 0 },
		[V_KEEPONFORK] = { 0, AT_WIPE },
		[V_DONTDUMP] = { AT_NODUMP, 0 },
		[V_DODUMP] = { 0, AT_NODUMP },
		[V_MERGEABLE] = { AT_MERGE, 0 },
		[V_UNMERGEABLE] = { 0, AT_MERGE },
	};

	switch (v) {
	case V_POISON:
		model_change(pg, n, to_guard, 0);
		return;
	case V_UNPOISON:
		model_change(pg, n, to_unguard, 0);
		return;
	case V_DONTNEED:
	case V_DONTNEED_LOCKED:
		model_change(pg, n, discard, 0);
		return;
	case V_FREE:
		model_change(pg, n, lazy, 0);
		return;
	case V_COLLAPSE:
	case V_POPULATE_READ:
		model_change(pg, n, populate, 0);
		return;
	case V_POPULATE_WRITE:
		populate_written(pg, n);
		return;
	case V_REMOVE:
		/* Guards stay, and private copies in other mappings */
		for_parts(r, pg, n)
			files_clear(r.fp, r.n);
		return;
	default:
		/* Only flags of the VMA change; KSM leaves out shared memory */
		for_parts(r, pg, n) {
			if ((attr[v].set & AT_MERGE) && (r.at & AT_SHM))
				continue;
			attributes(r.pg, r.n, set_attr, attr[v].set);
			attributes(r.pg, r.n, clear_attr, attr[v].clear);
		}
	}
}

/*
 * Is there something in the page table besides guards? 0, 1, or -1 if that cannot be
 * known. Where the model does not know it, the kernel is asked.
 */
static int holds(uint32_t pg, uint32_t n)
{
	static uint64_t entries[1024];

	for_parts(r, pg, n)
		if (r.st == DATA || r.st == ERROR)
			return 1;
	for_parts(r, pg, n) {
		/* MADV_FREE drops a page that is swapped out at once */
		if (r.st != LAZY && (r.st != EMPTY || !(r.fl & F_POP)))
			continue;
		/* The mark of write-protection looks like a page, and khugepaged may come */
		if ((r.at & (AT_UFFD | AT_HUGE)) || (r.fl & (F_WP | F_WPQ)) || r.n > 1024 ||
		    rt_pagemap(r.pg, r.n, entries))
			return -1;
		for (uint32_t i = 0; i < r.n; i++)
			if (entries[i] & (PM_PRESENT | PM_SWAPPED))
				return 1;
	}
	return 0;
}

/*
 * POISON of the locked memory in the range from *@pg on that is one VMA: 0, -errno, or
 * 1 if it is not known. Sets *@pg to its end.
 */
static int locked_model(uint32_t *pg, uint32_t end)
{
	const uint32_t start = *pg;
	struct run before = { 0 };
	uint32_t edge = 0;
	int held;

	for_parts(r, start, end - start) {
		if (before.n && !same_vma(&before, &r))
			break;
		if (before.n && (r.fl & F_EDGE) && !edge)
			edge = r.pg;
		before = r;
		*pg = r.pg + r.n;
	}
	/* Where locking is the default, it is no wish for these pages */
	if (lock_future) {
		sh->seen[SEEN_LOCKED_DROPPED]++;
		return 0;
	}
	held = holds(start, *pg - start);
	/* There may be two VMAs, the first of which is done */
	if (held && edge)
		held = holds(start, edge - start) > 0 ? 1 : -1;
	if (held >= 0)
		sh->seen[held ? SEEN_LOCKED_REFUSED : SEEN_LOCKED_EMPTY]++;
	return held < 0 ? 1 : held ? -EINVAL : 0;
}

/*
 * madvise() passes over holes and stops at the first VMA that it refuses. Returns
 * its result, or 1 if it is not known, and in *@stop, how far it gets.
 */
static int madvise_model(uint32_t pg, uint32_t n, enum advice_id v, uint32_t *stop)
{
	uint32_t locked = 0;
	int err = 0;

	*stop = pg + n;
	for_parts(r, pg, n) {
		int no;

		if (r.st == UNMAPPED) {
			err = -ENOMEM;
			continue;
		}
		no = refuses(&r, v);
		if (!no && v == V_POISON && (r.at & AT_LOCKED) && r.pg >= locked) {
			locked = r.pg;
			no = locked_model(&locked, pg + n);
		}
		if (no) {
			*stop = r.pg;
			return no;
		}
	}
	return err;
}

static void advise_parts(uint32_t pg, uint32_t stop, enum advice_id v)
{
	for_parts(r, pg, stop - pg)
		if (r.st != UNMAPPED)
			advise(r.pg, r.n, v);
}

/* Adds an operation to those that follow; one operation never adds too many */
static struct op *next_op(void)
{
	struct op *o = &sh->queue[sh->queued++];

	memset(o, 0, sizeof(*o));
	return o;
}

static int code_of(const char *name)
{
	for (int i = 0; i < nr_opdefs; i++)
		if (!strcmp(opdefs[i].name, name))
			return i;
	rt_die("no operation %s", name);
}

static void mapping(struct op *o, uint32_t pg, uint32_t n)
{
	o->code = code_of("mmap");
	A(0) = pg;
	A(1) = n;
	A(2) = PROT_READ | PROT_WRITE;
}

static void advice(struct op *o, uint32_t pg, uint32_t n, enum advice_id v)
{
	o->code = OP_MADVISE;
	o->sub = v;
	A(0) = pg;
	A(1) = n;
	A(2) = advices[v].value;
}

static void writing(struct op *o, uint32_t pg, uint32_t n)
{
	o->code = code_of("write");
	A(0) = pg;
	A(1) = n;
	A(2) = new_id(n);
	A(3) = 1;
}

static void mapping_shared(uint32_t pg, uint32_t n)
{
	struct op *o = next_op();

	mapping(o, pg, n);
	A(3) = M_SHARED | M_FILE;
}

/* A huge page of a file, through a mapping without guards while another one has some */
static void collapse_file(void)
{
	const uint32_t one = rnd(3), pg = PG(W_PMD, 5 + one * rt_ppt);
	const uint32_t other = PG(W_PMD, 5 + (one + 1 + rnd(2)) % 3 * rt_ppt);

	mapping_shared(pg, rt_ppt);
	mapping_shared(other, rt_ppt);
	writing(next_op(), pg + rnd(rt_ppt - 8), 1 + rnd(8));
	advice(next_op(), other + rnd(rt_ppt - 8), 1 + rnd(8), V_POISON);
	advice(next_op(), pg, rt_ppt, V_COLLAPSE);
}

static void gen_madvise(struct op *o)
{
	uint32_t pg, n;

	pick_attr(o->sub == V_POISON && !rnd(12) ? LOCKED : advices[o->sub].on, AT_SHM, advices[o->sub].max, &pg,
		  &n);
	if (o->sub == V_POISON || o->sub == V_UNPOISON || o->sub == V_DONTNEED)
		maybe_whole(&pg, &n, ~0u);
	/* Huge pages need whole ranges */
	if ((o->sub == V_HUGEPAGE || o->sub == V_COLLAPSE) && rnd(4)) {
		pg = PG(W_PMD, 5 + rnd(3) * rt_ppt);
		n = rt_ppt;
		/* Empty, so that the first access fills it as a whole */
		if (o->sub == V_HUGEPAGE) {
			const uint32_t most = rt_ppt > FILL ? FILL : rt_ppt / 2;

			mapping(next_op(), pg, n);
			advice(next_op(), pg, n, V_HUGEPAGE);
			writing(next_op(), pg + rnd(rt_ppt - most), 1 + rnd(most));
		}
	}
	A(0) = pg;
	A(1) = n;
	A(2) = advices[o->sub].value;
	if (o->sub == V_COLLAPSE && has & HAS_FILE && rnd(2))
		collapse_file();
}

/* Faults a range in, as MADV_POPULATE and mlock do; returns 0 or the error, and *done */
static int populate_model(uint32_t pg, uint32_t n, bool write, uint32_t *done)
{
	*done = 0;
	for_parts(r, pg, n) {
		if (r.st == UNMAPPED)
			return -ENOMEM;
		if (!(r.at & (write ? AT_W : AT_R)))
			return -EINVAL;
		switch (model_access(&r, write, false)) {
		case 0:
			break;
		case SIGSEGV:
			return -EFAULT;
		case SIGBUS:
			return r.st == ERROR ? -EHWPOISON : -EFAULT;
		default:
			return 1;	/* not known */
		}
		*done += r.n;
	}
	return 0;
}

/*
 * Does a guard prevent a huge page in the range? It does if the huge page would lie
 * in one VMA for sure, and has a guard.
 */
static bool collapse_must_fail(uint32_t pg, uint32_t n)
{
	const uint32_t ahead = rt_ppt - rt_win[WIN(pg)].base / rt_psz % rt_ppt;

	for (uint32_t off = ahead % rt_ppt; off + rt_ppt <= OFF(pg) + n; off += rt_ppt) {
		bool guard = false, whole = true;
		struct run before = { 0 };

		if (off < OFF(pg))
			continue;
		for_parts(r, PG(WIN(pg), off), rt_ppt) {
			if (r.st == UNMAPPED || (before.n && (!same_vma(&before, &r) || (r.fl & F_EDGE))))
				whole = false;
			guard |= r.st == GUARD;
			before = r;
		}
		if (whole && guard)
			return true;
	}
	return false;
}

static enum outcome run_madvise(const struct op *o)
{
	const uint32_t pg = A(0), n = A(1);
	const enum advice_id v = o->sub;
	uint32_t filled = n, stop;
	int64_t r;
	int err;

	/* In a child, the stack would grow into the hole when it is touched */
	if (v == V_DONTFORK && WIN(pg) == W_STACK)
		return SKIPPED;
	/*
	 * 6.12 lazily frees a page that others share if the folio is not dirty, such as after
	 * a swap-in from memory. Then the others lose its contents. See docs/testing.md.
	 */
	if (v == V_FREE)
		for_parts(p, pg, n)
			if (p.st == DATA && is_anon(&p) && p.fl & F_SHARED)
				return SKIPPED;
	/* With huge pages they would fill a multiple of the range */
	for_parts(p, pg, n)
		if ((p.at & AT_HUGE) && n > 2 * rt_ppt && (v == V_POPULATE_WRITE || v == V_COLLAPSE))
			return SKIPPED;

	if (v == V_COLLAPSE) {
		bool hole = false;

		/* Where a huge page goes beyond the end of the file, Linux lets one touch all of it */
		for_parts(p, pg, n)
			if (p.fl & F_EOF)
				return SKIPPED;

		/* It may fail for many reasons, so only check for wrong success */
		for_parts(p, pg, n)
			hole |= p.st == UNMAPPED;
		r = x_madvise(pg, n, A(2));
		if (!r && collapse_must_fail(pg, n))
			diverge(W_RESULT, 0, -EINVAL, 0, 0, "collapsed a range that has guards in it");
		if (!r && hole)
			diverge(W_RESULT, 0, -ENOMEM, 0, 0, "did not see a hole");
		model_change(pg, n, populate, 0);
		return r ? FAILURE : SUCCESS;
	}
	if (v == V_POPULATE_READ || v == V_POPULATE_WRITE) {
		err = populate_model(pg, n, v == V_POPULATE_WRITE, &filled);
		if (err > 0)
			return SKIPPED;
		r = x_madvise(pg, n, A(2));
		advise(pg, filled, v);
		/* A write that waits for userfaultfd fills the page */
		if (filled < n)
			model_change(pg + filled, 1, fill_protected, 0);
		return expect(r, err);
	}
	err = madvise_model(pg, n, v, &stop);
	if (err > 0)
		return SKIPPED;
	r = x_madvise(pg, n, A(2));
	/* Change the model first, because pages are checked after a wrong result too */
	advise_parts(pg, stop, v);
	/* Breaking up merged pages needs memory, and does not wait for it */
	if (v == V_UNMERGEABLE && r == -EAGAIN)
		return FAILURE;
	return expect(r, err);
}

/* With wrong arguments, the call must change nothing */
static void gen_odd(struct op *o)
{
	static const int64_t offsets[] = { 1, 8, -1, 0, 0, 0 };
	uint32_t pg, n;

	pick_attr(MAPPED, 0, 64, &pg, &n);
	A(0) = pg;
	A(1) = o->sub == 0 ? offsets[rnd(3)] : 0;
	A(2) = o->sub == 1 ? -(int64_t)(1 + rnd(rt_psz)) : o->sub == 2 ? 0 : (int64_t)(n * rt_psz);
	A(3) = o->sub == 3 ? 9999 : rnd(2) ? MADV_GUARD_POISON : MADV_GUARD_UNPOISON;
}

static const char *const odd_names[] = { "misaligned", "wraps", "empty", "no_such", NULL };

static enum outcome run_odd(const struct op *o)
{
	int64_t r = x_madvise_odd(A(0), A(1), A(2), A(3));

	/* A length that wraps to 0 when it is rounded up must be refused */
	expect(r, o->sub == 2 ? 0 : -EINVAL);
	return SUCCESS;
}

static void gen_pmadvise(struct op *o)
{
	uint32_t pg, n;

	for (int i = 0; i < 2; i++) {
		pick_attr(o->sub ? GUARDS : MAPPED, 0, 2048, &pg, &n);
		maybe_whole(&pg, &n, 2048);
		A(2 * i) = pg;
		A(2 * i + 1) = n;
	}
	A(4) = o->sub ? MADV_GUARD_UNPOISON : MADV_GUARD_POISON;
}

static const char *const guard_names[] = { "POISON", "UNPOISON", NULL };

static enum outcome run_pmadvise(const struct op *o)
{
	const enum advice_id v = o->sub ? V_UNPOISON : V_POISON;
	int64_t r, done = 0;
	uint32_t stop;
	int err = 0;

	for (int i = 0; i < 2; i++)
		if (madvise_model(A(2 * i), A(2 * i + 1), v, &stop) > 0)
			return SKIPPED;
	/* The first range may change what is in the second, so no call in between */
	for (int i = 0; i < 2 && !err; i++) {
		err = madvise_model(A(2 * i), A(2 * i + 1), v, &stop);
		advise_parts(A(2 * i), stop, v);
		if (!err)
			done += A(2 * i + 1);
	}
	r = x_process_madvise(A(0), A(1), A(2), A(3), A(4));
	return expect(r, done ? done : err);
}

static void gen_vfork(struct op *o)
{
	pick_whole(o, o->sub ? GUARDS : MAPPED, 2048);
	A(2) = o->sub ? MADV_GUARD_UNPOISON : MADV_GUARD_POISON;
}

static enum outcome run_vfork(const struct op *o)
{
	const enum advice_id v = o->sub ? V_UNPOISON : V_POISON;
	uint32_t stop;
	int64_t r;
	int err = madvise_model(A(0), A(1), v, &stop);

	if (err > 0)
		return SKIPPED;
	r = x_vfork(A(0), A(1), A(2));
	advise_parts(A(0), stop, v);
	return expect(r, err);
}

/* --- Mappings ------------------------------------------------------------- */

static bool has_sealed(uint32_t pg, uint32_t n)
{
	for_parts(r, pg, n)
		if (r.at & AT_SEALED)
			return true;
	return false;
}

bool one_vma(uint32_t pg, uint32_t n)
{
	struct run before = { 0 };

	for_parts(r, pg, n) {
		if (r.st == UNMAPPED || (before.n && (!same_vma(&before, &r) || (r.fl & F_EDGE))))
			return false;
		before = r;
	}
	return true;
}

/* Does the range end where its VMA does? True if the next page is not mapped */
static bool followed_by_hole(uint32_t pg, uint32_t n)
{
	return OFF(pg) + n >= rt_win[WIN(pg)].pages || runs[model_find(pg + n)].st == UNMAPPED;
}

static const char *const mmap_names[] = { "private", "shared", "file", "noreplace", "populate", "locked",
					  "shared_file", "disk", "shared_disk", NULL };

/* Mostly what is mapped already, so that there are two mappings of it */
static uint32_t some_file_page(int file, uint32_t pg, uint32_t n)
{
	const struct run *r = &runs[rnd(nr_runs)];
	uint32_t page = OFF(pg);

	/* Huge pages need it aligned as the addresses are */
	if (WIN(pg) == W_PMD && rnd(4)) {
		page = page >= 5 ? (page - 5) % rt_ppt : rt_ppt - 5 + page;
	} else if (rnd(3)) {
		for (int i = 0; i < 8 && (!(r->at & AT_FILE) || run_file(r) != file); i++)
			r = &runs[rnd(nr_runs)];
		if ((r->at & AT_FILE) && run_file(r) == file)
			page = r->fp - FP(file, 0);
	}
	return page > FILE_PAGES - n ? 0 : page;
}

static void gen_mmap(struct op *o)
{
	static const int how[] = { 0, M_SHARED, M_FILE, M_NOREPLACE, M_POPULATE, M_LOCKED, M_SHARED | M_FILE,
				   M_FILE | M_DISK, M_SHARED | M_FILE | M_DISK };
	const uint32_t max = o->sub == 4 || o->sub == 5 ? FILL : o->sub == 1 ? 128 : ~0u;

	do
		pick(o, rnd(4) ? FREE : ANY, max);
	while (!is_ours(A(0)));
	A(2) = rnd(8) ? PROT_READ | PROT_WRITE : rnd(2) ? PROT_READ : PROT_NONE;
	A(3) = how[o->sub];
	if (o->sub == 4 || o->sub == 5)
		A(3) |= rnd(2) ? 0 : rnd(2) ? M_FILE : M_SHARED | M_FILE;
	if (A(3) & M_FILE)
		A(4) = some_file_page(A(3) & M_DISK ? DISK : MEMFD, A(0), A(1));
}

static enum outcome run_mmap(const struct op *o)
{
	const uint32_t pg = A(0), n = A(1);
	const int how = A(3), file = how & M_DISK ? DISK : MEMFD;
	const bool sealed = file == MEMFD && files->seals & SEALS_WRITE && how & M_FILE && how & M_SHARED;
	struct run r = { .pg = pg, .n = n, .st = EMPTY, .fp = how & M_FILE ? FP(file, A(4)) : 0 };
	bool taken = false;

	for_parts(p, pg, n)
		taken |= p.st != UNMAPPED;
	if (how & M_SHARED && (rt_addr(pg) / rt_psz - A(4)) % shm_pages())
		return expect(x_mmap(pg, n, A(2), how, A(4)), -EINVAL);
	if (how & M_NOREPLACE && taken)
		return expect(x_mmap(pg, n, A(2), how, A(4)), -EEXIST);
	if (sealed && A(2) & PROT_WRITE)
		return expect(x_mmap(pg, n, A(2), how, A(4)), -EPERM);
	if (has_sealed(pg, n)) {
		/* It may have split the VMAs at the ends of the range */
		model_edges(pg, n);
		return expect(x_mmap(pg, n, A(2), how, A(4)), -EPERM);
	}
	/* It would fill all of it */
	if (n > FILL && ((lock_future && !(lock_future & AT_ONFAULT)) || (how & (M_POPULATE | M_LOCKED))))
		return SKIPPED;
	r.at = (A(2) & PROT_READ ? AT_R : 0) | (A(2) & PROT_WRITE ? AT_W : 0) | (how & M_SHARED ? AT_SHM : 0) |
	       (how & M_FILE ? AT_FILE : 0) | (how & M_DISK ? AT_DISK : 0) | (sealed ? AT_NOMAYW : 0) |
	       lock_future;
	if ((how & (M_SHARED | M_FILE)) == M_SHARED) {
		r.fp = files_shm(n);
		if (!r.fp)
			return SKIPPED;
	}
	if (how & M_LOCKED)
		r.at |= AT_LOCKED;
	if (how & (M_POPULATE | M_LOCKED))
		r.fl = F_POP;
	expect(x_mmap(pg, n, A(2), how, A(4)), 0);
	model_change(pg, n, to_unmapped, 0);
	model_set(&r);
	model_edges(pg, n);
	model_catch_up();
	if (how & (M_POPULATE | M_LOCKED) && !(r.at & AT_ONFAULT))
		populate_written(pg, n);
	return SUCCESS;
}

static void gen_munmap(struct op *o)
{
	do
		pick_whole(o, MAPPED, ~0u);
	while (!is_ours(A(0)));
}

static enum outcome run_munmap(const struct op *o)
{
	const bool sealed = has_sealed(A(0), A(1));
	int64_t r = x_munmap(A(0), A(1));

	if (sealed)
		model_edges(A(0), A(1));
	else
		model_change(A(0), A(1), to_unmapped, 0);
	return expect(r, sealed ? -EPERM : 0);
}

static void gen_mprotect(struct op *o)
{
	static const int prot[] = { PROT_NONE, PROT_READ, PROT_READ | PROT_WRITE, PROT_READ | PROT_EXEC };

	pick_whole(o, rnd(3) ? MAPPED : WRITABLE, ~0u);
	A(2) = prot[o->sub];
}

static const char *const prot_names[] = { "none", "read", "write", "exec", NULL };

static enum outcome run_mprotect(const struct op *o)
{
	const uint32_t bits = (A(2) & PROT_READ ? AT_R : 0) | (A(2) & PROT_WRITE ? AT_W : 0) |
			      (A(2) & PROT_EXEC ? AT_X : 0);
	uint32_t done = 0;
	int err = 0;
	int64_t r;

	for_parts(p, A(0), A(1)) {
		/* The file system may forbid it */
		if (bits & AT_X && p.at & AT_DISK)
			return SKIPPED;
		/* It would copy some pages, up to a guard or the end of the file */
		if (bits & AT_W && (p.at & (AT_LOCKED | AT_ONFAULT | AT_W | AT_FILE | AT_SHM)) == (AT_LOCKED | AT_FILE))
			return SKIPPED;
		if (p.st == UNMAPPED)
			err = -ENOMEM;
		else if (bits & AT_W && p.at & AT_NOMAYW)
			err = -EACCES;
		else if (p.at & AT_SEALED)
			err = -EPERM;
		if (err)
			break;
		done += p.n;
	}
	r = x_mprotect(A(0), A(1), A(2));
	if (bits & AT_W)
		model_change(A(0), done, fill_locked, 0);
	for_parts(p, A(0), done)
		attributes(p.pg, p.n, set_prot, bits);
	return expect(r, err);
}

static const char *const mremap_names[] = { "move", "grow", "shrink", "move_grow", "move_shrink", "dontunmap", NULL };

static void gen_mremap(struct op *o)
{
	uint32_t src, n, dst, m;

	do {
		pick_attr(o->sub == 1 ? BEFORE_HOLE : MAPPED, 0, rnd(8) ? 64 : ~0u, &src, &n);
	} while (!is_ours(src));
	do
		pick_attr(rnd(2) ? FREE : ANY, 0, ~0u, &dst, &m);
	while (!is_ours(dst));
	if (o->sub != 1) {
		maybe_whole(&src, &n, ~0u);
		maybe_whole(&dst, &m, ~0u);
	}
	/* A page table or a huge guard moves as it is, if all of it does to such a place */
	if (o->sub != 1 && !rnd(4)) {
		dst = src = some_table();
		for (int i = 0; i < 8 && runs[model_find(src)].st != GUARD; i++)
			src = some_table();
		n = rt_ppt;
	}
	switch (o->sub) {
	case 1: {
		/* In place, it can grow up to the next mapping */
		const struct run *r = &runs[model_find(src)];

		n = r->pg + r->n - src;
		m = n + 1 + rnd(32);
		A(4) = 0;
		dst = src;
		break;
	}
	case 2:
		m = 1 + rnd(n);
		A(4) = 0;
		dst = src;
		break;
	case 3:
		m = n + 1 + rnd(32);
		A(4) = MREMAP_MAYMOVE | MREMAP_FIXED;
		break;
	case 4:
		m = 1 + rnd(n);
		A(4) = MREMAP_MAYMOVE | MREMAP_FIXED;
		break;
	case 5:
		m = n;
		A(4) = MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP;
		break;
	default:
		m = n;
		A(4) = MREMAP_MAYMOVE | MREMAP_FIXED;
	}
	A(0) = src;
	A(1) = n;
	A(2) = dst;
	A(3) = m;
	/* Not beyond the window */
	if (OFF(A(2)) + m > rt_win[WIN(A(2))].pages) {
		if (m > rt_win[WIN(A(2))].pages)
			A(2) = PG(WIN(A(2)), 0);
		else if (A(4) & MREMAP_FIXED)
			A(2) = PG(WIN(A(2)), rt_win[WIN(A(2))].pages - m);
	}
}

static enum outcome run_mremap(const struct op *o)
{

	static struct run moved[MAX_RUNS];
	const uint32_t src = A(0), n = A(1), dst = A(2), m = A(3), move = n < m ? n : m;
	const struct run first = runs[model_find(src)];
	const uint32_t end_fp = is_anon(&first) ? 0 : first.fp + (src - first.pg) + m;
	const int flags = A(4);
	bool overlap;
	int nr = 0;

	if (!is_ours(src) || !is_ours(dst) || OFF(src) + n > rt_win[WIN(src)].pages ||
	    OFF(dst) + m > rt_win[WIN(dst)].pages)
		return SKIPPED;
	if ((flags & MREMAP_DONTUNMAP) && n != m)
		return SKIPPED;
	/* If two arguments are wrong, the error depends on the kernel */
	overlap = flags & MREMAP_FIXED && WIN(src) == WIN(dst) && OFF(src) < OFF(dst) + m &&
		  OFF(dst) < OFF(src) + n;
	if (overlap && (first.st == UNMAPPED || (first.at & AT_SEALED)))
		return SKIPPED;
	if (mainline && (first.at & AT_SEALED) && !one_vma(src, n))
		return SKIPPED;
	if (first.st == UNMAPPED && !(flags & MREMAP_DONTUNMAP))
		return expect(x_mremap(src, n, dst, m, flags), -EFAULT);
	if (first.at & AT_SEALED)
		return expect(x_mremap(src, n, dst, m, flags), -EPERM);
	/* Beyond the end of shared memory, there is nothing */
	if (!one_vma(src, n) || ((first.at & (AT_SHM | AT_FILE)) == AT_SHM && m > n))
		return SKIPPED;
	if ((first.at & AT_FILE) && end_fp - FP(run_file(&first), 0) > FILE_PAGES)
		return SKIPPED;
	if (m > n && (first.at & AT_LOCKED) && !(first.at & AT_ONFAULT) &&
	    (m > n + FILL || (first.at & (AT_FILE | AT_SHM)) == AT_FILE))
		return SKIPPED;
	/* The kernel refuses it, before or after unmapping the target */
	if (flags & MREMAP_FIXED && first.at & AT_SHM && (rt_addr(src) - rt_addr(dst)) / rt_psz % shm_pages())
		return SKIPPED;

	/*
	 * Beside memory that userfaultfd watches, the two merge before the kernel
	 * unregisters the new one, which may hit both or none.
	 */
	if (flags & MREMAP_FIXED && first.at & AT_UFFD &&
	    ((OFF(dst) && runs[model_find(dst - 1)].at & AT_UFFD) ||
	     (OFF(dst) + m < rt_win[WIN(dst)].pages && runs[model_find(dst + m)].at & AT_UFFD)))
		return SKIPPED;
	/* It unlocks the source; some kernels unlock all of that VMA, or more */
	if (mainline && (flags & MREMAP_DONTUNMAP) && (first.at & AT_LOCKED))
		return SKIPPED;

	if (!(flags & MREMAP_FIXED)) {
		struct run tail = { .pg = src + n, .n = m - n, .st = EMPTY, .at = first.at,
				    .fl = first.at & AT_LOCKED ? F_POP : 0, .fp = end_fp - (m - n) };
		bool room = true;

		if (m <= n) {
			expect(x_mremap(src, n, dst, m, flags), 0);
			model_change(src + m, n - m, to_unmapped, 0);
			return SUCCESS;
		}
		for_parts(r, src + n, m - n)
			room &= r.st == UNMAPPED;
		if (!followed_by_hole(src, n) || !room)
			return expect(x_mremap(src, n, dst, m, flags), -ENOMEM);
		expect(x_mremap(src, n, dst, m, flags), 0);
		model_set(&tail);
		model_edges(tail.pg + tail.n, 0);
		model_catch_up();
		return SUCCESS;
	}

	if (overlap)
		return expect(x_mremap(src, n, dst, m, flags), -EINVAL);
	if (has_sealed(dst, m)) {
		model_edges(dst, m);
		return expect(x_mremap(src, n, dst, m, flags), -EPERM);
	}
	expect(x_mremap(src, n, dst, m, flags), 0);
	for_parts(r, src, move)
		moved[nr++] = r;
	model_change(dst, m, to_unmapped, 0);
	for (int i = 0; i < nr; i++) {
		struct run r = moved[i];

		r.pg = r.pg - src + dst;
		r.at &= ~AT_UFFD;
		/* Without the event for moves, the registration does not move along */
		if (r.fl & F_WP && r.st == EMPTY)
			r.fl |= F_POP;
		r.fl &= ~(F_WP | F_WPQ);
		if (moved[i].at & AT_UFFD && r.st == EMPTY && (r.at & AT_HUGE))
			r.fl |= F_POP;
		model_set(&r);
	}
	if (m > n) {
		struct run tail = { .pg = dst + n, .n = m - n, .st = EMPTY, .at = first.at & ~AT_UFFD,
				    .fl = first.at & AT_LOCKED ? F_POP : 0, .fp = end_fp - (m - n) };

		model_set(&tail);
	}
	model_edges(dst, m);
	model_catch_up();
	if (flags & MREMAP_DONTUNMAP) {
		attributes(src, n, set_lock, 0);
		model_change(src, n, to_empty, 0);
	} else {
		model_change(src, n, to_unmapped, 0);
	}
	return SUCCESS;
}

static void gen_mseal(struct op *o)
{
	do
		pick(o, MAPPED, 8);
	while (!is_ours(A(0)));
}

static enum outcome run_mseal(const struct op *o)
{
	bool hole = false;
	int64_t r;

	if (!is_ours(A(0)))
		return SKIPPED;
	for_parts(p, A(0), A(1))
		hole |= p.st == UNMAPPED;
	r = x_mseal(A(0), A(1));
	if (!hole)
		for_parts(p, A(0), A(1))
			attributes(p.pg, p.n, set_attr, AT_SEALED);
	return expect(r, hole ? -ENOMEM : 0);
}

static void gen_name(struct op *o)
{
	pick(o, ANON, ~0u);
	A(2) = rnd(2);
}

static enum outcome run_name(const struct op *o)
{
	int err = 0;
	int64_t r;

	for_parts(p, A(0), A(1))
		if (!is_anon(&p))
			return SKIPPED;
	r = x_name(A(0), A(1), A(2));
	for_parts(p, A(0), A(1)) {
		if (p.st == UNMAPPED)
			err = -ENOMEM;
		else
			attributes(p.pg, p.n, A(2) ? set_attr : clear_attr, AT_NAME);
	}
	return expect(r, err);
}

static void gen_brk(struct op *o)
{
	A(0) = rnd(rt_win[W_BRK].pages + 1);
}

static enum outcome run_brk(const struct op *o)
{
	const uint32_t now = A(0);

	if (lock_future && !(lock_future & AT_ONFAULT))
		return SKIPPED;
	expect(x_brk(now), 0);
	if (now < brk_pages) {
		bool some = false;

		for_parts(p, PG(W_BRK, now), brk_pages - now)
			some |= p.st != UNMAPPED;
		/* If nothing is mapped below, Linux does not move the end, and libc returns 0 */
		if (!some)
			return SUCCESS;
		model_change(PG(W_BRK, now), brk_pages - now, to_unmapped, 0);
	} else if (now > brk_pages) {
		struct run r = { .pg = PG(W_BRK, brk_pages), .n = now - brk_pages, .st = EMPTY,
				 .at = AT_R | AT_W | lock_future };

		model_set(&r);
		model_edges(r.pg, r.n);
	}
	brk_pages = now;
	return SUCCESS;
}

/* --- Accesses ------------------------------------------------------------- */

static void gen_read(struct op *o)
{
	pick(o, rnd(6) ? READABLE : rnd(2) ? GUARDS : ANY, rnd(16) ? 4 : 32);
}

static void gen_write(struct op *o)
{
	uint32_t pg, n;

	pick_attr(rnd(6) ? WRITABLE : rnd(2) ? GUARDS : rnd(4) ? ANY : ATTR, AT_HUGE, rnd(32) ? 4 : FILL, &pg, &n);
	A(0) = pg;
	A(1) = n;
	A(2) = new_id(A(1));
	/* Else the same in each page, for KSM */
	A(3) = rnd(6) ? 1 : 0;
}

static enum outcome after_read(const struct op *o, uint32_t ok)
{
	compare(A(0), ok, rt_seen);
	model_change(A(0), ok, populate, 0);
	return ok ? SUCCESS : FAILURE;
}

static enum outcome after_write(const struct op *o, uint32_t ok)
{
	wrote(A(0), ok, A(2), A(3));
	return ok ? SUCCESS : FAILURE;
}

static void fault_is_right(uint32_t pg, int sig)
{
	if (rt_fault.addr != rt_addr(pg) || (sig == SIGSEGV && runs[model_find(pg)].st != UNMAPPED &&
					     rt_fault.code != SEGV_ACCERR && !mainline))
		diverge(W_OTHER, pg, 0, 0, 0, "the fault is at %#lx with code %d, not at %#lx",
			(unsigned long)rt_fault.addr, rt_fault.code, (unsigned long)rt_addr(pg));
}

/* By the program, until a signal, which may come in a write-protected empty page */
static enum outcome run_access(const struct op *o, bool write)
{
	uint32_t ok;
	int64_t r;
	int why;

	ok = accessible(A(0), A(1), write, false, &why);
	if (why < 0)
		return SKIPPED;
	r = write ? x_write(A(0), A(1), A(2), A(3)) : x_read(A(0), A(1));
	expect(r, ok | (int64_t)why << 32);
	if (why) {
		const struct run *at = &runs[model_find(A(0) + ok)];

		fault_is_right(A(0) + ok, why);
		if (write && store_fills(at))
			model_change(A(0) + ok, 1, populate, 0);
		if (at->st == GUARD)
			sh->seen[write ? SEEN_WRITE_SEGV : SEEN_READ_SEGV]++;
	}
	return write ? after_write(o, ok) : after_read(o, ok);
}

static enum outcome run_read(const struct op *o)
{
	return run_access(o, false);
}

static enum outcome run_write(const struct op *o)
{
	return run_access(o, true);
}

/* By the kernel: returns the pages done, or an error if there are none */
static enum outcome run_kernel(const struct op *o, bool write, bool force, int err,
			       int64_t (*get)(uint32_t, uint32_t),
			       int64_t (*put)(uint32_t, uint32_t, uint32_t, uint32_t))
{
	uint32_t ok;
	int64_t r;
	int why;

	ok = accessible(A(0), A(1), write, force, &why);
	if (why < 0)
		return SKIPPED;
	r = write ? put(A(0), A(1), A(2), A(3)) : get(A(0), A(1));
	expect(r, why ? far_or(ok, err) : ok);
	if (why) {
		const struct run *at = &runs[model_find(A(0) + ok)];

		if (at->st == GUARD)
			sh->seen[SEEN_EFAULT]++;
		if (write && store_fills(at))
			model_change(A(0) + ok, 1, populate, 0);
	}
	return write ? after_write(o, ok) : after_read(o, ok);
}

static void gen_kernel_read(struct op *o)
{
	pick(o, rnd(4) ? READABLE : rnd(2) ? GUARDS : ANY, rnd(8) ? 3 : 16);
}

static void gen_kernel_write(struct op *o)
{
	pick(o, rnd(4) ? WRITABLE : rnd(2) ? GUARDS : ANY, rnd(8) ? 3 : 16);
	A(2) = new_id(A(1));
	A(3) = rnd(4) ? 1 : 0;
}

static enum outcome run_pipe_from(const struct op *o)
{
	return run_kernel(o, false, false, -EFAULT, x_pipe_from, NULL);
}

static enum outcome run_pipe_to(const struct op *o)
{
	return run_kernel(o, true, false, -EFAULT, NULL, x_pipe_to);
}

static enum outcome run_vm_readv(const struct op *o)
{
	return run_kernel(o, false, false, -EFAULT, x_vm_readv, NULL);
}

static enum outcome run_vm_writev(const struct op *o)
{
	return run_kernel(o, true, false, -EFAULT, NULL, x_vm_writev);
}

static enum outcome run_mem_read(const struct op *o)
{
	return run_kernel(o, false, has & HAS_FORCE, -EIO, x_mem_read, NULL);
}

static enum outcome run_mem_write(const struct op *o)
{
	return run_kernel(o, true, has & HAS_FORCE, -EIO, NULL, x_mem_write);
}

static void gen_futex(struct op *o)
{
	pick(o, rnd(2) ? READABLE : GUARDS, 1);
}

static enum outcome run_futex(const struct op *o)
{
	uint32_t ok;
	int why;

	ok = accessible(A(0), 1, false, false, &why);
	if (why < 0)
		return SKIPPED;
	expect(x_futex(A(0)), ok ? -EAGAIN : -EFAULT);
	model_change(A(0), ok, populate, 0);
	return ok ? SUCCESS : FAILURE;
}

/* --- mlock ---------------------------------------------------------------- */

static const char *const mlock_names[] = { "fill", "onfault", NULL };

static void gen_mlock(struct op *o)
{
	pick(o, o->sub || rnd(8) ? MAPPED : GUARDS, o->sub ? ~0u : 16);
	A(2) = o->sub ? MLOCK_ONFAULT : 0;
}

static enum outcome run_mlock(const struct op *o)
{
	const uint32_t bits = AT_LOCKED | (A(2) ? AT_ONFAULT : 0);
	uint32_t mapped = 0;
	int err = 0;
	int64_t r;

	for_parts(p, A(0), A(1)) {
		if (p.st == UNMAPPED) {
			err = -ENOMEM;
			break;
		}
		mapped += p.n;
	}
	/* It fills each VMA, for writing if that is permitted, until one fails */
	if (!err && !A(2)) {
		for_parts(p, A(0), A(1)) {
			int why = model_access(&p, p.at & AT_W && !(p.at & AT_SHM), false);

			if (why < 0 || (p.at & AT_HUGE && A(1) > 2 * rt_ppt))
				return SKIPPED;
			if (why && !err)
				err = -ENOMEM;
		}
		/* How far it gets determines what is copied */
		if (err && any_copies(A(0), A(1)))
			return SKIPPED;
	}
	r = x_mlock(A(0), A(1), A(2));
	for_parts(p, A(0), mapped)
		attributes(p.pg, p.n, set_lock, bits);
	if (!A(2) && err)
		model_change(A(0), mapped, populate, 0);
	else if (!A(2))
		populate_written(A(0), A(1));
	return expect(r, err);
}

static void gen_munlock(struct op *o)
{
	pick(o, LOCKED, ~0u);
}

static enum outcome run_munlock(const struct op *o)
{
	uint32_t mapped = 0;
	int err = 0;
	int64_t r;

	for_parts(p, A(0), A(1)) {
		if (p.st == UNMAPPED) {
			err = -ENOMEM;
			break;
		}
		mapped += p.n;
	}
	r = x_munlock(A(0), A(1));
	for_parts(p, A(0), mapped)
		attributes(p.pg, p.n, set_lock, 0);
	return expect(r, err);
}

static void gen_mlockall(struct op *o)
{
	A(0) = MCL_CURRENT | MCL_ONFAULT | (rnd(2) ? MCL_FUTURE : 0);
}

static void lock_all(uint32_t bits)
{
	for (int w = 0; w < NR_WIN; w++)
		for_parts(r, PG(w, 0), rt_win[w].pages)
			attributes(r.pg, r.n, set_lock, bits);
}

static enum outcome run_mlockall(const struct op *o)
{
	expect(x_mlockall(A(0)), 0);
	lock_all(AT_LOCKED | AT_ONFAULT);
	lock_future = A(0) & MCL_FUTURE ? AT_LOCKED | AT_ONFAULT : 0;
	return SUCCESS;
}

static enum outcome run_munlockall(const struct op *o)
{
	(void)o;
	expect(x_munlockall(), 0);
	lock_all(0);
	lock_future = 0;
	return SUCCESS;
}

/* --- Files ---------------------------------------------------------------- */

static const char *const msync_names[] = { "sync", "async", "invalidate", NULL };

static void gen_msync(struct op *o)
{
	pick(o, rnd(4) ? HELD : ANY, 2048);
	A(2) = o->sub == 0 ? MS_SYNC : o->sub == 1 ? MS_ASYNC : MS_SYNC | MS_INVALIDATE;
}

static enum outcome run_msync(const struct op *o)
{
	int err = 0;

	for_parts(r, A(0), A(1)) {
		if (r.st == UNMAPPED)
			err = -ENOMEM;
		if (r.st == UNMAPPED && A(2) == MS_ASYNC)
			break;
		if (A(2) & MS_INVALIDATE && r.at & AT_LOCKED) {
			err = -EBUSY;
			break;
		}
	}
	return expect(x_msync(A(0), A(1), A(2)), err);
}

static const char *const file_names[] = { "memfd", "disk", NULL };

/* Mostly a part that is mapped */
static void gen_file(struct op *o)
{
	uint32_t pg, n, page;

	A(0) = o->sub;
	pick_attr(FILES, 0, 16, &pg, &n);
	const struct run *r = &runs[model_find(pg)];

	page = (r->at & AT_FILE) && run_file(r) == (int)A(0) ? r->fp + (pg - r->pg) - FP(A(0), 0) : rnd(64);
	if (rnd(2) && page + n < FILE_PAGES)
		page += rnd(4);
	A(1) = page > FILE_PAGES - 16 ? 0 : page;
	A(2) = n;
	if (is_op(o, "file_write")) {
		A(3) = new_id(n);
		A(4) = 1;
	} else if (is_op(o, "punch") && !rnd(8)) {
		A(2) = 1 + rnd(FILE_PAGES - A(1));
	}
}

static void gen_truncate(struct op *o)
{
	struct op *back;
	uint32_t pg, n;

	gen_file(o);
	if (!rnd(4)) {
		A(1) = FILE_PAGES;
		return;
	}
	if (!rnd(3))
		return;
	/* Have guards beyond the end at times */
	if (rnd(2)) {
		pick_attr(FILES, 0, 64, &pg, &n);
		advice(next_op(), pg, n, V_POISON);
	}
	back = next_op();
	back->code = o->code;
	back->sub = o->sub;
	back->a[0] = A(0);
	back->a[1] = FILE_PAGES;
}

static enum outcome run_truncate(const struct op *o)
{
	const uint32_t old = files->pages[A(0)], new = A(1);

	if (A(0) == MEMFD && ((new < old && files->seals & F_SEAL_SHRINK) || (new > old && files->seals & F_SEAL_GROW)))
		return expect(x_truncate(A(0), new), -EPERM);
	expect(x_truncate(A(0), new), 0);
	files_truncate(A(0), new);
	model_catch_up();
	return SUCCESS;
}

static enum outcome run_punch(const struct op *o)
{
	int err = A(0) == MEMFD && files->seals & SEALS_WRITE ? -EPERM : 0;

	expect(x_punch(A(0), A(1), A(2)), err);
	if (!err)
		files_clear(FP(A(0), A(1)), A(2));
	return err ? FAILURE : SUCCESS;
}

/* The pages of the range that are within the file */
static uint32_t within(const struct op *o)
{
	const uint32_t size = files->pages[A(0)];

	return A(1) >= size ? 0 : A(2) > size - A(1) ? size - A(1) : A(2);
}

static enum outcome run_file_read(const struct op *o)
{
	const uint32_t n = within(o);

	expect(x_file_read(A(0), A(1), A(2)), n);
	for (uint32_t i = 0; i < n; i++) {
		const uint32_t id = files->id[FP(A(0), A(1)) + i];

		if (rt_seen[i][0] != id || rt_seen[i][1] != last_of(id))
			diverge(W_FILE, 0, A(0), A(1) + i, id, "page %u of the file has %#x %#x, not %#x",
				(uint32_t)A(1) + i, rt_seen[i][0], rt_seen[i][1], id);
	}
	return n ? SUCCESS : FAILURE;
}

static enum outcome run_file_write(const struct op *o)
{
	/* It would make the file longer */
	if (within(o) < A(2))
		return SKIPPED;
	if (A(0) == MEMFD && files->seals & SEALS_WRITE)
		return expect(x_file_write(A(0), A(1), A(2), A(3), A(4)), -EPERM);
	expect(x_file_write(A(0), A(1), A(2), A(3), A(4)), A(2));
	files_write(FP(A(0), A(1)), A(2), A(3), A(4));
	return SUCCESS;
}

static enum outcome run_fadvise(const struct op *o)
{
	return expect(x_fadvise(A(0), A(1), A(2)), 0);
}

static const char *const seal_names[] = { "shrink", "grow", "future_write", "write", NULL };

static void gen_seal(struct op *o)
{
	static const int seals[] = { F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_FUTURE_WRITE, F_SEAL_WRITE };

	struct op *again;

	A(0) = seals[o->sub];
	if (A(0) != F_SEAL_WRITE || depth || rnd(2))
		return;
	/* It needs a file that nobody can write to */
	for (int w = 0; w < W_BRK; w++) {
		struct op *unmap = next_op();

		unmap->code = code_of("munmap");
		unmap->a[0] = PG(w, 0);
		unmap->a[1] = rt_win[w].pages;
	}
	again = next_op();
	again->code = o->code;
	again->sub = o->sub;
	again->a[0] = A(0);
}

static enum outcome run_seal(const struct op *o)
{
	int64_t r = x_seal(A(0));
	bool writable = false;

	/* Not while a mapping may write to it; a parent may have one too */
	if (A(0) == F_SEAL_WRITE && !(files->seals & F_SEAL_WRITE)) {
		for (int i = 0; i < nr_runs; i++)
			writable |= (runs[i].at & (AT_FILE | AT_DISK | AT_SHM | AT_NOMAYW)) == (AT_FILE | AT_SHM);
		if (r == -EBUSY && (writable || depth))
			return FAILURE;
		if (writable)
			expect(r, -EBUSY);
	}
	files->seals |= A(0);
	return expect(r, 0);
}

/* --- userfaultfd ---------------------------------------------------------- */

static const char *const register_names[] = { "missing", "wp", "both", "async", NULL };

static void gen_register(struct op *o)
{
	static const int mode[] = { U_MISSING, U_WP, U_MISSING | U_WP, U_ASYNC };

	pick(o, UNWATCHED, 512);
	A(2) = mode[o->sub];
}

static void watched(struct run *r, uint32_t bits)
{
	if (r->st != UNMAPPED)
		r->at |= bits;
}

static enum outcome run_register(const struct op *o)
{
	const uint32_t bits = (A(2) & U_MISSING ? AT_MISS : 0) | (A(2) & U_WP ? AT_WP : 0) |
			      (A(2) & U_ASYNC ? AT_ASYNC : 0);

	/* A change of mode or monitor is not modelled */
	for_parts(r, A(0), A(1))
		if (r.st == UNMAPPED || !is_anon(&r) || (r.at & AT_UFFD))
			return SKIPPED;
	expect(x_uffd_register(A(0), A(1), A(2)), 0);
	for_parts(r, A(0), A(1))
		attributes(r.pg, r.n, watched, bits);
	return SUCCESS;
}

static void gen_unregister(struct op *o)
{
	uint32_t pg, n;

	pick_attr(ATTR, o->sub ? AT_ASYNC : AT_MISS | AT_WP, 2048, &pg, &n);
	A(0) = pg;
	A(1) = n;
	A(2) = o->sub;
}

static const char *const sync_names[] = { "sync", "async", NULL };

static void unwatched(struct run *r, uint32_t arg)
{
	(void)arg;
	r->at &= ~AT_UFFD;
	/* The marker of an empty page goes, but a page that was filled stays */
	r->fl &= ~(F_WP | F_WPQ);
}

static enum outcome run_unregister(const struct op *o)
{
	for_parts(r, A(0), A(1))
		if (r.st == UNMAPPED || !is_anon(&r) ||
		    (r.at & (A(2) ? AT_MISS | AT_WP : AT_ASYNC)))
			return SKIPPED;
	/* Newer kernels accept only the monitor that registered, for all of the range */
	for_parts(r, A(0), A(1))
		if (!(r.at & AT_UFFD))
			return SKIPPED;
	expect(x_uffd_unregister(A(0), A(1), A(2)), 0);
	for_parts(r, A(0), A(1))
		attributes(r.pg, r.n, unwatched, 0);
	return SUCCESS;
}

/*
 * The number of pages that an ioctl fills which fills only empty pages. *err is
 * the error that ends it, 0 or -EEXIST, or 1 if that is not known.
 */
static uint32_t fillable(uint32_t pg, uint32_t n, bool over_marker, bool over_guard, int *err)
{
	uint32_t done = 0;

	for_parts(r, pg, n) {
		*err = 0;
		if (r.st == LAZY || (r.st == EMPTY && (r.fl & F_POP)))
			*err = 1;
		else if (r.st == EMPTY && (r.fl & F_WP))
			*err = over_marker ? 0 : -EEXIST;
		else if (r.st == ERROR && over_marker)
			/* This is a marker as well, unless a memory failure lost the page */
			*err = has & HAS_MCE ? 1 : 0;
		else if (r.st == GUARD)
			*err = over_guard ? 0 : -EEXIST;
		else if (r.st != EMPTY)
			*err = -EEXIST;
		if (*err)
			return done;
		done += r.n;
	}
	return done;
}

static void gen_copy(struct op *o)
{
	pick(o, rnd(4) ? WATCHED_EMPTY : WATCHED_GUARD, 8);
	A(2) = new_id(A(1));
	A(3) = 1;
	A(4) = runs[model_find(A(0))].at & AT_WP && rnd(2);
}


static enum outcome run_copy(const struct op *o)
{
	const uint32_t at = runs[model_find(A(0))].at;
	uint32_t done;
	int err;

	if (!one_vma(A(0), A(1)) || !(at & (AT_MISS | AT_WP)) || (A(4) && !(at & AT_WP)))
		return SKIPPED;
	done = fillable(A(0), A(1), true, mainline, &err);
	if (err > 0)
		return SKIPPED;
	expect(x_uffd_copy(A(0), A(1), A(2), A(3), A(4)), far_or(done, err));
	for_parts(r, A(0), done) {
		wrote(r.pg, r.n, A(2) + (r.pg - A(0)) * A(3), A(3));
		if (A(4)) {
			struct run p = runs[model_find(r.pg)];

			p.id = A(2) + (r.pg - A(0)) * A(3);
			p.pg = r.pg;
			p.n = r.n;
			p.fl = (p.fl & ~F_EDGE) | F_WP | (A(3) ? F_STEP : 0);
			model_set(&p);
		}
	}
	return done ? SUCCESS : FAILURE;
}

static void gen_zeropage(struct op *o)
{
	pick(o, rnd(4) ? WATCHED_EMPTY : WATCHED_GUARD, 8);
}

static enum outcome run_zeropage(const struct op *o)
{
	const uint32_t at = runs[model_find(A(0))].at;
	uint32_t done;
	int err;

	if (!one_vma(A(0), A(1)) || !(at & (AT_MISS | AT_WP)))
		return SKIPPED;
	done = fillable(A(0), A(1), false, false, &err);
	if (err > 0)
		return SKIPPED;
	expect(x_uffd_zeropage(A(0), A(1)), far_or(done, err));
	model_change(A(0), done, populate, 0);
	return done ? SUCCESS : FAILURE;
}

static void to_error(struct run *r, uint32_t arg)
{
	(void)arg;
	r->st = ERROR;
	r->fl &= F_EDGE;
}

static enum outcome run_uffd_poison(const struct op *o)
{
	const uint32_t at = runs[model_find(A(0))].at;
	uint32_t done;
	int err;

	if (!one_vma(A(0), A(1)) || !(at & (AT_MISS | AT_WP)))
		return SKIPPED;
	done = fillable(A(0), A(1), false, false, &err);
	if (err > 0)
		return SKIPPED;
	expect(x_uffd_poison(A(0), A(1)), far_or(done, err));
	model_change(A(0), done, to_error, 0);
	return done ? SUCCESS : FAILURE;
}

static void gen_wp(struct op *o)
{
	pick(o, WATCHED_WP, 512);
	A(2) = !o->sub;
}

static const char *const wp_names[] = { "on", "off", NULL };

static void protect(struct run *r, uint32_t on)
{
	if (r->st == UNMAPPED || r->st == GUARD || r->st == ERROR || (r->at & AT_ASYNC))
		return;
	r->fl &= ~(F_WP | F_WPQ);
	if (on)
		r->fl |= F_WP | (r->st == LAZY ? F_WPQ : 0);
}

static enum outcome run_wp(const struct op *o)
{
	uint32_t done = 0;
	int err = -ENOENT;

	for_parts(r, A(0), A(1)) {
		if (r.st != UNMAPPED && !(r.at & (AT_WP | AT_ASYNC))) {
			err = -ENOENT;
			break;
		}
		if (r.st != UNMAPPED)
			err = 0;
		done += r.n;
	}
	expect(x_uffd_wp(A(0), A(1), A(2)), err);
	model_change(A(0), done, protect, A(2));
	return err ? FAILURE : SUCCESS;
}

static void gen_move(struct op *o)
{
	uint32_t pg, n;

	pick_attr(rnd(16) ? MOVE_TO : WATCHED_GUARD, 0, rnd(2) ? 1 : 8, &pg, &n);
	A(0) = pg;
	A(2) = n;
	pick_attr(rnd(8) ? MOVABLE : GUARDS, 0, 8, &pg, &n);
	A(1) = pg;
	if (A(2) > n)
		A(2) = n;
	A(3) = rnd(2);
}

static enum outcome run_move(const struct op *o)
{
	const uint32_t dst = A(0), src = A(1), n = A(2);
	const struct run d = runs[model_find(dst)], s = runs[model_find(src)];
	const uint32_t same = AT_R | AT_W | AT_LOCKED;
	struct run moved[8];
	uint32_t done = 0;
	int64_t r;
	int err = 0;

	if (n > 8 || OFF(src) + n > rt_win[WIN(src)].pages || OFF(dst) + n > rt_win[WIN(dst)].pages ||
	    (WIN(src) == WIN(dst) && OFF(src) < OFF(dst) + n && OFF(dst) < OFF(src) + n))
		return SKIPPED;
	if (!one_vma(dst, n) || !one_vma(src, n) || !(d.at & (AT_MISS | AT_WP)) || !is_anon(&s) ||
	    (d.at & same) != (s.at & same) || !(s.at & AT_W))
		return SKIPPED;
	for (; done < n; done++) {
		struct run from = runs[model_find(src + done)], to = runs[model_find(dst + done)];

		from.id = run_id(&from, src + done - from.pg);
		moved[done] = from;
		/* It may refuse if either may be merged or huge */
		if ((to.fl & F_POP && to.st == EMPTY) || to.st == LAZY || from.st == LAZY || from.fl & F_SHARED ||
		    ((from.at | to.at) & (AT_MERGE | AT_HUGE)) || (from.st == EMPTY && from.fl & F_POP && !A(3)))
			return SKIPPED;
		/* The result depends on the protection, which the model may not know */
		if (from.fl & (F_WP | F_WPQ) || (from.at & AT_ASYNC && from.st != GUARD))
			return SKIPPED;
		/* With two reasons to fail, the existing tables and huge guards determine the first */
		if ((to.st != EMPTY || to.fl & F_WP) &&
		    ((from.st == EMPTY && !A(3)) || (from.st == GUARD && has & HAS_HUGEGUARD)))
			return SKIPPED;
		if (to.st != EMPTY || to.fl & F_WP)
			err = -EEXIST;
		else if (from.st == EMPTY)
			err = from.fl & F_POP || A(3) ? 0 : -ENOENT;
		else if (from.st == GUARD || from.st == ERROR)
			err = -EFAULT;
		if (err)
			break;
	}
	r = x_uffd_move(dst, src, n, A(3));
	/* It may also find a page busy; then trust its number of moved pages */
	if (r == -EBUSY || r == -EAGAIN || (r >= 0 && r < done)) {
		done = r < 0 ? 0 : r;
	} else {
		expect(r, far_or(done, err));
	}
	for (uint32_t i = 0; i < done; i++) {
		struct run to = runs[model_find(dst + i)];

		if (moved[i].st == DATA) {
			wrote(dst + i, 1, moved[i].id, 1);
			model_change(src + i, 1, to_empty, 0);
		} else {
			to.pg = dst + i;
			to.n = 1;
			to.fl |= F_POP;
			model_set(&to);
		}
	}
	return done ? SUCCESS : FAILURE;
}

static void gen_fault(struct op *o)
{
	pick(o, PLAIN_EMPTY, 8);
	A(2) = new_id(A(1));
}

static enum outcome run_fault(const struct op *o)
{
	int64_t faults = 0;

	if (!one_vma(A(0), A(1)))
		return SKIPPED;
	for_parts(r, A(0), A(1)) {
		if (!is_anon(&r) || (r.at & AT_UFFD) || !(r.at & AT_R) || r.st == LAZY ||
		    (r.st == EMPTY && r.fl & F_POP))
			return SKIPPED;
		if (r.st == EMPTY)
			faults += r.n;
	}
	expect(x_uffd_fault(A(0), A(1), A(2)), faults);
	for_parts(r, A(0), A(1))
		if (r.st == EMPTY)
			wrote(r.pg, r.n, A(2) + r.pg - A(0), 1);
	/* It has been unregistered */
	model_edges(A(0), A(1));
	return faults ? SUCCESS : FAILURE;
}

static void gen_event(struct op *o)
{
	pick(o, rnd(2) ? UNWATCHED : MAPPED, 64);
}

static enum outcome run_event(const struct op *o)
{
	uint32_t stop;

	if (mainline || !one_vma(A(0), A(1)) || madvise_model(A(0), A(1), V_POISON, &stop))
		return SKIPPED;
	/* What can never be written cannot be watched */
	for_parts(r, A(0), A(1))
		if (r.at & (AT_UFFD | AT_DISK | AT_NOMAYW))
			return SKIPPED;
	expect(x_uffd_event(A(0), A(1)), A(1));
	model_change(A(0), A(1), to_guard, 0);
	model_edges(A(0), A(1));
	return SUCCESS;
}

/* --- What is seen of it --------------------------------------------------- */

static void gen_scan(struct op *o)
{
	uint32_t pg, n;

	pick_attr(o->sub ? WATCHED_WP : rnd(2) ? ANON : ATTR, AT_HUGE, 512, &pg, &n);
	A(0) = pg;
	A(1) = n;
	A(2) = o->sub;
}

static const char *const scan_names[] = { "get", "wp_written", "wp_all", NULL };

static enum outcome run_scan(const struct op *o)
{
	int64_t r = x_scan(A(0), A(1), A(2));

	if (r < 0)
		expect(r, 0);
	for_parts(p, A(0), A(1)) {
		for (uint32_t i = 0; i < p.n; i++) {
			const uint64_t c = rt_scanned[p.pg - A(0) + i];

			if (c & 64)
				sh->seen[SEEN_HUGE]++;
			if (c & 2)
				sh->seen[SEEN_WRITTEN]++;
			/* Only its own category and those of the VMA: WPALLOWED, SOFT_DIRTY */
			if (!A(2) && has & HAS_GUARDBIT && (p.st == GUARD) != !!(c & 256))
				diverge(W_OTHER, p.pg + i, 0, 0, 0, "PAGEMAP_SCAN has it in categories %#llx",
					(unsigned long long)c);
			if (p.st == GUARD && !mainline && (c & ~0x181ull))
				diverge(W_OTHER, p.pg + i, 0, 0, 0, "PAGEMAP_SCAN has a guard in categories %#llx",
					(unsigned long long)c);
			if (p.st == DATA && !A(2) && !(c & 24))
				diverge(W_OTHER, p.pg + i, 0, 0, 0, "PAGEMAP_SCAN has contents in categories %#llx",
					(unsigned long long)c);
		}
	}
	return SUCCESS;
}

static void gen_clear_refs(struct op *o)
{
	A(0) = o->sub ? 4 : 1;
}

static const char *const refs_names[] = { "referenced", "soft_dirty", NULL };

static enum outcome run_clear_refs(const struct op *o)
{
	return expect(x_clear_refs(A(0)), 0);
}

static void gen_soft_dirty(struct op *o)
{
	pick(o, CONTENTS, 1);
	A(1) = new_id(1);
}

static enum outcome run_soft_dirty(const struct op *o)
{
	const struct run r = runs[model_find(A(0))];

	if (r.st != DATA || model_access(&r, true, false) || !is_anon(&r))
		return SKIPPED;
	expect(x_soft_dirty(A(0), A(1)), 2);
	wrote(A(0), 1, A(1), 1);
	return SUCCESS;
}

static void gen_mincore(struct op *o)
{
	pick(o, rnd(2) ? GUARDS : MAPPED, 64);
}

static enum outcome run_mincore(const struct op *o)
{
	bool hole = false;

	for_parts(r, A(0), A(1))
		hole |= r.st == UNMAPPED;
	expect(x_mincore(A(0), A(1)), hole ? -ENOMEM : 0);
	if (hole)
		return FAILURE;
	for_parts(r, A(0), A(1)) {
		if (r.st != GUARD && !(r.st == EMPTY && !(r.fl & (F_POP | F_WP)) && is_anon(&r)))
			continue;
		if (mainline && !is_anon(&r))
			continue;
		for (uint32_t i = 0; i < r.n; i++)
			if (rt_core[r.pg - A(0) + i] & 1)
				diverge(W_MINCORE, r.pg + i, 0, 0, 0, "mincore says that it is resident");
	}
	return SUCCESS;
}

static void gen_move_pages(struct op *o)
{
	/* A 64-bit kernel misreads more than 16 pointers of 32 bits; see docs/testing.md */
	pick(o, rnd(2) ? GUARDS : MAPPED, sizeof(long) == 4 ? 16 : 64);
}

static enum outcome run_move_pages(const struct op *o)
{
	expect(x_move_pages(A(0), A(1)), 0);
	for_parts(r, A(0), A(1))
		for (uint32_t i = 0; i < r.n; i++)
			if ((r.st == GUARD || r.st == UNMAPPED) && rt_node[r.pg - A(0) + i] >= 0)
				diverge(W_OTHER, r.pg + i, 0, 0, 0, "move_pages says that it is on node %d",
					rt_node[r.pg - A(0) + i]);
	return SUCCESS;
}

/* --- The rest of the system ----------------------------------------------- */

static const char *const global_names[] = { "swapoff", "ksm", "khugepaged", "compact", NULL };

static void gen_global(struct op *o)
{
	const uint32_t pg = PG(W_SMALL, 8 + rnd(16));
	struct op ksm, *same;

	A(0) = o->sub;
	if (o->sub != G_KSM)
		return;
	/* Have something to merge first */
	ksm = *o;
	o->sub = 0;
	mapping(o, pg, 16);
	advice(next_op(), pg, 16, V_MERGEABLE);
	same = next_op();
	writing(same, pg, 16);
	same->a[3] = 0;
	*next_op() = ksm;
}

static void maybe_merged(struct run *r, uint32_t arg)
{
	(void)arg;
	if ((r->at & AT_MERGE) && (r->st == DATA || r->st == LAZY))
		r->fl |= F_SHARED;
}

static enum outcome run_global(const struct op *o)
{
	int64_t r = x_global(A(0));

	if (A(0) == G_KSM) {
		char buf[32] = "0";
		int fd = open("/sys/kernel/mm/ksm/pages_sharing", O_RDONLY | O_CLOEXEC);

		if (fd >= 0 && read(fd, buf, sizeof(buf) - 1) > 0 && atoi(buf) > 0)
			sh->seen[SEEN_KSM]++;
		close(fd);
		for (int w = 0; w < NR_WIN; w++)
			model_change(PG(w, 0), rt_win[w].pages, maybe_merged, 0);
	}
	/* It may fail for lack of memory, or because another run does the same */
	return r ? FAILURE : SUCCESS;
}

static void gen_mce(struct op *o)
{
	pick(o, CONTENTS, 1);
}

/* Only small pages that nobody else maps, because the failure hits all that map it */
static bool may_be_lost(const struct op *o)
{
	const struct run r = runs[model_find(A(0))];

	return !depth && r.st == DATA && is_anon(&r) && !(r.fl & F_SHARED) &&
	       !(r.at & (AT_MERGE | AT_HUGE | AT_UFFD | AT_LOCKED)) && (r.at & AT_W);
}

static enum outcome run_hwpoison(const struct op *o)
{
	int64_t r;

	if (!may_be_lost(o))
		return SKIPPED;
	r = x_hwpoison(A(0));
	/* EBUSY: the kernel could not isolate the page, and may or may not have lost it */
	if (r) {
		model_change(A(0), 1, to_error, 0);
		expect(x_madvise(A(0), 1, MADV_DONTNEED), 0);
		model_change(A(0), 1, to_empty, 0);
		return FAILURE;
	}
	model_change(A(0), 1, to_error, 0);
	return SUCCESS;
}

static enum outcome run_offline(const struct op *o)
{
	if (!may_be_lost(o))
		return SKIPPED;
	/* The kernel may or may not migrate the page */
	return x_offline(A(0)) ? FAILURE : SUCCESS;
}

/* --- The table ------------------------------------------------------------ */

const struct opdef opdefs[] = {
	[OP_FORK] = { "fork", "", 4, gen_none, run_fork, NULL, 0, T_NONE },
	[OP_END] = { "end", "", 0, gen_none, run_end, NULL, 0, T_NONE },
	[OP_MADVISE] = { "madvise", "pna", 480, gen_madvise, run_madvise, advice_names, 0, T_ANY },
	{ "madvise_odd", "pdda", 6, gen_odd, run_odd, odd_names, 0, T_NONE },
	{ "process_madvise", "pnpna", 20, gen_pmadvise, run_pmadvise, guard_names, HAS_PMADVISE,
	  T_ANY },
	{ "vfork", "pna", 2, gen_vfork, run_vfork, guard_names, 0, T_ANY },
	{ "mmap", "pnddd", 44, gen_mmap, run_mmap, mmap_names, 0, T_MMAP },
	{ "munmap", "pn", 14, gen_munmap, run_munmap, NULL, 0, T_UNMAP },
	{ "mprotect", "pnd", 30, gen_mprotect, run_mprotect, prot_names, 0, T_ANY },
	{ "mremap", "pnpnd", 30, gen_mremap, run_mremap, mremap_names, 0, T_MOVE },
	{ "mseal", "pn", 1, gen_mseal, run_mseal, NULL, HAS_SEAL, T_ENDS },
	{ "name", "pnd", 4, gen_name, run_name, NULL, HAS_NAME, T_ENDS },
	{ "brk", "d", 6, gen_brk, run_brk, NULL, 0, T_BRK },
	{ "msync", "pnd", 6, gen_msync, run_msync, msync_names, 0, T_NONE },
	{ "truncate", "fd", 8, gen_truncate, run_truncate, file_names, HAS_FILE, T_NONE },
	{ "punch", "fdd", 8, gen_file, run_punch, file_names, HAS_FILE, T_NONE },
	{ "file_read", "fdd", 4, gen_file, run_file_read, file_names, HAS_FILE, T_NONE },
	{ "file_write", "fdddd", 8, gen_file, run_file_write, file_names, HAS_FILE, T_NONE },
	{ "fadvise", "fdd", 2, gen_file, run_fadvise, file_names, HAS_FILE, T_NONE },
	{ "seal", "d", 1, gen_seal, run_seal, seal_names, HAS_FILE, T_NONE },
	{ "read", "pn", 50, gen_read, run_read, NULL, 0, T_FILL },
	{ "write", "pndd", 170, gen_write, run_write, NULL, 0, T_FILL },
	{ "pipe_from", "pn", 10, gen_kernel_read, run_pipe_from, NULL, 0, T_FILL },
	{ "pipe_to", "pndd", 10, gen_kernel_write, run_pipe_to, NULL, 0, T_FILL },
	{ "vm_readv", "pn", 8, gen_kernel_read, run_vm_readv, NULL, HAS_VMRW, T_FILL },
	{ "vm_writev", "pndd", 8, gen_kernel_write, run_vm_writev, NULL, HAS_VMRW, T_FILL },
	{ "mem_read", "pn", 8, gen_kernel_read, run_mem_read, NULL, HAS_FORCE, T_FILL },
	{ "mem_write", "pndd", 8, gen_kernel_write, run_mem_write, NULL, HAS_FORCE, T_FILL },
	{ "futex", "p", 8, gen_futex, run_futex, NULL, 0, T_FILL },
	{ "mlock", "pnd", 8, gen_mlock, run_mlock, mlock_names, 0, T_ANY },
	{ "munlock", "pn", 14, gen_munlock, run_munlock, NULL, 0, T_ENDS },
	{ "mlockall", "d", 1, gen_mlockall, run_mlockall, NULL, 0, T_NONE },
	{ "munlockall", "", 2, gen_none, run_munlockall, NULL, 0, T_NONE },
	{ "uffd_register", "pnd", 20, gen_register, run_register, register_names, HAS_UFFD, T_ENDS },
	{ "uffd_unregister", "pnd", 12, gen_unregister, run_unregister, sync_names, HAS_UFFD,
	  T_ENDS },
	{ "uffd_copy", "pnddd", 14, gen_copy, run_copy, NULL, HAS_UFFD, T_FILL },
	{ "uffd_zeropage", "pn", 6, gen_zeropage, run_zeropage, NULL, HAS_UFFD, T_FILL },
	{ "uffd_poison", "pn", 4, gen_zeropage, run_uffd_poison, NULL, HAS_UPOISON, T_FILL },
	{ "uffd_wp", "pnd", 12, gen_wp, run_wp, wp_names, HAS_WP, T_FILL },
	{ "uffd_move", "ppnd", 8, gen_move, run_move, NULL, HAS_MOVE, T_FILL },
	{ "uffd_fault", "pnd", 1, gen_fault, run_fault, NULL, HAS_UFFD, T_ANY },
	{ "uffd_event", "pn", 1, gen_event, run_event, NULL, HAS_UFFD, T_POISON | T_ENDS },
	{ "scan", "pnd", 8, gen_scan, run_scan, scan_names, HAS_SCAN, T_FILL },
	{ "clear_refs", "d", 1, gen_clear_refs, run_clear_refs, refs_names, HAS_SMAPS, T_NONE },
	{ "soft_dirty", "pd", 1, gen_soft_dirty, run_soft_dirty, NULL, HAS_SOFTDIRTY, T_FILL },
	{ "mincore", "pn", 14, gen_mincore, run_mincore, NULL, 0, T_NONE },
	{ "move_pages", "pn", 4, gen_move_pages, run_move_pages, NULL, HAS_MOVEPAGES, T_NONE },
	{ "global", "d", 1, gen_global, run_global, global_names, HAS_SYSTEM, T_NONE },
	{ "hwpoison", "p", 1, gen_mce, run_hwpoison, NULL, HAS_MCE, T_FILL },
	{ "offline", "p", 1, gen_mce, run_offline, NULL, HAS_MCE, T_FILL },
};

const int nr_opdefs = sizeof(opdefs) / sizeof(opdefs[0]);

static bool is_op(const struct op *o, const char *name)
{
	return !strcmp(opdefs[o->code].name, name);
}

const char *sub_name(int code, int sub)
{
	return opdefs[code].subs ? opdefs[code].subs[sub] : "";
}

bool op_available(int code, int sub)
{
	const struct opdef *d = &opdefs[code];
	uint64_t needs = d->needs;

	if (!d->subs)
		return sub == 0 && (needs & has) == needs && !(mainline && d->run == run_event);
	for (int i = 0; i <= sub; i++)
		if (!d->subs[i])
			return false;
	if (d->run == run_madvise)
		needs |= advices[sub].needs;
	if (d->run == run_odd && sub == 1)
		needs |= HAS_WRAP;
	if (d->run == run_register)
		needs |= sub == 0 ? 0 : sub == 3 ? HAS_ASYNC | HAS_WP : HAS_WP;
	if (d->run == run_unregister && sub)
		needs |= HAS_ASYNC | HAS_WP;
	if (d->run == run_scan && sub)
		needs |= HAS_ASYNC;
	if (d->run == run_mmap)
		needs |= sub == 2 || sub == 6 ? HAS_FILE : sub > 6 ? HAS_DISK : 0;
	if (d->subs == file_names && sub)
		needs |= HAS_DISK | (d->run == run_punch ? HAS_PUNCH : 0);
	if (d->run == run_clear_refs && sub == 1)
		needs |= HAS_SOFTDIRTY;
	if (d->run == run_global) {
		static const uint64_t global[] = { HAS_SWAP, HAS_KSM, HAS_THP, 0 };

		needs |= global[sub];
	}
	return (needs & has) == needs;
}

int op_tables(const struct op *o)
{
	const struct opdef *d = &opdefs[o->code];

	if (d->run == run_madvise)
		return advices[o->sub].tables;
	if (d->run == run_pmadvise || d->run == run_vfork)
		return advices[o->sub ? V_UNPOISON : V_POISON].tables;
	if (d->run == run_mlock && A(2))
		return T_ENDS;
	/* Without write-protection */
	if (d->run == run_scan && !A(2))
		return T_NONE;
	/* Only locked memory is filled */
	if (d->run == run_mprotect) {
		for_parts(r, A(0), A(1))
			if (r.at & AT_LOCKED)
				return T_ANY;
		return T_ENDS;
	}
	return d->tables;
}

/* Chances of operations that are rarer than one in a thousand */
static bool too_dear(const struct op *o)
{
	if (is_op(o, "global"))
		return rnd(o->sub == 0 ? 40 : 12);
	if (is_op(o, "hwpoison") || is_op(o, "offline"))
		return rnd(20);
	if (is_op(o, "seal"))
		return rnd(4);
	if (is_op(o, "clear_refs") || is_op(o, "soft_dirty"))
		return rnd(2);
	return false;
}

/* Variables of which a child has a copy */
static bool many_guards(void)
{
	uint32_t guards = 0;

	for (int i = 0; i < nr_runs; i++)
		guards += runs[i].st == GUARD ? runs[i].n : 0;
	return guards > 8192;
}

static int draw_sub(int code)
{
	int subs = 0, sum = 0, at;

	if (!opdefs[code].subs)
		return 0;
	for (; opdefs[code].subs[subs]; subs++)
		if (sh->enabled[code] & (1u << subs))
			sum += opdefs[code].run == run_madvise ? advices[subs].weight : 1;
	at = rnd(sum);
	for (int i = 0; i < subs; i++) {
		if (!(sh->enabled[code] & (1u << i)))
			continue;
		at -= opdefs[code].run == run_madvise ? advices[i].weight : 1;
		if (at < 0)
			return i;
	}
	return 0;
}

void gen_op(struct op *o)
{
	int sum = 0, at;

	memset(o, 0, sizeof(*o));
	if (sh->queued) {
		*o = sh->queue[0];
		memmove(sh->queue, sh->queue + 1, --sh->queued * sizeof(*o));
	} else if (depth && !rnd(14)) {
		o->code = OP_END;
	} else {
		for (int i = 0; i < nr_opdefs; i++)
			if (sh->enabled[i])
				sum += opdefs[i].weight;
		do {
			memset(o, 0, sizeof(*o));
			at = rnd(sum);
			for (int i = 0; i < nr_opdefs; i++) {
				if (!sh->enabled[i])
					continue;
				at -= opdefs[i].weight;
				if (at < 0) {
					o->code = i;
					break;
				}
			}
			o->sub = draw_sub(o->code);
		} while (too_dear(o) || (o->code == OP_FORK && many_guards() && rnd(16)) || (o->code == OP_FORK && depth && rnd(8)));
		opdefs[o->code].gen(o);
	}
	o->check = rnd(1ull << 32);
}

/* Finds the ranges by the letters of the arguments, see struct opdef */
int op_ranges(const struct op *o, uint32_t range[2][2])
{
	const char *args = opdefs[o->code].args;
	int n = 0;

	for (int i = 0; args[i]; i++) {
		if (args[i] == 'p') {
			range[n][0] = o->a[i];
			range[n++][1] = 1;
		} else if (args[i] == 'n') {
			/* One length may be for both pages */
			for (int k = i > 1 && args[i - 1] == 'p' && args[i - 2] == 'p' ? 0 : n - 1; k < n; k++)
				range[k][1] = o->a[i];
		}
	}
	for (int k = 0; k < n; k++)
		if (OFF(range[k][0]) + range[k][1] > rt_win[WIN(range[k][0])].pages)
			range[k][1] = rt_win[WIN(range[k][0])].pages - OFF(range[k][0]);
	return n;
}

bool advice_name(int64_t value, const char **name)
{
	for (int i = 0; i < NR_ADVICE; i++)
		if (advices[i].value == value) {
			*name = advice_names[i];
			return true;
		}
	return false;
}
