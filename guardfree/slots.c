// SPDX-License-Identifier: MIT
/*
 * Where objects lie.
 *
 * The heap is one mapping that grows. It is dealt out in units of 256 pages: to
 * chunks of slots of one size, and to spans for what is too large for a slot.
 *
 *	chunk:	guard | pages | guard | pages | guard ...
 *	span:	guards | pages | guards
 *
 * What is not in use is guards altogether: a slot not used yet, one that was
 * freed, and of one in use the pages that the object does not reach. To
 * allocate is to unpoison the object's pages, to free is to poison them, which
 * gives the memory back as well. So what comes into use is always zero.
 *
 * Each thread has an arena, which it shares only if there are more threads
 * than arenas. An arena has chunks of its own, and what its threads freed
 * waits in its quarantine, oldest first; from there a slot goes back to the
 * arena whose chunk it is in.
 */
#include "slots.h"
#include "guard.h"
#include "memcg.h"
#include "options.h"
#include "stack.h"
#include "thread.h"
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#define UNIT_PAGES	(UNIT >> PAGE_SHIFT)
#define BINS		24
#define BIN_PAGES_MAX	128
#define EXACT_PAGES	8	/* bins up to here have slots of just that size */
#define ARENAS_MAX	64
#define OPEN_MAX	64
#define OPEN_FIRST	8
#define BATCH_MAX	512
#define CANARY		0xfd

enum { UNIT_NONE, UNIT_CHUNK, UNIT_SPAN };

struct gf_unit {
	u32 head;	/* first unit of the chunk or span; of the next free span */
	u32 pages;	/* of a slot or span, for data; units, of a free span */
	u16 slots;
	u16 arena;
	u8 kind;
	u8 bin;
	u16 unused;
};

_Static_assert(sizeof(struct gf_unit) == 16, "gf_place() knows");
_Static_assert(sizeof(struct gf_rec) <= 1 << REC_SHIFT, "one record a cache line");

struct gf_bin {
	u32 ready, last;	/* out of the quarantine: guards, oldest first */
	u32 remote;		/* the same, put here by other arenas */
	u32 chunk;		/* unit + 1 of the chunk that is being used up */
	u32 next, slots, step;
	u64 taken;		/* for use, ever */
	u32 opened;
	u32 open[OPEN_MAX];	/* unpoisoned already */
};

struct gf_arena {
	struct gf_lock lock;
	u32 threads;
	u32 no;
	u32 first, last;	/* the quarantine */
	u64 held, held_bytes;
	u64 allocs, frees, bytes_in, bytes_out;
	u32 waiting;		/* freed, but not poisoned yet */
	u32 batch[BATCH_MAX];
	struct gf_bin bin[BINS];
} __attribute__((aligned(64)));

static struct gf_arena arenas[ARENAS_MAX];
static u32 narenas = 1;
static u32 active;		/* arenas that have threads */
static struct gf_lock enter_lock;
static u32 heap_units;		/* dealt out, or on the list of free spans */
static u32 free_spans;		/* unit + 1, by address */
static u64 nchunks;
static u8 bin_of[BIN_PAGES_MAX + 1];
static u16 bin_pages[BINS];

static inline struct gf_rec *rec_at(u32 id)
{
	return (struct gf_rec *)(gf_meta.base + ((u64)id << REC_SHIFT));
}

static inline u32 rec_id(const struct gf_rec *rec)
{
	return ((uintptr_t)rec - gf_meta.base) >> REC_SHIFT;
}

static inline struct gf_unit *unit_at(u32 unit)
{
	return (struct gf_unit *)gf_units.base + unit;
}

static inline uintptr_t page_at(u64 page)
{
	return gf_heap.base + (page << PAGE_SHIFT);
}

/* vm.overcommit_memory is 2. */
static bool gf_strict;

bool gf_slots_init(void)
{
	char text[16];
	u32 pages = 0, bin, at = 0;

	for (bin = 0; bin < BINS; bin++) {
		if (bin < EXACT_PAGES)
			pages++;
		else	/* four to a doubling */
			pages += 2 << (bin - EXACT_PAGES) / 4;
		bin_pages[bin] = pages;
		while (at <= pages)
			bin_of[at++] = bin;
	}
	gf_strict = gf_read_file("/proc/sys/vm/overcommit_memory", text, sizeof(text)) > 0 &&
		    text[0] == '2';
	narenas = gf_opt.arenas;
	if (!narenas) {
		u64 mask[16] = { 0 };
		long n = gf_sys(SYS_sched_getaffinity, 0, sizeof(mask), mask), cpus = 0, i;

		for (i = 0; i < n / 8 && i < (long)ARRAY_SIZE(mask); i++)
			cpus += __builtin_popcountl(mask[i]);
		narenas = cpus ? cpus * 4 : 4;
	}
	if (narenas > ARENAS_MAX)
		narenas = ARENAS_MAX;
	for (at = 0; at < narenas; at++)
		arenas[at].no = at;
	return true;
}

