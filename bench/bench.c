// SPDX-License-Identifier: GPL-2.0
/*
 * bench: guest instructions per call, for each row of the table of "make bench".
 *
 * Run it in qemu with -icount shift=0,sleep=off -smp 1, so that the TSC counts
 * instructions. Elsewhere the figures are cycles. It prints a line for each:
 *
 *	row TAB case TAB n TAB instructions (or "absent")
 *
 * The rows "memory_*" hold bytes and VMAs instead, "dump" with "size" bytes.
 *
 * To make figures repeat, addresses are fixed (no ASLR, fixed maps), each row has
 * a process of its own, the first runs do not count, each sample starts just
 * after a timer tick, and the result is the minimum.
 *
 * usage: bench [--compiler DIR] [--only ROW] [--samples] | --count
 *	DIR holds /cc1 with its libraries, /in.c, and /bench: see bench/guest
 *	--samples shows each sample on stderr, --count the number of figures
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../include/guard_stacks.h"
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_READ	22
#define MADV_POPULATE_WRITE	23
#endif
#ifndef SYS_pidfd_open
#define SYS_pidfd_open		434
#endif
#ifndef SYS_process_madvise
#define SYS_process_madvise	440
#endif

#define PAGE	4096UL
#define MIB	(1UL << 20)
#define GIB	(1UL << 30)
#define RW	(PROT_READ | PROT_WRITE)
#define ANON	(MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE)

/*
 * Addresses of the ranges. A table of the second level maps a gibibyte, so at
 * BASE neither that table nor the last one exists until it is needed. The anchor
 * page keeps the table above.
 */
#define ANCHOR	((char *)(1024 * GIB))
#define BASE	((char *)(1040 * GIB))
#define TARGET	((char *)(1030 * GIB))
#define MARGIN	(2 * MIB)

#define ABSENT	UINT64_MAX

static uint64_t empty_pair;
static bool show_samples;
static const char *compiler_dir;
static int self_fd = -1;
static int file_fd = -1;	/* what map_at() maps, if not anonymous memory */

