// SPDX-License-Identifier: MIT
/* CWE-415: memory is freed twice. */
#include "case.h"

/* df-plain: twice in a row */
static NOINLINE void df_plain(bool bad)
{
	char *p = get(40);

	drop(p);		/* FREED */
	if (bad)
		drop(p);	/* BUG */
	past(bad);
}

/* df-other-between: another object is freed in between, which glibc's short check misses */
static NOINLINE void df_other_between(bool bad)
{
	char *p = get(2000), *q = get(2000), *wall = get(40);

	drop(p);		/* FREED */
	drop(q);
	if (bad)
		drop(p);	/* BUG */
	past(bad);
	drop(wall);
}

/* df-reused: freed through a stale pointer when others have been allocated since */
static NOINLINE void df_reused(bool bad)
{
	char *p = get(56), *stale = hide(p), *q;

	drop(p);		/* FREED */
	q = get(56);
	q[0] = 1;
	if (bad)
		drop(stale);	/* BUG */
	past(bad);
	/* Where the address was used again, this is another error, and late. */
	if (!bad)
		drop(q);
}

/* df-realloc: the old pointer is freed after realloc moved the object */
static NOINLINE void df_realloc(bool bad)
{
	char *p = get(100), *old = hide(p), *wall = get(100);

	p = regrow(p, 300000);	/* FREED */
	if (bad && old != p)
		drop(old);	/* BUG */
	past(bad);
	drop(p);
	drop(wall);
}

/* df-realloc-freed: a freed object is reallocated */
static NOINLINE void df_realloc_freed(bool bad)
{
	char *p = get(100);

	if (bad)
		drop(p);	/* FREED */
	p = regrow(p, 200);	/* BUG */
	past(bad);
	if (!bad)
		drop(p);
}

/* df-callee: the callee frees its argument, the caller too */
static NOINLINE int df_callee_consumes(char *p)
{
	int n = p[3];

	drop(p);		/* FREED */
	return n;
}

static NOINLINE void df_callee(bool bad)
{
	char *p = get_zeroed(1, 24);

	sink = df_callee_consumes(p);
	if (bad)
		drop(p);	/* BUG */
	past(bad);
}

/* df-error-path: an error path frees, then the common end does */
static NOINLINE int df_error_path_parse(char *p, bool bad)
{
	if (p[0] != 'x') {
		if (bad)
			drop(p);	/* FREED */
		return -1;
	}
	return 0;
}

static NOINLINE void df_error_path(bool bad)
{
	char *p = get_zeroed(1, 24);

	sink = df_error_path_parse(p, bad);
	drop(p);		/* BUG */
	past(bad);
}

/* df-alias: one object under two names in an array of pointers */
static NOINLINE void df_alias(bool bad)
{
	char *all[6];
	int i;

	for (i = 0; i < 6; i++)
		all[i] = get(64);
	if (bad) {
		drop(all[4]);		/* not the error: nobody has it any more */
		all[4] = all[1];
	}
	for (i = 0; i < 6; i++)
		drop(all[i]);		/* BUG FREED */
	past(bad);
}

/* df-thread: by two threads */
static NOINLINE void *df_thread_first(void *p)
{
	drop(p);		/* FREED */
	return NULL;
}

static NOINLINE void *df_thread_second(void *p)
{
	drop(p);		/* BUG */
	return NULL;
}

static NOINLINE void df_thread(bool bad)
{
	char *p = get(160), *q = get(160);

	in_thread(df_thread_first, p);
	in_thread(df_thread_second, bad ? p : q);
	past(bad);
}

/* df-child: by the parent before fork, and by the child */
static NOINLINE void df_child(bool bad)
{
	char *p = get(72);
	pid_t pid;

	if (bad)
		drop(p);	/* FREED */
	pid = fork();
	if (!pid) {
		drop(p);	/* BUG */
		past(bad);
		_exit(0);
	}
	child_ended(pid);
	if (!bad)
		drop(p);
}

