// SPDX-License-Identifier: GPL-2.0
/*
 * The page tables that the windows may have, as an upper bound: for each entry that can lead
 * to a table, at each level, whether there may be one. All that may fill memory sets it.
 * POISON of all that a page table maps needs none, nor does what keeps, copies, moves or
 * drops such a huge guard.
 */
#include "model.h"

/* From page tables up. Of larger tables than 512 entries, more than there are seem allowed. */
#define LEVELS 4
#define MAX_TABLES 8192

static bool may[MAX_TABLES];
static int64_t allowed;		/* bytes */

/*
 * The windows are in two areas. The tables for the page at @from, which is in front of the
 * first window, are there from the beginning, as are those for the stack.
 */
static struct {
	uintptr_t from, to;
	int first[LEVELS];	/* the index in may[] of the table behind the one for @from */
} areas[2];

static uint64_t span(int level)
{
	return (uint64_t)rt_ppt * rt_psz << (9 * level);
}

void tables_reset(void)
{
	int nr = 0;

	memset(may, 0, sizeof(may));
	allowed = 0;
	if (!(has & HAS_HUGEGUARD))
		return;
	areas[0].from = rt_before;
	areas[0].to = rt_addr(PG(W_BIG, rt_win[W_BIG].pages));
	areas[1].from = rt_win[W_BRK].base - rt_psz;
	areas[1].to = rt_addr(PG(W_BRK, rt_win[W_BRK].pages));
	for (int i = 0; i < 2; i++) {
		for (int level = 0; level < LEVELS; level++) {
			areas[i].first[level] = nr;
			nr += (areas[i].to - 1) / span(level) - areas[i].from / span(level);
		}
	}
	if (nr > MAX_TABLES)
		rt_die("more than %d page tables", MAX_TABLES);
}

/* May there be a table for the address? NULL if it is there from the beginning */
static bool *table(int level, uint64_t addr)
{
	const int i = addr >= areas[0].from && addr < areas[0].to ? 0 : 1;
	const uint64_t behind = addr / span(level) - areas[i].from / span(level);

	return behind ? &may[areas[i].first[level] + behind - 1] : NULL;
}

static void set(int level, uint64_t addr, bool value)
{
	const int64_t bytes = level ? rt_psz : rt_ppt * sizeof(uint64_t);
	bool *p = table(level, addr);

	if (!p || *p == value)
		return;
	*p = value;
	allowed += value ? bytes : -bytes;
}

/* The tables of the range, from a level on */
static void allow(uint32_t pg, uint32_t n, int level)
{
	const uint64_t end = rt_addr(pg) + n * rt_psz;

	if (WIN(pg) == W_STACK)
		return;
	for (; level < LEVELS; level++)
		for (uint64_t addr = rt_addr(pg); addr < end; addr = (addr & -span(level)) + span(level))
			set(level, addr, true);
}

/* Guards keep others from filling the page, so they need no table for that */
static void fill(uint32_t pg, uint32_t n, int level)
{
	for_parts(r, pg, n)
		if (r.st != GUARD && r.st != UNMAPPED)
			allow(r.pg, r.n, level);
}

void tables_fill(uint32_t pg, uint32_t n)
{
	if (has & HAS_HUGEGUARD)
		fill(pg, n, 0);
}

/* How much of the range, up to @end, is in the first page table? rt_ppt: all of that table */
static uint32_t in_table(uint32_t pg, uint32_t end)
{
	const uint32_t n = rt_ppt - rt_addr(pg) / rt_psz % rt_ppt;

	return n < end - pg ? n : end - pg;
}

static void poison(uint32_t pg, uint32_t n)
{
	if (WIN(pg) == W_STACK)
		return;
	for (uint32_t end = pg + n, k; pg < end; pg += k) {
		k = in_table(pg, end);
		if (k == rt_ppt && one_vma(pg, k)) {
			fill(pg, k, 1);
			sh->seen[SEEN_WHOLE] += !*table(0, rt_addr(pg));
		} else {
			fill(pg, k, 0);
		}
	}
}

/* A huge guard is split where a VMA or a range of guards comes to end */
static void end_at(uint32_t pg)
{
	const uint32_t ahead = rt_addr(pg) / rt_psz % rt_ppt, first = pg - ahead;

	if (!ahead || OFF(pg) < ahead || OFF(first) + rt_ppt > rt_win[WIN(pg)].pages)
		return;
	for_parts(r, first, rt_ppt)
		if (r.st != GUARD)
			return;
	allow(first, rt_ppt, 0);
}

static void ends(uint32_t pg, uint32_t n)
{
	end_at(pg);
	end_at(pg + n);
}

static bool congruent(uint32_t a, uint32_t b)
{
	return !((rt_addr(a) - rt_addr(b)) / rt_psz % rt_ppt);
}

