// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of include/guard_pages.h: C that is C++ as well. It is compiled again with
 * -DSECOND, to test that two files of a program share the result of the probe.
 *
 * usage: helper poison|mainline|fallback|none
 *   the guards that the kernel should have: those of this series, those of Linux
 *   6.13 and later, or none. "none" answers the header on any kernel as one without
 *   guards does.
 * usage: helper which
 *   finds out which of the three it is, without the header.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

/* So that the header meets other kernels. */
static inline ssize_t test_pread(int fd, void *buf, size_t len, off_t offset);
static inline int test_ioctl(int fd, unsigned long request, void *arg);
static inline int test_madvise(void *addr, size_t len, int advice);
#define pread		test_pread
#define ioctl		test_ioctl
#define madvise		test_madvise
#include "../include/guard_pages.h"
#undef pread
#undef ioctl
#undef madvise

static int no_guards;		/* a kernel without them */
static int no_scan;		/* 6.15: PAGEMAP_SCAN does not know them */
static int no_bit;		/* 1: 6.13: pagemap does not either; 2: but shows swap entries */

static inline ssize_t test_pread(int fd, void *buf, size_t len, off_t offset)
{
	ssize_t got = pread(fd, buf, len, offset);
	uint64_t *bits = (uint64_t *)buf;
	ssize_t i;

	for (i = 0; no_bit && i < got / 8; i++)
		if (bits[i] & GUARD_PAGES_PM_GUARD_)
			bits[i] = GUARD_PAGES_PM_SWAP_ | (no_bit == 2 ? 0x9f : 0);
	return got;
}

static inline int test_ioctl(int fd, unsigned long request, void *arg)
{
	if (request == GUARD_PAGES_SCAN_ && (no_guards || no_scan)) {
		errno = EINVAL;
		return -1;
	}
	return ioctl(fd, request, arg);
}

static inline int test_madvise(void *addr, size_t len, int advice)
{
	if (no_guards && (advice == MADV_GUARD_POISON || advice == MADV_GUARD_UNPOISON)) {
		errno = EINVAL;
		return -1;
	}
	return madvise(addr, len, advice);
}

#ifdef SECOND

#ifdef __cplusplus
extern "C"
#endif
int *second_state(void);

int *second_state(void)
{
	return &guard_pages_state_;
}

#else /* SECOND */

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "children.h"

#ifdef __cplusplus
extern "C"
#endif
int *second_state(void);

#ifndef SYS_pidfd_open
#define SYS_pidfd_open	434
#endif
#ifndef SYS_mseal
#define SYS_mseal	462
#endif
#ifndef MCL_ONFAULT
#define MCL_ONFAULT	4
#endif
#define RW		(PROT_READ | PROT_WRITE)
#define PAGES		16

static size_t page;
static int expected;		/* the way for private anonymous memory */
static int mainline;
static int filtered;		/* at() opens no file, and cannot tell what PROT_NONE hides */

/* The call must fail with this errno. */
#define FAILS(expr, error) do { \
	errno = 0; \
	CHECK((expr) == -1); \
	check(errno == (error), "line %d: errno %d expected", __LINE__, error); \
} while (0)

static sigjmp_buf back;
static volatile sig_atomic_t touching;
static volatile int sig_code, sig_class;
static void *volatile sig_addr;

static void on_segv(int sig, siginfo_t *si, void *context)
{
	(void)sig;
	(void)context;
	/* No test expects this one. */
	if (!touching)
		_exit(99);
	touching = 0;
	sig_code = si->si_code;
	sig_addr = si->si_addr;
	sig_class = guard_pages_classify(si);
	siglongjmp(back, 1);
}

/* 0: the access succeeds. 1: it is a SIGSEGV as it should be. -1: another one. */
static int touch(char *p, int write)
{
	if (sigsetjmp(back, 1))
		/* Mainline has SEGV_MAPERR for guards on some architectures. */
		return (sig_code == SEGV_ACCERR || (mainline && sig_code == SEGV_MAPERR)) &&
		       sig_addr == p ? 1 : -1;
	touching = 1;
	if (write)
		*(volatile char *)p = 7;
	else
		(void)*(volatile char *)p;
	touching = 0;
	return 0;
}

static int all_guarded(char *p, size_t n)
{
	const int saved = errno;
	size_t i;

	for (i = 0; i < n; i++) {
		if (touch(p + i * page + 5, 0) != 1 || touch(p + (i + 1) * page - 1, 1) != 1)
			return 0;
		/* Have the kernel access it too. */
		if (!guard_pages_refused_(p + i * page))
			return 0;
	}
	errno = saved;
	return 1;
}

static int all_hold(char *p, size_t n, char value)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (touch(p + i * page, 0))
			return 0;
	for (i = 0; i < n * page; i++)
		if (p[i] != value)
			return 0;
	return 1;
}

