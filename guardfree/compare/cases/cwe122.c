// SPDX-License-Identifier: MIT
/* CWE-122: memory is written, or read (CWE-126), past the end of an object. */
#include "case.h"

#include <sys/socket.h>
#include <wchar.h>

/* over-write-1: the byte after the last */
static NOINLINE void over_write_1(bool bad)
{
	char *p = get(32);

	WR(p, bad ? 32 : 31);	/* BUG */
	past(bad);
	drop(p);
}

/* over-read-1: likewise, read */
static NOINLINE void over_read_1(bool bad)
{
	char *p = get_zeroed(1, 48);

	RD(p, bad ? 48 : 47);	/* BUG */
	past(bad);
	drop(p);
}

/* over-loop: one element too many */
static NOINLINE void over_loop(bool bad)
{
	int *p = get(20 * sizeof(*p));
	int i;

	for (i = 0; bad ? i <= 20 : i < 20; i++)
		((volatile int *)p)[i] = i;	/* BUG */
	past(bad);
	drop(p);
}

/* over-strcpy: no room for the NUL */
static NOINLINE void over_strcpy(bool bad)
{
	char *p = get(bad ? 16 : 17);

	strcpy(hide(p), hide("sixteen letters."));	/* BUG */
	past(bad);
	drop(p);
}

/* over-strcat: the second half has none */
static NOINLINE void over_strcat(bool bad)
{
	char *p = get(32);

	strcpy(p, "the first half, ");
	strcat(hide(p), hide(bad ? "and the second half." : "the other."));	/* BUG */
	past(bad);
	drop(p);
}

/* over-memcpy: 100 bytes into 64 */
static NOINLINE void over_memcpy(bool bad)
{
	char from[100] = "from";
	char *p = get(64);

	memcpy(p, from, hide_size(bad ? 100 : 64));	/* BUG */
	past(bad);
	drop(p);
}

/* over-memcpy-from: 100 bytes of 64 */
static NOINLINE void over_memcpy_from(bool bad)
{
	char into[100];
	char *p = get_zeroed(1, 64);

	memcpy(into, hide(p), hide_size(bad ? 100 : 64));	/* BUG */
	sink = into[2];
	past(bad);
	drop(p);
}

/* over-memset: sizeof of the wrong thing */
static NOINLINE void over_memset(bool bad)
{
	char *p = get(80);

	memset(p, 0, hide_size(bad ? 80 * sizeof(int) : 80));	/* BUG */
	past(bad);
	drop(p);
}

/* over-memmove: moved up by one, with nothing spared for it */
static NOINLINE void over_memmove(bool bad)
{
	char *p = get_zeroed(1, 2048);

	memmove(p + 1, hide(p), hide_size(bad ? 2048 : 2047));	/* BUG */
	past(bad);
	drop(p);
}

/* over-sprintf: a number longer than was thought */
static NOINLINE void over_sprintf(bool bad)
{
	char *p = get(16);

	sprintf(hide(p), hide("%ld!"), bad ? 12345678901234567L : 123L);	/* BUG */
	past(bad);
	drop(p);
}

/* over-wcscpy: bytes were counted, not wide characters */
static NOINLINE void over_wcscpy(bool bad)
{
	wchar_t *p = get(bad ? 16 : 16 * sizeof(wchar_t));

	wcscpy(hide(p), hide(L"fifteen letters"));	/* BUG */
	past(bad);
	drop(p);
}

/* over-far: 3,000 bytes past the end */
static NOINLINE void over_far(bool bad)
{
	char *p = get(64);

	WR(p, bad ? 64 + 3000 : 1);	/* BUG */
	past(bad);
	drop(p);
}

/* over-far-read: 2,000 past the end of an array of structures */
static NOINLINE void over_far_read(bool bad)
{
	struct { long a[10]; } *p = get_zeroed(10, sizeof(*p));

	sink = *(volatile long *)&p[bad ? 35 : 9].a[0];	/* BUG */
	past(bad);
	drop(p);
}

/* over-field: a field of a structure that was allocated too small */
static NOINLINE void over_field(bool bad)
{
	struct wide {
		char name[32];
		long id[2];
	} *p = get(bad ? 32 : sizeof(*p));

	*(volatile long *)&p->id[1] = 5;	/* BUG */
	past(bad);
	drop(p);
}

