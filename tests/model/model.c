// SPDX-License-Identifier: GPL-2.0
/* The model: the state that each page of the windows should have. */
#include "model.h"

struct run runs[MAX_RUNS];
int nr_runs;
uint32_t lock_future;
uint32_t brk_pages;
struct files *files;
static int cuts_seen;

/* Drops values that a page in this state cannot have */
static void normalise(struct run *r)
{
	if (r->st == UNMAPPED) {
		r->at = r->fl = r->id = r->fp = 0;
		return;
	}
	r->fl &= ~F_EOF;
	if (is_anon(r))
		r->fp = 0;
	else if ((r->at & AT_FILE) && r->fp >= FP(run_file(r), files->pages[run_file(r)]))
		r->fl |= F_EOF;
	if (r->st != DATA && r->st != LAZY) {
		r->id = 0;
		r->fl &= ~(F_STEP | F_SHARED);
	}
	if (r->st == GUARD || r->st == ERROR)
		r->fl &= ~(F_POP | F_WP | F_WPQ);
	/* khugepaged may fill it at any time, but is told not to where userfaultfd watches */
	if (r->st == EMPTY && (r->at & AT_HUGE) && !(r->at & AT_UFFD))
		r->fl |= F_POP;
	if (r->st == EMPTY && !is_anon(r))
		r->fl |= F_POP;
	/* KSM may forget the protection, also when another run starts it: docs/testing.md */
	if ((r->at & AT_MERGE) && (r->fl & F_WP) && is_anon(r))
		r->fl |= F_WPQ;
	if (r->n == 1)
		r->fl |= r->st == DATA || r->st == LAZY ? F_STEP : 0;
}

static bool alike(const struct run *a, const struct run *b)
{
	if (a->pg + a->n != b->pg || WIN(a->pg) != WIN(b->pg) || a->st != b->st || a->at != b->at ||
	    (a->fl | F_EDGE | F_STEP) != (b->fl | F_EDGE | F_STEP) || (b->fl & F_EDGE) ||
	    (!is_anon(a) && a->fp + a->n != b->fp))
		return false;
	if (a->st != DATA && a->st != LAZY)
		return true;
	/* One page is of either kind */
	if ((a->fl & F_STEP || a->n == 1) && (b->fl & F_STEP || b->n == 1) && a->id + a->n == b->id)
		return true;
	return !(a->fl & F_STEP && a->n > 1) && !(b->fl & F_STEP && b->n > 1) && a->id == b->id;
}

static void join(struct run *a, const struct run *b)
{
	if (a->st == DATA || a->st == LAZY) {
		if (a->id == b->id)
			a->fl &= ~F_STEP;
		else
			a->fl |= F_STEP;
	}
	a->n += b->n;
}

int model_find(uint32_t pg)
{
	int low = 0, high = nr_runs - 1;

	while (low < high) {
		int mid = (low + high + 1) / 2;

		if (runs[mid].pg <= pg)
			low = mid;
		else
			high = mid - 1;
	}
	return low;
}

static void cut(struct run *r, uint32_t pg, uint32_t end)
{
	if (pg > r->pg) {
		r->id = run_id(r, pg - r->pg);
		r->fp += is_anon(r) ? 0 : pg - r->pg;
		r->n -= pg - r->pg;
		r->pg = pg;
		r->fl &= ~F_EDGE;
	}
	if (r->pg + r->n > end)
		r->n = end - r->pg;
}

/* The index of the run that begins at the page, or would, at the end of a window */
static int split(uint32_t pg)
{
	int i = model_find(pg);

	if (runs[i].pg == pg)
		return i;
	if (runs[i].pg + runs[i].n == pg)
		return i + 1;
	if (nr_runs >= MAX_RUNS - 1)
		rt_die("more than %d runs", MAX_RUNS);
	memmove(&runs[i + 1], &runs[i], (nr_runs - i) * sizeof(*runs));
	nr_runs++;
	cut(&runs[i], runs[i].pg, pg);
	cut(&runs[i + 1], pg, UINT32_MAX);
	return i + 1;
}