/* Units. The lock is gf_grow_lock. */

static void units_put(u32 unit, u32 n)
{
	u32 *link = &free_spans, prev = 0, next;

	while (*link && *link - 1 < unit) {
		prev = *link;
		link = &unit_at(*link - 1)->head;
	}
	next = *link;
	if (next && unit + n == next - 1) {
		n += unit_at(next - 1)->pages;
		next = unit_at(next - 1)->head;
	}
	if (prev && prev - 1 + unit_at(prev - 1)->pages == unit) {
		unit_at(prev - 1)->pages += n;
		unit_at(prev - 1)->head = next;
		return;
	}
	unit_at(unit)->pages = n;
	unit_at(unit)->head = next;
	*link = unit + 1;
}

/* @used says whether the units were in use before. */
static int units_get(u32 n, u32 *unit, bool *used)
{
	u32 *link = &free_spans;
	int err;

	*used = true;
	for (; *link; link = &unit_at(*link - 1)->head) {
		u32 at = *link - 1, has = unit_at(at)->pages;

		if (has < n)
			continue;
		/* From the end: the list stays as it is. */
		*unit = at + has - n;
		if (has == n)
			*link = unit_at(at)->head;
		else
			unit_at(at)->pages = has - n;
		return 0;
	}
	*used = false;
	while (true) {
		u64 end = ((u64)heap_units + n) << UNIT_SHIFT;

		err = gf_area_grow(&gf_units, (end >> UNIT_SHIFT) * sizeof(struct gf_unit));
		if (err)
			return err;
		err = gf_area_grow(&gf_heap, end);
		if (!err)
			break;
		if (err != -EEXIST || end + UNIT > gf_heap.max)
			return err;
		/* Somebody else's mapping lies there: step over it. */
		gf_heap.mapped = (u64)(heap_units + 1) << UNIT_SHIFT;
		gf_heap.step = UNIT;
		heap_units++;
	}
	err = gf_area_grow(&gf_meta, ((((u64)heap_units + n) << UNIT_SHIFT) / PAGE / 2 + 1)
			   << REC_SHIFT);
	if (err)
		return err;
	*unit = heap_units;
	heap_units += n;
	return 0;
}

/*
 * Units that are as new: no contents, no guards, no page tables. Mapping anew
 * what was in use may fail where memory is not overcommitted. 0 or -errno
 */
static int units_take(u32 n, u32 *unit)
{
	bool used;
	int err;

	gf_lock(&gf_grow_lock);
	err = units_get(n, unit, &used);
	gf_unlock(&gf_grow_lock);
	if (err || !used)
		return err;
	err = gf_remap(page_at((u64)*unit * UNIT_PAGES), (u64)n << UNIT_SHIFT,
		       PROT_READ | PROT_WRITE);
	if (err) {
		gf_lock(&gf_grow_lock);
		units_put(*unit, n);
		gf_unlock(&gf_grow_lock);
	}
	return err;
}

/* The caller alone knows of the units. */
static void units_mark(u32 head, u32 n, struct gf_unit mark)
{
	u32 i;

	mark.head = head;
	/* The kind last: who reads it without the lock finds the rest. */
	for (i = 0; i < n; i++) {
		struct gf_unit *u = unit_at(head + i);
		u8 kind = mark.kind;

		mark.kind = UNIT_NONE;
		*u = mark;
		mark.kind = kind;
		store(&u->kind, kind);
	}
}

static u32 gcd(u32 a, u32 b)
{
	while (b) {
		u32 r = a % b;

		a = b;
		b = r;
	}
	return a;
}

