// SPDX-License-Identifier: MIT
/* CWE-124: memory is written, or read (CWE-127), before the start of an object. */
#include "case.h"

#include <sys/socket.h>

/* under-page: before an object of exactly a page, where the guard of the last one is */
static NOINLINE void under_page(bool bad)
{
	char *p = get(4096);

	WR(p, bad ? -1 : 0);	/* BUG */
	past(bad);
	drop(p);
}

/* under-far: a page and more before the start */
static NOINLINE void under_far(bool bad)
{
	char *p = get_zeroed(1, 64);

	RD(p, bad ? -5000 : 0);	/* BUG */
	past(bad);
	drop(p);
}

/* under-free: the byte before, found when it is freed */
static NOINLINE void under_free(bool bad)
{
	char *p = get(64);

	WR(p, bad ? -1 : 0);
	past(bad);
	drop(p);		/* BUG */
}

/* under-free-header: the word before, where glibc has its size */
static NOINLINE void under_free_header(bool bad)
{
	long *p = get(64);

	((volatile long *)p)[bad ? -1 : 0] = 0;
	past(bad);
	drop(p);		/* BUG */
}

/* under-free-memset: 24 bytes before */
static NOINLINE void under_free_memset(bool bad)
{
	char *p = get(200);

	memset(hide(bad ? p - 24 : p), 7, hide_size(48));
	past(bad);
	drop(p);		/* BUG */
}

/* under-realloc: found when it is reallocated */
static NOINLINE void under_realloc(bool bad)
{
	char *p = get(64);

	WR(p, bad ? -2 : 0);
	past(bad);
	p = regrow(p, 3000);	/* BUG */
	drop(p);
}

/* under-free-thread: freed by another thread */
static NOINLINE void *under_free_thread_frees(void *p)
{
	drop(p);		/* BUG */
	return NULL;
}

static NOINLINE void under_free_thread(bool bad)
{
	char *p = get(64);

	WR(p, bad ? -1 : 0);
	past(bad);
	in_thread(under_free_thread_frees, p);
}

/* under-write: the byte before, with objects that begin at the guard */
static NOINLINE void under_write(bool bad)
{
	char *p = get(64);

	WR(p, bad ? -1 : 0);	/* BUG */
	past(bad);
	drop(p);
}

/* under-read: likewise, read */
static NOINLINE void under_read(bool bad)
{
	char *p = get_zeroed(1, 64);

	RD(p, bad ? -1 : 0);	/* BUG */
	past(bad);
	drop(p);
}

/* under-loop: down to, and past, the first */
static NOINLINE void under_loop(bool bad)
{
	int *p = get(20 * sizeof(*p));
	int i;

	for (i = 19; bad ? i >= -1 : i >= 0; i--)
		((volatile int *)p)[i] = i;	/* BUG */
	past(bad);
	drop(p);
}

/* under-trim: blanks at the end of an empty string */
static NOINLINE void under_trim(bool bad)
{
	char *p = get(24);
	char *end;

	strcpy(p, "    ");
	end = hide(p + strlen(p));
	while ((bad || end > p) && (*(volatile char *)(end - 1) == ' '))	/* BUG */
		end--;
	past(bad);
	*end = 0;
	drop(p);
}

/* under-memcpy: libc writes */
static NOINLINE void under_memcpy(bool bad)
{
	char from[40] = "";
	char *p = get(160);

	memcpy(hide(bad ? p - 16 : p), from, hide_size(40));	/* BUG */
	past(bad);
	drop(p);
}

/* under-memmove: libc reads, down by one element */
static NOINLINE void under_memmove(bool bad)
{
	char *p = get_zeroed(1, 160);

	memmove(p, hide(bad ? p - 8 : p + 8), hide_size(100));	/* BUG */
	past(bad);
	drop(p);
}

/* under-index: not found is -1, and an index */
static NOINLINE int under_index_find(const char *names, char c)
{
	const char *at = strchr(names, c);

	return at ? at - names : -1;
}

static NOINLINE void under_index(bool bad)
{
	long *p = get_zeroed(26, sizeof(*p));

	((volatile long *)p)[under_index_find("abcdef", bad ? 'z' : 'c')]++;	/* BUG */
	past(bad);
	drop(p);
}

/* under-callee: by a function that takes an offset */
static NOINLINE void under_callee_stores(char *p, int at)
{
	WR(p, at);		/* BUG */
}