static char *map(size_t n, int flags)
{
	void *p = mmap(NULL, (n + 2) * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	/* Between two mappings that it cannot merge with. */
	if (p != MAP_FAILED)
		p = mmap((char *)p + page, n * page, RW, flags | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	if (p == MAP_FAILED) {
		printf("Bail out! no memory: %s\n", strerror(errno));
		exit(1);
	}
	return (char *)p;
}

static void unmap(char *p, size_t n)
{
	munmap(p - page, (n + 2) * page);
}

static int vmas(const char *p, size_t len)
{
	unsigned long start, end, from = (unsigned long)p;
	FILE *f = fopen("/proc/self/maps", "r");
	char line[512];
	int n = 0;

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%lx-%lx", &start, &end) == 2 && start < from + len && end > from)
			n++;
	if (f)
		fclose(f);
	return n;
}

/* ---- seccomp: kernels that refuse, or ignore the advice -------------------- */

/* This action for a system call one of whose arguments has this value; -1: any. */
static int filter_call(unsigned int nr, int arg, unsigned int value, unsigned int action)
{
	/* args[] are 64 bits; the lower half is where the byte order has it. */
	const unsigned int half = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? 4 : 0;
	struct sock_filter code[] = {
		{ BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(struct seccomp_data, nr) },
		{ BPF_JMP | BPF_JEQ | BPF_K, (unsigned char)(arg < 0 ? 2 : 0), 3, nr },
		{ BPF_LD | BPF_W | BPF_ABS, 0, 0,
		  (unsigned int)offsetof(struct seccomp_data, args) + 8 * (unsigned int)(arg < 0 ? 0 : arg) + half },
		{ BPF_JMP | BPF_JEQ | BPF_K, 0, 1, value },
		{ BPF_RET | BPF_K, 0, 0, action },
		{ BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW },
	};
	struct sock_fprog prog;

	prog.len = sizeof(code) / sizeof(code[0]);
	prog.filter = code;
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog, 0, 0);
}

/* Has madvise() with this advice fail with this errno, or, if 0, do nothing and succeed. */
static int filter(int advice, int error)
{
	return filter_call(SYS_madvise, 2, (unsigned int)advice, SECCOMP_RET_ERRNO | (unsigned int)error);
}

/* A file cannot be opened any more; whoever tries is killed. */
static int no_more_files(void)
{
#ifdef SYS_open
	if (filter_call(SYS_open, -1, 0, SECCOMP_RET_KILL_PROCESS))
		return -1;
#endif
	return filter_call(SYS_openat, -1, 0, SECCOMP_RET_KILL_PROCESS);
}

/* ---- the tests, each in a process that has not probed yet ------------------- */

static void probe(void)
{
	errno = 4711;
	CHECK(guard_pages_state_ == 0);
	CHECK(guard_pages_available() == (expected == GUARD_PAGES_POISON));
	CHECK(guard_pages_available() == (expected == GUARD_PAGES_POISON));
	CHECK(errno == 4711);
	CHECK(guard_pages_state_ == (expected == GUARD_PAGES_POISON ? 1 : 2));
	/* It does not try again. */
	CHECK(!filter(MADV_GUARD_POISON, ENOSYS));
	CHECK(guard_pages_available() == (expected == GUARD_PAGES_POISON));
}

static void probe_leaves_nothing(void)
{
	char *end = (char *)sbrk(0);
	int was = vmas(NULL, SIZE_MAX), now;

	guard_pages_available();
	now = vmas(NULL, SIZE_MAX);
	/* stdio's malloc() may have created the heap. */
	check(now == was || sbrk(0) != end, "%d mappings before, %d after", was, now);
}

static void one_state_for_all_files(void)
{
	CHECK(second_state() == &guard_pages_state_);
	CHECK(*second_state() == 0);
	guard_pages_available();
	CHECK(*second_state() != 0);
}

static pthread_barrier_t barrier;

static void *ask(void *answer)
{
	pthread_barrier_wait(&barrier);
	errno = 17;
	*(int *)answer = guard_pages_available() + (errno == 17 ? 0 : 100);
	return NULL;
}

static void threads(void)
{
	pthread_t t[8];
	int answer[8], i;

	pthread_barrier_init(&barrier, NULL, 8);
	for (i = 0; i < 8; i++)
		CHECK(!pthread_create(&t[i], NULL, ask, &answer[i]));
	for (i = 0; i < 8; i++) {
		pthread_join(t[i], NULL);
		CHECK(answer[i] == (expected == GUARD_PAGES_POISON));
	}
}

static void set_and_clear(void)
{
	unsigned char core[PAGES];
	char *p = map(PAGES, MAP_PRIVATE);
	int how;

	memset(p, 3, PAGES * page);
	errno = 4711;
	how = guard_pages_set(p + 4 * page, 8 * page);
	CHECK(how == expected);
	CHECK(errno == 4711);
	CHECK(all_guarded(p + 4 * page, 8));
	CHECK(all_hold(p, 4, 3));
	CHECK(all_hold(p + 12 * page, 4, 3));
	CHECK(vmas(p, PAGES * page) == (how == GUARD_PAGES_POISON ? 1 : 3));
	/* Guards do not nest. */
	CHECK(guard_pages_set(p + 3 * page, 9 * page) == expected);
	CHECK(all_guarded(p + 3 * page, 9));
	CHECK(guard_pages_clear(p + 3 * page, 9 * page, RW, how) == 0);
	CHECK(errno == 4711);
	/* The contents have been freed. */
	CHECK(!mincore(p, PAGES * page, core));
	CHECK((core[2] & 1) && !(core[3] & 1) && !(core[11] & 1) && (core[12] & 1));
	CHECK(all_hold(p + 3 * page, 9, 0));
	CHECK(touch(p + 4 * page, 1) == 0);
	CHECK(all_hold(p, 3, 3));
	CHECK(vmas(p, PAGES * page) == 1);
	unmap(p, PAGES);
}

static void clear_takes_a_part(void)
{
	char *p = map(PAGES, MAP_PRIVATE);
	int how = guard_pages_set(p, PAGES * page);

	CHECK(guard_pages_clear(p + 2 * page, page, RW, how) == 0);
	CHECK(all_guarded(p, 2));
	CHECK(touch(p + 2 * page, 1) == 0);
	CHECK(all_guarded(p + 3 * page, PAGES - 3));
	unmap(p, PAGES);
}

static void lengths(void)
{
	char *p = map(PAGES, MAP_PRIVATE);

	/* 0 succeeds and does nothing; a length is rounded up to pages. */
	CHECK(guard_pages_set(p, 0) == expected);
	CHECK(touch(p, 1) == 0);
	CHECK(guard_pages_set(p, page + 1) == expected);
	CHECK(all_guarded(p, 2));
	CHECK(touch(p + 2 * page, 1) == 0);
	CHECK(guard_pages_clear(p, 0, RW, expected) == 0);
	CHECK(all_guarded(p, 2));
	CHECK(guard_pages_clear(p, page + 1, RW, expected) == 0);
	CHECK(touch(p + page, 1) == 0);
	unmap(p, PAGES);
}

static void errors(void)
{
	char *p = map(PAGES, MAP_PRIVATE);

	FAILS(guard_pages_set(p + 1, page), EINVAL);
	FAILS(guard_pages_set(p, SIZE_MAX), EINVAL);
	FAILS(guard_pages_set(p, SIZE_MAX - 2 * page), EINVAL);
	FAILS(guard_pages_clear(p + 1, page, RW, expected), EINVAL);
	FAILS(guard_pages_clear(p, page, RW, 0), EINVAL);
	FAILS(guard_pages_clear(p, page, RW, GUARD_PAGES_FAILED), EINVAL);
	FAILS(guard_pages_clear(p, page, RW, 3), EINVAL);
	CHECK(touch(p, 1) == 0);
	munmap(p + 4 * page, page);
	FAILS(guard_pages_set(p, PAGES * page), ENOMEM);
	CHECK(all_guarded(p, 4));
	CHECK(guard_pages_clear(p, 4 * page, RW, GUARD_PAGES_PROT_NONE) == 0);
	CHECK(touch(p + 3 * page, 1) == 0);
	FAILS(guard_pages_clear(p, PAGES * page, RW, expected), ENOMEM);
	unmap(p, PAGES);
}

/* With contents, which nobody discards */
static void locked_memory(void)
{
	char *p = map(PAGES, MAP_PRIVATE);
	int how;

	CHECK(!mlock(p, PAGES * page));
	memset(p, 3, PAGES * page);
	errno = 4711;
	how = guard_pages_set(p + page, 4 * page);
	CHECK(how == GUARD_PAGES_PROT_NONE);
	CHECK(errno == 4711);
	CHECK(all_guarded(p + page, 4));
	CHECK(guard_pages_clear(p + page, 4 * page, RW, how) == 0);
	CHECK(errno == 4711);
	CHECK(all_hold(p + page, 4, 0));
	CHECK(all_hold(p + 5 * page, 1, 3));
	unmap(p, PAGES);
}

/* The probe's page is locked, which mainline refuses, and so is what is mapped next. */
static void probe_under_mlockall(void)
{
	int how, i;

	CHECK(!mlockall(MCL_FUTURE | MCL_ONFAULT));
	CHECK(guard_pages_available() == (expected == GUARD_PAGES_POISON));
	for (i = 0; i < 2; i++) {
		char *p = map(PAGES, MAP_PRIVATE);

		/* Empty, then with contents */
		if (i)
			memset(p, 3, PAGES * page);
		how = guard_pages_set(p + page, 4 * page);
		CHECK(how == (mainline ? GUARD_PAGES_PROT_NONE : expected));
		CHECK(all_guarded(p + page, 4));
		CHECK(guard_pages_clear(p + page, 4 * page, RW, how) == 0);
		CHECK(all_hold(p + page, 4, 0));
		unmap(p, PAGES);
	}
}

/* The kernel accepts POISON in the first part, not in the second; both must be guarded. */
static void partly_refused(void)
{
	char *p = map(PAGES, MAP_PRIVATE);
	int how;

	CHECK(!mlock(p + 8 * page, 2 * page));
	memset(p, 3, PAGES * page);
	how = guard_pages_set(p + 4 * page, 8 * page);
	CHECK(how == GUARD_PAGES_PROT_NONE);
	CHECK(all_guarded(p + 4 * page, 8));
	CHECK(guard_pages_clear(p + 4 * page, 8 * page, RW, how) == 0);
	CHECK(all_hold(p + 4 * page, 8, 0));
	CHECK(touch(p + 4 * page, 1) == 0);
	CHECK(touch(p + 9 * page, 1) == 0);
	unmap(p, PAGES);
}

static void shared_memory(void)
{
	char *p = map(PAGES, MAP_SHARED);
	int how;

	memset(p, 3, PAGES * page);
	how = guard_pages_set(p + page, 4 * page);
	/* Mainline accepts it since 6.15. */
	CHECK(how == expected || (mainline && how == GUARD_PAGES_PROT_NONE));
	CHECK(all_guarded(p + page, 4));
	CHECK(guard_pages_clear(p + page, 4 * page, RW, how) == 0);
	CHECK(all_hold(p, PAGES, 3));
	unmap(p, PAGES);
}

static void file_memory(void)
{
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC), how;
	char *p = (char *)mmap(NULL, page, PROT_READ, MAP_PRIVATE, fd, 0);

	CHECK(p != MAP_FAILED);
	how = guard_pages_set(p, page);
	CHECK(how == expected || (mainline && how == GUARD_PAGES_PROT_NONE));
	CHECK(all_guarded(p, 1));
	CHECK(guard_pages_clear(p, page, PROT_READ, how) == 0);
	CHECK(!memcmp(p, "\177ELF", 4));
	munmap(p, page);
	close(fd);
}