/* A new chunk for the bin; 0 or -errno */
static int chunk_new(struct gf_arena *arena, u32 b)
{
	struct gf_bin *bin = &arena->bin[b];
	u32 stride = bin_pages[b] + 1, unit, n, slots, i;
	struct gf_range guards[UNIT_PAGES / 2 + 1];
	struct gf_unit mark = {
		.pages = bin_pages[b], .arena = arena->no, .kind = UNIT_CHUNK, .bin = b,
	};
	int err;

	if (gf_opt.memcg && !gf_memcg_allows(UNIT))
		return -ENOMEM;
	n = (stride * 8 + 1 + UNIT_PAGES - 1) / UNIT_PAGES;
	slots = (n * UNIT_PAGES - 1) / stride;
	err = units_take(n, &unit);
	if (err)
		return err;
	for (i = 0; i < slots; i++) {
		u32 page = unit * UNIT_PAGES + 1 + i * stride;
		struct gf_rec *rec = rec_at(page >> 1);

		memset(rec, 0, sizeof(*rec));
		rec->page = page;
	}
	mark.slots = slots;
	units_mark(unit, n, mark);
	fetch_add(&nchunks, 1);

	if (gf_opt.fresh == FRESH_TRAILING && b < EXACT_PAGES) {
		guards[0].addr = (void *)page_at((u64)unit * UNIT_PAGES);
		guards[0].len = PAGE;
		for (i = 1; i <= slots; i++) {
			guards[i].addr = (char *)guards[0].addr + (u64)i * stride * PAGE;
			guards[i].len = PAGE;
			rec_at((unit * UNIT_PAGES + 1 + (i - 1) * stride) >> 1)->fresh = 1;
		}
		guards[slots].len = ((u64)n << UNIT_SHIFT) - (u64)slots * stride * PAGE;
		gf_poison_all(guards, slots + 1);
	} else {
		gf_poison(page_at((u64)unit * UNIT_PAGES), (u64)n << UNIT_SHIFT);
	}

	/*
	 * Slots come into use far from each other, so that what goes far past
	 * an object meets guards rather than the next object.
	 */
	bin->step = slots * 618 / 1000;
	while (gcd(bin->step, slots) != 1)
		bin->step++;
	bin->chunk = unit + 1;
	bin->slots = slots;
	bin->next = 0;
	return 0;
}

/* A slot that is all guards; NULL and *err. The arena's lock is held. */
static struct gf_rec *slot_take(struct gf_arena *arena, u32 b, int *err)
{
	struct gf_bin *bin = &arena->bin[b];
	struct gf_rec *rec;

	if (!bin->ready && load_relaxed(&bin->remote)) {
		u32 id = __atomic_exchange_n(&bin->remote, 0, __ATOMIC_ACQUIRE);

		/* Newest first; turn it round. */
		bin->last = id;
		while (id) {
			u32 next = rec_at(id - 1)->next;

			rec_at(id - 1)->next = bin->ready;
			bin->ready = id;
			id = next;
		}
	}
	if (bin->ready) {
		rec = rec_at(bin->ready - 1);
		bin->ready = rec->next;
		return rec;
	}
	if (bin->next == bin->slots) {
		*err = chunk_new(arena, b);
		if (*err)
			return NULL;
	}
	rec = rec_at(((bin->chunk - 1) * UNIT_PAGES + 1 +
		      (u64)bin->next++ * bin->step % bin->slots * (bin_pages[b] + 1)) >> 1);
	return rec;
}

/* The first to be taken next. */
static void slot_back(struct gf_bin *bin, u32 id)
{
	rec_at(id - 1)->next = bin->ready;
	if (!bin->ready)
		bin->last = id;
	bin->ready = id;
}

static struct gf_rec *slot_open(struct gf_arena *arena, u32 b, u32 pages, int *err)
{
	struct gf_bin *bin = &arena->bin[b];
	struct gf_range range[OPEN_MAX];
	struct gf_rec *rec;
	u32 want, n, done, i;