/* over-wide: eight bytes, of which the last four are outside */
static NOINLINE void over_wide(bool bad)
{
	char *p = get_zeroed(1, 32);

	sink = *(volatile uint64_t *)hide(p + (bad ? 28 : 24));	/* BUG */
	past(bad);
	drop(p);
}

/* over-callee: by a function that is told the wrong length */
static NOINLINE void over_callee_fills(char *p, int n)
{
	while (n--)
		*(volatile char *)p++ = 'x';	/* BUG */
}

static NOINLINE void over_callee(bool bad)
{
	char *p = get(112);

	over_callee_fills(p, bad ? 113 : 112);
	past(bad);
	drop(p);
}

/* over-shrunk: the old length after realloc made it smaller */
static NOINLINE void over_shrunk(bool bad)
{
	char *p = get(4000);

	p = regrow(p, 64);
	WR(p, bad ? 3999 : 63);	/* BUG */
	past(bad);
	drop(p);
}

/* over-grown: past the new end */
static NOINLINE void over_grown(bool bad)
{
	char *p = get(64);

	p = regrow(p, 160);
	WR(p, bad ? 160 : 159);	/* BUG */
	past(bad);
	drop(p);
}

/* over-calloc: past the last element */
static NOINLINE void over_calloc(bool bad)
{
	short *p = get_zeroed(24, sizeof(*p));

	((volatile short *)p)[bad ? 24 : 23] = 1;	/* BUG */
	past(bad);
	drop(p);
}

/* over-thread: in another thread */
static NOINLINE void *over_thread_in(void *p)
{
	WR(p, 64);		/* BUG */
	return NULL;
}

static NOINLINE void over_thread(bool bad)
{
	char *p = get(bad ? 64 : 65);

	in_thread(over_thread_in, p);
	past(bad);
	drop(p);
}

/* over-child: in a child, of what it inherited */
static NOINLINE void over_child(bool bad)
{
	char *p = get(64);
	pid_t pid = fork();

	if (!pid) {
		WR(p, bad ? 64 : 63);	/* BUG */
		past(bad);
		_exit(0);
	}
	child_ended(pid);
	drop(p);
}

/* over-child-own: of the child's own */
static NOINLINE void over_child_own(bool bad)
{
	pid_t pid = fork();

	if (!pid) {
		char *p = get(64);

		WR(p, bad ? 64 : 63);	/* BUG */
		past(bad);
		drop(p);
		_exit(0);
	}
	child_ended(pid);
}

/* over-kernel-read: read(2) of 64 into 32 */
static NOINLINE void over_kernel_read(bool bad)
{
	char *p = get(32);
	int fd[2];

	if (socketpair(AF_UNIX, SOCK_DGRAM, 0, fd) ||
	    write(fd[1], "0123456789abcdef0123456789abcdef0123456789abcdef", 48) != 48)
		_exit(3);
	kernel_said(bad, read(fd[0], p, hide_size(bad ? 64 : 32)), bad ? 48 : 32);	/* BUG */
	drop(p);
}

/* over-kernel-write: write(2) of 64 from 32 */
static NOINLINE void over_kernel_write(bool bad)
{
	char *p = get_zeroed(1, 32);
	int fd[2];

	if (socketpair(AF_UNIX, SOCK_DGRAM, 0, fd))
		_exit(3);
	kernel_said(bad, write(fd[1], p, hide_size(bad ? 64 : 32)), bad ? 64 : 32);	/* BUG */
	drop(p);
}

/* over-fread: a stream reads more than there is room for */
static NOINLINE void over_fread(bool bad)
{
	static char text[256];
	char *p = get(96);
	FILE *f = fmemopen(text, sizeof(text), "r");

	if (!f)
		_exit(3);
	sink = fread(hide(p), 1, hide_size(bad ? 200 : 96), f);	/* BUG */
	past(bad);
	fclose(f);
	drop(p);
}

/* over-fgets: a line longer than its buffer */
static NOINLINE void over_fgets(bool bad)
{
	static char text[256];
	char *p = get(96);
	FILE *f;

	memset(text, 'l', 200);
	f = fmemopen(text, sizeof(text), "r");
	if (!f)
		_exit(3);
	sink = !fgets(hide(p), hide_size(bad ? 256 : 96), f);	/* BUG */
	past(bad);
	fclose(f);
	drop(p);
}