__attribute__((noreturn, format(printf, 1, 2)))
static void die(const char *fmt, ...)
{
	va_list ap;

	fflush(stdout);
	fputs("bench: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	_exit(1);
}

#define must(x) do { if (!(x)) die("line %d: %s: %s", __LINE__, #x, strerror(errno)); } while (0)

/* ---- the clock --------------------------------------------------------- */

static inline uint64_t tsc(void)
{
	uint32_t lo, hi;

	asm volatile("rdtsc" : "=a"(lo), "=d"(hi) : : "memory");
	return (uint64_t)hi << 32 | lo;
}

/* Count the instructions between the two, without their own. */
static uint64_t started;

static inline __attribute__((always_inline)) void begin(void)
{
	started = tsc();
}

static inline __attribute__((always_inline)) uint64_t end(void)
{
	uint64_t t = tsc() - started;

	return t > empty_pair ? t - empty_pair : 0;
}

/*
 * Sleeps until just after a tick, when deferred work is done and the next tick is
 * far. Under -icount with sleep=off this takes no time.
 */
static void settle(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_nsec = (t.tv_nsec / 20000000 + 2) * 20000000 + 100000;
	if (t.tv_nsec >= 1000000000) {
		t.tv_sec++;
		t.tv_nsec -= 1000000000;
	}
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
		;
}

/* ---- samples ----------------------------------------------------------- */

struct series {
	uint64_t least;
	unsigned int samples;
};

/* The first two fill the caches of the kernel and do not count. */
static void sample(struct series *s, uint64_t t)
{
	if (show_samples)
		fprintf(stderr, " %llu", (unsigned long long)t);
	if (++s->samples <= 2)
		return;
	if (s->samples == 3 || t < s->least)
		s->least = t;
}

static unsigned int repeats(unsigned long n)
{
	return 2 + (n <= 64 ? 32 : n <= 512 ? 10 : n <= 4096 ? 6 : 3);
}

/* ---- memory in a wanted state ------------------------------------------ */

static void *map_at(char *at, size_t len, int prot)
{
	int flags = file_fd < 0 ? ANON : MAP_SHARED;
	char *p;

	must(file_fd < 0 || !ftruncate(file_fd, (off_t)len));
	p = mmap(at, len, prot, flags | MAP_FIXED_NOREPLACE, file_fd, 0);
	if (p != at)
		die("no %zu bytes at %p: %s", len, (void *)at, strerror(errno));
	/* A kernel without huge pages refuses it, and does not need it. */
	madvise(p, len, MADV_NOHUGEPAGE);
	return p;
}

/* n pages at BASE, in one VMA that goes on beyond them on both sides. */
static char *map_pages(unsigned long n)
{
	return (char *)map_at(BASE - MARGIN, n * PAGE + 2 * MARGIN, RW) + MARGIN;
}

static void unmap_pages(unsigned long n)
{
	must(!munmap(BASE - MARGIN, n * PAGE + 2 * MARGIN));
}

static void populate(char *p, unsigned long n)
{
	must(!madvise(p, n * PAGE, MADV_POPULATE_WRITE));
}

static bool has_poison(void)
{
	char *p = mmap(NULL, PAGE, RW, ANON, -1, 0);
	bool has;

	must(p != MAP_FAILED);
	has = !madvise(p, PAGE, MADV_GUARD_POISON);
	munmap(p, PAGE);
	return has;
}

static int own_pidfd(void)
{
	int fd = syscall(SYS_pidfd_open, getpid(), 0);

	must(fd >= 0);
	return fd;
}

static unsigned long proc_number(const char *path, const char *key)
{
	char buf[16384], *s;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n, got = 0;

	must(fd >= 0);
	while ((n = read(fd, buf + got, sizeof(buf) - 1 - got)) > 0)
		got += n;
	close(fd);
	buf[got] = '\0';
	s = strstr(buf, key);
	return s ? strtoul(s + strlen(key), NULL, 10) : 0;
}

/* ---- one call on a range ------------------------------------------------ */

enum state { NO_TABLES, TABLES, POPULATED, GUARDS, GUARDS_NO_TABLES, PROTECTED, PROTECTED_NO_TABLES };

enum call {
	POISON, UNPOISON, DONTNEED, FREE, PROTECT, PROTECT_DONTNEED, UNPROTECT,
	READ_ONLY, REMAP, REMAP_UNALIGNED, UNMAP, PAGEOUT, TOUCH_WRITE,
	TOUCH_READ,
};

struct row {
	const char *name, *variant;
	unsigned long n;
	uint64_t (*measure)(const struct row *);
	enum call call;
	enum state state;
	bool feature;	/* absent on a kernel without guards */
};

static char *in_state(enum state state, unsigned long n)
{
	char *p = map_pages(n);

	switch (state) {
	case NO_TABLES:
	case GUARDS_NO_TABLES:
	case PROTECTED_NO_TABLES:
		break;
	case TABLES:
	case GUARDS:
	case PROTECTED:
		populate(p, n);
		must(!madvise(p, n * PAGE, MADV_DONTNEED));
		break;
	case POPULATED:
		populate(p, n);
		break;
	}
	if (state == GUARDS || state == GUARDS_NO_TABLES)
		must(!madvise(p, n * PAGE, MADV_GUARD_POISON));
	if (state == PROTECTED || state == PROTECTED_NO_TABLES)
		must(!mprotect(p, n * PAGE, PROT_NONE));
	return p;
}

/* Contents that zram can compress a little. */
static void fill(char *p, unsigned long n)
{
	uint32_t x = 1;

	for (unsigned long i = 0; i < n; i++) {
		uint32_t *w = (uint32_t *)(p + i * PAGE);

		for (int k = 0; k < 256; k++)
			w[k] = x = x * 1103515245 + 12345;
	}
}

static void page_out(char *p, unsigned long n)
{
	unsigned long before = proc_number("/proc/self/status", "VmSwap:");

	for (int tries = 0; tries < 5; tries++) {
		must(!madvise(p, n * PAGE, MADV_PAGEOUT));
		if (proc_number("/proc/self/status", "VmSwap:") - before >= n * 4)
			return;
	}
	die("MADV_PAGEOUT left pages resident");
}

static bool has_swap(void)
{
	return proc_number("/proc/meminfo", "SwapTotal:") > 0;
}

static uint64_t on_range(const struct row *r)
{
	struct series s = { 0 };
	unsigned long n = r->n;

	if (r->call == PAGEOUT && !has_swap())
		return ABSENT;
	if (!strncmp(r->name, "file", 4) || !strncmp(r->variant, "file", 4))
		must((file_fd = memfd_create("bench", MFD_CLOEXEC)) >= 0);
	/* A kernel with guards in anonymous memory alone refuses it. */
	if (file_fd >= 0 && r->call == POISON) {
		bool taken = !madvise(map_pages(1), PAGE, MADV_GUARD_POISON);

		unmap_pages(1);
		if (!taken)
			return ABSENT;
	}
	for (unsigned int i = 0; i < repeats(n); i++) {
		char *p = in_state(r->state, n), *q = NULL;
		size_t len = n * PAGE;
		unsigned long sum = 0;
		uint64_t t;
		int err = 0;

		if (r->call == PAGEOUT)
			fill(p, n);
		settle();
		switch (r->call) {
		case POISON:
			begin();
			err = madvise(p, len, MADV_GUARD_POISON);
			t = end();
			break;
		case UNPOISON:
			begin();
			err = madvise(p, len, MADV_GUARD_UNPOISON);
			t = end();
			break;
		case DONTNEED:
			begin();
			err = madvise(p, len, MADV_DONTNEED);
			t = end();
			break;
		case FREE:
			begin();
			err = madvise(p, len, MADV_FREE);
			t = end();
			break;
		case PAGEOUT:
			begin();
			err = madvise(p, len, MADV_PAGEOUT);
			t = end();
			break;
		case PROTECT:
			begin();
			err = mprotect(p, len, PROT_NONE);
			t = end();
			break;
		case PROTECT_DONTNEED:
			begin();
			err = mprotect(p, len, PROT_NONE) |
			      madvise(p, len, MADV_DONTNEED);
			t = end();
			break;
		case UNPROTECT:
			begin();
			err = mprotect(p, len, RW);
			t = end();
			break;
		case READ_ONLY:
			begin();
			err = mprotect(p, len, PROT_READ);
			t = end();
			break;
		case REMAP:
		case REMAP_UNALIGNED:
			/* Unaligned, so mremap moves entries, not tables. */
			q = TARGET + (r->call == REMAP ? 0 : PAGE);
			begin();
			err = mremap(p, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, q) != q;
			t = end();
			break;
		case UNMAP:
			begin();
			err = munmap(p, len);
			t = end();
			break;
		case TOUCH_WRITE:
			begin();
			for (char *c = p; c < p + len; c += PAGE)
				*(volatile char *)c = 1;
			t = end();
			break;
		case TOUCH_READ:
			begin();
			for (char *c = p; c < p + len; c += PAGE)
				sum += *(volatile char *)c;
			t = end();
			break;
		default:
			die("no such call");
		}
		if (err || sum)
			die("%s %s %lu: %s", r->name, r->variant, n, strerror(errno));
		sample(&s, t);
		if (q)
			must(!munmap(q, len));
		unmap_pages(n);
	}
	return s.least;
}

/* ---- huge pages --------------------------------------------------------- */

static char *map_huge(void)
{
	char *p = mmap(BASE, 2 * MIB, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0);

	if (p != BASE)
		die("no 2 MiB at %p: %s", (void *)BASE, strerror(errno));
	return madvise(p, 2 * MIB, MADV_HUGEPAGE) ? NULL : p;
}

static bool is_huge(void)
{
	return proc_number("/proc/self/smaps_rollup", "AnonHugePages:") == 2048;
}

static uint64_t huge(const struct row *r)
{
	struct series s = { 0 };

	for (unsigned int i = 0; i < repeats(1); i++) {
		char *p = map_huge();
		int err = 0;
		uint64_t t;

		if (!p)
			return ABSENT;
		settle();
		begin();
		*(volatile char *)p = 1;
		t = end();
		if (!is_huge())
			return ABSENT;
		if (r->call != TOUCH_WRITE) {
			int advice = r->call == POISON ? MADV_GUARD_POISON : MADV_DONTNEED;

			settle();
			begin();
			err = madvise(p, 2 * MIB, advice);
			t = end();
		}
		must(!err);
		sample(&s, t);
		must(!munmap(p, 2 * MIB));
	}
	return s.least;
}

/* ---- a thousand guards at every other page ------------------------------ */

#define THOUSAND	1000

enum kind { NO_GUARDS, BY_POISON, BY_PROT_NONE };

static enum kind kind_of(const struct row *r)
{
	return !strncmp(r->variant, "poison", 6) ? BY_POISON :
	       !strncmp(r->variant, "prot_none", 9) ? BY_PROT_NONE : NO_GUARDS;
}

static void guard_one(enum kind kind, char *p)
{
	if (kind == BY_POISON)
		must(!madvise(p, PAGE, MADV_GUARD_POISON));
	else if (kind == BY_PROT_NONE)
		must(!mprotect(p, PAGE, PROT_NONE));
}

/* The mean over the thousand of the minimum of each. */
static uint64_t thousand_each(const struct row *r)
{
	static uint64_t least[THOUSAND];
	uint64_t sum = 0;

	for (unsigned int i = 0; i < 8; i++) {
		char *p = map_pages(2 * THOUSAND);

		/* With tables, as in memory that has been used. */
		populate(p, 2 * THOUSAND);
		must(!madvise(p, 2 * THOUSAND * PAGE, MADV_DONTNEED));
		settle();
		for (unsigned int k = 0; k < THOUSAND; k++) {
			char *g = p + 2 * k * PAGE;
			uint64_t t;
			int err;

			if (kind_of(r) == BY_POISON) {
				begin();
				err = madvise(g, PAGE, MADV_GUARD_POISON);
				t = end();
			} else {
				begin();
				err = mprotect(g, PAGE, PROT_NONE);
				t = end();
			}
			must(!err);
			if (i == 2 || (i > 2 && t < least[k]))
				least[k] = t;
		}
		unmap_pages(2 * THOUSAND);
	}
	for (unsigned int k = 0; k < THOUSAND; k++)
		sum += least[k];
	return (sum + THOUSAND / 2) / THOUSAND;
}

static char *thousand_guards(const struct row *r, bool populated)
{
	char *p = map_pages(2 * THOUSAND);

	if (populated)
		populate(p, 2 * THOUSAND);
	for (unsigned int k = 0; k < THOUSAND; k++) {
		/* As guards have no contents, leave these pages empty in all cases. */
		if (populated)
			must(!madvise(p + 2 * k * PAGE, PAGE, MADV_DONTNEED));
		guard_one(kind_of(r), p + 2 * k * PAGE);
	}
	return p;
}

/* Avoid libc's fork(), which takes locks of its own. */
static inline pid_t raw_fork(void)
{
	return syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
}

static inline __attribute__((always_inline)) uint64_t fork_and_exit(void)
{
	int status;
	pid_t child;
	uint64_t t;

	begin();
	child = raw_fork();
	if (!child)
		_exit(0);
	while (syscall(SYS_wait4, child, &status, 0, NULL) != child)
		;
	t = end();
	must(child > 0 && !status);
	return t;
}

static uint64_t thousand_fork(const struct row *r)
{
	struct series s = { 0 };

	thousand_guards(r, strstr(r->variant, "populated"));
	for (unsigned int i = 0; i < 34; i++) {
		settle();
		sample(&s, fork_and_exit());
	}
	return s.least;
}

static uint64_t thousand_unmap(const struct row *r)
{
	struct series s = { 0 };

	for (unsigned int i = 0; i < 12; i++) {
		uint64_t t;
		int err;

		thousand_guards(r, false);
		settle();
		begin();
		err = munmap(BASE - MARGIN, 2 * THOUSAND * PAGE + 2 * MARGIN);
		t = end();
		must(!err);
		sample(&s, t);
	}
	return s.least;
}

/* ---- a thread's stack --------------------------------------------------- */

static uint64_t stack_life(const struct row *r)
{
	const size_t size = 8 * MIB;
	struct series s = { 0 };

	for (unsigned int i = 0; i < repeats(1); i++) {
		int err, flags = ANON | MAP_STACK | MAP_FIXED_NOREPLACE;
		char *p;
		uint64_t t;

		settle();
		if (kind_of(r) == BY_POISON) {
			begin();
			p = mmap(BASE, size, RW, flags, -1, 0);
			err = madvise(p, PAGE, MADV_GUARD_POISON);
			err |= munmap(p, size);
			t = end();
		} else {
			/* As glibc before 2.42 does it. */
			begin();
			p = mmap(BASE, size, PROT_NONE, flags, -1, 0);
			err = mprotect(p + PAGE, size - PAGE, RW);
			err |= munmap(p, size);
			t = end();
		}
		must(!err && p == BASE);
		sample(&s, t);
	}
	return s.least;
}

/* ---- many stacks ---------------------------------------------------------- */

#define BATCH	1024	/* as many as one system call guards */

/* Instructions for each of them: made, or taken and given back once more. */
static uint64_t many_stacks(const struct row *r)
{
	const bool again = !strcmp(r->variant, "pool, again");
	const size_t size = 64 << 10;
	static void *stack[BATCH];
	struct series s = { 0 };

	for (unsigned int i = 0; i < repeats(512); i++) {
		struct guard_stacks pool;
		uint64_t t;

		if (kind_of(r) == BY_PROT_NONE) {
			settle();
			begin();
			for (unsigned int k = 0; k < BATCH; k++) {
				stack[k] = mmap(NULL, size + PAGE, RW, ANON, -1, 0);
				mprotect(stack[k], PAGE, PROT_NONE);
			}
			t = end();
			for (unsigned int k = 0; k < BATCH; k++)
				must(stack[k] != MAP_FAILED && !munmap(stack[k], size + PAGE));
			sample(&s, t / BATCH);
			continue;
		}
		must(!guard_stacks_init(&pool, size, 0, BATCH, 0));
		/* Has the kernel's guards been probed? */
		must(guard_pages_available());
		settle();
		begin();
		must(guard_stacks_resize(&pool, BATCH) == BATCH);
		for (unsigned int k = 0; k < BATCH; k++)
			stack[k] = guard_stacks_get(&pool);
		t = end();
		if (again) {
			begin();
			for (unsigned int k = 0; k < BATCH; k++) {
				guard_stacks_put(&pool, stack[k]);
				stack[k] = guard_stacks_get(&pool);
			}
			t = end();
		}
		for (unsigned int k = 0; k < BATCH; k++)
			must(guard_stacks_how(&pool, stack[k]) == GUARD_PAGES_POISON);
		guard_stacks_destroy(&pool);
		sample(&s, t / BATCH);
	}
	return s.least;
}

/* ---- a vector ------------------------------------------------------------ */

#define VECTOR	512

static uint64_t vector(const struct row *r)
{
	static struct iovec v[VECTOR];
	bool populated = strstr(r->variant, "populated");
	bool in_one_call = !strncmp(r->variant, "vector", 6);
	struct series s = { 0 };
	int fd = own_pidfd();

	/* Every other page. */
	for (unsigned int k = 0; k < VECTOR; k++)
		v[k] = (struct iovec){ BASE + 2 * k * PAGE, PAGE };
	for (unsigned int i = 0; i < repeats(VECTOR); i++) {
		char *p = in_state(populated ? POPULATED : TABLES, 2 * VECTOR);
		uint64_t t;
		long done = 0;

		settle();
		if (in_one_call) {
			begin();
			done = syscall(SYS_process_madvise, fd, v, (long)VECTOR,
				       (long)MADV_GUARD_POISON, 0L);
			t = end();
			/* This kernel does not take the advice in a vector. */
			if (done < 0 && (errno == EINVAL || errno == EPERM || errno == ENOSYS))
				return ABSENT;
			must(done == (long)(VECTOR * PAGE));
		} else {
			begin();
			for (unsigned int k = 0; k < VECTOR; k++)
				done |= madvise(p + 2 * k * PAGE, PAGE, MADV_GUARD_POISON);
			t = end();
			must(!done);
		}
		sample(&s, t);
		unmap_pages(2 * VECTOR);
	}
	close(fd);
	return s.least;
}

/* ---- hitting a guard ------------------------------------------------------ */

static sigjmp_buf back;
static uint64_t at_handler;

static void on_fault(int sig)
{
	at_handler = end();
	siglongjmp(back, sig);
}

static uint64_t hit(const struct row *r)
{
	struct sigaction sa = { .sa_handler = on_fault };
	struct series s = { 0 };
	char *p = in_state(TABLES, 1);

	must(!sigaction(SIGSEGV, &sa, NULL));
	guard_one(kind_of(r), p);
	for (volatile unsigned int i = 0; i < 16; i++) {
		settle();
		if (!sigsetjmp(back, 1)) {
			begin();
			(void)*(volatile char *)p;
			die("%s: the access went through", r->name);
		}
		sample(&s, at_handler);
	}
	return s.least;
}

/* ---- programs that never use guards --------------------------------------- */

static uint64_t plain_fork(const struct row *r)
{
	struct series s = { 0 };

	if (r->n)
		in_state(r->state, r->n);
	for (unsigned int i = 0; i < 66; i++) {
		settle();
		sample(&s, fork_and_exit());
	}
	return s.least;
}

#define FILES		300
#define FILE_PAGES	4
#define STACKS		8

/* fork() of a process with many mappings of a file, and threads with stacks */
static uint64_t fork_files(const struct row *r)
{
	const size_t len = FILE_PAGES * PAGE, size = 8 * MIB;
	struct series s = { 0 };
	int fd = memfd_create("bench", MFD_CLOEXEC);

	must(fd >= 0 && !ftruncate(fd, (off_t)len));
	for (unsigned int i = 0; i < FILES; i++) {
		/* A page apart, so that they do not merge. */
		char *p = mmap(TARGET + i * (len + PAGE), len, PROT_READ,
			       MAP_SHARED | MAP_FIXED_NOREPLACE, fd, 0);

		must(p != MAP_FAILED && !madvise(p, len, MADV_POPULATE_READ));
		if (!i && !strcmp(r->variant, "poison file"))
			must(!madvise(p, PAGE, MADV_GUARD_POISON));
	}
	for (unsigned int i = 0; i < STACKS; i++) {
		char *p = map_at(BASE + i * (size + PAGE), size, RW);

		p[size - PAGE] = 1;
		if (!strcmp(r->variant, "poison stacks"))
			must(!madvise(p, PAGE, MADV_GUARD_POISON));
		else if (!strcmp(r->variant, "prot_none stacks"))
			must(!mprotect(p, PAGE, PROT_NONE));
	}
	for (unsigned int i = 0; i < 34; i++) {
		settle();
		sample(&s, fork_and_exit());
	}
	return s.least;
}

static uint64_t map_file(const struct row *r)
{
	struct series s = { 0 };
	int fd = memfd_create("bench", MFD_CLOEXEC);

	must(fd >= 0 && !ftruncate(fd, (off_t)(r->n * PAGE)));
	for (unsigned int i = 0; i < repeats(r->n); i++) {
		char *p;
		uint64_t t;
		int err;

		settle();
		begin();
		p = mmap(BASE, r->n * PAGE, PROT_READ, MAP_SHARED | MAP_FIXED_NOREPLACE, fd, 0);
		err = munmap(BASE, r->n * PAGE);
		t = end();
		must(p == BASE && !err);
		sample(&s, t);
	}
	return s.least;
}

static uint64_t run_program(int fd, const char *path, char *const argv[],
			    const char *root)
{
	static char *no_env[] = { NULL };
	int status;
	pid_t child;
	uint64_t t;

	begin();
	child = raw_fork();
	if (!child) {
		if (root && (chroot(root) || chdir("/")))
			_exit(126);
		if (path)
			execve(path, argv, no_env);
		else
			syscall(SYS_execveat, fd, "", argv, no_env, AT_EMPTY_PATH);
		_exit(127);
	}
	while (syscall(SYS_wait4, child, &status, 0, NULL) != child)
		;
	t = end();
	if (child < 0 || status)
		die("%s ended with status %#x", argv[0], status);
	return t;
}

static uint64_t exec(const struct row *r)
{
	static char *argv[] = { "bench", "--exit", NULL };
	struct series s = { 0 };

	(void)r;
	for (unsigned int i = 0; i < 66; i++) {
		settle();
		sample(&s, run_program(self_fd, NULL, argv, NULL));
	}
	return s.least;
}

static uint64_t exec_dynamic(const struct row *r)
{
	static char *argv[] = { "true", NULL };
	struct series s = { 0 };

	(void)r;
	if (!compiler_dir)
		return ABSENT;
	for (unsigned int i = 0; i < 34; i++) {
		settle();
		sample(&s, run_program(-1, "/true", argv, compiler_dir));
	}
	return s.least;
}

static uint64_t compile(const struct row *r)
{
	static char *argv[] = { "cc1", "-quiet", "-fpreprocessed", "-O0", "in.c", "-o", "out.s", NULL };
	struct series s = { 0 };

	(void)r;
	if (!compiler_dir)
		return ABSENT;
	for (unsigned int i = 0; i < 5; i++) {
		settle();
		sample(&s, run_program(-1, "/cc1", argv, compiler_dir));
	}
	return s.least;
}

static uint64_t swap_in(const struct row *r)
{
	unsigned long n = r->n;
	struct series s = { 0 };

	if (!has_swap())
		return ABSENT;
	for (unsigned int i = 0; i < repeats(n); i++) {
		char *p = in_state(POPULATED, n);
		unsigned long sum = 0;
		uint64_t t;

		fill(p, n);
		page_out(p, n);
		settle();
		begin();
		for (char *c = p; c < p + n * PAGE; c += PAGE)
			sum += *(volatile char *)c;
		t = end();
		must(proc_number("/proc/self/status", "VmSwap:") == 0);
		(void)sum;
		sample(&s, t);
		unmap_pages(n);
	}
	return s.least;
}

/* ---- core dumps ---------------------------------------------------------- */

#define DUMPED	(512 * MIB)

static void write_setting(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	must(fd >= 0 && write(fd, value, strlen(value)) == (ssize_t)strlen(value));
	close(fd);
}

/* core_pattern runs this: it reads the dump and keeps nothing. */
static int drain(void)
{
	static char buf[65536];
	ssize_t n;

	while ((n = read(STDIN_FILENO, buf, sizeof(buf))) > 0)
		;
	return n < 0;
}

/* A process with n touched pages in DUMPED of guards, which waits to be killed */
static pid_t sparse_process(enum kind kind, unsigned long n)
{
	const size_t step = DUMPED / n;
	int ready[2];
	pid_t child;
	char c;

	must(!pipe(ready));
	child = fork();
	must(child >= 0);
	if (!child) {
		char *p = map_at(BASE, DUMPED, RW);

		/* First, because PROT_NONE keeps the anon_vma of a page that is there. */
		for (char *at = p; at < p + DUMPED; at += step)
			must(kind == BY_POISON ?
			     !madvise(at + PAGE, step - PAGE, MADV_GUARD_POISON) :
			     !mprotect(at + PAGE, step - PAGE, PROT_NONE));
		for (char *at = p; at < p + DUMPED; at += step)
			*(volatile char *)at = 1;
		must(write(ready[1], "", 1) == 1);
		for (;;)
			pause();
	}
	must(read(ready[0], &c, 1) == 1);
	close(ready[0]);
	close(ready[1]);
	return child;
}

/* From the signal until the process is gone; a pipe with all that its reader takes */
static uint64_t dump(const struct row *r)
{
	static const struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };
	const bool piped = strstr(r->variant, "pipe"), size = strstr(r->variant, "size");
	struct series s = { 0 };
	char pattern[128], core[128];

	if (!compiler_dir)
		return ABSENT;
	must(snprintf(core, sizeof(core), "%s/core", compiler_dir) < (int)sizeof(core));
	must(snprintf(pattern, sizeof(pattern), "|%s/bench --drain", compiler_dir) <
	     (int)sizeof(pattern));
	write_setting("/proc/sys/kernel/core_pattern", piped ? pattern : core);
	/* Not 0: the process waits for the reader to end */
	write_setting("/proc/sys/kernel/core_pipe_limit", "1");
	must(!setrlimit(RLIMIT_CORE, &unlimited));
	for (unsigned int i = 0; i < 4; i++) {
		pid_t child = sparse_process(kind_of(r), r->n);
		struct stat st;
		uint64_t t;
		int status;

		settle();
		begin();
		kill(child, SIGQUIT);
		while (syscall(SYS_wait4, child, &status, 0, NULL) != child)
			;
		t = end();
		must(WIFSIGNALED(status) && WCOREDUMP(status));
		if (!piped) {
			must(!stat(core, &st) && !unlink(core));
			if (size)
				t = (uint64_t)st.st_size;
		}
		sample(&s, t);
	}
	return s.least;
}