	if (b < EXACT_PAGES && pages) {
		struct gf_rec *extra = NULL;

		if (bin->opened)
			return rec_at(bin->open[--bin->opened]);
		/* The more of them are used, the more are opened ahead: an eighth. */
		want = bin->taken / 8 < OPEN_FIRST ? OPEN_FIRST :
		       bin->taken / 8 < OPEN_MAX ? bin->taken / 8 : OPEN_MAX;
		if (want > gf_opt.open)
			want = gf_opt.open;
		for (n = 0; n < want; n++) {
			/* No new chunk for a few more, unless it is for half of many */
			if (n >= (want > OPEN_FIRST ? want / 2 : 1) && !bin->ready &&
			    bin->next == bin->slots)
				break;
			rec = slot_take(arena, b, err);
			if (!rec)
				break;
			if (rec->fresh) {
				rec->fresh = 0;
				extra = rec;
				break;
			}
			range[n].addr = (void *)page_at(rec->page);
			range[n].len = (u64)pages << PAGE_SHIFT;
			bin->open[n] = rec_id(rec);
		}
		done = n ? gf_unpoison_many(range, n) : 0;
		for (i = done; i < n; i++)
			slot_back(bin, bin->open[i] + 1);
		/* It is touched in any case, by the bytes that are looked at later. */
		if (pages == 1 && gf_opt.populate && gf_opt.check && done)
			gf_populate_many(range, done);
		if (extra)
			bin->open[done++] = rec_id(extra);
		bin->opened = done;
		bin->taken += done;
		if (!done) {
			if (!*err)
				*err = -ENOMEM;
			return NULL;
		}
		return rec_at(bin->open[--bin->opened]);
	}
	rec = slot_take(arena, b, err);
	if (!rec)
		return NULL;
	if (rec->fresh) {
		rec->fresh = 0;
		if (!pages)
			gf_poison(page_at(rec->page), (u64)bin_pages[b] << PAGE_SHIFT);
		return rec;
	}
	if (pages) {
		u32 page = rec->page + (gf_opt.guard == GUARD_AFTER ? bin_pages[b] - pages : 0);

		if (!gf_unpoison(page_at(page), (u64)pages << PAGE_SHIFT)) {
			slot_back(bin, rec_id(rec) + 1);
			*err = -ENOMEM;
			return NULL;
		}
	}
	return rec;
}

/*
 * From here on a free does not poison but takes the memory away, as guards of
 * a gibibyte have 2 MiB of page tables; it costs up to two VMAs. Where memory is
 * not overcommitted that begins at a unit: a guard still counts as memory there,
 * PROT_NONE does not.
 */
#define SPAN_NONE_PAGES	(1UL << (30 - PAGE_SHIFT))

static struct gf_rec *span_get(u64 pages, u64 align, int *err)
{
	u64 extra = align > PAGE ? align >> PAGE_SHIFT : 0;
	u64 n = (pages + extra + 2 + UNIT_PAGES - 1) / UNIT_PAGES, first;
	struct gf_unit mark = { .kind = UNIT_SPAN, .slots = 1 };
	struct gf_range around[2];
	struct gf_rec *rec;
	uintptr_t start, end, at, to;
	u32 unit;

	if (n >= UINT32_MAX || n << UNIT_SHIFT > gf_heap.max) {
		*err = -ENOMEM;
		return NULL;
	}
	if (gf_opt.memcg && !gf_memcg_allows(UNIT)) {
		*err = -ENOMEM;
		return NULL;
	}
	*err = units_take(n, &unit);
	if (*err)
		return NULL;
	rec = rec_at(unit * UNIT_PAGES >> 1);
	memset(rec, 0, sizeof(*rec));
	rec->page = unit * UNIT_PAGES + 1;
	mark.pages = n * UNIT_PAGES - 2;
	units_mark(unit, n, mark);

	start = page_at((u64)unit * UNIT_PAGES);
	end = start + (n << UNIT_SHIFT);
	if (extra)
		at = round_up(start + PAGE, align);
	else if (gf_opt.guard == GUARD_AFTER)
		at = end - PAGE - (pages << PAGE_SHIFT);
	else
		at = start + PAGE;
	first = (at - gf_heap.base) >> PAGE_SHIFT;
	rec->first = first;
	rec->pages = pages;
	to = at + (pages << PAGE_SHIFT);
	/* Not all of what a large alignment leaves: that is page tables. */
	around[0].len = at - start < UNIT ? at - start : UNIT;
	around[0].addr = (void *)(at - around[0].len);
	around[1].len = end - to < UNIT ? end - to : UNIT;
	around[1].addr = (void *)to;
	gf_poison_all(around, 2);
	return rec;
}

/*
 * What it holds back, in bytes: address space, which stands for page tables. What
 * has none is far cheaper. Where memory is not overcommitted it is less so, as the
 * records of 128 MiB are a mapping of 1 MiB, which counts as memory there.
 */
#define FLAG_GONE	1