/* df-later: 2,000 others come and go in between */
static NOINLINE void df_later(bool bad)
{
	char *p = get(96);
	int i;

	drop(p);		/* FREED */
	for (i = 0; i < 2000; i++) {
		char *q = get(16 + i % 128);

		q[0] = 1;
		drop(q);
	}
	if (bad)
		drop(p);	/* BUG */
	past(bad);
}

/* df-large: a megabyte, as glibc would map by itself */
static NOINLINE void df_large(bool bad)
{
	char *p = get(1 << 20);

	drop(p);		/* FREED */
	if (bad)
		drop(p);	/* BUG */
	past(bad);
}

/* df-aligned: memory of aligned_alloc */
static NOINLINE void df_aligned(bool bad)
{
	char *p = aligned_alloc(256, hide_size(512));

	drop(p);		/* FREED */
	if (bad)
		drop(p);	/* BUG */
	past(bad);
}

/* df-zero: an object of no bytes */
static NOINLINE void df_zero(bool bad)
{
	char *p = get(0);

	drop(p);		/* FREED */
	if (bad)
		drop(p);	/* BUG */
	past(bad);
}

/* df-fclose: a stream is closed twice */
static NOINLINE void df_fclose(bool bad)
{
	FILE *f = fopen("/dev/null", "r"), *same = hide(f);

	if (!f)
		_exit(3);
	fclose(f);		/* FREED */
	if (bad)
		fclose(same);	/* BUG */
	past(bad);
}

/* df-atexit: by main and by an exit handler */
static char *at_exit;
static bool at_exit_bad;

static NOINLINE void df_atexit_frees(void)
{
	drop(at_exit);		/* BUG */
	past(at_exit_bad);
}

static NOINLINE void df_atexit(bool bad)
{
	at_exit = get(64);
	at_exit_bad = bad;
	atexit(df_atexit_frees);
	if (bad)
		drop(at_exit);	/* FREED */
}

static const struct tcase cases[] = {
	CASE("df-plain", df_plain, DOUBLE_FREE, '-', "inside", 0, 40),
	CASE("df-other-between", df_other_between, DOUBLE_FREE, '-', "inside", 0, 2000),
	CASE("df-reused", df_reused, DOUBLE_FREE, '-', "inside", 0, 56),
	CASE("df-realloc", df_realloc, DOUBLE_FREE, '-', "inside", 0, 100),
	CASE("df-realloc-freed", df_realloc_freed, DOUBLE_FREE, '-', "inside", 0, 100),
	CASE("df-callee", df_callee, DOUBLE_FREE, '-', "inside", 0, 24,
	     .freed_at = "df_callee_consumes"),
	CASE("df-error-path", df_error_path, DOUBLE_FREE, '-', "inside", 0, 24,
	     .freed_at = "df_error_path_parse"),
	CASE("df-alias", df_alias, DOUBLE_FREE, '-', "inside", 0, 64),
	CASE("df-thread", df_thread, DOUBLE_FREE, '-', "inside", 0, 160,
	     .at = "df_thread_second", .freed_at = "df_thread_first"),
	CASE("df-child", df_child, DOUBLE_FREE, '-', "inside", 0, 72),
	CASE("df-later", df_later, DOUBLE_FREE, '-', "inside", 0, 96),
	CASE("df-large", df_large, DOUBLE_FREE, '-', "inside", 0, 1 << 20),
	CASE("df-aligned", df_aligned, DOUBLE_FREE, '-', "inside", 0, 512),
	CASE("df-zero", df_zero, DOUBLE_FREE, '-', NULL, -1, -1),
	/* fclose uses the stream before it frees it. */
	CASE("df-fclose", df_fclose, UAF, '-', "inside", -1, -1),
	CASE("df-atexit", df_atexit, DOUBLE_FREE, '-', "inside", 0, 64, .at = "df_atexit_frees"),
};

int main(int argc, char **argv)
{
	return run_case("415", cases, sizeof(cases) / sizeof(*cases), argc, argv);
}