static NOINLINE void under_callee(bool bad)
{
	char *p = get(300);

	under_callee_stores(p, bad ? -4 : 4);
	past(bad);
	drop(p);
}

/* under-thread: in another thread */
static NOINLINE void *under_thread_in(void *p)
{
	RD(p, 0);		/* BUG */
	return NULL;
}

static NOINLINE void under_thread(bool bad)
{
	char *p = get_zeroed(1, 80);

	in_thread(under_thread_in, bad ? p - 8 : p);
	past(bad);
	drop(p);
}

/* under-child: in a child */
static NOINLINE void under_child(bool bad)
{
	char *p = get(80);
	pid_t pid = fork();

	if (!pid) {
		WR(p, bad ? -3 : 3);	/* BUG */
		past(bad);
		_exit(0);
	}
	child_ended(pid);
	drop(p);
}

/* under-kernel: write(2) from before the start */
static NOINLINE void under_kernel(bool bad)
{
	char *p = get_zeroed(1, 80);
	int fd[2];

	if (socketpair(AF_UNIX, SOCK_DGRAM, 0, fd))
		_exit(3);
	kernel_said(bad, write(fd[1], bad ? p - 8 : p, hide_size(40)), 40);	/* BUG */
	drop(p);
}

/* under-calloc: an array that is thought to begin at 1 */
static NOINLINE void under_calloc(bool bad)
{
	double *p = get_zeroed(12, sizeof(*p)), *from_one = hide(p - 1);

	sink = ((volatile double *)from_one)[bad ? 0 : 1];	/* BUG */
	past(bad);
	drop(p);
}

/* under-large: a megabyte */
static NOINLINE void under_large(bool bad)
{
	char *p = get(1 << 20);

	WR(p, bad ? -1 : 1);	/* BUG */
	past(bad);
	drop(p);
}

static const struct tcase cases[] = {
	CASE("under-page", under_page, UNDERFLOW, 'W', NULL, -1, -1),
	CASE("under-far", under_far, UNDERFLOW, 'R', NULL, -1, -1),
	CASE("under-free", under_free, UNDERFLOW, '-', "before", 1, 64, .when = AT_FREE),
	CASE("under-free-header", under_free_header, UNDERFLOW, '-', "before", -1, 64,
	     .when = AT_FREE),
	CASE("under-free-memset", under_free_memset, UNDERFLOW, '-', "before", -1, 200,
	     .when = AT_FREE),
	CASE("under-realloc", under_realloc, UNDERFLOW, '-', "before", 2, 64, .when = AT_FREE),
	CASE("under-free-thread", under_free_thread, UNDERFLOW, '-', "before", 1, 64,
	     .at = "under_free_thread_frees", .when = AT_FREE),
	CASE("under-write", under_write, UNDERFLOW, 'W', "before", 1, 64, .mode = BELOW),
	CASE("under-read", under_read, UNDERFLOW, 'R', "before", 1, 64, .mode = BELOW),
	CASE("under-loop", under_loop, UNDERFLOW, 'W', "before", 4, 80, .mode = BELOW),
	CASE("under-trim", under_trim, UNDERFLOW, 'R', "before", 1, 24, .mode = BELOW),
	CASE("under-memcpy", under_memcpy, UNDERFLOW, 'W', "before", -1, 160, .mode = BELOW),
	CASE("under-memmove", under_memmove, UNDERFLOW, 'R', "before", -1, 160, .mode = BELOW),
	CASE("under-index", under_index, UNDERFLOW, '-', "before", 8, 208, .mode = BELOW),
	CASE("under-callee", under_callee, UNDERFLOW, 'W', "before", 4, 300, .mode = BELOW,
	     .at = "under_callee_stores"),
	CASE("under-thread", under_thread, UNDERFLOW, 'R', "before", 8, 80, .mode = BELOW,
	     .at = "under_thread_in"),
	CASE("under-child", under_child, UNDERFLOW, 'W', "before", 3, 80, .mode = BELOW),
	CASE("under-kernel", under_kernel, UNDERFLOW, 'R', "before", 8, 80, .mode = BELOW),
	CASE("under-calloc", under_calloc, UNDERFLOW, 'R', "before", 8, 96, .mode = BELOW),
	CASE("under-large", under_large, UNDERFLOW, 'W', "before", 1, 1 << 20, .mode = BELOW),
};

int main(int argc, char **argv)
{
	return run_case("124", cases, sizeof(cases) / sizeof(*cases), argc, argv);
}
