// SPDX-License-Identifier: GPL-2.0
/* Shrinks a sequence that fails to as few operations as possible, and prints it as C. */
#include "model.h"

/* Limits the time for a sequence that is slow or fails only sometimes */
#define MOST_REPLAYS 4000
unsigned int shrink_seconds = 120;

static struct op best[MAX_LOG], trial[MAX_LOG];
static struct divergence best_div, wanted;
static int wanted_op;
static int best_n, replays;
static time_t began;
static enum checks how;

static time_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec;
}

/* Several checks can find the same fault */
static bool of_pages(int kind)
{
	return kind == W_ACCESS || kind == W_CONTENTS || kind == W_ZERO_OR || kind == W_PAGEMAP ||
	       kind == W_FILE;
}

static bool still_wrong(const struct op *list, int n)
{
	if (replays++ > MOST_REPLAYS || (replays > 8 && now() - began > (time_t)shrink_seconds))
		return false;
	memcpy(sh->log, list, n * sizeof(*list));
	sh->limit = n;
	if (!replay(how))
		return false;
	/* A different fault, or a result that is not modelled, does not count */
	if (of_pages(sh->div.kind) ? !of_pages(wanted.kind) : sh->div.kind != wanted.kind ||
	    (wanted.kind == W_RESULT && sh->log[sh->div.at].code != wanted_op))
		return false;
	/* Operations after the failing one are not needed */
	best_n = sh->div.at >= 0 && sh->div.at < n ? sh->div.at + 1 : n;
	best_div = sh->div;
	memmove(best, list, best_n * sizeof(*list));
	return true;
}

static void leave_out(void)
{
	for (int chunk = best_n / 2; chunk >= 1; chunk = chunk > 1 ? (chunk + 1) / 2 : 0) {
		bool again;

		do {
			again = false;
			for (int i = best_n - chunk; i > -chunk; i -= chunk) {
				int from = i < 0 ? 0 : i, to = i + chunk;

				if (to > best_n)
					to = best_n;
				if (from >= to)
					continue;
				memcpy(trial, best, from * sizeof(*trial));
				memcpy(trial + from, best + to, (best_n - to) * sizeof(*trial));
				if (still_wrong(trial, best_n - (to - from)))
					again = chunk == 1;
			}
		} while (again);
	}
}

static bool overlap(const uint32_t a[2], const uint32_t b[2])
{
	return a[0] < b[0] + b[1] && b[0] < a[0] + a[1];
}

/*
 * Keep only operations on the pages of the last one, or on pages that were moved
 * from or to there. Mostly that is enough, and saves many replays.
 */
static void leave_out_unrelated(bool with_general)
{
	static uint32_t pages[2 * MAX_LOG + 1][2];
	static bool keep[MAX_LOG];
	int nr = 0, n = 0;

	pages[nr][0] = best_div.pg;
	pages[nr++][1] = best_div.kind != W_RESULT && best_div.kind != W_ANON &&
			 best_div.kind != W_TABLES;
	for (int i = best_n - 1; i >= 0; i--) {
		uint32_t range[2][2];
		const int ranges = op_ranges(&best[i], range);

		keep[i] = i == best_n - 1 || (!ranges && with_general);
		for (int k = 0; k < ranges; k++)
			for (int at = 0; at < nr && !keep[i]; at++)
				keep[i] = overlap(range[k], pages[at]);
		/* A move belongs to both places; other operations need only overlap */
		if (keep[i] && (i == best_n - 1 || ranges == 2))
			for (int k = 0; k < ranges; k++)
				memcpy(pages[nr++], range[k], sizeof(range[k]));
	}
	for (int i = 0; i < best_n; i++)
		if (keep[i])
			trial[n++] = best[i];
	if (n < best_n)
		still_wrong(trial, n);
}

/* Try a fork without the child's operations, and these without the fork */
static void leave_out_forks(void)
{
	for (int i = 0; i < best_n; i++) {
		int end, level = 1;

		if (best[i].code != OP_FORK)
			continue;
		for (end = i + 1; end < best_n && level; end++)
			level += best[end].code == OP_FORK ? 1 : best[end].code == OP_END ? -1 : 0;
		if (level)
			continue;
		memcpy(trial, best, i * sizeof(*trial));
		memcpy(trial + i, best + i + 1, (end - 2 - i) * sizeof(*trial));
		memcpy(trial + end - 2, best + end, (best_n - end) * sizeof(*trial));
		if (still_wrong(trial, best_n - 2))
			i--;
	}
}

