// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of include/guard_pages.h: C that is C++ as well. It is compiled again with
 * -DSECOND, to test that two files of a program share the result of the probe.
 *
 * usage: helper poison|mainline|fallback
 *   the guards that the kernel should have: those of this series, those of Linux
 *   6.13 and later, or none.
 * usage: helper which
 *   finds out which of the three it is, without the header.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "../include/guard_pages.h"

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
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#ifdef __cplusplus
extern "C"
#endif
int *second_state(void);

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
static int count, failed, in_test;

__attribute__((format(printf, 2, 3)))
static int check(int good, const char *fmt, ...)
{
	va_list ap;

	if (good)
		return 1;
	printf("# ");
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf(" (errno %d, %s)\n", errno, strerror(errno));
	fflush(stdout);
	in_test = 1;
	return 0;
}

/* A failure prints line and expression. */
#define CHECK(expr)	check(!!(expr), "line %d: %s", __LINE__, #expr)
/* The call must fail with this errno. */
#define FAILS(expr, error) do { \
	errno = 0; \
	CHECK((expr) == -1); \
	check(errno == (error), "line %d: errno %d expected", __LINE__, error); \
} while (0)

static sigjmp_buf back;
static volatile sig_atomic_t touching;
static volatile int sig_code;
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

/* Has madvise() with this advice fail with this errno, or, if 0, do nothing and succeed. */
static int filter(int advice, int error)
{
	struct sock_filter code[] = {
		{ BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(struct seccomp_data, nr) },
		{ BPF_JMP | BPF_JEQ | BPF_K, 0, 3, SYS_madvise },
		{ BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(struct seccomp_data, args[2]) },
		{ BPF_JMP | BPF_JEQ | BPF_K, 0, 1, (unsigned int)advice },
		{ BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | (unsigned int)error },
		{ BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW },
	};
	struct sock_fprog prog;

	prog.len = sizeof(code) / sizeof(code[0]);
	prog.filter = code;
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog, 0, 0);
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

static void run(const char *name, void (*test)(void))
{
	int status = 0;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		test();
		fflush(stdout);
		_exit(in_test);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		status = 1;
	count++;
	if (status)
		failed++;
	if (WIFSIGNALED(status))
		printf("# signal %d\n", WTERMSIG(status));
	else if (WEXITSTATUS(status) == 99)
		puts("# SIGSEGV where none should be");
	printf("%sok %d - %s\n", status ? "not " : "", count, name);
}

#define RUN(test)	run(#test, test)

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
	expected = mainline || !strcmp(what, "poison") ? GUARD_PAGES_POISON : GUARD_PAGES_PROT_NONE;
	if (expected == GUARD_PAGES_PROT_NONE && strcmp(what, "fallback")) {
		fputs("usage: helper poison|mainline|fallback|which\n", stderr);
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
	printf("1..%d\n", count);
	return failed != 0;
}

#endif /* SECOND */
