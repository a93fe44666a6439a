// SPDX-License-Identifier: MIT
/* CWE-590: what is freed was never allocated. */
#include "case.h"

#include <alloca.h>
#include <sys/mman.h>

/* bf-stack: an array on the stack */
static NOINLINE void bf_stack(bool bad)
{
	char here[200];
	char *p = get(200);

	here[0] = 0;
	drop(bad ? hide(here) : p);	/* BUG */
	past(bad);
	if (bad)
		drop(p);
}

/* bf-static: a static array */
static NOINLINE void bf_static(bool bad)
{
	static char here[200] = "here";
	char *p = get(200);

	drop(bad ? hide(here) : p);	/* BUG */
	past(bad);
	if (bad)
		drop(p);
}

/* bf-literal: a default that was never copied */
static NOINLINE char *bf_literal_name(bool bad)
{
	return bad ? hide("default") : strdup("default");
}

static NOINLINE void bf_literal(bool bad)
{
	drop(bf_literal_name(bad));	/* BUG */
	past(bad);
}

/* bf-alloca: what alloca gave */
static NOINLINE void bf_alloca(bool bad)
{
	char *here = alloca(hide_size(100));
	char *p = get(100);

	here[99] = 0;
	drop(bad ? hide(here) : p);	/* BUG */
	past(bad);
	if (bad)
		drop(p);
}

/* bf-mmap: what mmap gave */
static NOINLINE void bf_mmap(bool bad)
{
	char *p = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		_exit(3);
	if (bad)
		drop(p);	/* BUG */
	else
		munmap(p, 65536);
	past(bad);
}

/* bf-mmap-inside: the middle of it */
static NOINLINE void bf_mmap_inside(bool bad)
{
	char *p = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		_exit(3);
	if (bad)
		drop(p + 8208);	/* BUG */
	past(bad);
	munmap(p, 65536);
}

/* bf-environ: what getenv gave */
static NOINLINE void bf_environ(bool bad)
{
	char *path = getenv("PATH");

	if (!path)
		_exit(3);
	drop(bad ? path : strdup(path));	/* BUG */
	past(bad);
}

/* bf-code: a function */
static NOINLINE void bf_code(bool bad)
{
	void *p = bad ? hide((void *)(uintptr_t)bf_environ) : get(10);

	drop(p);		/* BUG */
	past(bad);
}

/* bf-number: an error code that was taken for a pointer */
static NOINLINE void bf_number(bool bad)
{
	void *p = bad ? hide((void *)0x12340) : get(10);

	drop(p);		/* BUG */
	past(bad);
}

/* bf-uninitialised: garbage, far from any mapping */
static NOINLINE void bf_uninitialised(bool bad)
{
	void *p = bad ? hide((void *)0x5a5a5a5a5a50) : NULL;

	drop(p);		/* BUG */
	past(bad);
}

/* bf-thread: the stack of a thread that waits */
static NOINLINE void *bf_thread_in(void *p)
{
	char here[64];

	here[0] = 0;
	drop(p ? p : hide(here));	/* BUG */
	return NULL;
}

static NOINLINE void bf_thread(bool bad)
{
	in_thread(bf_thread_in, bad ? NULL : get(64));
	past(bad);
}

/* bf-child: in a child */
static NOINLINE void bf_child(bool bad)
{
	static char here[64];
	char *p = get(64);
	pid_t pid = fork();

	if (!pid) {
		drop(bad ? hide(here) : p);	/* BUG */
		past(bad);
		_exit(0);
	}
	child_ended(pid);
	drop(p);
}

/* bf-realloc: a static buffer is made to grow */
static NOINLINE void bf_realloc(bool bad)
{
	static char here[64];
	char *p = regrow(bad ? hide(here) : NULL, 128);	/* BUG */

	past(bad);
	if (!bad)
		drop(p);
}

/* bf-array: one of an array of structures that were allocated as one */
static NOINLINE void bf_array(bool bad)
{
	struct { char name[32]; } *all = get_zeroed(8, sizeof(*all));

	if (bad)
		drop(&all[3]);	/* BUG */
	past(bad);
	drop(all);
}

static const struct tcase cases[] = {
	CASE("bf-stack", bf_stack, BAD_FREE, '-', NULL, -1, -1),
	CASE("bf-static", bf_static, BAD_FREE, '-', NULL, -1, -1),
	CASE("bf-literal", bf_literal, BAD_FREE, '-', NULL, -1, -1),
	CASE("bf-alloca", bf_alloca, BAD_FREE, '-', NULL, -1, -1),
	CASE("bf-mmap", bf_mmap, BAD_FREE, '-', NULL, -1, -1),
	CASE("bf-mmap-inside", bf_mmap_inside, BAD_FREE, '-', NULL, -1, -1),
	CASE("bf-environ", bf_environ, BAD_FREE, '-', NULL, -1, -1),
	CASE("bf-code", bf_code, BAD_FREE, '-', NULL, -1, -1),
	CASE("bf-number", bf_number, BAD_FREE, '-', NULL, -1, -1),
	CASE("bf-uninitialised", bf_uninitialised, BAD_FREE, '-', NULL, -1, -1),
	CASE("bf-thread", bf_thread, BAD_FREE, '-', NULL, -1, -1, .at = "bf_thread_in"),
	CASE("bf-child", bf_child, BAD_FREE, '-', NULL, -1, -1),
	CASE("bf-realloc", bf_realloc, BAD_FREE, '-', NULL, -1, -1),
	CASE("bf-array", bf_array, BAD_FREE, '-', "inside", 96, 256),
};

int main(int argc, char **argv)
{
	return run_case("590", cases, sizeof(cases) / sizeof(*cases), argc, argv);
}