static void sealed_memory(void)
{
	char *p = map(PAGES, MAP_PRIVATE);

	CHECK(!mprotect(p, PAGES * page, PROT_READ));
	if (syscall(SYS_mseal, p, PAGES * page, 0L)) {
		/* 32-bit kernels and 6.9 have none. */
		CHECK(errno == ENOSYS || errno == EPERM);
		return;
	}
	FAILS(guard_pages_set(p, page), EPERM);
	CHECK(touch(p, 0) == 0);
}

/* With too many mappings, the call fails with ENOMEM and sets no guard. */
static void too_many_mappings(void)
{
	const size_t n = 140000;
	char *p = map(n, MAP_PRIVATE | MAP_NORESERVE);
	size_t i, made = 0;

	for (i = 0; i < n; i += 2) {
		int how = guard_pages_set(p + i * page, page);

		if (how < 0)
			break;
		made++;
		if (how != expected)
			break;
	}
	if (expected == GUARD_PAGES_POISON) {
		check(made == n / 2, "made %zu guards", made);
		CHECK(vmas(p, n * page) == 1);
	} else {
		CHECK(errno == ENOMEM);
		check(made > 1000 && made < n / 2, "made %zu guards", made);
		CHECK(touch(p + i * page, 1) == 0);
	}
	CHECK(all_guarded(p, 1));
	unmap(p, n);
}

