// SPDX-License-Identifier: GPL-2.0
/*
 * The model checker: random operations on memory, against a model of it.
 * See docs/testing.md. Each seed is a row of episodes. An episode is a process of
 * its own that begins with nothing mapped, draws the kinds of operations to use,
 * and makes some hundreds to thousands of them.
 */
#include "model.h"
#include <sched.h>

#define MAX_JOBS 64

struct shared *sh;
static struct shared *first_worker;

static uint64_t first_seed = 1, last_seed = 1, ops_per_seed = 10000;
static int jobs = 1, minimum_coverage;
static bool stop_at_first, use_system, use_mce, list_only, verbose;
bool profile;
static const char *out_dir, *only;
static unsigned int time_limit = 300;	/* seconds, of one episode or replay */

uint64_t mix(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15ull;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

uint64_t rnd(uint64_t n)
{
	/* 32 bits are cheap everywhere */
	return n <= UINT32_MAX ? ((mix(&sh->rng) >> 32) * n) >> 32 : mix(&sh->rng) % n;
}

void diverge(int kind, uint32_t pg, int64_t a, int64_t b, int64_t c, const char *fmt, ...)
{
	struct divergence *d = &sh->div;
	va_list ap;
	int n = 0;

	d->kind = kind;
	d->at = sh->pos - 1;
	d->pg = pg;
	d->a = a;
	d->b = b;
	d->c = c;
	if (kind != W_RESULT) {
		const struct run *r = &runs[model_find(pg)];
		static const char *const state[] = { "unmapped", "empty", "contents", "lazily freed", "guard",
						     "error" };

		if (kind == W_ACCESS)
			d->c = r->st;
		n = snprintf(d->text, sizeof(d->text), "page %u of window %u, %s (%#x, %#x): ", OFF(pg), WIN(pg),
			     state[r->st], r->at, r->fl);
	} else {
		n = snprintf(d->text, sizeof(d->text), "%s %s: ", opdefs[sh->log[d->at].code].name,
			     sub_name(sh->log[d->at].code, sh->log[d->at].sub));
	}
	va_start(ap, fmt);
	vsnprintf(d->text + n, sizeof(d->text) - n, fmt, ap);
	va_end(ap);
	_exit(1);
}

/* --- What the kernel has -------------------------------------------------- */

static bool can_write(const char *path)
{
	return !access(path, W_OK);
}

/*
 * The fault handlers of these do not handle VM_FAULT_HWPOISON, which a page after
 * UFFDIO_POISON returns: it becomes a SIGSEGV on arm, a BUG() on the others.
 */
#if defined(__arm__) || defined(__m68k__) || defined(__mips__) || defined(__sh__) || defined(__sparc__)
static const bool faults_know_poison = false;
#else
static const bool faults_know_poison = true;
#endif

/* In a child, because the probes leave traces */
uint64_t probe_kernel(void)
{
	const uint32_t pg = PG(W_SMALL, 0);
	uint64_t found = 0, entry;
	uint32_t val[2];
	int64_t tables;

	x_mmap(pg, 4, PROT_READ | PROT_WRITE, 0, 0);
	if (x_madvise(pg, 1, MADV_GUARD_POISON) || x_madvise(pg, 1, MADV_GUARD_UNPOISON))
		rt_die("model: this kernel has no guard pages");
	if (rt_has_mem_force)
		found |= HAS_FORCE;
	x_madvise(pg, 1, MADV_GUARD_POISON);
	if (!rt_pagemap(pg, 1, &entry) && (entry & PM_GUARD))
		found |= HAS_GUARDBIT;
	/* The length of a 32-bit program does not wrap on a 64-bit kernel */
	x_madvise_odd(pg, 0, -1, MADV_GUARD_UNPOISON);
	if (rt_load(pg, val))
		found |= HAS_WRAP;
	x_madvise(pg, 1, MADV_GUARD_UNPOISON);
	x_write(pg, 4, 1, 1);
	if (!x_madvise(pg, 1, MADV_COLD))
		found |= HAS_LRU;
	if (!x_madvise(pg, 1, MADV_WILLNEED))
		found |= HAS_READAHEAD;
	if (!x_madvise(pg, 1, MADV_POPULATE_READ))
		found |= HAS_POPULATE;
	if (!x_madvise(pg, 1, MADV_DONTNEED_LOCKED))
		found |= HAS_DLOCKED;
	if (!x_madvise(pg, 1, MADV_WIPEONFORK))
		found |= HAS_WIPE;
	if (!x_madvise(pg, 1, MADV_MERGEABLE))
		found |= HAS_KSM;
	/* Huge pages of 512 MiB would need too much memory */
	if ((uint64_t)rt_ppt * rt_psz <= 8 << 20 && !x_madvise(pg, 1, MADV_HUGEPAGE))
		found |= HAS_THP;
	if (x_madvise(pg, 1, MADV_COLLAPSE) != -EINVAL || (found & HAS_THP))
		found |= HAS_COLLAPSE;
	if (x_process_madvise(pg, 1, pg + 1, 1, MADV_GUARD_UNPOISON) == 2)
		found |= HAS_PMADVISE;
	if (!x_name(pg, 1, 1))
		found |= HAS_NAME;
	if (x_vm_readv(pg, 1) == 1)
		found |= HAS_VMRW;
	if (!x_move_pages(pg, 1))
		found |= HAS_MOVEPAGES;
	if (x_scan(pg, 1, 0) >= 0)
		found |= HAS_SCAN;
	if (!x_clear_refs(1))
		found |= HAS_SMAPS;
	if (x_soft_dirty(pg, 5) == 2)
		found |= HAS_SOFTDIRTY;
	if (!x_mmap(pg + 8, 1, PROT_READ | PROT_WRITE, M_FILE, 0)) {
		found |= HAS_FILE;
		if (x_madvise(pg + 8, 1, MADV_GUARD_POISON))
			rt_die("model: this kernel has guard pages in anonymous memory only");
	}
	if (!x_mmap(pg + 8, 1, PROT_READ, M_FILE | M_DISK, 0))
		found |= HAS_DISK;
	if (!x_punch(DISK, 0, 1))
		found |= HAS_PUNCH;
	/*
	 * Locked pages that are empty: no contents would be dropped. Two, as an imitation
	 * looks at single pages first, which fills them.
	 */
	if (!x_mmap(pg + 9, 2, PROT_READ, 0, 0) && !x_mlock(pg + 9, 2, MLOCK_ONFAULT) &&
	    !x_madvise(pg + 9, 2, MADV_GUARD_POISON))
		found |= HAS_LOCKED;
	if (!x_uffd_register(pg + 2, 1, U_MISSING)) {
		found |= HAS_UFFD;
		x_madvise(pg + 2, 1, MADV_DONTNEED);
		if (faults_know_poison && x_uffd_poison(pg + 2, 1) == 1)
			found |= HAS_UPOISON;
		x_madvise(pg + 2, 1, MADV_DONTNEED);
		if (x_uffd_move(pg + 2, pg + 3, 1, 0) == 1)
			found |= HAS_MOVE;
		x_uffd_unregister(pg + 2, 1, 0);
		x_madvise(pg + 2, 1, MADV_DONTNEED);
		/* If it does not protect empty pages, the model cannot predict them */
		if (!x_uffd_register(pg + 2, 1, U_WP) && !x_uffd_wp(pg + 2, 1, 1) &&
		    rt_store(pg + 2, (const uint32_t[]){ 1, ~1u }) == SIGBUS)
			found |= HAS_WP;
		x_uffd_unregister(pg + 2, 1, 0);
		if (!x_uffd_register(pg + 2, 1, U_ASYNC) && !rt_load(pg + 2, val))
			found |= HAS_ASYNC;
		x_uffd_unregister(pg + 2, 1, 1);
	}
	if (use_system) {
		found |= HAS_SYSTEM;
		if (x_global(G_SWAPOFF) == 0)
			found |= HAS_SWAP;
		if (!can_write("/sys/kernel/mm/ksm/run"))
			found &= ~HAS_KSM;
	}
	if (use_mce)
		found |= HAS_MCE;
	/* If caches have aliases, shared memory is only mapped at multiples of SHMLBA */
	for (uint32_t n = 1; n <= 1024; n *= 2) {
		const uint32_t first = rt_addr(PG(W_BIG, 0)) / rt_psz % (2 * n);

		if (x_mmap(PG(W_BIG, (3 * n - first) % (2 * n)), 1, PROT_READ, M_SHARED, 0) != -EINVAL)
			break;
		found += 1ull << SHM_ALIGN;
	}
	/* Does POISON of all that a page table maps need none? The first may need one above that. */
	x_mmap(PG(W_PMD, 0), 2 * rt_ppt + 5, PROT_READ, 0, 0);
	if (!x_madvise(PG(W_PMD, 5), rt_ppt, MADV_GUARD_POISON)) {
		tables = rt_tables();
		if (!x_madvise(PG(W_PMD, 5 + rt_ppt), rt_ppt, MADV_GUARD_POISON) &&
		    rt_tables() == tables)
			found |= HAS_HUGEGUARD;
	}
	x_mmap(PG(W_SMALL, 16), 1, PROT_READ, 0, 0);
	if (!x_mseal(PG(W_SMALL, 16), 1))
		found |= HAS_SEAL;
	return found;
}

static const struct {
	uint64_t bit;
	const char *name;
} features[] = {
	{ HAS_UFFD, "userfaultfd" }, { HAS_WP, "uffd-wp" }, { HAS_ASYNC, "uffd-wp-async" },
	{ HAS_MOVE, "UFFDIO_MOVE" }, { HAS_UPOISON, "UFFDIO_POISON" }, { HAS_SEAL, "mseal" },
	{ HAS_SCAN, "PAGEMAP_SCAN" }, { HAS_THP, "huge pages" }, { HAS_KSM, "KSM" }, { HAS_SWAP, "swapoff" },
	{ HAS_SOFTDIRTY, "soft-dirty" }, { HAS_PMADVISE, "process_madvise" }, { HAS_NAME, "names of VMAs" },
	{ HAS_SYSTEM, "the system's own settings" }, { HAS_FORCE, "/proc/self/mem" },
	{ HAS_MCE, "memory failures" }, { HAS_MOVEPAGES, "move_pages" }, { HAS_VMRW, "process_vm_readv" },
	{ HAS_SMAPS, "clear_refs" }, { HAS_COLLAPSE, "MADV_COLLAPSE" }, { HAS_POPULATE, "MADV_POPULATE" },
	{ HAS_DLOCKED, "MADV_DONTNEED_LOCKED" }, { HAS_LRU, "MADV_COLD" }, { HAS_FILE, "memfd" },
	{ HAS_WIPE, "MADV_WIPEONFORK" }, { HAS_GUARDBIT, "the bit of guards in pagemap" },
	{ HAS_WRAP, "lengths that wrap" }, { HAS_READAHEAD, "MADV_WILLNEED of anonymous memory" },
	{ HAS_DISK, "a file" }, { HAS_PUNCH, "holes in a file" }, { HAS_LOCKED, "guards in locked memory" },
	{ HAS_HUGEGUARD, "huge guards" },
};

static void print_lacking(void)
{
	bool any = false;

	for (size_t i = 0; i < sizeof(features) / sizeof(features[0]); i++)
		if (!(has & features[i].bit)) {
			dprintf(1, "%s%s", any ? ", " : "# not tried: ", features[i].name);
			any = true;
		}
	if (any)
		dprintf(1, "\n");
}

/* --- One episode ---------------------------------------------------------- */

static bool wanted(const char *name)
{
	const char *p = only;
	const size_t n = strlen(name);

	if (!only)
		return true;
	for (; (p = strstr(p, name)); p += n)
		if ((p == only || p[-1] == ',') && (!p[n] || p[n] == ','))
			return true;
	return false;
}

/* Most episodes leave some kinds out, so that the others meet more often */
static void draw_enabled(void)
{
	for (int i = 0; i < nr_opdefs; i++) {
		const char *name = opdefs[i].name;
		const bool always = !strcmp(name, "mmap") || !strcmp(name, "write");

		sh->enabled[i] = 0;
		for (int s = 0; s < MAX_SUB && op_available(i, s); s++)
			;
		for (int s = 0; s < MAX_SUB; s++) {
			if (!opdefs[i].subs && s)
				break;
			if (opdefs[i].subs && !opdefs[i].subs[s])
				break;
			if (!op_available(i, s) || !(wanted(name) || (opdefs[i].subs && wanted(sub_name(i, s)))))
				continue;
			/* Draw it always, so that the sequence of random numbers is the same */
			if (rnd(5) < 3 || always || (i == OP_MADVISE && s < 2))
				sh->enabled[i] |= 1u << s;
		}
	}
}

static void start_episode(uint64_t seed, uint64_t episode, uint64_t left)
{
	uint64_t s = seed * 0x2545f4914f6cdd1dull + episode;

	sh->rng = mix(&s);
	sh->next_id = 1;
	sh->pos = 0;
	sh->generate = true;
	sh->queued = 0;
	sh->limit = 100 + rnd(rnd(4) ? 1000 : 4000);
	if ((uint64_t)sh->limit > left)
		sh->limit = left;
	memset(&sh->div, 0, sizeof(sh->div));
	draw_enabled();
}

static void next_generated(struct op *o)
{
	static const int first[] = { W_TABLE, W_PMD, W_PUD, W_SMALL, W_BIG };

	/* Map most of the windows first */
	if (sh->pos < (int)(sizeof(first) / sizeof(first[0])) && rnd(8)) {
		memset(o, 0, sizeof(*o));
		for (o->code = 0; strcmp(opdefs[o->code].name, "mmap"); o->code++)
			;
		o->a[0] = PG(first[sh->pos], 0);
		o->a[1] = rt_win[first[sh->pos]].pages;
		o->a[2] = PROT_READ | PROT_WRITE;
		/* All of the same pages, which the huge ones of W_PMD need aligned */
		if ((has & HAS_FILE) && !rnd(3)) {
			o->a[3] = M_FILE | (rnd(3) ? M_SHARED : 0);
			o->a[4] = o->a[0] == PG(W_PMD, 0) ? rt_ppt - 5 : 0;
		}
		o->check = rnd(1ull << 32);
		return;
	}
	gen_op(o);
}

uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

/* The process of an episode, or of a replay */
__attribute__((noreturn)) static void play(bool check)
{
	uint64_t start = 0;

	rt_forked();
	rt_files();
	depth = 0;
	files_reset();
	model_reset();
	rt_tables_rebase();
	rt_anon_rebase();
	while (sh->pos < sh->limit) {
		struct op *o = &sh->log[sh->pos];
		enum outcome outcome;

		start = profile ? now_ns() : 0;
		if (sh->generate)
			next_generated(o);
		sh->pos++;
		if (verbose) {
			dprintf(1, "%d.%d ", depth, sh->pos - 1);
			describe(1, o);
			dprintf(1, "\n");
		}
		/* Does not return */
		if (o->code == OP_END && depth) {
			sh->tried[o->code][0]++;
			sh->succeeded[o->code][0]++;
		}
		if (profile) {
			sh->phase_ns[PH_DRAW] += now_ns() - start;
			start = now_ns();
		}
		tables_before(o);
		outcome = opdefs[o->code].run(o);
		if (outcome == SUCCESS)
			tables_after(o);
		if (profile) {
			sh->ns[o->code][o->sub] += now_ns() - start;
			start = now_ns();
		}
		sh->tried[o->code][o->sub] += outcome != SKIPPED;
		sh->succeeded[o->code][o->sub] += outcome == SUCCESS;
		sh->skipped[o->code][o->sub] += outcome == SKIPPED;
		if (check && outcome != SKIPPED)
			check_after(o);
		if (profile)
			sh->check_ns[o->code][o->sub] += now_ns() - start;
	}
	start = profile ? now_ns() : 0;
	check_final(!sh->generate);
	if (profile)
		sh->phase_ns[PH_FINAL] += now_ns() - start;
	/* The parents continue when this exits, and see that the run is over */
	_exit(0);
}

static volatile pid_t player;

static void too_long(int sig)
{
	(void)sig;
	if (player > 0)
		kill(player, SIGKILL);
}

/* Returns true if all was right, else sh->div has the difference */
static bool run_player(bool check)
{
	const uint64_t start = profile ? now_ns() : 0;
	int status;

	sh->pos = 0;
	memset(&sh->div, 0, sizeof(sh->div));
	player = fork();
	if (!player) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		play(check);
	}
	if (player < 0)
		rt_die("model: fork: %s", strerror(errno));
	alarm(time_limit);
	while (waitpid(player, &status, 0) < 0)
		if (errno != EINTR)
			rt_die("model: waitpid: %s", strerror(errno));
	alarm(0);
	if (profile)
		sh->phase_ns[PH_ALL] += now_ns() - start;
	player = 0;
	if (status && !sh->div.kind) {
		sh->div.kind = W_OTHER;
		sh->div.at = sh->pos - 1;
		if (WIFSIGNALED(status))
			snprintf(sh->div.text, sizeof(sh->div.text), "killed by signal %d", WTERMSIG(status));
		else
			snprintf(sh->div.text, sizeof(sh->div.text), "ended with status %d",
				 WEXITSTATUS(status));
	}
	return !sh->div.kind;
}