static bool with_length(int i, int arg, int64_t pg, int64_t n)
{
	memcpy(trial, best, best_n * sizeof(*trial));
	trial[i].a[arg - 1] = pg;
	trial[i].a[arg] = n;
	return still_wrong(trial, best_n);
}

static void shorten(void)
{
	for (int i = 0; i < best_n; i++) {
		const char *args = opdefs[best[i].code].args;

		for (int k = 1; args[0] && args[k]; k++) {
			if (args[k] != 'n' || args[k - 1] != 'p')
				continue;
			while (i < best_n && best[i].a[k] > 1) {
				const int64_t pg = best[i].a[k - 1], n = best[i].a[k];

				if (with_length(i, k, pg, 1) || with_length(i, k, pg + n - 1, 1) ||
				    with_length(i, k, pg, n / 2) || with_length(i, k, pg + n / 2, n - n / 2) ||
				    with_length(i, k, pg, n - 1) || with_length(i, k, pg + 1, n - 1))
					continue;
				break;
			}
			if (i >= best_n)
				return;
		}
	}
}

enum checks shrink(struct op *list, int *n, struct divergence *d)
{
	best_div = wanted = *d;
	wanted_op = list[d->at].code;
	best_n = *n;
	memcpy(best, list, *n * sizeof(*list));
	replays = 0;
	began = now();
	how = CHECK_AT_END;
	if (!still_wrong(list, *n)) {
		how = CHECK_AS_FOUND;
		if (!still_wrong(list, *n)) {
			dprintf(2, "model: it does not go wrong again; here is all of it\n");
			return how;
		}
	}
	leave_out_unrelated(true);
	leave_out_unrelated(false);
	leave_out();
	leave_out_forks();
	shorten();
	leave_out();
	memcpy(list, best, best_n * sizeof(*list));
	*n = best_n;
	*d = best_div;
	return how;
}

/* --- As C ----------------------------------------------------------------- */

static const char *const win_names[NR_WIN] = {
	"W_TABLE", "W_PMD", "W_PUD", "W_SMALL", "W_BIG", "W_BRK", "W_STACK"
};

/* The text of rt.h and rt.c */
extern const char rt_text[];

static void print_page(int fd, uint32_t pg)
{
	dprintf(fd, "PG(%s, %u)", win_names[WIN(pg)], OFF(pg));
}

void describe(int fd, const struct op *o)
{
	const char *args = opdefs[o->code].args, *name;

	dprintf(fd, "x_%s(", opdefs[o->code].name);
	for (int i = 0; args[i]; i++) {
		if (i)
			dprintf(fd, ", ");
		if (args[i] == 'p')
			print_page(fd, o->a[i]);
		else if (args[i] == 'f')
			dprintf(fd, o->a[i] == DISK ? "DISK" : "MEMFD");
		else if (args[i] == 'a' && advice_name(o->a[i], &name))
			dprintf(fd, "MADV_%s%s", o->a[i] >= 102 ? "GUARD_" : "", name);
		else
			dprintf(fd, "%lld", (long long)o->a[i]);
	}
	dprintf(fd, ")");
}

static void tabs(int fd, int n)
{
	while (n--)
		dprintf(fd, "\t");
}