/* A filter that does not know this advice. */
static void refused_by_seccomp(void)
{
	char *p = map(PAGES, MAP_PRIVATE);

	CHECK(!filter(MADV_GUARD_POISON, EPERM));
	CHECK(guard_pages_available() == 0);
	memset(p, 3, PAGES * page);
	CHECK(guard_pages_set(p, 2 * page) == GUARD_PAGES_PROT_NONE);
	CHECK(all_guarded(p, 2));
	CHECK(guard_pages_clear(p, 2 * page, RW, GUARD_PAGES_PROT_NONE) == 0);
	CHECK(all_hold(p, 2, 0));
	unmap(p, PAGES);
}

/* As emulators do: they take it for a hint, and ignore it. */
static void success_without_guards(void)
{
	char *p = map(PAGES, MAP_PRIVATE);

	CHECK(!filter(MADV_GUARD_POISON, 0));
	CHECK(madvise(p, page, MADV_GUARD_POISON) == 0);
	CHECK(touch(p, 1) == 0);
	CHECK(guard_pages_available() == 0);
	CHECK(guard_pages_set(p, 2 * page) == GUARD_PAGES_PROT_NONE);
	CHECK(all_guarded(p, 2));
	unmap(p, PAGES);
}

static void forks(void)
{
	char *p = map(PAGES, MAP_PRIVATE);
	int how = guard_pages_set(p, 2 * page), status = -1;
	pid_t pid = fork();

	if (!pid)
		_exit(!(how == expected && all_guarded(p, 2) &&
			guard_pages_set(p + 2 * page, page) == how && all_guarded(p, 3)));
	CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
	CHECK(status == 0);
	CHECK(touch(p + 2 * page, 1) == 0);
	unmap(p, PAGES);
}

