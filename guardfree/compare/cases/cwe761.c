// SPDX-License-Identifier: MIT
/* CWE-761: what is freed is not the start of an object. */
#include "case.h"

/* inner-next: the pointer was moved by one */
static NOINLINE void inner_next(bool bad)
{
	char *p = get_zeroed(1, 64);

	drop(bad ? p + 1 : p);	/* BUG */
	past(bad);
}

/* inner-search: it was moved by a search, as in Juliet */
static NOINLINE void inner_search(bool bad)
{
	char *p = get(100), *start = p;

	strcpy(p, "a fixed string, searched for its S");
	while (*p && *p != 'S')
		p++;
	drop(bad ? p : start);	/* BUG */
	past(bad);
}

/* inner-aligned: by 16, so that its alignment is right */
static NOINLINE void inner_aligned(bool bad)
{
	char *p = get(256);

	drop(bad ? p + 16 : p);	/* BUG */
	past(bad);
}

/* inner-page: by a page */
static NOINLINE void inner_page(bool bad)
{
	char *p = get(20000);

	drop(bad ? p + 4096 : p);	/* BUG */
	past(bad);
}

/* inner-last: the last byte */
static NOINLINE void inner_last(bool bad)
{
	char *p = get(48);

	drop(bad ? p + 47 : p);	/* BUG */
	past(bad);
}

/* inner-end: the end, after a loop that filled it */
static NOINLINE void inner_end(bool bad)
{
	char *p = get(48), *start = p;

	while (p < start + 48)
		*p++ = 1;
	drop(bad ? p : start);	/* BUG */
	past(bad);
}

/* inner-before: 16 bytes before, as if there were a header */
static NOINLINE void inner_before(bool bad)
{
	char *p = get(80);

	drop(bad ? p - 16 : p);	/* BUG */
	past(bad);
}

/* inner-member: a member of a structure is freed by itself */
static NOINLINE void inner_member(bool bad)
{
	struct pair {
		long key;
		char value[24];
	} *p = get_zeroed(1, sizeof(*p));

	drop(bad ? (void *)p->value : p);	/* BUG */
	past(bad);
}

/* inner-token: a token that strsep gave */
static NOINLINE void inner_token(bool bad)
{
	char *line = get(40), *rest = line, *token;

	strcpy(line, "first,second,third");
	strsep(&rest, ",");
	token = strsep(&rest, ",");
	drop(bad ? token : line);	/* BUG */
	past(bad);
}

/* inner-realloc: it is reallocated from its middle */
static NOINLINE void inner_realloc(bool bad)
{
	char *p = get(120);

	p = regrow(bad ? p + 32 : p, 240);	/* BUG */
	past(bad);
	if (!bad)
		drop(p);
}

/* inner-thread: by another thread */
static NOINLINE void *inner_thread_frees(void *p)
{
	drop(p);		/* BUG */
	return NULL;
}

static NOINLINE void inner_thread(bool bad)
{
	char *p = get(160);

	in_thread(inner_thread_frees, bad ? p + 64 : p);
	past(bad);
}

/* inner-child: by a child */
static NOINLINE void inner_child(bool bad)
{
	char *p = get(160);
	pid_t pid = fork();

	if (!pid) {
		drop(bad ? p + 32 : p);	/* BUG */
		past(bad);
		_exit(0);
	}
	child_ended(pid);
	drop(p);
}

/* inner-large: of a megabyte */
static NOINLINE void inner_large(bool bad)
{
	char *p = get(1 << 20);

	drop(bad ? p + 65536 : p);	/* BUG */
	past(bad);
}

/* inner-memalign: an aligned object, at the next boundary */
static NOINLINE void inner_memalign(bool bad)
{
	char *p = aligned_alloc(64, hide_size(256));

	drop(bad ? p + 64 : p);	/* BUG */
	past(bad);
}

/* inner-freed: inside of an object that is free already */
static NOINLINE void inner_freed(bool bad)
{
	char *p = get(128), *q = get(128);

	drop(p);		/* FREED */
	drop(bad ? p + 32 : q);	/* BUG */
	past(bad);
}

static const struct tcase cases[] = {
	CASE("inner-next", inner_next, BAD_FREE, '-', "inside", 1, 64),
	CASE("inner-search", inner_search, BAD_FREE, '-', "inside", 33, 100),
	CASE("inner-aligned", inner_aligned, BAD_FREE, '-', "inside", 16, 256),
	CASE("inner-page", inner_page, BAD_FREE, '-', "inside", 4096, 20000),
	CASE("inner-last", inner_last, BAD_FREE, '-', "inside", 47, 48),
	CASE("inner-end", inner_end, BAD_FREE, '-', "after", 0, 48),
	CASE("inner-before", inner_before, BAD_FREE, '-', "before", 16, 80),
	CASE("inner-member", inner_member, BAD_FREE, '-', "inside", 8, 32),
	CASE("inner-token", inner_token, BAD_FREE, '-', "inside", 6, 40),
	CASE("inner-realloc", inner_realloc, BAD_FREE, '-', "inside", 32, 120),
	CASE("inner-thread", inner_thread, BAD_FREE, '-', "inside", 64, 160,
	     .at = "inner_thread_frees"),
	CASE("inner-child", inner_child, BAD_FREE, '-', "inside", 32, 160),
	CASE("inner-large", inner_large, BAD_FREE, '-', "inside", 65536, 1 << 20),
	CASE("inner-memalign", inner_memalign, BAD_FREE, '-', "inside", 64, 256),
	CASE("inner-freed", inner_freed, BAD_FREE, '-', "inside", 32, 128),
};

int main(int argc, char **argv)
{
	return run_case("761", cases, sizeof(cases) / sizeof(*cases), argc, argv);
}