/* ---- memory ---------------------------------------------------------------- */

enum what { TABLES_BYTES, SLAB_BYTES, VMA_COUNT };

static unsigned long vma_count(void)
{
	static char buf[65536];
	int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	unsigned long lines = 0;
	ssize_t n;

	must(fd >= 0);
	while ((n = read(fd, buf, sizeof(buf))) > 0)
		for (ssize_t i = 0; i < n; i++)
			lines += buf[i] == '\n';
	close(fd);
	return lines;
}

static unsigned long amount(enum what what)
{
	settle();
	return what == TABLES_BYTES ? proc_number("/proc/self/status", "VmPTE:") * 1024 :
	       what == SLAB_BYTES ? proc_number("/proc/meminfo", "Slab:") * 1024 :
	       vma_count();
}

#define COPIES	512	/* slabs are counted in pages, so make many of each */

/* Use up the free objects of existing slabs, so that new objects need new slabs. */
static void fill_slabs(void)
{
	char *p = map_at(TARGET, 1024 * PAGE, RW);

	for (unsigned int i = 0; i < 1024; i += 2)
		must(!mprotect(p + i * PAGE, PAGE, PROT_READ));
}

static uint64_t memory(const struct row *r)
{
	enum what what = (enum what)r->call;
	enum kind kind = kind_of(r);
	unsigned long before, after;
	char *p;

	fill_slabs();
	if (!strcmp(strrchr(r->variant, ' ') + 1, "1")) {
		before = amount(what);
		/* A gibibyte apart, so that they share no tables. */
		for (unsigned long i = 0; i < COPIES; i++) {
			p = map_at(BASE + i * GIB, 3 * PAGE, RW);
			guard_one(kind, p + PAGE);
		}
		after = amount(what);
		return after > before ? (after - before + COPIES / 2) / COPIES : 0;
	}
	if (strstr(r->variant, "stacks")) {
		const size_t size = 8 * MIB + PAGE;

		before = amount(what);
		for (unsigned long i = 0; i < THOUSAND; i++) {
			/* One below the other, as mmap() places them, with one page used. */
			p = BASE + (THOUSAND - 1 - i) * size;
			if (kind == BY_PROT_NONE) {
				map_at(p, size, PROT_NONE);
				must(!mprotect(p + PAGE, size - PAGE, RW));
			} else {
				map_at(p, size, RW);
				guard_one(kind, p);
			}
			*(volatile char *)(p + size - 64) = 1;
		}
		after = amount(what);
		return after > before ? after - before : 0;
	}
	before = amount(what);
	if (strstr(r->variant, "alternating")) {
		p = map_pages(2 * THOUSAND);
		for (unsigned long k = 0; k < THOUSAND; k++)
			guard_one(kind, p + 2 * k * PAGE);
	} else {
		p = map_pages(GIB / PAGE);
		if (kind == BY_POISON)
			must(!madvise(p, GIB, MADV_GUARD_POISON));
		else if (kind == BY_PROT_NONE)
			must(!mprotect(p, GIB, PROT_NONE));
	}
	after = amount(what);
	return after > before ? after - before : 0;
}