/* ---- is this a guard? ------------------------------------------------------- */

/* Whether guard_pages_set() makes something that these functions find. */
#define GUARDS	(expected == GUARD_PAGES_POISON)

/* at() says that these pages of p are guards, and that no other is. */
static int at_says(char *p, size_t n, size_t from, size_t to)
{
	size_t i;

	for (i = 0; i < n; i++) {
		const int want = i < from || i >= to ? 0 : GUARDS ? 1 : -filtered;

		if (guard_pages_at(p + i * page) != want ||
		    guard_pages_at(p + (i + 1) * page - 1) != want)
			return 0;
	}
	return 1;
}

static void at(void)
{
	char *p = map(PAGES, MAP_PRIVATE);
	unsigned char core[PAGES];

	CHECK(guard_pages_set(p + 3 * page, 5 * page) == expected);
	p[8 * page] = 3;
	errno = 4711;
	CHECK(at_says(p, PAGES, 3, 8));
	/* PROT_NONE, and nothing; a kernel's address. */
	CHECK(guard_pages_at(p - 1) == -filtered);
	munmap(p + 15 * page, page);
	CHECK(guard_pages_at(p + 15 * page) == 0);
	CHECK(guard_pages_at((void *)(UINTPTR_MAX - page)) == 0);
	CHECK(guard_pages_at(NULL) == 0);
	CHECK(filtered || errno == 4711);
	/* It has brought nothing into memory. */
	CHECK(!mincore(p, 15 * page, core));
	CHECK(filtered || (!(core[2] & 1) && (core[8] & 1) && !(core[9] & 1)));
	/* Whatever the protection is. */
	if (GUARDS) {
		CHECK(!mprotect(p, 10 * page, PROT_NONE));
		CHECK(at_says(p, 10, 3, 8));
	}
	CHECK(guard_pages_clear(p + 3 * page, 5 * page, RW, expected) == 0);
	CHECK(at_says(p, 15, 0, 0));
	unmap(p, PAGES);
}

/* What next() finds, as "first+number ..." in pages from p. */
static const char *runs(int fd, int in, char *p, size_t from, size_t to)
{
	static char text[256];
	const uint64_t start = (uintptr_t)p, end = start + to * page;
	struct guard_pages_run run;
	uint64_t where = start + from * page;
	size_t len = 0;
	int found;

	memset(&run, 0, sizeof(run));
	text[0] = '\0';
	for (; len < sizeof(text) - 40; where = run.end) {
		found = in ? guard_pages_next_in(fd, where, end, &run) :
			     guard_pages_next(fd, where, end, &run);
		if (found != 1)
			break;
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%u+%u", len ? " " : "",
					(unsigned int)((run.start - start) / page),
					(unsigned int)((run.end - run.start) / page));
	}
	if (found)
		snprintf(text, sizeof(text), "error %d", errno);
	return text;
}

static int runs_are(const char *seen, const char *want)
{
	return check(!strcmp(seen, GUARDS || !strncmp(want, "error", 5) ? want : ""),
		     "found '%s', not '%s'", seen, want);
}

static void set(char *p, size_t first, size_t n)
{
	CHECK(guard_pages_set(p + first * page, n * page) == expected);
}

/* Calls of the iterator in this process, whatever the way is. */
static void iterate(void)
{
	struct guard_pages_run run;
	char *p = map(6000, MAP_PRIVATE);
	uint64_t where;
	size_t i, n = 0;
	int found;

	set(p, 3, 5);
	set(p, 9, 1);
	p[10 * page] = 3;
	set(p, 12, 2);
	set(p, 14, 1);
	errno = 4711;
	runs_are(runs(-1, 0, p, 0, 20), "3+5 9+1 12+3");
	CHECK(errno == 4711);
	/* Parts of a run. */
	runs_are(runs(-1, 0, p, 5, 13), "5+3 9+1 12+1");
	runs_are(runs(-1, 0, p, 8, 9), "");
	runs_are(runs(-1, 0, p, 9, 9), "");
	/* What it has read ahead is of the first range. */
	memset(&run, 0, sizeof(run));
	where = (uintptr_t)p;
	CHECK(guard_pages_next(-1, where, where + 6 * page, &run) == GUARDS);
	CHECK(guard_pages_next(-1, where + 6 * page, where + 20 * page, &run) == GUARDS);
	CHECK(!GUARDS || (run.start == where + 6 * page && run.end == where + 8 * page));
	CHECK(guard_pages_next(-1, where + 12 * page, where + 20 * page, &run) == GUARDS);
	CHECK(!GUARDS || run.start == where + 12 * page);
	/* More runs than it reads at a time, and runs longer than a page table. */
	for (i = 100; i < 300; i += 2)
		set(p, i, 1);
	set(p, 1000, 3000);
	set(p, 5999, 1);
	memset(&run, 0, sizeof(run));
	for (where = (uintptr_t)p; (found = guard_pages_next(-1, where, (uintptr_t)p + 6000 * page, &run)) == 1;
	     where = run.end)
		if (++n == 104)
			CHECK(run.start == (uintptr_t)p + 1000 * page && run.end == run.start + 3000 * page);
	CHECK(found == 0);
	check(n == (GUARDS ? 105 : 0), "%u runs", (unsigned int)n);
	/* Holes, and addresses that are not those of pages. */
	munmap(p + 4 * page, page);
	memset(&run, 0, sizeof(run));
	CHECK(guard_pages_next(-1, (uintptr_t)p + 4 * page + 7, (uintptr_t)p + 6 * page + 1, &run) == GUARDS);
	CHECK(!GUARDS || (run.start == (uintptr_t)p + 5 * page && run.end == (uintptr_t)p + 7 * page));
	unmap(p, 6000);
}