/* over-large: a megabyte */
static NOINLINE void over_large(bool bad)
{
	char *p = get(1 << 20);

	WR(p, (1 << 20) - !bad);	/* BUG */
	past(bad);
	drop(p);
}

/* over-page: an object of exactly a page */
static NOINLINE void over_page(bool bad)
{
	char *p = get_zeroed(1, 4096);

	RD(p, bad ? 4096 : 4095);	/* BUG */
	past(bad);
	drop(p);
}

/* over-aligned: memory of aligned_alloc */
static NOINLINE void over_aligned(bool bad)
{
	char *p = aligned_alloc(64, hide_size(192));

	WR(p, bad ? 192 : 191);	/* BUG */
	past(bad);
	drop(p);
}

/* over-matrix: a row too many of an array of arrays */
static NOINLINE void over_matrix(bool bad)
{
	float (*p)[8] = get(4 * sizeof(*p));

	*(volatile float *)&p[bad ? 4 : 3][5] = 1;	/* BUG */
	past(bad);
	drop(p);
}

/* over-unsigned: a length that wrapped, and so is no length */
static NOINLINE void over_unsigned(bool bad)
{
	unsigned int n = hide_size(bad ? 0 : 1);
	char from[16] = "";
	char *p = get(64);
	size_t i;

	for (i = 0; i < (size_t)(n - 1); i++)
		WR(p, i);	/* BUG */
	past(bad);
	sink = from[0];
	drop(p);
}

/* over-bsearch: the search is told one element too many */
static NOINLINE int over_bsearch_compares(const void *a, const void *b)
{
	return *(const volatile int *)a - *(const volatile int *)b;	/* BUG */
}

static NOINLINE void over_bsearch(bool bad)
{
	int *p = get_zeroed(8, sizeof(*p));
	int key = 1;

	/* Every element is smaller: the search goes up to the end. */
	sink = (uintptr_t)bsearch(&key, hide(p), bad ? 17 : 8, sizeof(*p), over_bsearch_compares);
	past(bad);
	drop(p);
}

/* over-zero: an object of no bytes is written */
static NOINLINE void over_zero(bool bad)
{
	char *p = get(bad ? 0 : 1);

	WR(p, 0);		/* BUG */
	past(bad);
	drop(p);
}

/* over-odd-write: past 13 bytes, within what the alignment adds */
static NOINLINE void over_odd_write(bool bad)
{
	char *p = get(13);

	WR(p, bad ? 13 : 12);
	past(bad);
	drop(p);		/* BUG */
}

/* over-odd-strcpy: the NUL is outside */
static NOINLINE void over_odd_strcpy(bool bad)
{
	char *p = get(bad ? 27 : 28);

	strcpy(hide(p), hide("twenty-seven are its bytes!"));
	past(bad);
	drop(p);		/* BUG */
}

/* over-odd-realloc: found when it is reallocated */
static NOINLINE void over_odd_realloc(bool bad)
{
	char *p = get(50);

	memset(p, 1, hide_size(bad ? 53 : 50));
	past(bad);
	p = regrow(p, 5000);	/* BUG */
	drop(p);
}

/* over-odd-thread: freed by another thread */
static NOINLINE void *over_odd_thread_frees(void *p)
{
	drop(p);		/* BUG */
	return NULL;
}

static NOINLINE void over_odd_thread(bool bad)
{
	char *p = get(100);

	WR(p, bad ? 101 : 99);
	past(bad);
	in_thread(over_odd_thread_frees, p);
}

/* over-byte-write: past 13 bytes, with objects that end at the guard */
static NOINLINE void over_byte_write(bool bad)
{
	char *p = get(13);

	WR(p, bad ? 13 : 12);	/* BUG */
	past(bad);
	drop(p);
}

/* over-byte-read: likewise, read */
static NOINLINE void over_byte_read(bool bad)
{
	char *p = get_zeroed(1, 27);

	RD(p, bad ? 27 : 26);	/* BUG */
	past(bad);
	drop(p);
}

/* over-byte-strcpy: the NUL of 27 letters */
static NOINLINE void over_byte_strcpy(bool bad)
{
	char *p = get(bad ? 27 : 28);

	strcpy(hide(p), hide("twenty-seven are its bytes!"));	/* BUG */
	past(bad);
	drop(p);
}