static void tidy(int from, int to)
{
	int out;

	if (from < 0)
		from = 0;
	if (to > nr_runs)
		to = nr_runs;
	out = from;
	for (int i = from; i < to; i++) {
		normalise(&runs[i]);
		if (out > from && alike(&runs[out - 1], &runs[i]))
			join(&runs[out - 1], &runs[i]);
		else
			runs[out++] = runs[i];
	}
	if (out != to) {
		memmove(&runs[out], &runs[to], (nr_runs - to) * sizeof(*runs));
		nr_runs -= to - out;
	}
}

void model_change(uint32_t pg, uint32_t n, void (*fn)(struct run *, uint32_t), uint32_t arg)
{
	int i, j;

	if (!n)
		return;
	i = split(pg);
	j = split(pg + n);
	for (int k = i; k < j; k++)
		fn(&runs[k], arg);
	tidy(i - 1, j + 1);
}

static void edge(uint32_t pg)
{
	if (OFF(pg) && OFF(pg) < rt_win[WIN(pg)].pages)
		runs[split(pg)].fl |= F_EDGE;
}

/* A call may have split the VMAs at both ends of the range */
void model_edges(uint32_t pg, uint32_t n)
{
	edge(pg);
	edge(pg + n);
}

static void set(struct run *r, uint32_t arg)
{
	const struct run *from = &runs[MAX_RUNS - 1];

	(void)arg;
	r->st = from->st;
	r->at = from->at;
	r->id = run_id(from, r->pg - from->pg);
	r->fp = from->fp + (r->pg - from->pg);
	r->fl = (r->fl & F_EDGE) | (from->fl & ~F_EDGE);
}

void model_set(const struct run *r)
{
	/* The last is never used: see split() */
	runs[MAX_RUNS - 1] = *r;
	model_change(r->pg, r->n, set, 0);
}

bool model_part(struct run *r, uint32_t pg, uint32_t n)
{
	uint32_t next = r->n ? r->pg + r->n : pg;

	if (next >= pg + n)
		return false;
	*r = runs[model_find(next)];
	cut(r, next, pg + n);
	return true;
}

void model_reset(void)
{
	nr_runs = 0;
	lock_future = 0;
	brk_pages = 0;
	cuts_seen = 0;
	for (int w = 0; w < NR_WIN; w++) {
		struct run *r = &runs[nr_runs++];

		*r = (struct run){ .pg = PG(w, 0), .n = rt_win[w].pages };
		if (w == W_STACK) {
			r->st = EMPTY;
			r->at = AT_R | AT_W;
		}
	}
	tables_reset();
}

/*
 * On sparc64 a miss of the TLB does not tell whether it was a store. In a mapping that
 * is not writable, the kernel fills the page as for a load, and refuses the store when
 * it is tried again.
 */
#ifdef __sparc__
static const bool stores_read_first = true;
#else
static const bool stores_read_first = false;
#endif

static bool read_before_refused(const struct run *r)
{
	return stores_read_first && (r->at & (AT_R | AT_W)) == AT_R;
}

bool store_fills(const struct run *r)
{
	/* A write that waits for userfaultfd fills the page as well */
	return r->st == EMPTY && ((r->fl & F_WP) || (read_before_refused(r) && !(r->fl & F_EOF)));
}

int model_access(const struct run *r, bool write, bool force)
{
	if (r->st == UNMAPPED)
		return SIGSEGV;
	/* The kernel reads the page first: beyond the end of the file, or a missing page */
	if (write && !force && r->st == EMPTY && (r->fl & F_EOF) && read_before_refused(r))
		return SIGBUS;
	if (write && !force && (r->st == EMPTY || r->st == LAZY) && (r->at & AT_MISS) && read_before_refused(r))
		return -1;
	if (!(r->at & (write ? AT_W : AT_R))) {
		if (!force || (write && (r->at & AT_SHM)))
			return SIGSEGV;
	}
	if (r->st == GUARD)
		return SIGSEGV;
	if (r->st == ERROR)
		return SIGBUS;
	if (r->st == EMPTY && (r->fl & F_EOF))
		return SIGBUS;
	if (r->at & AT_MISS) {
		if (r->st == LAZY)
			return -1;
		if (r->st == EMPTY)
			return r->fl & F_POP ? -1 : SIGBUS;
	}
	if (write && (r->fl & F_WPQ))
		return -1;
	if (write && (r->fl & F_WP))
		return SIGBUS;
	return 0;
}