/* ---- the rows ---------------------------------------------------------------- */

static struct row rows[256];
static unsigned int nrows;

static void add(const char *name, const char *variant, unsigned long n,
		uint64_t (*measure)(const struct row *), enum call call,
		enum state state, bool feature)
{
	must(nrows < sizeof(rows) / sizeof(rows[0]));
	rows[nrows++] = (struct row){ name, variant, n, measure, call, state, feature };
}

static void make_rows(void)
{
	static const unsigned long counts[] = { 1, 4, 16, 64, 512, 4096, 65536 };
	static const unsigned long both[] = { 1, 512 };
	static const char *const what[] = { "memory_tables", "memory_slab", "memory_vmas" };
	static const char *const cases[] = {
		"none 1", "poison 1", "prot_none 1",
		"none 1000 alternating", "poison 1000 alternating", "prot_none 1000 alternating",
		"none 1 GiB", "poison 1 GiB", "prot_none 1 GiB",
		"none 1000 stacks", "poison 1000 stacks", "prot_none 1000 stacks",
	};

	for (unsigned int i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		unsigned long n = counts[i];

		add("populated", "poison", n, on_range, POISON, POPULATED, true);
		add("populated", "dontneed", n, on_range, DONTNEED, POPULATED, false);
		add("populated", "prot_none", n, on_range, PROTECT_DONTNEED, POPULATED, false);
		add("empty_present", "poison", n, on_range, POISON, TABLES, true);
		add("empty_present", "dontneed", n, on_range, DONTNEED, TABLES, false);
		add("empty_present", "prot_none", n, on_range, PROTECT, TABLES, false);
		add("empty_absent", "poison", n, on_range, POISON, NO_TABLES, true);
		add("empty_absent", "dontneed", n, on_range, DONTNEED, NO_TABLES, false);
		add("empty_absent", "prot_none", n, on_range, PROTECT, NO_TABLES, false);
		add("guards", "poison", n, on_range, POISON, GUARDS, true);
		add("guards", "unpoison", n, on_range, UNPOISON, GUARDS, true);
		add("guards", "prot_rw", n, on_range, UNPROTECT, PROTECTED, false);
		add("unpoison", "populated", n, on_range, UNPOISON, POPULATED, true);
		add("unpoison", "empty_present", n, on_range, UNPOISON, TABLES, true);
		add("unpoison", "empty_absent", n, on_range, UNPOISON, NO_TABLES, true);
	}
	for (unsigned int i = 0; i < 6; i++) {
		/* To 64 GiB */
		static const unsigned long large[] = { 511, 512, 65536, 262144, 4194304, 16777216 };
		unsigned long n = large[i];

		add("large", "poison", n, on_range, POISON, NO_TABLES, true);
		add("large", "prot_none", n, on_range, PROTECT, NO_TABLES, false);
		add("large", "unpoison", n, on_range, UNPOISON, GUARDS_NO_TABLES, true);
		add("large", "prot_rw", n, on_range, UNPROTECT, PROTECTED_NO_TABLES, false);
		add("large", "munmap guards", n, on_range, UNMAP, GUARDS_NO_TABLES, true);
		add("large", "munmap none", n, on_range, UNMAP, NO_TABLES, false);
	}
	add("large_fork", "poison", 262144, plain_fork, 0, GUARDS_NO_TABLES, true);
	add("large_fork", "none", 262144, plain_fork, 0, NO_TABLES, false);
	for (unsigned int i = 0; i < 3; i++) {
		static const unsigned long of_files[] = { 1, 16, 512 };
		unsigned long n = of_files[i];

		add("file_populated", "poison", n, on_range, POISON, POPULATED, true);
		add("file_populated", "dontneed", n, on_range, DONTNEED, POPULATED, false);
		add("file_empty", "poison", n, on_range, POISON, TABLES, true);
	}
	add("fork_files", "none", FILES, fork_files, 0, 0, false);
	add("fork_files", "poison stacks", FILES, fork_files, 0, 0, true);
	add("fork_files", "prot_none stacks", FILES, fork_files, 0, 0, false);
	add("fork_files", "poison file", FILES, fork_files, 0, 0, true);
	add("huge", "poison", 512, huge, POISON, POPULATED, true);
	add("huge", "dontneed", 512, huge, DONTNEED, POPULATED, false);

	add("alternating_each", "poison", THOUSAND, thousand_each, 0, 0, true);
	add("alternating_each", "prot_none", THOUSAND, thousand_each, 0, 0, false);
	add("alternating_fork", "poison", THOUSAND, thousand_fork, 0, 0, true);
	add("alternating_fork", "none", THOUSAND, thousand_fork, 0, 0, false);
	add("alternating_fork", "prot_none", THOUSAND, thousand_fork, 0, 0, false);
	add("alternating_fork", "poison, others populated", THOUSAND, thousand_fork, 0, 0, true);
	add("alternating_fork", "none, others populated", THOUSAND, thousand_fork, 0, 0, false);
	add("alternating_fork", "prot_none, others populated", THOUSAND, thousand_fork, 0, 0, false);
	add("alternating_munmap", "poison", THOUSAND, thousand_unmap, 0, 0, true);
	add("alternating_munmap", "none", THOUSAND, thousand_unmap, 0, 0, false);
	add("alternating_munmap", "prot_none", THOUSAND, thousand_unmap, 0, 0, false);
	add("stack", "poison", 1, stack_life, 0, 0, true);
	add("stack", "prot_none", 1, stack_life, 0, 0, false);
	add("stacks", "pool", 1024, many_stacks, 0, 0, true);
	add("stacks", "pool, again", 1024, many_stacks, 0, 0, true);
	add("stacks", "prot_none", 1024, many_stacks, 0, 0, false);
	add("single_512", "vector empty", VECTOR, vector, 0, 0, true);
	add("single_512", "calls empty", VECTOR, vector, 0, 0, true);
	add("single_512", "vector populated", VECTOR, vector, 0, 0, true);
	add("single_512", "calls populated", VECTOR, vector, 0, 0, true);
	add("hit", "poison", 1, hit, 0, 0, true);
	add("hit", "prot_none", 1, hit, 0, 0, false);
	add("dump", "poison, file", 16, dump, 0, 0, true);
	add("dump", "prot_none, file", 16, dump, 0, 0, false);
	add("dump", "poison, pipe", 16, dump, 0, 0, true);
	add("dump", "prot_none, pipe", 16, dump, 0, 0, false);
	add("dump", "poison, size", 16, dump, 0, 0, true);
	add("dump", "prot_none, size", 16, dump, 0, 0, false);

	add("never", "fork_exit", 0, plain_fork, 0, POPULATED, false);
	add("never", "fork_exit", 512, plain_fork, 0, POPULATED, false);
	add("never", "exec", 1, exec, 0, 0, false);
	add("never", "fault_4k_write", 512, on_range, TOUCH_WRITE, NO_TABLES, false);
	add("never", "fault_4k_read", 512, on_range, TOUCH_READ, NO_TABLES, false);
	add("never", "fault_huge", 1, huge, TOUCH_WRITE, 0, false);
	for (unsigned int i = 0; i < 2; i++) {
		unsigned long n = both[i];

		add("never", "dontneed", n, on_range, DONTNEED, POPULATED, false);
		add("never", "free", n, on_range, FREE, POPULATED, false);
		add("never", "mprotect", n, on_range, READ_ONLY, POPULATED, false);
		add("never", "mremap", n, on_range, REMAP, POPULATED, false);
		add("never", "mremap_unaligned", n, on_range, REMAP_UNALIGNED, POPULATED, false);
		add("never", "munmap", n, on_range, UNMAP, POPULATED, false);
	}
	add("never", "swap_out", 512, on_range, PAGEOUT, POPULATED, false);
	add("never", "swap_in", 512, swap_in, 0, 0, false);
	add("never", "fork_files", FILES, fork_files, 0, 0, false);
	add("never", "map_file", 16, map_file, 0, 0, false);
	add("never", "file_fault", 512, on_range, TOUCH_READ, TABLES, false);
	add("never", "exec_dynamic", 1, exec_dynamic, 0, 0, false);
	add("never", "compile", 1, compile, 0, 0, false);

	for (unsigned int w = 0; w < 3; w++)
		for (unsigned int i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
			add(what[w], cases[i], 1, memory, (enum call)w, 0,
			    !strncmp(cases[i], "poison", 6));
}

/* ---- running them ------------------------------------------------------------- */

static void warm_up(void)
{
	volatile char stack[65536];
	uint64_t least = UINT64_MAX;

	for (size_t i = 0; i < sizeof(stack); i += 64)
		stack[i] = 0;
	map_at(ANCHOR, PAGE, RW);
	*ANCHOR = 1;
	/* end() subtracts the overhead, which is still 0. */
	empty_pair = 0;
	for (int i = 0; i < 64; i++) {
		uint64_t t;

		begin();
		t = end();
		if (t < least)
			least = t;
	}
	empty_pair = least;
	settle();
}

static void run_row(const struct row *r, bool poison)
{
	uint64_t result = ABSENT;
	int pipes[2], status;
	pid_t child;

	if (!r->feature || poison) {
		must(!pipe(pipes));
		fflush(stdout);
		child = fork();
		must(child >= 0);
		if (!child) {
			warm_up();
			if (show_samples)
				fprintf(stderr, "%s %s %lu:", r->name, r->variant, r->n);
			result = r->measure(r);
			if (show_samples)
				fputc('\n', stderr);
			must(write(pipes[1], &result, sizeof(result)) == sizeof(result));
			_exit(0);
		}
		close(pipes[1]);
		if (read(pipes[0], &result, sizeof(result)) != sizeof(result) ||
		    waitpid(child, &status, 0) != child || status)
			die("row %s, case %s, n %lu did not end well", r->name, r->variant, r->n);
		close(pipes[0]);
	}
	printf("%s\t%s\t%lu\t", r->name, r->variant, r->n);
	if (result == ABSENT)
		puts("absent");
	else
		printf("%llu\n", (unsigned long long)result);
	fflush(stdout);
}

/* In memory, so that no file system of the host takes part in exec. */
static int copy_of_self(void)
{
	static char buf[65536];
	int from = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	int to = memfd_create("bench", 0);
	ssize_t n;

	must(from >= 0 && to >= 0);
	while ((n = read(from, buf, sizeof(buf))) > 0)
		must(write(to, buf, n) == n);
	close(from);
	return to;
}

int main(int argc, char **argv)
{
	const char *only = NULL;
	bool poison;
	cpu_set_t one;

	if (argc == 2 && !strcmp(argv[1], "--exit"))
		return 0;
	if (argc == 2 && !strcmp(argv[1], "--drain"))
		return drain();
	make_rows();
	if (argc == 2 && !strcmp(argv[1], "--count")) {
		printf("%u\n", nrows);
		return 0;
	}

	/* Run the copy, without address randomisation or environment. */
	if (!getenv("BENCH_FD")) {
		char fd[32];
		char *env[] = { fd, NULL };

		self_fd = copy_of_self();
		snprintf(fd, sizeof(fd), "BENCH_FD=%d", self_fd);
		must(personality(ADDR_NO_RANDOMIZE) >= 0);
		syscall(SYS_execveat, self_fd, "", argv, env, AT_EMPTY_PATH);
		die("cannot run a copy of itself: %s", strerror(errno));
	}
	self_fd = atoi(getenv("BENCH_FD"));

	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--compiler") && i + 1 < argc) {
			compiler_dir = argv[++i];
		} else if (!strcmp(argv[i], "--only") && i + 1 < argc) {
			only = argv[++i];
		} else if (!strcmp(argv[i], "--samples")) {
			show_samples = true;
		} else {
			fputs("usage: bench [--compiler DIR] [--only ROW] [--samples] | --count\n", stderr);
			return 2;
		}
	}

	CPU_ZERO(&one);
	CPU_SET(0, &one);
	must(!sched_setaffinity(0, sizeof(one), &one));
	poison = has_poison();
	warm_up();
	printf("# an empty pair reads %llu\n", (unsigned long long)empty_pair);
	munmap(ANCHOR, PAGE);

	for (unsigned int i = 0; i < nrows; i++)
		if (!only || !strcmp(only, rows[i].name))
			run_row(&rows[i], poison);
	return 0;
}