static u64 weight(const struct gf_rec *rec)
{
	const struct gf_unit *u = unit_at(rec->page / UNIT_PAGES);

	if (rec->flags & FLAG_GONE)
		return (u64)u->pages << PAGE_SHIFT >> (gf_strict ? 2 : 6);
	return (u->kind == UNIT_SPAN ? u->pages + 2UL : rec->pages + 1UL) << PAGE_SHIFT;
}

/* Out of the quarantine: may be used again. The arena's lock is held. */
static void evict(struct gf_arena *arena)
{
	struct gf_rec *rec = rec_at(arena->first - 1);
	u32 id = arena->first, unit = rec->page / UNIT_PAGES;
	struct gf_unit *u = unit_at(unit);
	struct gf_arena *owner;
	struct gf_bin *bin;

	arena->first = rec->next;
	arena->held--;
	arena->held_bytes -= weight(rec);
	if (u->kind == UNIT_SPAN) {
		u32 n = (u->pages + 2) / UNIT_PAGES, i;

		gf_lock(&gf_grow_lock);
		for (i = 0; i < n; i++)
			unit_at(unit + i)->kind = UNIT_NONE;
		units_put(unit, n);
		gf_unlock(&gf_grow_lock);
		return;
	}
	owner = &arenas[u->arena];
	bin = &owner->bin[u->bin];
	if (owner != arena) {
		u32 was = load_relaxed(&bin->remote);

		do {
			rec->next = was;
		} while (!__atomic_compare_exchange_n(&bin->remote, &was, id, true,
						      __ATOMIC_RELEASE, __ATOMIC_RELAXED));
		return;
	}
	rec->next = 0;
	if (bin->ready)
		rec_at(bin->last - 1)->next = id;
	else
		bin->ready = id;
	bin->last = id;
}

static void evict_over(struct gf_arena *arena, u64 bytes, u64 objects)
{
	/* One that is larger than all of it stays until the next comes. */
	while (arena->held > 1 && (arena->held_bytes > bytes || arena->held > objects))
		evict(arena);
	if (arena->held == 1 && (!bytes || !objects))
		evict(arena);
}

/*
 * The limits are the whole heap's. As no lock is common to the arenas, each may
 * hold its part in any case, and more as long as the others do not use theirs.
 */
static void quarantine(struct gf_arena *arena, u32 id)
{
	struct gf_rec *rec = rec_at(id - 1);
	u64 bytes = gf_opt.quarantine, all_bytes = 0, all = 0, part;
	u64 objects = gf_opt.quarantine_objects ? gf_opt.quarantine_objects : UINT64_MAX;
	u32 share = load_relaxed(&active), i;

	rec->next = 0;
	if (arena->first)
		rec_at(arena->last - 1)->next = id;
	else
		arena->first = id;
	arena->last = id;
	arena->held++;
	arena->held_bytes += weight(rec);
	if (share < 2) {
		evict_over(arena, bytes, objects);
		return;
	}
	part = objects / share ? objects / share : 1;
	if (arena->held_bytes <= bytes / share && arena->held <= part)
		return;
	for (i = 0; i < narenas; i++) {
		if (&arenas[i] == arena)
			continue;
		all_bytes += load_relaxed(&arenas[i].held_bytes);
		all += load_relaxed(&arenas[i].held);
	}
	all_bytes = all_bytes < bytes ? bytes - all_bytes : 0;
	all = all < objects ? objects - all : 0;
	evict_over(arena, all_bytes > bytes / share ? all_bytes : bytes / share,
		   all > part ? all : part);
}

static void batch_end(struct gf_arena *arena)
{
	struct gf_range range[BATCH_MAX];
	u32 i, n = 0;

	for (i = 0; i < arena->waiting; i++) {
		struct gf_rec *rec = rec_at(arena->batch[i] - 1);

		if (!rec->pages)
			continue;
		range[n].addr = (void *)page_at(rec->first);
		range[n++].len = (u64)rec->pages << PAGE_SHIFT;
	}
	gf_poison_all(range, n);
	for (i = 0; i < arena->waiting; i++)
		quarantine(arena, arena->batch[i]);
	arena->waiting = 0;
}

/* There is no more memory: let go of all that is held back. */
static void drain(void)
{
	u32 i;

	for (i = 0; i < narenas; i++) {
		gf_lock(&arenas[i].lock);
		batch_end(&arenas[i]);
		evict_over(&arenas[i], 0, 0);
		gf_unlock(&arenas[i].lock);
	}
}