static void find_all(void)
{
	struct guard_pages_run run;
	char *p = map(PAGES, MAP_PRIVATE);
	uint64_t where = 0, end;
	int found, seen = 0;

	iterate();
	/* To the end of the address space, wherever that is. */
	set(p, 2, 3);
	memset(&run, 0, sizeof(run));
	for (; (found = guard_pages_next(-1, where, UINT64_MAX, &run)) == 1; where = run.end)
		seen += run.start == (uintptr_t)p + 2 * page && run.end == (uintptr_t)p + 5 * page;
	CHECK(found == 0);
	CHECK(seen == GUARDS);
	end = where;
	CHECK(guard_pages_next(-1, end, UINT64_MAX, &run) == 0);
	unmap(p, PAGES);
}

/* Linux 6.15 shows guards in pagemap, but PAGEMAP_SCAN refuses to look for them. */
static void by_bit_58(void)
{
	char *p = map(PAGES, MAP_PRIVATE);
	int fd = guard_pages_open(-1);

	no_scan = 1;
	p[0] = 3;
	set(p, 3, 5);
	set(p, 9, 1);
	CHECK(guard_pages_at(p) == 0);
	CHECK(at_says(p, 9, 3, 8));
	CHECK(guard_pages_at((void *)(UINTPTR_MAX - page)) == 0);
	runs_are(runs(-1, 0, p, 0, PAGES), "3+5 9+1");
	runs_are(runs(fd, 1, p, 4, PAGES), "4+4 9+1");
	unmap(p, PAGES);
	iterate();
}

/* Linux 6.13 shows them as swapped out, and no more. */
static void as_swapped(void)
{
	char *p = map(PAGES, MAP_PRIVATE);
	int fd = guard_pages_open(-1);

	p[0] = 3;
	set(p, 3, 5);
	set(p, 9, 1);
	no_scan = no_bit = 1;
	CHECK(at_says(p, 9, 3, 8));
	runs_are(runs(-1, 0, p, 0, PAGES), "3+5 9+1");
	/* Not its own, for all that it knows. */
	runs_are(runs(fd, 1, p, 0, PAGES), GUARDS ? "error 95" : "");
	no_bit = 2;
	guard_pages_bits_ = 0;
	runs_are(runs(fd, 1, p, 0, PAGES), "3+5 9+1");
	/* What is swapped out, or has a marker of userfaultfd. */
	CHECK(guard_pages_by_bits_(1ULL << 62 | 4 << 5, 0, 0) == 0);
	CHECK(guard_pages_by_bits_(1ULL << 62 | 1 << 5 | 31, 0, 0) == 0);
	unmap(p, PAGES);
}