static void print_wanted(int fd, int level, const struct divergence *d)
{
	if (d->kind != W_RESULT && d->kind != W_NONE)
		tabs(fd, level);
	switch (d->kind) {
	case W_ACCESS:
		if (d->c == GUARD && !d->a) {
			dprintf(fd, "want_guard(");
			print_page(fd, d->pg);
			dprintf(fd, ");\n");
			break;
		}
		dprintf(fd, d->b == SIGBUS ? "want_sigbus(" : d->b == SIGSEGV ? "want_segv(" : "x_look(");
		print_page(fd, d->pg);
		dprintf(fd, ", %lld);\n", d->b ? (long long)d->a : 1);
		break;
	case W_CONTENTS:
	case W_ZERO_OR:
		dprintf(fd, d->kind == W_CONTENTS ? "want_contents(" : "want_zero_or(");
		print_page(fd, d->pg);
		dprintf(fd, ", %#x, %#x);\n", (uint32_t)d->a, (uint32_t)d->b);
		break;
	case W_FILE:
		dprintf(fd, "want_file(%lld, %lld, %#x, %#x);\n", (long long)d->a, (long long)d->b,
			(uint32_t)d->c, last_of(d->c));
		break;
	case W_PAGEMAP:
		dprintf(fd, "want_pagemap(");
		print_page(fd, d->pg);
		dprintf(fd, ", %#llx, %lld);\n", (unsigned long long)d->a, (long long)d->b);
		break;
	case W_MINCORE:
		dprintf(fd, "want_mincore(");
		print_page(fd, d->pg);
		dprintf(fd, ", %lld);\n", (long long)d->a);
		break;
	case W_BOUNDARIES:
		dprintf(fd, "want_boundaries(%s, %lld, %lld);\n", win_names[WIN(d->pg)], (long long)d->a,
			(long long)d->b);
		break;
	case W_ANON:
		/* A program by itself has less noise in its counters */
		dprintf(fd, "want_anon(%lld, %lld);\n", (long long)(d->a - d->c / 2), (long long)(d->b + d->c / 2));
		break;
	case W_TABLES:
		dprintf(fd, "want_tables(%lld);\n", (long long)d->a);
		break;
	case W_OTHER:
		dprintf(fd, "/* %s */\n", d->text);
		break;
	}
}

void emit(int fd, uint64_t seed, const struct op *list, int n, const struct divergence *d, enum checks checks)
{
	int level = 1;

	dprintf(fd, "/*\n * Printed by tests/model, seed %llu: %s\n", (unsigned long long)seed, d->text);
	dprintf(fd, " * cc -pthread -o x x.c && ./x; status 1: it goes wrong\n */\n");
	dprintf(fd, "%s\nint main(void)\n{\n", rt_text);
	dprintf(fd, "\trt_init(__builtin_alloca(RT_STACK * sysconf(_SC_PAGESIZE)));\n\n");
	for (int i = 0; i < n; i++) {
		const struct op *o = &list[i];

		if (o->code == OP_END && level > 1) {
			tabs(fd, level--);
			dprintf(fd, "_exit(0);\n");
			tabs(fd, level);
			dprintf(fd, "}\n");
			tabs(fd, level);
			dprintf(fd, "want(x_wait(child%d), 0);\n", level);
			continue;
		}
		if (o->code == OP_END)
			continue;
		tabs(fd, level);
		if (o->code == OP_FORK) {
			dprintf(fd, "int64_t child%d = x_fork();\n", level);
			tabs(fd, level++);
			dprintf(fd, "if (!child%d) {\n", level - 1);
			continue;
		}
		if (i == n - 1 && d->kind == W_RESULT) {
			dprintf(fd, "want(");
			describe(fd, o);
			dprintf(fd, ", %lld);\n", (long long)d->a);
			continue;
		}
		describe(fd, o);
		dprintf(fd, ";\n");
		if (checks == CHECK_AS_FOUND) {
			uint32_t range[2][2];
			int ranges = op_ranges(o, range);

			for (int k = 0; k < ranges; k++) {
				tabs(fd, level);
				dprintf(fd, "x_look(");
				print_page(fd, range[k][0]);
				dprintf(fd, ", %u);\n", range[k][1] < RT_SEEN ? range[k][1] : RT_SEEN);
			}
		}
	}
	print_wanted(fd, level, d);
	while (level > 1) {
		tabs(fd, level--);
		dprintf(fd, "_exit(0);\n");
		tabs(fd, level);
		dprintf(fd, "}\n");
		tabs(fd, level);
		dprintf(fd, "want(x_wait(child%d), 0);\n", level);
	}
	dprintf(fd, "\tdprintf(1, \"all as it should be\\n\");\n\treturn 0;\n}\n");
}