static void zones(const struct gf_rec *rec, uintptr_t *before, uintptr_t *after)
{
	uintptr_t lo = page_at(rec->first), hi = lo + ((u64)rec->pages << PAGE_SHIFT);
	uintptr_t end = rec->ptr + rec->size;

	*before = rec->ptr - lo < gf_opt.check ? lo : rec->ptr - gf_opt.check;
	*after = hi - end < gf_opt.check ? hi : end + gf_opt.check;
}

/* One byte; the canary for what is not there any more */
static inline u8 zone_byte(const u8 *p, bool quietly)
{
	uintptr_t word;

	if (!quietly)
		return *p;
	if (!gf_peek((uintptr_t)p & -8UL, &word))
		return CANARY;
	return ((const u8 *)&word)[(uintptr_t)p & 7];
}

/*
 * Further out nothing is filled in, but it was zero and nobody's business. So
 * far as that costs little: vectors of 16, 16 at a time.
 */
#define STAIN_BYTES	1024UL

typedef u64 vec __attribute__((vector_size(16), may_alias));

static bool stained(const u8 *from, const u8 *to)
{
	vec all = { 0, 0 };
	u8 odd = 0;

	for (; from < to && (uintptr_t)from % sizeof(vec); from++)
		odd |= *from;
	for (; to - from >= (ptrdiff_t)(16 * sizeof(vec)); from += 16 * sizeof(vec)) {
		const vec *v = (const vec *)from;

		all |= v[0] | v[1] | v[2] | v[3] | v[4] | v[5] | v[6] | v[7] |
		       v[8] | v[9] | v[10] | v[11] | v[12] | v[13] | v[14] | v[15];
	}
	for (; to - from >= (ptrdiff_t)sizeof(vec); from += sizeof(vec))
		all |= *(const vec *)from;
	for (; from < to; from++)
		odd |= *from;
	return all[0] | all[1] | odd;
}

/* The nearest to the object; 0 if there is none */
static uintptr_t stain(const struct gf_rec *rec, uintptr_t before, uintptr_t after)
{
	uintptr_t lo = page_at(rec->first), hi = lo + ((u64)rec->pages << PAGE_SHIFT), p;

	if (unlikely(load_relaxed(&gf_went_on)))
		return 0;
	lo = before - lo < STAIN_BYTES ? lo : before - STAIN_BYTES;
	hi = hi - after < STAIN_BYTES ? hi : after + STAIN_BYTES;
	if (unlikely(stained((u8 *)lo, (u8 *)before)))
		for (p = before - 1; p >= lo; p--)
			if (*(u8 *)p)
				return p;
	if (unlikely(stained((u8 *)after, (u8 *)hi)))
		for (p = after; p < hi; p++)
			if (*(u8 *)p)
				return p;
	return 0;
}

static inline __attribute__((always_inline)) uintptr_t check(const struct gf_rec *rec, bool quietly)
{
	uintptr_t before, after;
	const u8 *p;

	if (!gf_opt.check || !rec->pages)
		return 0;
	zones(rec, &before, &after);
	/* What lies nearest first; a word at a time as long as nothing is found */
	for (p = (u8 *)rec->ptr + rec->size; p < (u8 *)after; p++)
		if (zone_byte(p, quietly) != CANARY)
			return (uintptr_t)p;
	for (p = (u8 *)rec->ptr; p - 8 >= (u8 *)before; p -= 8) {
		u64 word;

		if (quietly)
			break;
		memcpy(&word, p - 8, 8);
		if (word != CANARY * 0x0101010101010101UL)
			break;
	}
	for (; p > (u8 *)before; p--)
		if (zone_byte(p - 1, quietly) != CANARY)
			return (uintptr_t)p - 1;
	return quietly ? 0 : stain(rec, before, after);
}

uintptr_t gf_check(const struct gf_rec *rec)
{
	return check(rec, false);
}

uintptr_t gf_check_live(const struct gf_rec *rec)
{
	return check(rec, true);
}

/*
 * From here on the system is asked first whether it has so much. The heap is
 * mapped with MAP_NORESERVE, which libc's allocator does not use.
 */
#define TRIED_BYTES	(1UL << 30)

