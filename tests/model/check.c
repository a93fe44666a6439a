// SPDX-License-Identifier: GPL-2.0
/*
 * Compares the kernel with the model. Checks between operations must not change a
 * page that is as it should be, so they do not touch empty pages. Only operations
 * and the checks at the end find an empty page that is a guard.
 */
#include "model.h"

static uint64_t seed;

static uint32_t some(uint32_t n)
{
	return mix(&seed) % n;
}

static void want_fault(const struct run *r, uint32_t pg, bool write, int want_sig)
{
	static const uint32_t junk[2] = { 0xdead, 0xbeef };
	uint32_t val[2];
	int sig = write ? rt_store(pg, junk) : rt_load(pg, val);

	tables_fill(pg, 1);
	if (sig != want_sig)
		diverge(W_ACCESS, pg, write, want_sig, 0, "a %s gives signal %d, not %d",
			write ? "write" : "read", sig, want_sig);
	if (!sig)
		return;
	if (rt_fault.addr != rt_addr(pg))
		diverge(W_OTHER, pg, 0, 0, 0, "si_addr is %#lx, not %#lx", (unsigned long)rt_fault.addr,
			(unsigned long)rt_addr(pg));
	/* Mainline on x86 has SEGV_MAPERR for guards */
	if (sig == SIGSEGV && rt_fault.code != (r->st == UNMAPPED ? SEGV_MAPERR : SEGV_ACCERR) &&
	    !(mainline && r->st == GUARD))
		diverge(W_OTHER, pg, 0, 0, 0, "si_code is %d", rt_fault.code);
	if (r->st == GUARD)
		sh->seen[write ? SEEN_WRITE_SEGV : SEEN_READ_SEGV]++;
}

static void check_contents(const struct run *r, uint32_t pg)
{
	const uint32_t id = page_id(r, pg - r->pg), last = last_of(id);
	const bool readable = !model_access(r, false, false);
	uint32_t val[2] = { 0, 0 };
	int err;

	if (!readable && !((has & HAS_FORCE) && !model_access(r, false, true)))
		return;
	tables_fill(pg, 1);
	err = readable ? rt_load(pg, val) : rt_peek(pg, val);
	if (r->st != LAZY && (err || val[0] != id || val[1] != last))
		diverge(W_CONTENTS, pg, id, last, 0, "error %d, reads %#x %#x, not %#x", err, val[0], val[1], id);
	if (r->st == LAZY && (err || ((val[0] || val[1]) && (val[0] != id || val[1] != ~id))))
		diverge(W_ZERO_OR, pg, id, ~id, 0, "error %d, reads %#x %#x, not %#x or 0", err, val[0], val[1],
			id);
}

/* What other programs have there, whatever this mapping shows */
static void check_file(const struct run *r, uint32_t pg)
{
	const uint32_t fp = r->fp + (pg - r->pg), page = fp - FP(run_file(r), 0), id = files->id[fp];
	uint32_t val[2] = { 0, 0 };
	int err;

	if (!(r->at & AT_FILE) || (r->fl & F_EOF))
		return;
	err = rt_file_peek(run_file(r), page, val);
	if (err || val[0] != id || val[1] != last_of(id))
		diverge(W_FILE, pg, run_file(r), page, id, "the file has %#x %#x there, not %#x (%d)", val[0],
			val[1], id, err);
}

static void check_guard(const struct run *r, uint32_t pg)
{
	uint32_t val[2];
	int err;

	sh->seen[SEEN_BEYOND] += !!(r->fl & F_EOF);
	/* Rarely by a signal, which takes much longer than a system call */
	switch (some(32)) {
	case 0:
		want_fault(r, pg, false, SIGSEGV);
		return;
	case 1:
		want_fault(r, pg, true, SIGSEGV);
		return;
	case 2:
	case 3:
		if (!(has & HAS_FORCE))
			break;
		/* It ignores the protection */
		err = rt_peek(pg, val);
		if (err != -EIO)
			diverge(W_ACCESS, pg, 0, SIGSEGV, 0, "/proc/self/mem says %d, not EIO", err);
		return;
	case 4 ... 7:
		if (rt_kernel_writes(pg))
			diverge(W_ACCESS, pg, 1, SIGSEGV, 0, "the kernel writes to it");
		sh->seen[SEEN_EFAULT]++;
		return;
	}
	if (rt_kernel_reads(pg))
		diverge(W_ACCESS, pg, 0, SIGSEGV, 0, "the kernel reads it");
	sh->seen[SEEN_EFAULT]++;
}