static void other_process(void)
{
	char *p = map(PAGES, MAP_PRIVATE), path[64];
	int ready[2], go[2], status, pidfd, fd, dir;
	struct guard_pages_run run;
	char c = 0;
	pid_t pid;

	memset(&run, 0, sizeof(run));
	set(p, 1, 1);
	CHECK(!pipe(ready) && !pipe(go));
	pid = fork();
	if (!pid) {
		/* The child's guards are its own. */
		guard_pages_clear(p + page, page, RW, expected);
		set(p, 4, 2);
		set(p, 7, 1);
		if (write(ready[1], &c, 1) == 1 && read(go[0], &c, 1) == 1)
			_exit(0);
		_exit(1);
	}
	CHECK(read(ready[0], &c, 1) == 1);
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	CHECK(pidfd >= 0);
	runs_are(runs(pidfd, 0, p, 0, PAGES), "4+2 7+1");
	runs_are(runs(-1, 0, p, 0, PAGES), "1+1");
	fd = guard_pages_open(pidfd);
	CHECK(fd >= 0);
	CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	runs_are(runs(fd, 1, p, 5, PAGES), "5+1 7+1");
	snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK(dir >= 0);
	runs_are(runs(dir, 0, p, 0, PAGES), "4+2 7+1");
	/* It closes what it has opened: the next one has the same number. */
	c = (char)dup(0);
	close(c);
	runs(pidfd, 0, p, 0, PAGES);
	FAILS(guard_pages_next(c, 0, page, &run), EBADF);
	CHECK(dup(0) == c);
	close(c);
	FAILS(guard_pages_next(ready[0], 0, page, &run), EBADF);
	FAILS(guard_pages_next(-2, 0, page, &run), EBADF);
	/* Ended, and then waited for. */
	CHECK(write(go[1], "", 1) == 1);
	CHECK(read(ready[0], &c, 0) == 0);
	{
		siginfo_t si;

		CHECK(!waitid(P_PID, (id_t)pid, &si, WEXITED | WNOWAIT));
	}
	FAILS(guard_pages_next(pidfd, 0, page, &run), ESRCH);
	FAILS(guard_pages_next(dir, 0, page, &run), ESRCH);
	CHECK(waitpid(pid, &status, 0) == pid && status == 0);
	FAILS(guard_pages_next(pidfd, 0, page, &run), ESRCH);
	unmap(p, PAGES);
}

static int classify(char *p, int write)
{
	sig_class = -2;
	touch(p, write);
	return sig_class;
}

/* One of each. */
static void classes(void)
{
	const int none = GUARD_PAGES_HIT_PROT_NONE;
	char *p = map(PAGES, MAP_PRIVATE);
	siginfo_t si;

	set(p, 2, 2);
	CHECK(!mprotect(p + 6 * page, page, PROT_NONE));
	CHECK(!mprotect(p + 8 * page, page, PROT_READ));
	munmap(p + 10 * page, page);
	CHECK(classify(p + 2 * page + 5, 0) == (GUARDS ? GUARD_PAGES_HIT_GUARD : none));
	CHECK(classify(p + 4 * page - 1, 1) == (GUARDS ? GUARD_PAGES_HIT_GUARD : none));
	CHECK(classify(p + 6 * page, 0) == none);
	CHECK(classify(p + 7 * page - 1, 1) == none);
	CHECK(classify(p + 8 * page + 1, 1) == GUARD_PAGES_HIT_OTHER);
	CHECK(classify(p + 10 * page + 1, 0) == GUARD_PAGES_HIT_NOTHING);
	CHECK(classify(NULL, 1) == GUARD_PAGES_HIT_NOTHING);
	/* Not the memory's, though the address is that of a guard. */
	memset(&si, 0, sizeof(si));
	si.si_signo = SIGSEGV;
	si.si_addr = p + 2 * page;
	si.si_code = SI_USER;
	CHECK(guard_pages_classify(&si) == GUARD_PAGES_HIT_OTHER);
	si.si_code = SI_KERNEL;
	CHECK(guard_pages_classify(&si) == GUARD_PAGES_HIT_OTHER);
	si.si_code = SEGV_ACCERR;
	errno = 4711;
	CHECK(guard_pages_classify(&si) == (GUARDS ? GUARD_PAGES_HIT_GUARD : none));
	CHECK(errno == 4711);
	si.si_signo = SIGBUS;
	CHECK(guard_pages_classify(&si) == GUARD_PAGES_HIT_OTHER);
	unmap(p, PAGES);
}

/* A sandbox that kills for open(). */
static void open_kills(void)
{
	char *p = map(PAGES, MAP_PRIVATE);
	int fd = guard_pages_open(-1);

	CHECK(fd >= 0);
	set(p, 3, 2);
	CHECK(!no_more_files());
	p[0] = 3;
	if (GUARDS) {
		CHECK(at_says(p, PAGES, 3, 5));
	} else {
		FAILS(guard_pages_at(p + 3 * page), EACCES);
		CHECK(guard_pages_at(p + 2 * page) == 0);
	}
	FAILS(guard_pages_at(p - 1), EACCES);
	CHECK(guard_pages_at(NULL) == 0);
	runs_are(runs(fd, 1, p, 0, PAGES), "3+2");
	classes();
	unmap(p, PAGES);
}

/* A filter that refuses, and does not kill. */
static void open_refused(void)
{
	char *p = map(PAGES, MAP_PRIVATE);
	struct guard_pages_run run;

	memset(&run, 0, sizeof(run));
	set(p, 3, 2);
	CHECK(!filter_call(SYS_openat, -1, 0, SECCOMP_RET_ERRNO | EPERM));
#ifdef SYS_open
	CHECK(!filter_call(SYS_open, -1, 0, SECCOMP_RET_ERRNO | EPERM));
#endif
	CHECK(!GUARDS || at_says(p, PAGES, 3, 5));
	FAILS(guard_pages_next(-1, 0, page, &run), EPERM);
	classes();
	unmap(p, PAGES);
}