/* Before the operation. What is not known to need fewer tables may fill all. */
void tables_before(const struct op *o)
{
	const int how = op_tables(o);
	uint32_t range[2][2];
	int n;

	if (!(has & HAS_HUGEGUARD))
		return;
	n = op_ranges(o, range);
	for (int i = 0; i < n; i++) {
		if (how & T_POISON)
			poison(range[i][0], range[i][1]);
		if (how & T_FILL)
			fill(range[i][0], range[i][1], 0);
		if (how & (T_ENDS | T_UNPOISON | T_MMAP | T_UNMAP | T_MOVE))
			ends(range[i][0], range[i][1]);
	}
	if (how & T_BRK)
		end_at(PG(W_BRK, o->a[0]));
	if (how & T_MOVE) {
		/* Arguments as of mremap */
		if (o->a[3] < o->a[1])
			end_at(o->a[0] + o->a[3]);
		/* Where huge guards do not fit, they are split before they move */
		if (!congruent(o->a[0], o->a[2]))
			allow(range[0][0], range[0][1], 0);
	}
}

/* Is nothing mapped for which this table would be? */
static bool unused(int level, uint64_t addr)
{
	const uint64_t from = addr & -span(level), to = from + span(level);

	for (int w = 0; w < W_BRK; w++) {
		const uint64_t base = rt_win[w].base, end = base + rt_win[w].pages * rt_psz;
		const uint64_t a = base > from ? base : from, b = end < to ? end : to;

		if (a >= b)
			continue;
		for_parts(r, PG(w, (a - base) / rt_psz), (b - a) / rt_psz)
			if (r.st != UNMAPPED)
				return false;
	}
	return true;
}

/* munmap() frees the tables for which nothing is mapped any more */
static void unmapped(uint32_t pg, uint32_t n)
{
	const uint64_t end = rt_addr(pg) + n * rt_psz;

	/* What is behind the heap is not known */
	if (WIN(pg) >= W_BRK)
		return;
	for (int level = 0; level < LEVELS; level++)
		for (uint64_t addr = rt_addr(pg); addr < end; addr = (addr & -span(level)) + span(level))
			if (unused(level, addr))
				set(level, addr, false);
}

/* mmap() over others does so first, for each table that is all in the range */
static void replaced(uint32_t pg, uint32_t n)
{
	for (uint32_t end = pg + n, k; pg < end; pg += k) {
		k = in_table(pg, end);
		if (k == rt_ppt)
			set(0, rt_addr(pg), false);
	}
}

/* A page table, or a huge guard, moves as a whole if all of it moves to such a place */
static void moved(uint32_t src, uint32_t dst, uint32_t n)
{
	const bool whole = congruent(src, dst);

	for (uint32_t pg = dst, end = dst + n, k; pg < end; pg += k) {
		k = in_table(pg, end);
		allow(pg, k, whole && k == rt_ppt && !*table(0, rt_addr(src + (pg - dst))) ? 1 : 0);
	}
}

void tables_after(const struct op *o)
{
	const int how = op_tables(o);
	const uint32_t pg = o->a[0], n = o->a[1], dst = o->a[2], m = o->a[3];

	if (!(has & HAS_HUGEGUARD))
		return;
	if (how & T_MMAP) {
		replaced(pg, n);
		/* No more than before, unless it filled something */
		if ((lock_future && !(lock_future & AT_ONFAULT)) || o->a[3] & (M_POPULATE | M_LOCKED))
			fill(pg, n, 0);
	}
	if (how & T_UNMAP)
		unmapped(pg, n);
	if (!(how & T_MOVE))
		return;
	if (o->a[4] & MREMAP_FIXED) {
		replaced(dst, m);
		moved(pg, dst, n < m ? n : m);
	}
	/* It fills what is new of locked memory */
	if (m > n && runs[model_find(dst)].at & AT_LOCKED)
		fill(dst + n, m - n, 0);
	unmapped(pg, n);
}

/*
 * Can the operation make, split or move huge guards as a whole? To count takes longer than
 * most operations, so it is not done after each.
 */
bool tables_concerned(const struct op *o)
{
	uint32_t range[2][2];
	int n = op_tables(o) & (T_POISON | T_UNPOISON | T_MOVE) ? op_ranges(o, range) : 0;

	for (int i = 0; i < n; i++) {
		const uint32_t ahead = -(uint32_t)(rt_addr(range[i][0]) / rt_psz) % rt_ppt;

		if (range[i][1] >= ahead && range[i][1] - ahead >= rt_ppt)
			return true;
	}
	return false;
}

void tables_check(uint32_t pg)
{
	int64_t n;

	if (!(has & HAS_HUGEGUARD))
		return;
	sh->seen[SEEN_TABLES]++;
	n = rt_tables();
	if (n > allowed)
		diverge(W_TABLES, pg, allowed, 0, 0, "%lld bytes of page tables, not %lld at most",
			(long long)n, (long long)allowed);
}