static void check_pagemap(const struct run *r, uint32_t pg, uint64_t entry)
{
	const uint64_t here = entry & (PM_PRESENT | PM_SWAPPED);

	if (r->st != GUARD && (entry & PM_GUARD))
		diverge(W_PAGEMAP, pg, PM_GUARD, 0, 0, "pagemap has a guard where none is: %#llx",
			(unsigned long long)entry);
	if (here & PM_SWAPPED && r->st == DATA)
		sh->seen[SEEN_SWAPPED]++;
	switch (r->st) {
	case DATA:
		if (!here)
			diverge(W_PAGEMAP, pg, PM_PRESENT | PM_SWAPPED, 1, 0, "pagemap has nothing: %#llx",
				(unsigned long long)entry);
		if ((r->fl & F_WP) && !(r->fl & F_WPQ) && !(entry & PM_WP))
			diverge(W_PAGEMAP, pg, PM_WP, 1, 0, "pagemap has it not write-protected: %#llx",
				(unsigned long long)entry);
		if (!(r->fl & (F_WP | F_WPQ)) && !(r->at & AT_ASYNC) && (entry & PM_WP) && (r->at & AT_WP))
			diverge(W_PAGEMAP, pg, PM_WP, 0, 0, "pagemap has it write-protected: %#llx",
				(unsigned long long)entry);
		break;
	case GUARD:
		/* If the kernel has the bit, it tells whether the guard is still there */
		if ((has & HAS_GUARDBIT) && !(entry & PM_GUARD))
			diverge(W_ACCESS, pg, 0, SIGSEGV, 0, "pagemap has no guard but %#llx",
				(unsigned long long)entry);
		if (here & (mainline ? PM_PRESENT : PM_PRESENT | PM_SWAPPED))
			diverge(W_PAGEMAP, pg, mainline ? PM_PRESENT : PM_PRESENT | PM_SWAPPED, 0, 0, "pagemap has a guard as %#llx",
				(unsigned long long)entry);
		break;
	case EMPTY:
		/* An empty page that is write-protected looks swapped out */
		if ((r->fl & (F_POP | F_WP | F_WPQ)) || (r->at & (AT_WP | AT_ASYNC)))
			break;
		/* fall through */
	case UNMAPPED:
		if (here)
			diverge(W_PAGEMAP, pg, PM_PRESENT | PM_SWAPPED, 0, 0, "pagemap has %#llx where nothing is",
				(unsigned long long)entry);
		break;
	}
}

static void check_page(const struct run *r, uint32_t pg)
{
	sh->seen[SEEN_PAGES]++;
	if ((r->at & AT_FILE) && !some(4))
		check_file(r, pg);
	switch (r->st) {
	case GUARD:
		check_guard(r, pg);
		break;
	case DATA:
	case LAZY:
		check_contents(r, pg);
		if (!(r->at & AT_W) && model_access(r, true, false) > 0 && !some(16))
			want_fault(r, pg, true, SIGSEGV);
		if ((r->fl & (F_WP | F_WPQ)) == F_WP && (r->at & AT_W) && r->st == DATA && !some(16))
			want_fault(r, pg, true, SIGBUS);
		break;
	case ERROR:
		if (!some(4)) {
			const bool write = some(2);

			want_fault(r, pg, write, model_access(r, write, false));
		}
		break;
	case UNMAPPED:
		if (!some(16))
			want_fault(r, pg, some(2), SIGSEGV);
		break;
	case EMPTY:
		if (!(r->at & AT_R) && !some(16)) {
			want_fault(r, pg, some(2), SIGSEGV);
		} else if (!is_anon(r) && !(r->fl & F_EOF)) {
			if (!some(2))
				check_contents(r, pg);
		} else if ((r->fl & F_EOF) && (r->at & AT_R) && !some(8)) {
			want_fault(r, pg, false, SIGBUS);
		}
		break;
	}
}