static void no_proc(void)
{
	char *p = map(PAGES, MAP_PRIVATE), dir[] = "/tmp/guard-test-XXXXXX";
	int fd = guard_pages_open(-1), root = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct guard_pages_run run;

	memset(&run, 0, sizeof(run));
	set(p, 3, 2);
	CHECK(mkdtemp(dir) != NULL);
	if (chroot(dir)) {
		CHECK(errno == EPERM);
		rmdir(dir);
		return;
	}
	FAILS(guard_pages_open(-1), ENOENT);
	FAILS(guard_pages_next(-1, 0, page, &run), ENOENT);
	CHECK(!GUARDS || at_says(p, PAGES, 3, 5));
	runs_are(runs(fd, 1, p, 0, PAGES), "3+2");
	classes();
	unmap(p, PAGES);
	CHECK(!fchdir(root) && !chroot(".") && !rmdir(dir));
}

/* The child has its own guards, and its parent's answers must not be kept. */
static void at_after_fork(void)
{
	char *p = map(PAGES, MAP_PRIVATE);
	int status = -1;
	pid_t pid;

	set(p, 3, 1);
	CHECK(at_says(p, PAGES, 3, 4));
	pid = fork();
	if (!pid) {
		guard_pages_clear(p + 3 * page, page, RW, expected);
		set(p, 5, 1);
		runs_are(runs(-1, 0, p, 0, PAGES), "5+1");
		_exit(!(at_says(p, PAGES, 5, 6) && !in_test));
	}
	CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
	CHECK(status == 0);
	CHECK(at_says(p, PAGES, 3, 4));
	unmap(p, PAGES);
}

/* /proc/self is the first thread's, which has no memory once it has ended. */
static void *alone(void *first)
{
	char *p = map(PAGES, MAP_PRIVATE);

	pthread_join(*(pthread_t *)first, NULL);
	set(p, 3, 2);
	CHECK(at_says(p, PAGES, 3, 5));
	runs_are(runs(-1, 0, p, 0, PAGES), "3+2");
	fflush(stdout);
	_exit(in_test);
}

static pthread_t first_thread;

static void first_thread_ends(void)
{
	pthread_t t;

	first_thread = pthread_self();
	CHECK(!pthread_create(&t, NULL, alone, &first_thread));
	pthread_exit(NULL);
}

/* The series counts hits; mainline does not. */
static const char *which(void)
{
	char *p = map(1, MAP_PRIVATE), line[128];
	const char *found = "mainline";
	FILE *f;

	if (madvise(p, page, 102) || !touch(p, 1))
		return "fallback";
	f = fopen("/proc/vmstat", "r");
	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, "guard_hit ", 10))
			found = "poison";
	if (f)
		fclose(f);
	return found;
}

int main(int argc, char **argv)
{
	const char *what = argc == 2 ? argv[1] : "";
	struct sigaction sa;

	page = (size_t)sysconf(_SC_PAGESIZE);
	memset(&sa, 0, sizeof(sa));
	sa.sa_sigaction = on_segv;
	sa.sa_flags = SA_SIGINFO | SA_NODEFER;
	sigaction(SIGSEGV, &sa, NULL);

	if (!strcmp(what, "which")) {
		puts(which());
		return 0;
	}
	mainline = !strcmp(what, "mainline");
	filtered = prctl(PR_GET_SECCOMP, 0, 0, 0, 0) == 2;
	if (!strcmp(what, "none")) {
		no_guards = 1;
		what = "fallback";
	}
	expected = mainline || !strcmp(what, "poison") ? GUARD_PAGES_POISON : GUARD_PAGES_PROT_NONE;
	if (expected == GUARD_PAGES_PROT_NONE && strcmp(what, "fallback")) {
		fputs("usage: helper poison|mainline|fallback|none|which\n", stderr);
		return 2;
	}

	RUN(probe);
	RUN(probe_leaves_nothing);
	RUN(one_state_for_all_files);
	RUN(threads);
	RUN(set_and_clear);
	RUN(clear_takes_a_part);
	RUN(lengths);
	RUN(errors);
	RUN(locked_memory);
	RUN(probe_under_mlockall);
	RUN(partly_refused);
	RUN(shared_memory);
	RUN(file_memory);
	RUN(sealed_memory);
	RUN(too_many_mappings);
	RUN(refused_by_seccomp);
	RUN(success_without_guards);
	RUN(forks);
	RUN(at);
	RUN(find_all);
	RUN(by_bit_58);
	RUN(as_swapped);
	RUN(other_process);
	RUN(classes);
	RUN(open_kills);
	RUN(open_refused);
	RUN(no_proc);
	RUN(at_after_fork);
	RUN(first_thread_ends);
	printf("1..%d\n", count);
	return failed != 0;
}

#endif /* SECOND */