bool replay(enum checks checks)
{
	sh->generate = false;
	return !run_player(checks == CHECK_AS_FOUND);
}

/* --- Seeds ---------------------------------------------------------------- */

static void report(uint64_t seed, uint64_t episode)
{
	static struct op list[MAX_LOG];
	struct divergence d = sh->div;
	struct shared *before = mmap(NULL, sizeof(*sh), PROT_READ | PROT_WRITE,
				     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	int n = d.at + 1, fd = 1;
	enum checks checks;
	char path[4096];

	dprintf(1, "seed %llu, episode %llu, operation %d: %s\n", (unsigned long long)seed,
		(unsigned long long)episode, d.at, d.text);
	memcpy(list, sh->log, n * sizeof(*list));
	/* Do not count the replays */
	*before = *sh;
	checks = shrink(list, &n, &d);
	*sh = *before;
	munmap(before, sizeof(*sh));
	/* Do not mix with the output of another process */
	while (__atomic_exchange_n(&first_worker->printing, 1, __ATOMIC_ACQUIRE))
		sched_yield();
	dprintf(1, "shrunk to %d operations: %s\n", n, d.text);
	for (int i = 0; i < n; i++) {
		dprintf(1, "  ");
		describe(1, &list[i]);
		dprintf(1, "\n");
	}
	if (out_dir) {
		snprintf(path, sizeof(path), "%s/seed-%llu.c", out_dir, (unsigned long long)seed);
		fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
		if (fd < 0)
			rt_die("model: %s: %s", path, strerror(errno));
	}
	emit(fd, seed, list, n, &d, checks);
	if (fd != 1) {
		close(fd);
		dprintf(1, "as C: %s\n", path);
	}
	__atomic_store_n(&first_worker->printing, 0, __ATOMIC_RELEASE);
}

static uint64_t sum(uint64_t (*table)[MAX_SUB])
{
	uint64_t total = 0;

	for (int i = 0; i < nr_opdefs; i++)
		for (int s = 0; s < MAX_SUB; s++)
			total += table[i][s];
	return total;
}

static bool run_seed(uint64_t seed)
{
	uint64_t done = 0, episode = 0;
	const uint64_t tried = sum(sh->tried), good = sum(sh->succeeded), skipped = sum(sh->skipped);
	const uint64_t pages = sh->seen[SEEN_PAGES];
	bool right = true;

	for (; done < ops_per_seed && right; episode++) {
		start_episode(seed, episode, ops_per_seed - done);
		right = run_player(true);
		done += sh->pos;
		if (!right)
			report(seed, episode);
	}
	sh->total += done;
	dprintf(1, "%s seed %llu: %llu operations in %llu episodes, %llu succeeded, %llu failed as they must, "
		"%llu not made; %llu pages probed\n", right ? "right" : "WRONG", (unsigned long long)seed,
		(unsigned long long)done, (unsigned long long)episode,
		(unsigned long long)(sum(sh->succeeded) - good),
		(unsigned long long)(sum(sh->tried) - tried - (sum(sh->succeeded) - good)),
		(unsigned long long)(sum(sh->skipped) - skipped),
		(unsigned long long)(sh->seen[SEEN_PAGES] - pages));
	return right;
}

static void add(struct shared *to, const struct shared *from)
{
	for (int i = 0; i < nr_opdefs; i++)
		for (int s = 0; s < MAX_SUB; s++) {
			to->tried[i][s] += from->tried[i][s];
			to->succeeded[i][s] += from->succeeded[i][s];
			to->skipped[i][s] += from->skipped[i][s];
		}
	for (int i = 0; i < nr_opdefs; i++)
		for (int s = 0; s < MAX_SUB; s++) {
			to->ns[i][s] += from->ns[i][s];
			to->check_ns[i][s] += from->check_ns[i][s];
		}
	for (int i = 0; i < NR_PHASES; i++)
		to->phase_ns[i] += from->phase_ns[i];
	for (int i = 0; i < NR_SEEN; i++)
		to->seen[i] += from->seen[i];
	to->total += from->total;
}

/* Prints the table; false if an operation that the kernel has never succeeded */
static bool coverage(void)
{
	static const char *const seen[NR_SEEN] = {
		[SEEN_SWAPPED] = "contents found swapped out", [SEEN_HUGE] = "pages found in a huge page",
		[SEEN_KSM] = "times that KSM had merged pages", [SEEN_WRITTEN] = "pages reported as written to",
		[SEEN_READ_SEGV] = "SIGSEGV by a load from a guard", [SEEN_WRITE_SEGV] = "SIGSEGV by a store to one",
		[SEEN_EFAULT] = "EFAULT by a system call on one", [SEEN_PAGES] = "pages probed",
		[SEEN_FULL] = "times that all windows were checked",
		[SEEN_BEYOND] = "guards found beyond the end of a file",
		[SEEN_CUT] = "private copies that truncate dropped",
		[SEEN_LOCKED_EMPTY] = "locked and empty, poisoned",
		[SEEN_LOCKED_DROPPED] = "locked by default, poisoned",
		[SEEN_LOCKED_REFUSED] = "locked and held, refused",
		[SEEN_TABLES] = "times that page tables were counted",
		[SEEN_WHOLE] = "POISON of an entry without a table",
	};
	static const uint64_t seen_needs[NR_SEEN] = {
		[SEEN_SWAPPED] = HAS_SWAP | HAS_LRU, [SEEN_HUGE] = HAS_THP | HAS_SCAN | HAS_SYSTEM,
		[SEEN_KSM] = HAS_KSM | HAS_SYSTEM, [SEEN_WRITTEN] = HAS_ASYNC | HAS_SCAN,
		[SEEN_BEYOND] = HAS_FILE, [SEEN_CUT] = HAS_FILE, [SEEN_LOCKED_EMPTY] = HAS_LOCKED,
		[SEEN_LOCKED_DROPPED] = HAS_LOCKED, [SEEN_LOCKED_REFUSED] = HAS_LOCKED,
		[SEEN_TABLES] = HAS_HUGEGUARD, [SEEN_WHOLE] = HAS_HUGEGUARD,
	};
	bool good = true;

	dprintf(1, "# %-34s %12s %12s %12s\n", "operation", "tried", "succeeded", "not made");
	for (int i = 0; i < nr_opdefs; i++) {
		for (int s = 0; s < MAX_SUB; s++) {
			char name[64];
			bool missing;

			if (s && (!opdefs[i].subs || !opdefs[i].subs[s]))
				break;
			if (!op_available(i, s))
				continue;
			/* Only operations that the kernel has and --only allows */
			missing = !sh->succeeded[i][s] && !only;
			snprintf(name, sizeof(name), "%s %s", opdefs[i].name, sub_name(i, s));
			dprintf(1, "# %-34s %12llu %12llu %12llu%s", name, (unsigned long long)sh->tried[i][s],
				(unsigned long long)sh->succeeded[i][s], (unsigned long long)sh->skipped[i][s],
				missing ? "  NEVER" : "");
			if (profile)
				dprintf(1, " %8llu ms %8llu ms", (unsigned long long)sh->ns[i][s] / 1000000,
					(unsigned long long)sh->check_ns[i][s] / 1000000);
			dprintf(1, "\n");
			good &= !missing;
		}
	}
	for (int i = 0; i < NR_SEEN; i++) {
		const bool missing = !sh->seen[i] && !only && (has & seen_needs[i]) == seen_needs[i];

		dprintf(1, "# %-34s %12llu%s\n", seen[i], (unsigned long long)sh->seen[i],
			missing ? "               NEVER" : "");
		good &= !missing;
	}
	if (profile)
		dprintf(1, "# ms: %llu in all, of these %llu to draw operations, %llu in checks at the end\n",
			(unsigned long long)sh->phase_ns[PH_ALL] / 1000000,
			(unsigned long long)sh->phase_ns[PH_DRAW] / 1000000,
			(unsigned long long)sh->phase_ns[PH_FINAL] / 1000000);
	return good;
}

__attribute__((noreturn)) static void usage(void)
{
	dprintf(2,
"Usage: model [options]\n"
"  --seeds A[-B]   seeds, one after the other (1)\n"
"  --ops N         operations of each (10000)\n"
"  --jobs N        processes that share the seeds (1)\n"
"  --out DIR       what is shrunk goes to DIR/seed-N.c, not to stdout\n"
"  --coverage      each operation must have succeeded\n"
"  --system        also swapoff, KSM, khugepaged, compaction: the whole system's\n"
"  --mce           also memory failures, by injection: pages are lost\n"
"  --mainline      what Linux 6.13 and later does differently is right\n"
"  --only LIST     only these operations and advices, by name, with mmap and write\n"
"  --time S        seconds for an episode (300)\n"
"  --shrink-time S seconds to shrink what is wrong (120)\n"
"  --stop          no further seed after one that is wrong\n"
"  --profile       in the table, what each took in all, and the checks after it\n"
"  --list          say what would be tried\n"
"  --verbose       each operation before it is made\n"
"Status: 0 all is as the model has it, 1 it is not, 2 it could not be run.\n");
	_exit(2);
}

static uint64_t number(const char *text, const char **end)
{
	uint64_t n;
	char *p;

	if (!text)
		usage();
	n = strtoull(text, &p, 10);
	if (p == text || (!end && *p))
		usage();
	if (end)
		*end = p;
	return n;
}

static void parse(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		const char *o = argv[i], *end;

		if (!strcmp(o, "--seeds")) {
			first_seed = last_seed = number(argv[++i], &end);
			if (*end == '-')
				last_seed = number(end + 1, NULL);
			else if (*end)
				usage();
		} else if (!strcmp(o, "--ops")) {
			ops_per_seed = number(argv[++i], NULL);
		} else if (!strcmp(o, "--jobs")) {
			jobs = number(argv[++i], NULL);
		} else if (!strcmp(o, "--time")) {
			time_limit = number(argv[++i], NULL);
		} else if (!strcmp(o, "--shrink-time")) {
			shrink_seconds = number(argv[++i], NULL);
		} else if (!strcmp(o, "--stop")) {
			stop_at_first = true;
		} else if (!strcmp(o, "--out")) {
			out_dir = argv[++i] ? argv[i] : (usage(), NULL);
		} else if (!strcmp(o, "--only")) {
			only = argv[++i] ? argv[i] : (usage(), NULL);
		} else if (!strcmp(o, "--coverage")) {
			minimum_coverage = 1;
		} else if (!strcmp(o, "--system")) {
			use_system = true;
		} else if (!strcmp(o, "--mce")) {
			use_mce = true;
		} else if (!strcmp(o, "--mainline")) {
			mainline = true;
		} else if (!strcmp(o, "--list")) {
			list_only = true;
		} else if (!strcmp(o, "--profile")) {
			profile = true;
		} else if (!strcmp(o, "--verbose")) {
			verbose = true;
		} else {
			usage();
		}
	}
	if (jobs < 1 || jobs > MAX_JOBS || last_seed < first_seed)
		usage();
}