static void check_range(uint32_t pg, uint32_t n)
{
	static uint64_t entries[64];
	uint32_t at = pg;

	/* Include the pages on both sides, but not each time */
	if (OFF(pg) && !some(2)) {
		pg--;
		n++;
	}
	if (OFF(pg) + n < rt_win[WIN(pg)].pages && !some(2))
		n++;
	if (n <= 64 && !rt_pagemap(pg, n, entries)) {
		at = pg;
		for_parts(r, pg, n)
			for (uint32_t i = 0; i < r.n; i++, at++)
				check_pagemap(&r, at, entries[at - pg]);
	}
	for_parts(r, pg, n) {
		const uint32_t spots[] = { 0, r.n - 1, some(r.n) };

		for (int i = 0; i < 3; i++) {
			if (i && spots[i] == 0)
				continue;
			if (n > 64 && !rt_pagemap(r.pg + spots[i], 1, entries))
				check_pagemap(&r, r.pg + spots[i], entries[0]);
			if (!some(i < 2 ? 2 : 4))
				check_page(&r, r.pg + spots[i]);
		}
	}
}

/* The least and the most boundaries of VMAs that a window can have */
static void boundaries(int win, int *min, int *max)
{
	struct run before = { 0 };

	*min = *max = 0;
	for_parts(r, PG(win, 0), rt_win[win].pages) {
		if (before.n && (r.st != UNMAPPED || before.st != UNMAPPED)) {
			const bool both = r.st != UNMAPPED && before.st != UNMAPPED;

			if (!both || !same_vma(&before, &r)) {
				++*min;
				++*max;
			} else if (r.fl & F_EDGE) {
				++*max;
			}
		}
		before = r;
	}
}

static void check_vmas(void)
{
	static uint32_t at[MAX_RUNS];
	int min, max, all = rt_vma_boundaries(at, MAX_RUNS), n[NR_WIN] = { 0 };

	if (all < 0)
		return;
	for (int i = 0; i < all; i++) {
		const struct run *r = &runs[model_find(at[i])], *b = r - 1;

		n[WIN(at[i])]++;
		/* A boundary that no operation can have made is wrong */
		if (r->pg != at[i] || ((same_vma(b, r) || (r->st == UNMAPPED && b->st == UNMAPPED)) &&
				       !(r->fl & F_EDGE))) {
			boundaries(WIN(at[i]), &min, &max);
			diverge(W_BOUNDARIES, at[i], min, max, 0, "a VMA ends in front of it");
		}
	}
	for (int w = 0; w < NR_WIN; w++) {
		boundaries(w, &min, &max);
		if (n[w] < min || n[w] > max)
			diverge(W_BOUNDARIES, PG(w, 0), min, max, 0,
				"window %d: %d boundaries of VMAs, not %d to %d", w, n[w], min, max);
	}
}

static void check_anon(void)
{
	static long cpus;
	int64_t min = 0, max = 0, n, slack;

	/* The figures of a child depend on its parent */
	if (depth)
		return;
	for (int i = 0; i < nr_runs; i++) {
		const struct run *r = &runs[i];

		if (r->st == DATA)
			min += r->n;
		if (r->st == DATA || r->st == LAZY || (r->st == EMPTY && r->fl & F_POP && is_anon(r)))
			max += r->n;
	}
	/* The kernel counts for each CPU, and the checker uses memory itself */
	if (!cpus)
		cpus = sysconf(_SC_NPROCESSORS_CONF);
	slack = cpus * 64 + 100;
	n = rt_anon_pages();
	/* The kernel counts pages on their way to or from swap twice or not at all */
	if (n < min - slack || n > max + slack)
		diverge(W_ANON, 0, min, max, slack, "%lld pages of anonymous memory, not %lld to %lld",
			(long long)n, (long long)min, (long long)max);
}