static const struct tcase cases[] = {
	CASE("over-write-1", over_write_1, OVERFLOW, 'W', "after", 0, 32),
	CASE("over-read-1", over_read_1, OVERFLOW, 'R', "after", 0, 48),
	CASE("over-loop", over_loop, OVERFLOW, 'W', "after", 0, 80),
	CASE("over-strcpy", over_strcpy, OVERFLOW, 'W', "after", -1, 16),
	CASE("over-strcat", over_strcat, OVERFLOW, 'W', "after", -1, 32),
	CASE("over-memcpy", over_memcpy, OVERFLOW, 'W', "after", -1, 64),
	CASE("over-memcpy-from", over_memcpy_from, OVERFLOW, 'R', "after", -1, 64),
	CASE("over-memset", over_memset, OVERFLOW, 'W', "after", -1, 80),
	CASE("over-memmove", over_memmove, OVERFLOW, 'W', "after", -1, 2048),
	CASE("over-sprintf", over_sprintf, OVERFLOW, 'W', "after", -1, 16),
	CASE("over-wcscpy", over_wcscpy, OVERFLOW, 'W', "after", -1, 16),
	CASE("over-far", over_far, OVERFLOW, 'W', "after", 3000, 64),
	CASE("over-far-read", over_far_read, OVERFLOW, 'R', "after", 2000, 800),
	CASE("over-field", over_field, OVERFLOW, 'W', "after", 8, 32),
	CASE("over-wide", over_wide, OVERFLOW, 'R', "after", 0, 32),
	CASE("over-callee", over_callee, OVERFLOW, 'W', "after", 0, 112,
	     .at = "over_callee_fills"),
	CASE("over-shrunk", over_shrunk, OVERFLOW, 'W', "after", 3935, 64),
	CASE("over-grown", over_grown, OVERFLOW, 'W', "after", 0, 160),
	CASE("over-calloc", over_calloc, OVERFLOW, 'W', "after", 0, 48),
	CASE("over-thread", over_thread, OVERFLOW, 'W', "after", 0, 64, .at = "over_thread_in"),
	CASE("over-child", over_child, OVERFLOW, 'W', "after", 0, 64),
	CASE("over-child-own", over_child_own, OVERFLOW, 'W', "after", 0, 64),
	CASE("over-kernel-read", over_kernel_read, OVERFLOW, 'W', "after", 0, 32),
	CASE("over-kernel-write", over_kernel_write, OVERFLOW, 'R', "after", 0, 32),
	CASE("over-fread", over_fread, OVERFLOW, 'W', "after", -1, 96),
	CASE("over-fgets", over_fgets, OVERFLOW, 'W', "after", -1, 96),
	CASE("over-large", over_large, OVERFLOW, 'W', "after", 0, 1 << 20),
	CASE("over-page", over_page, OVERFLOW, 'R', "after", 0, 4096),
	CASE("over-aligned", over_aligned, OVERFLOW, 'W', "after", 0, 192),
	CASE("over-matrix", over_matrix, OVERFLOW, 'W', "after", 20, 128),
	CASE("over-unsigned", over_unsigned, OVERFLOW, 'W', "after", 0, 64),
	CASE("over-bsearch", over_bsearch, OVERFLOW, 'R', "after", -1, 32,
	     .at = "over_bsearch_compares"),
	CASE("over-zero", over_zero, OVERFLOW, 'W', NULL, -1, -1),
	CASE("over-odd-write", over_odd_write, OVERFLOW, '-', "after", 0, 13, .when = AT_FREE),
	CASE("over-odd-strcpy", over_odd_strcpy, OVERFLOW, '-', "after", 0, 27, .when = AT_FREE),
	CASE("over-odd-realloc", over_odd_realloc, OVERFLOW, '-', "after", 0, 50,
	     .when = AT_FREE),
	CASE("over-odd-thread", over_odd_thread, OVERFLOW, '-', "after", 1, 100,
	     .at = "over_odd_thread_frees", .when = AT_FREE),
	CASE("over-byte-write", over_byte_write, OVERFLOW, 'W', "after", 0, 13, .mode = BYTE),
	CASE("over-byte-read", over_byte_read, OVERFLOW, 'R', "after", 0, 27, .mode = BYTE),
	CASE("over-byte-strcpy", over_byte_strcpy, OVERFLOW, 'W', "after", -1, 27,
	     .mode = BYTE),
};

int main(int argc, char **argv)
{
	return run_case("122", cases, sizeof(cases) / sizeof(*cases), argc, argv);
}