void *gf_alloc(const struct gf_tls *me, size_t size, size_t align, u8 kind, u32 stack, int *err)
{
	struct gf_arena *arena = me->arena;
	bool tried = false;
	uintptr_t before, after;
	struct gf_rec *rec;
	u64 pages;
	u32 b = 0;

	/* No system has so much: that is an overflow, which is not worth a word. */
	if (unlikely(size > 1UL << 46 || align > 1UL << 46))
		return NULL;
	if (unlikely(size >= TRIED_BYTES) && !gf_would_map(size))
		return NULL;
	if (align < gf_opt.align)
		align = gf_opt.align;
	pages = (size + PAGE - 1) >> PAGE_SHIFT;
again:
	*err = 0;
	if (pages <= BIN_PAGES_MAX && align <= PAGE) {
		b = bin_of[pages];
		gf_lock(&arena->lock);
		rec = slot_open(arena, b, pages, err);
		if (rec) {
			arena->allocs++;
			arena->bytes_in += size;
		}
		gf_unlock(&arena->lock);
		if (rec) {
			rec->pages = pages;
			rec->first = rec->page;
			if (gf_opt.guard == GUARD_AFTER)
				rec->first += bin_pages[b] - pages;
			if (!pages)	/* the guard itself */
				rec->ptr = page_at(rec->page + bin_pages[b]);
			else if (gf_opt.guard == GUARD_AFTER)
				rec->ptr = (page_at(rec->first + pages) - size) & -align;
			else
				rec->ptr = page_at(rec->first);
		}
	} else {
		rec = span_get(pages ? pages : 1, align, err);
		if (rec) {
			gf_lock(&arena->lock);
			arena->allocs++;
			arena->bytes_in += size;
			gf_unlock(&arena->lock);
			rec->ptr = page_at(rec->first);
			if (align <= PAGE && gf_opt.guard == GUARD_AFTER)
				rec->ptr = (page_at(rec->first + pages) - size) & -align;
		}
	}
	if (unlikely(!rec)) {
		if (!tried) {
			tried = true;
			drain();
			goto again;
		}
		return NULL;
	}
	rec->size = size;
	rec->alloc_stack = stack;
	rec->alloc_thread = me->no;
	rec->free_stack = 0;
	rec->kind = kind;
	rec->align_log = __builtin_ctzl(align);
	if (gf_opt.check && rec->pages) {
		zones(rec, &before, &after);
		memset((void *)before, CANARY, rec->ptr - before);
		memset((void *)(rec->ptr + size), CANARY, after - rec->ptr - size);
	}
	if (unlikely(gf_opt.fill >= 0))
		memset((void *)rec->ptr, gf_opt.fill, size);
	store(&rec->state, STATE_LIVE);
	return (void *)rec->ptr;
}

bool gf_slot_at(uintptr_t addr, struct gf_slot *slot)
{
	u64 page = (addr - gf_heap.base) >> PAGE_SHIFT;
	u32 unit = page / UNIT_PAGES, off, i;
	struct gf_unit *u;

	if (unlikely(unit >= load_relaxed(&heap_units)))
		return false;
	u = unit_at(unit);
	switch (load(&u->kind)) {
	case UNIT_CHUNK:
		off = page - (u64)u->head * UNIT_PAGES;
		if (!off)
			return false;
		i = (off - 1) / (u->pages + 1);
		if (i >= u->slots)
			return false;
		off = 1 + i * (u->pages + 1);
		break;
	case UNIT_SPAN:
		off = 1;
		break;
	default:
		return false;
	}
	page = (u64)u->head * UNIT_PAGES + off;
	slot->rec = rec_at(page >> 1);
	slot->start = page_at(page);
	slot->pages = u->pages;
	return true;
}

/* @prev and @next may be @slot itself. */
bool gf_slot_before(const struct gf_slot *slot, struct gf_slot *prev)
{
	uintptr_t start = slot->start, at = start - PAGE;	/* the guard, the other's */

	if (at < gf_heap.base + PAGE)
		return false;
	if (gf_slot_at(at, prev) && prev->start < start)
		return true;
	return gf_slot_at(at - PAGE, prev) && prev->start < start;
}

bool gf_slot_after(const struct gf_slot *slot, struct gf_slot *next)
{
	uintptr_t start = slot->start, at = start + ((u64)slot->pages + 1) * PAGE;

	if (gf_slot_at(at, next) && next->start > start)
		return true;
	return gf_slot_at(at + PAGE, next) && next->start > start;
}

struct gf_rec *gf_find(const void *p, enum gf_verdict *why)
{
	struct gf_slot slot;
	u32 state;