static void *share(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		rt_die("model: no memory: %s", strerror(errno));
	return p;
}

/* Touch it now, so that our own memory does not grow later */
static void touch_ourselves(void)
{
	extern char __bss_start[], _end[];

	for (volatile char *p = __bss_start; p < _end; p += 1024)
		*p = *p;
}

static uint64_t probe_in_child(void)
{
	uint64_t *found = share(sizeof(*found));
	pid_t pid = fork();
	int status = 0;

	if (!pid) {
		rt_forked();
		model_reset();
		*found = probe_kernel();
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
		_exit(2);
	return *found;
}

int main(int argc, char **argv)
{
	struct sigaction sa = { .sa_handler = too_long };
	struct shared *all;
	bool right = true, covered;
	pid_t pids[MAX_JOBS];	/* not shared, or each child would store its 0 there */

	parse(argc, argv);
	all = share(jobs * sizeof(*all));
	sh = first_worker = &all[0];
	touch_ourselves();
	rt_init(__builtin_alloca(RT_STACK * sysconf(_SC_PAGESIZE)));
	/* Without SA_RESTART, so that waitpid() returns when the time is up */
	sigaction(SIGALRM, &sa, NULL);
	files = share(sizeof(*files));
	files_reset();
	has = probe_in_child();
	print_lacking();
	if (list_only) {
		coverage();
		return 0;
	}
	for (int j = 0; j < jobs; j++) {
		pids[j] = fork();
		if (!pids[j]) {
			bool good = true;

			prctl(PR_SET_PDEATHSIG, SIGKILL);
			sh = &all[j];
			files = share(sizeof(*files));
			for (uint64_t seed = first_seed + j; seed <= last_seed; seed += jobs) {
				if (stop_at_first && all[0].stop)
					break;
				good &= run_seed(seed);
				all[0].stop |= !good;
			}
			_exit(!good);
		}
	}
	for (int j = 0; j < jobs; j++) {
		int status;

		while (waitpid(pids[j], &status, 0) < 0)
			if (errno != EINTR)
				rt_die("model: waitpid: %s", strerror(errno));
		if (WIFSIGNALED(status) || WEXITSTATUS(status) > 1)
			dprintf(1, "WRONG: a worker ended with status %#x\n", status);
		right &= !status;
	}
	for (int j = 1; j < jobs; j++)
		add(sh, &all[j]);
	covered = coverage();
	if (minimum_coverage && !covered) {
		dprintf(1, "WRONG: not all was covered\n");
		right = false;
	}
	dprintf(1, "%s: %llu operations, seeds %llu to %llu\n", right ? "right" : "WRONG",
		(unsigned long long)sh->total, (unsigned long long)first_seed, (unsigned long long)last_seed);
	return !right;
}