static void check_all_pagemap(void)
{
	static uint64_t entries[2048];

	for (int w = 0; w < NR_WIN; w++) {
		uint32_t n = rt_win[w].pages, pg = PG(w, 0);

		if (n > 2048) {
			pg += some(n - 512);
			n = 512;
		}
		if (rt_pagemap(pg, n, entries))
			continue;
		for_parts(r, pg, n)
			for (uint32_t i = 0; i < r.n; i++)
				check_pagemap(&r, r.pg + i, entries[r.pg + i - pg]);
	}
}

void check_everything(uint64_t with)
{
	seed = with;
	sh->seen[SEEN_FULL]++;
	tables_check(0);
	check_all_pagemap();
	for (int i = 0; i < nr_runs; i++) {
		const struct run r = runs[i];
		const uint32_t spots[] = { 0, r.n - 1, some(r.n) };

		check_page(&r, r.pg + spots[some(3)]);
	}
	if (with & 1) {
		check_vmas();
		check_anon();
	}
}

/* After an operation on a file, some of its mappings, guards above all */
static void check_files(void)
{
	int left = 12;

	for (int i = 0; i < nr_runs && left; i++) {
		const struct run r = runs[i];

		if (is_anon(&r) || r.st == UNMAPPED || (r.st != GUARD && some(4)))
			continue;
		check_page(&r, r.pg + some(r.n));
		left--;
	}
}

void check_after(const struct op *o)
{
	uint32_t range[2][2];
	int n;

	seed = o->check;
	if (!(o->check & 0x7f)) {
		check_everything(o->check >> 8);
		return;
	}
	if (strchr(opdefs[o->code].args, 'f')) {
		check_files();
		return;
	}
	n = op_ranges(o, range);
	if (tables_concerned(o))
		tables_check(range[0][0]);
	/* Always check after madvise(); later checks cover the other operations */
	if (o->check & 0x100 && o->code != OP_MADVISE)
		return;
	for (int i = 0; i < n; i++)
		check_range(range[i][0], range[i][1]);
}

static void final_page(const struct run *r, uint32_t pg)
{
	uint32_t val[2];
	int sig;

	check_file(r, pg);
	switch (r->st) {
	case GUARD:
		want_fault(r, pg, false, SIGSEGV);
		if ((has & HAS_FORCE) && rt_peek(pg, val) != -EIO)
			diverge(W_ACCESS, pg, 0, SIGSEGV, 0, "/proc/self/mem reads it");
		break;
	case UNMAPPED:
		want_fault(r, pg, false, SIGSEGV);
		break;
	default:
		check_contents(r, pg);
		sig = model_access(r, true, false);
		if (sig > 0)
			want_fault(r, pg, true, sig);
		break;
	}
}

/* The page of the run to check after page @k: all of short runs, the ends of others */
static uint32_t next_page(const struct run *r, uint32_t k, bool thorough)
{
	const uint32_t ends = thorough ? 16 : 2, whole = thorough ? 128 : 8, last = r->n - ends;
	uint32_t next;

	if (r->n <= whole || k + 1 < ends || k + 1 >= last)
		return k + 1;
	if (thorough)
		next = k + r->n / 32;
	else
		next = k + 1 + some(r->n <= 256 ? 31 : r->n / 8);
	return next < last ? next : last;
}

/* Check guards first: accesses do not change them, and a fault there prints best */
static void final_pages(bool guards, bool thorough)
{
	for (int i = 0; i < nr_runs; i++) {
		const struct run r = runs[i];

		if ((r.st == GUARD) != guards)
			continue;
		for (uint32_t k = 0; k < r.n; k = next_page(&r, k, thorough))
			final_page(&r, r.pg + k);
	}
}

void check_final(bool thorough)
{
	seed = sh->rng;
	tables_check(0);
	final_pages(true, thorough);
	check_vmas();
	check_anon();
	check_all_pagemap();
	if (thorough)
		check_all_pagemap();
	final_pages(false, thorough);
}