	*why = FREE_WILD;
	if (!gf_slot_at((uintptr_t)p, &slot))
		return NULL;
	state = load(&slot.rec->state);
	if (state == STATE_NEVER)
		return NULL;
	if (slot.rec->ptr != (uintptr_t)p) {
		*why = state == STATE_LIVE ? FREE_INSIDE : FREE_WILD;
		return NULL;
	}
	if (state != STATE_LIVE) {
		*why = FREE_DOUBLE;
		return NULL;
	}
	*why = FREE_OK;
	return slot.rec;
}

bool gf_claim(struct gf_rec *rec)
{
	u32 was = STATE_LIVE;

	return __atomic_compare_exchange_n(&rec->state, &was, STATE_FREED, false,
					   __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

void gf_release(const struct gf_tls *me, struct gf_rec *rec, u32 stack)
{
	struct gf_arena *arena = me->arena;
	const struct gf_unit *u = unit_at(rec->page / UNIT_PAGES);
	u32 id = rec_id(rec) + 1;

	rec->free_stack = stack;
	rec->free_thread = me->no;
	if (u->kind == UNIT_SPAN && (gf_strict || u->pages >= SPAN_NONE_PAGES) &&
	    !gf_remap(page_at(rec->page - 1), weight(rec), PROT_NONE)) {
		rec->flags |= FLAG_GONE;
	} else if (gf_opt.batch > 1) {
		gf_lock(&arena->lock);
		arena->frees++;
		arena->bytes_out += rec->size;
		arena->batch[arena->waiting++] = id;
		if (arena->waiting >= gf_opt.batch)
			batch_end(arena);
		gf_unlock(&arena->lock);
		return;
	} else if (rec->pages) {
		gf_poison(page_at(rec->first), (u64)rec->pages << PAGE_SHIFT);
	}
	gf_lock(&arena->lock);
	arena->frees++;
	arena->bytes_out += rec->size;
	quarantine(arena, id);
	gf_unlock(&arena->lock);
}

/* Arenas and threads. */

struct gf_arena *gf_arena_enter(void)
{
	struct gf_arena *best = &arenas[0];
	u32 i;

	gf_lock(&enter_lock);
	for (i = 1; i < narenas; i++)
		if (arenas[i].threads < best->threads)
			best = &arenas[i];
	if (!best->threads++)
		store(&active, active + 1);
	gf_unlock(&enter_lock);
	return best;
}

void gf_arena_leave(struct gf_arena *arena)
{
	gf_lock(&enter_lock);
	if (!--arena->threads)
		store(&active, active - 1);
	gf_unlock(&enter_lock);
}

void gf_arenas_forked(struct gf_arena *mine)
{
	u32 i;

	for (i = 0; i < narenas; i++)
		arenas[i].threads = &arenas[i] == mine;
	active = 1;
}

void gf_slots_lock(void)
{
	u32 i;

	gf_lock(&enter_lock);
	for (i = 0; i < narenas; i++)
		gf_lock(&arenas[i].lock);
	gf_lock(&gf_grow_lock);
}

void gf_slots_unlock(void)
{
	u32 i;

	gf_unlock(&gf_grow_lock);
	for (i = narenas; i; i--)
		gf_unlock(&arenas[i - 1].lock);
	gf_unlock(&enter_lock);
}

void gf_each_live(void (*fn)(struct gf_rec *rec))
{
	u32 unit = 0, end = load(&heap_units), i;

	while (unit < end) {
		struct gf_unit *u = unit_at(unit);
		u32 n = 1;

		if (load(&u->kind) == UNIT_NONE || u->head != unit) {
			unit++;
			continue;
		}
		if (u->kind == UNIT_SPAN)
			n = (u->pages + 2) / UNIT_PAGES;
		for (i = 0; i < u->slots; i++) {
			struct gf_rec *rec = rec_at((unit * UNIT_PAGES + 1 + i * (u->pages + 1)) >> 1);

			if (load(&rec->state) == STATE_LIVE)
				fn(rec);
		}
		unit += n;
	}
}

void gf_slots_stats(struct gf_heap_stats *s)
{
	u32 i;

	memset(s, 0, sizeof(*s));
	for (i = 0; i < narenas; i++) {
		const struct gf_arena *a = &arenas[i];

		s->allocs += a->allocs;
		s->frees += a->frees;
		s->live_bytes += a->bytes_in - a->bytes_out;
		s->quarantined += a->held;
		s->quarantined_bytes += a->held_bytes;
	}
	s->live = s->allocs - s->frees;
	s->chunks = nchunks;
}