/* --- Files ---------------------------------------------------------------- */

void files_reset(void)
{
	for (uint32_t i = 0; i < ALL_PAGES / FP_CHUNK; i++)
		if (files->used[i])
			files_clear(i * FP_CHUNK, FP_CHUNK);
	for (int i = 0; i < NR_FILES; i++)
		files->pages[i] = FILE_PAGES;
	files->seals = 0;
	files->nr_cuts = 0;
	files->next_shm = SHM_FIRST;
}

uint32_t files_shm(uint32_t n)
{
	const uint32_t fp = files->next_shm;

	if (n >= ALL_PAGES - fp)
		return 0;
	/* Pieces that are adjacent would seem to be parts of one */
	files->next_shm += n + 1;
	return fp;
}

void files_write(uint32_t fp, uint32_t n, uint32_t id, uint32_t step)
{
	for (uint32_t i = 0; i < n; i++, id += step) {
		files->id[fp + i] = id;
		files->used[(fp + i) / FP_CHUNK] = 1;
	}
}

void files_clear(uint32_t fp, uint32_t n)
{
	const uint32_t end = fp + n;

	while (fp < end) {
		uint32_t chunk = fp / FP_CHUNK, next = (chunk + 1) * FP_CHUNK;

		if (next > end)
			next = end;
		if (files->used[chunk])
			memset(&files->id[fp], 0, (next - fp) * sizeof(files->id[0]));
		if (next - fp == FP_CHUNK)
			files->used[chunk] = 0;
		fp = next;
	}
}

void files_truncate(int file, uint32_t pages)
{
	const uint32_t old = files->pages[file];

	files->pages[file] = pages;
	if (pages >= old)
		return;
	files_clear(FP(file, pages), old - pages);
	if (files->nr_cuts == sizeof(files->cuts) / sizeof(files->cuts[0]))
		rt_die("too many truncates");
	files->cuts[files->nr_cuts].file = file;
	files->cuts[files->nr_cuts++].pages = pages;
}

/* Splits runs at the place in a file */
static void split_files(uint32_t fp)
{
	for (int i = 0; i < nr_runs; i++)
		if ((runs[i].at & AT_FILE) && runs[i].fp < fp && fp < runs[i].fp + runs[i].n)
			split(runs[i].pg + (fp - runs[i].fp));
}

void model_catch_up(void)
{
	/* Private copies go as well, but no guards */
	for (; cuts_seen < files->nr_cuts; cuts_seen++) {
		const uint32_t file = files->cuts[cuts_seen].file, fp = FP(file, files->cuts[cuts_seen].pages);

		split_files(fp);
		for (int i = 0; i < nr_runs; i++) {
			struct run *r = &runs[i];

			if ((r->at & AT_FILE) && (uint32_t)run_file(r) == file && r->fp >= fp && r->st == DATA) {
				sh->seen[SEEN_CUT] += r->n;
				r->st = EMPTY;
				r->fl &= F_EDGE;
			}
		}
	}
	for (int i = 0; i < NR_FILES; i++)
		split_files(FP(i, files->pages[i]));
	tidy(0, nr_runs);
}

/* --- fork ----------------------------------------------------------------- */

/* The model for a child */
static void forked(struct run *r, uint32_t arg)
{
	(void)arg;
	if (r->at & AT_NOFORK) {
		r->st = UNMAPPED;
		return;
	}
	if ((r->at & AT_WIPE) && r->st != UNMAPPED) {
		r->st = EMPTY;
		r->fl &= F_EDGE;
	}
	/* fork need not copy the marker that protects an empty page */
	r->fl &= ~(F_WP | F_WPQ);
	r->at &= ~(AT_LOCKED | AT_ONFAULT | AT_UFFD);
}

static void shared(struct run *r, uint32_t arg)
{
	(void)arg;
	if (r->st == DATA || r->st == LAZY)
		r->fl |= F_SHARED;
}

void model_fork(bool child)
{
	for (int w = 0; w < NR_WIN; w++) {
		if (child)
			model_change(PG(w, 0), rt_win[w].pages, forked, 0);
		model_change(PG(w, 0), rt_win[w].pages, shared, 0);
	}
	if (child)
		lock_future = 0;
}
