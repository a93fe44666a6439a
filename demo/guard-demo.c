// SPDX-License-Identifier: GPL-2.0
/*
 * guard-demo: shows guard pages, made by madvise(MADV_GUARD_POISON). It checks
 * every fact before it prints it, so the demonstration is a test too. With
 * --mappings, it shows the part (e), which follows the threads.
 *
 * Exit status: 0 all as the contract says, 1 something differs, 2 this kernel
 * has no guard pages, 3 the demonstration itself could not run.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "../tests/guard.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE	23
#endif
#ifndef SYS_pidfd_open
#define SYS_pidfd_open		434
#endif
#ifndef SYS_process_madvise
#define SYS_process_madvise	440
#endif

/* Every other page of 8 GiB, or of 1 GiB if there is not more. */
#define MILLION			(sizeof(void *) == 8 ? 1UL << 20 : 1UL << 17)
#define VECTOR			1024	/* UIO_MAXIOV */

static size_t page;
static unsigned int facts, differ;

/* ---- output ----------------------------------------------------------- */

__attribute__((noreturn, format(printf, 1, 2)))
static void die(const char *fmt, ...)
{
	va_list ap;

	fflush(stdout);
	fputs("demo: cannot go on: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(3);
}

__attribute__((format(printf, 1, 2)))
static void section(const char *fmt, ...)
{
	va_list ap;

	putchar('\n');
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	fflush(stdout);
}

/* Prints a fact and what was seen; if it is wrong, on stderr as well. */
__attribute__((format(printf, 3, 4)))
static bool fact(bool ok, const char *what, const char *fmt, ...)
{
	char seen[160];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(seen, sizeof(seen), fmt, ap);
	va_end(ap);

	facts++;
	printf("  %-3s %-37s %s\n", ok ? "ok" : "NOT", what, seen);
	fflush(stdout);
	if (!ok) {
		differ++;
		fprintf(stderr, "demo: differs from the contract: %s: %s\n",
			what + strspn(what, " "), seen);
	}
	return ok;
}

/* Prints a measured number, which is not checked. */
__attribute__((format(printf, 2, 3)))
static void note(const char *what, const char *fmt, ...)
{
	va_list ap;

	printf("      %-37s ", what);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	fflush(stdout);
}

/* 1048576 -> "1,048,576"; only a few results can be in use at once. */
static const char *commas(unsigned long n)
{
	static char ring[8][32];
	static unsigned int slot;
	char *s = ring[slot++ % 8] + 31;
	int digits = 0;

	*s = '\0';
	do {
		if (digits && digits % 3 == 0)
			*--s = ',';
		*--s = '0' + n % 10;
		digits++;
	} while (n /= 10);
	return s;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

/* ---- accesses that may fail ------------------------------------------- */

/* Both a load and a store must hit it, with the right address. */
static bool is_guard(char *p)
{
	return guard_load(p) == SIGSEGV && guard_probe.addr == (uintptr_t)p &&
	       guard_store(p) == SIGSEGV && guard_probe.addr == (uintptr_t)p;
}

static bool is_usable(char *p)
{
	return !guard_load(p) && !guard_store(p);
}

/* Describes n pages: "G" a guard, "-" usable, "?" neither, as in "-G-". */
static const char *shape(char *p, size_t n)
{
	static char seen[16];	/* one result at a time */

	for (size_t i = 0; i < n; i++, p += page)
		seen[i] = is_guard(p) ? 'G' : is_usable(p) ? '-' : '?';
	seen[n] = '\0';
	return seen;
}

static bool looks_like(char *p, const char *want)
{
	return !strcmp(shape(p, strlen(want)), want);
}

static char *map(size_t len, int flags)
{
	char *p = mmap(NULL, len, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);

	/* Without a hint, m68k looks only in the upper 768 MiB */
	if (p == MAP_FAILED)
		p = mmap((void *)0x20000000, len, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
	if (p == MAP_FAILED)
		die("mmap of %zu bytes: %s", len, strerror(errno));
	return p;
}

static int poison(char *p, size_t len)
{
	return madvise(p, len, MADV_GUARD_POISON);
}

static int unpoison(char *p, size_t len)
{
	return madvise(p, len, MADV_GUARD_UNPOISON);
}

/* Maps pages as in the pattern, and writes to every page that is not ".". */
static char *lay_out(const char *pattern)
{
	size_t n = strlen(pattern);
	char *p = map(n * page, 0);

	for (size_t i = 0; i < n; i++) {
		if (pattern[i] != '.')
			guard_do_store(p + i * page);
		if (pattern[i] == 'G' && poison(p + i * page, page))
			die("POISON of one page: %s", strerror(errno));
	}
	return p;
}

/* ---- the kernel's figures for this process ---------------------------- */

static unsigned long count_vmas(void)
{
	static char buf[1 << 16];
	unsigned long lines = 0;
	FILE *f = fopen("/proc/self/maps", "re");
	size_t got;

	if (!f)
		die("/proc/self/maps: %s", strerror(errno));
	while ((got = fread(buf, 1, sizeof(buf), f)))
		for (char *s = buf; (s = memchr(s, '\n', buf + got - s)); s++)
			lines++;
	fclose(f);
	return lines;
}

static unsigned long read_number(const char *path, const char *key)
{
	char line[256];
	unsigned long value = 0;
	bool found = false;
	FILE *f = fopen(path, "re");

	if (!f)
		die("%s: %s", path, strerror(errno));
	while (!found && fgets(line, sizeof(line), f))
		if (!strncmp(line, key, strlen(key)))
			found = sscanf(line + strlen(key), "%lu", &value) == 1;
	fclose(f);
	if (!found)
		die("%s has no line \"%s\"", path, key);
	return value;
}

static unsigned long page_table_kib(void)
{
	return read_number("/proc/self/status", "VmPTE:");
}

/* KiB of slabs that hold VMAs and their tree; 0 if not known. */
static unsigned long vma_slab_kib(void)
{
	char line[512], name[64];
	unsigned long kib = 0;
	FILE *f = fopen("/proc/slabinfo", "re");

	if (!f)
		return 0;
	while (fgets(line, sizeof(line), f)) {
		unsigned long pages_a_slab, slabs;

		if (sscanf(line, "%63s %*u %*u %*u %*u %lu : tunables %*u %*u %*u : slabdata %*u %lu",
			   name, &pages_a_slab, &slabs) != 3)
			continue;
		if (!strcmp(name, "vm_area_struct") ||
		    !strcmp(name, "vma_lock") || !strcmp(name, "maple_node"))
			kib += slabs * pages_a_slab * page / 1024;
	}
	fclose(f);
	return kib;
}

/* ---- (a) bugs ---------------------------------------------------------- */

/*
 * Each faulty function has a section of its own. The linker defines symbols for
 * its start and end on any architecture, so that the instruction pointer of the
 * fault can be checked.
 */
#define BUG(name) \
	extern const char __start_bug_##name[], __stop_bug_##name[]; \
	__attribute__((noinline, section("bug_" #name))) \
	static void name(volatile char *p)

#define ip_in(name) \
	(!guard_probe.ip || (guard_probe.ip >= (uintptr_t)__start_bug_##name && \
		       guard_probe.ip < (uintptr_t)__stop_bug_##name))

#define BUFFER	1000

struct session {
	char name[64];
	unsigned long id;
};

BUG(fill_buffer)
{
	for (int i = 0; i <= BUFFER; i++)	/* one too many */
		p[i] = 'x';
}

BUG(read_freed)
{
	volatile struct session *s = (volatile struct session *)p;

	(void)s->id;
}

static void fault_facts(int sig, uintptr_t want, const char *where,
			const char *function, bool ip_ok, uintptr_t start)
{
	char label[64];

#if defined(__s390__)
	/* The hardware reports only the page. */
	want &= -(uintptr_t)sysconf(_SC_PAGESIZE);
#endif
	fact(sig == SIGSEGV, "  signal", "%s",
	     sig ? strsignal(sig) : "none: the access went through");
	snprintf(label, sizeof(label), "  fault address = %s", where);
	fact(guard_probe.addr == want, label, "%#lx, expected %#lx",
	     (unsigned long)guard_probe.addr, (unsigned long)want);
	if (guard_probe.ip)
		fact(ip_ok, "  instruction", "%#lx, %s()+%#lx",
		     (unsigned long)guard_probe.ip, function,
		     (unsigned long)(guard_probe.ip - start));
}

static void show_bugs(void)
{
	unsigned long vmas;
	struct session *s;
	char *heap, *buf;
	int pipes[2], sig;

	section("(a) A bug is caught at the instruction that makes it");

	heap = map(16 * page, 0);
	if (madvise(heap, 16 * page, MADV_NOHUGEPAGE) && errno != EINVAL)
		die("MADV_NOHUGEPAGE: %s", strerror(errno));
	vmas = count_vmas();

	/* The buffer ends where the guard begins. */
	if (poison(heap + page, page))
		die("POISON of one page: %s", strerror(errno));
	buf = heap + page - BUFFER;
	printf("  buffer overflow: %d bytes, the loop writes %d\n", BUFFER,
	       BUFFER + 1);
	sig = guard_try(fill_buffer, buf);
	fault_facts(sig, (uintptr_t)buf + BUFFER, "end of buffer",
		    "fill_buffer", ip_in(fill_buffer),
		    (uintptr_t)__start_bug_fill_buffer);
	fact(buf[BUFFER - 1] == 'x', "  the bytes inside were written", "last is '%c'",
	     buf[BUFFER - 1]);

	s = (struct session *)(heap + 4 * page);
	s->id = 42;
	if (poison((char *)s, page))
		die("POISON of one page: %s", strerror(errno));
	printf("  use after free: freed memory was made a guard\n");
	sig = guard_try(read_freed, (char *)s);
	fault_facts(sig, (uintptr_t)&s->id, "the field read", "read_freed",
		    ip_in(read_freed), (uintptr_t)__start_bug_read_freed);

	if (pipe(pipes))
		die("pipe: %s", strerror(errno));
	errno = 0;
	sig = write(pipes[1], s, 1);
	fact(sig == -1 && errno == EFAULT, "  write(2) from it, no signal", "%s",
	     sig == -1 ? strerror(errno) : "succeeded");
	close(pipes[0]);
	close(pipes[1]);

	if (unpoison((char *)s, page))
		die("UNPOISON of one page: %s", strerror(errno));
	fact(is_usable((char *)s) && s->id == 0, "  UNPOISON: usable again, empty",
	     "id was 42, is %lu", s->id);
	fact(count_vmas() == vmas, "VMAs before and after", "%lu and %lu",
	     vmas, count_vmas());
	munmap(heap, 16 * page);
}

/* ---- (b) a million ----------------------------------------------------- */

static const char *how;

/* Sets guards on pages 0, 2, 4, ... of n pairs; returns their number. */
static unsigned long poison_alternating(char *base, unsigned long n)
{
	static struct iovec v[VECTOR];
	unsigned long done = 0;
	int fd;

	how = "a vector of 1,024 a call";
	fd = syscall(SYS_pidfd_open, getpid(), 0);
	while (fd >= 0 && done < n) {
		unsigned int k = 0;

		for (; k < VECTOR && done + k < n; k++) {
			v[k].iov_base = base + (done + k) * 2 * page;
			v[k].iov_len = page;
		}
		if (syscall(SYS_process_madvise, fd, v, (unsigned long)k,
			    MADV_GUARD_POISON, 0) != (long)(k * page))
			break;
		done += k;
	}
	if (fd >= 0)
		close(fd);

	if (done < n)
		how = "one madvise a guard";
	for (; done < n; done++)
		if (poison(base + done * 2 * page, page))
			break;
	return done;
}

struct stopped {
	unsigned long guards, vmas, vmas_before, pte, pte_before, slab;
	int error;
	double seconds;
};

/* The same with PROT_NONE, in a child, whose exit removes the VMAs. */
static struct stopped protect_alternating(unsigned long n)
{
	struct stopped s = { 0 };
	int pipes[2], status;
	pid_t child;

	if (pipe(pipes))
		die("pipe: %s", strerror(errno));
	fflush(stdout);
	child = fork();
	if (child < 0)
		die("fork: %s", strerror(errno));
	if (!child) {
		unsigned long slab = vma_slab_kib(), after;
		char *base = map(n * 2 * page, MAP_NORESERVE);
		double start = now();
		ssize_t put;

		s.vmas_before = count_vmas();
		s.pte_before = page_table_kib();
		for (; s.guards < n; s.guards++)
			if (mprotect(base + s.guards * 2 * page, page, PROT_NONE))
				break;
		s.error = s.guards < n ? errno : 0;
		s.seconds = now() - start;
		s.vmas = count_vmas();
		s.pte = page_table_kib();
		after = vma_slab_kib();
		s.slab = after > slab ? after - slab : 0;
		put = write(pipes[1], &s, sizeof(s));
		_exit(put != sizeof(s));
	}
	close(pipes[1]);
	if (read(pipes[0], &s, sizeof(s)) != sizeof(s))
		die("the mprotect child ended early");
	close(pipes[0]);
	if (waitpid(child, &status, 0) != child || status)
		die("the mprotect child ended with status %#x", status);
	return s;
}

static void show_million(void)
{
	unsigned long n = MILLION, limit, vmas, pte, pte_grown, made, good = 0, tables;
	size_t len = n * 2 * page;
	struct stopped s;
	double start, took;
	char *base;
	int r;

	section("(b) %s guards: every other page of %lu GiB", commas(n),
		(unsigned long)(len >> 30));

	limit = read_number("/proc/sys/vm/max_map_count", "");
	base = map(len, MAP_NORESERVE);
	vmas = count_vmas();
	pte = page_table_kib();

	printf("  MADV_GUARD_POISON\n");
	start = now();
	made = poison_alternating(base, n);
	took = now() - start;
	fact(made == n, "  guards made", "%s (%s, %.1f s)", commas(made), how,
	     took);
	fact(count_vmas() == vmas, "  VMAs before and after", "%lu and %lu",
	     vmas, count_vmas());
	/*
	 * A last-level table maps page / 8 pages. The levels above are 1/512 of it, or
	 * 1/32 where last-level tables are fragments of pages (radix with 64 KiB).
	 */
	tables = 2 * n / (page / 8) * page / 1024;
	pte_grown = page_table_kib() - pte;
	fact(sizeof(void *) != 8 ||
	     (pte_grown >= tables && pte_grown <= tables + tables / 16),
	     "  page tables (VmPTE)", "%s kB before, %s kB after",
	     commas(pte), commas(pte + pte_grown));
	note("  kernel memory a guard", "%lu bytes", pte_grown * 1024 / n);
	for (unsigned long i = 0; i < 64; i++) {
		char *p = base + (i * (n - 1) / 63) * 2 * page;

		good += is_guard(p) && is_usable(p + page);
	}
	fact(good == 64, "  64 tried, and the pages after them", "%lu guards, neighbours usable", good);
	r = unpoison(base, len);
	fact(!r && is_usable(base) && is_usable(base + (n - 1) * 2 * page),
	     "  one UNPOISON over all of it", "%s",
	     r ? strerror(errno) : "first and last tried");
	munmap(base, len);

	/* With a raised limit it would take too long to get there. */
	if (limit > 200000)
		n = 65536;
	printf("  mprotect(PROT_NONE), vm.max_map_count %s\n", commas(limit));
	s = protect_alternating(n);
	if (limit > 200000)
		fact(!s.error, "  limit raised, so ended early at", "%s guards (%.1f s)",
		     commas(s.guards), s.seconds);
	else
		fact(s.error == ENOMEM && s.guards < limit, "  stops at", "%s guards, %s (%.1f s)",
		     commas(s.guards), strerror(s.error), s.seconds);
	fact(s.vmas >= 2 * s.guards, "  VMAs before and after", "%lu and %s",
	     s.vmas_before, commas(s.vmas));
	note("  page tables (VmPTE)", "%s kB before, %s kB after",
	     commas(s.pte_before), commas(s.pte));
	if (s.slab && s.guards)
		note("  kernel memory a guard (VMA slabs)", "%lu bytes",
		     (s.slab + s.pte - s.pte_before) * 1024 / s.guards);
	else
		note("  kernel memory a guard (VMA slabs)", "not told (/proc/slabinfo)");
}

/* ---- (c) operations that keep or drop a guard --------------------------- */

static int in_child(bool (*f)(char *), char *p)
{
	int status;
	pid_t child;

	fflush(stdout);
	child = fork();
	if (child < 0)
		die("fork: %s", strerror(errno));
	if (!child)
		_exit(f(p) ? 0 : 1);
	if (waitpid(child, &status, 0) != child)
		die("waitpid: %s", strerror(errno));
	return status;
}

static bool child_sees_guard(char *p)
{
	return looks_like(p, "-G-");
}

static bool child_removes(char *p)
{
	return !unpoison(p, 3 * page) && looks_like(p, "---");
}

static bool child_sees_untouched_guard(char *p)
{
	return looks_like(p, "G");
}

static bool child_sees_none(char *p)
{
	return looks_like(p, "---");
}

/* The pages at p must be as wanted, and @also, the result of earlier checks, true. */
static void shape_fact(bool also, const char *what, char *p, const char *want)
{
	const char *seen = shape(p, strlen(want));

	fact(also && !strcmp(seen, want), what, "%s%s", seen,
	     also ? "" : ", but a call failed or contents differ");
}

static void fork_fact(const char *what, bool (*f)(char *), char *p,
		      const char *child, const char *parent)
{
	int status = in_child(f, p);
	const char *seen = shape(p, strlen(parent));

	fact(!status && !strcmp(seen, parent), what, "child %s, parent %s",
	     status ? "differs" : child, seen);
}

static void show_life(void)
{
	char *p, *q, *gone;
	bool also;
	int r;

	section("(c) Operations that keep a guard, or drop it (G a guard, - a usable page)");

	p = lay_out("-G-");
	fork_fact("fork", child_sees_guard, p, "-G-", "-G-");
	fork_fact("fork, the child drops its own", child_removes, p, "---", "-G-");
	q = map(page, 0);
	if (poison(q, page))
		die("POISON of one page: %s", strerror(errno));
	fork_fact("fork, memory never touched", child_sees_untouched_guard, q,
		  "G", "G");
	munmap(q, page);
	if (madvise(p, 3 * page, MADV_WIPEONFORK))
		die("MADV_WIPEONFORK: %s", strerror(errno));
	fork_fact("fork after MADV_WIPEONFORK", child_sees_none, p, "---", "-G-");
	munmap(p, 3 * page);

	p = lay_out("-G-");
	also = !madvise(p, 3 * page, MADV_DONTNEED) && !p[0] && !p[2 * page];
	shape_fact(also, "MADV_DONTNEED", p, "-G-");
	also = !madvise(p, 3 * page, MADV_FREE);
	shape_fact(also, "MADV_FREE", p, "-G-");
	also = !poison(p + page, page);
	shape_fact(also, "POISON of a guard", p, "-G-");
	r = madvise(p, 3 * page, MADV_POPULATE_WRITE);
	also = r == -1 && errno == EFAULT;
	shape_fact(also, "MADV_POPULATE_WRITE, fails", p, "-G-");

	p[0] = 'a';
	also = !mprotect(p, 3 * page, PROT_NONE) && is_guard(p) &&
	       !mprotect(p, 3 * page, PROT_READ) && p[0] == 'a' &&
	       guard_load(p + page) == SIGSEGV &&
	       !mprotect(p, 3 * page, PROT_READ | PROT_WRITE);
	shape_fact(also, "mprotect NONE, READ, READ|WRITE", p, "-G-");

	p[0] = 'a';
	gone = map(3 * page, 0);
	q = mremap(p, 3 * page, 3 * page, MREMAP_MAYMOVE | MREMAP_FIXED, gone);
	if (q == MAP_FAILED)
		die("mremap: %s", strerror(errno));
	also = q[0] == 'a' && guard_load(p) == SIGSEGV;
	shape_fact(also, "mremap, at the new address", q, "-G-");
	p = q;
#ifdef MREMAP_DONTUNMAP
	q = mremap(p, 3 * page, 3 * page, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL);
	if (q == MAP_FAILED)
		die("mremap MREMAP_DONTUNMAP: %s", strerror(errno));
	shape_fact(true, "mremap DONTUNMAP, new address", q, "-G-");
	shape_fact(true, "mremap DONTUNMAP, old address", p, "---");
	munmap(p, 3 * page);
	p = q;
#endif
	p[0] = 'a';
	also = !unpoison(p, 3 * page) && p[0] == 'a';
	shape_fact(also, "UNPOISON, contents beside it stay", p, "---");
	munmap(p, 3 * page);

	p = lay_out("-G-");
	q = mmap(p + page, page, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	shape_fact(q == p + page, "mmap MAP_FIXED over it", p, "---");
	if (poison(p, 3 * page))
		die("POISON of three pages: %s", strerror(errno));
	if (munmap(p, 3 * page))
		die("munmap: %s", strerror(errno));
	q = mmap(p, 3 * page, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	if (q != p)
		die("mmap where memory was just unmapped: %s", strerror(errno));
	shape_fact(true, "munmap and mmap at the same address", p, "---");
	munmap(p, 3 * page);
}

/* ---- (e) files, shared memory, locked memory ----------------------------- */

/* The C library, or this program where it has none. */
static int open_library(void)
{
	char line[4096], *path;
	FILE *f = fopen("/proc/self/maps", "re");
	int fd = -1;

	if (!f)
		die("/proc/self/maps: %s", strerror(errno));
	while (fd < 0 && fgets(line, sizeof(line), f)) {
		path = strchr(line, '/');
		if (path && strstr(path, "libc.so")) {
			path[strcspn(path, "\n")] = '\0';
			fd = open(path, O_RDONLY | O_CLOEXEC);
		}
	}
	fclose(f);
	return fd >= 0 ? fd : open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
}

static void show_library(void)
{
	const size_t len = 8 * page;
	unsigned long vmas, with_guard;
	int fd = open_library();
	char *p, *other;

	if (fd < 0)
		die("no library to map: %s", strerror(errno));
	p = mmap(NULL, len, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
	other = mmap(NULL, len, PROT_READ, MAP_PRIVATE, fd, 0);
	if (p == MAP_FAILED || other == MAP_FAILED)
		die("mmap of a library: %s", strerror(errno));
	vmas = count_vmas();

	printf("  a library's text and what follows, with a gap of two pages\n");
	if (poison(p + 3 * page, 2 * page))
		die("POISON of a library's pages: %s", strerror(errno));
	with_guard = count_vmas();
	fact(guard_load(p + 3 * page) == SIGSEGV && guard_load(p + 5 * page - 1) == SIGSEGV &&
	     !guard_load(p + 3 * page - 1) && !guard_load(p + 5 * page),
	     "  a read in the gap", "SIGSEGV; the pages beside it can be read");
	fact(with_guard == vmas, "  VMAs before and after", "%lu and %lu", vmas, with_guard);
	if (mprotect(p + 3 * page, 2 * page, PROT_NONE))
		die("mprotect: %s", strerror(errno));
	note("  VMAs with PROT_NONE instead", "%lu", count_vmas());
	fact(!memcmp(other, "\177ELF", 4) && !guard_load(other + 3 * page),
	     "  another mapping of the library", "has all of it");
	munmap(p, len);
	munmap(other, len);
	close(fd);
}

static void show_ring(void)
{
	const size_t len = 4 * page;
	int fd = syscall(SYS_memfd_create, "ring", 0);
	char *writer, *reader;
	int sig;

	if (fd < 0 || ftruncate(fd, len + page))
		die("memfd_create: %s", strerror(errno));
	writer = mmap(NULL, len + page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	reader = mmap(NULL, len + page, PROT_READ, MAP_SHARED, fd, 0);
	if (writer == MAP_FAILED || reader == MAP_FAILED)
		die("mmap of a memfd: %s", strerror(errno));

	printf("  a ring buffer in shared memory: a guard behind it, for the writer alone\n");
	if (poison(writer + len, page))
		die("POISON of a memfd's page: %s", strerror(errno));
	memset(writer, 'r', len);
	sig = guard_store(writer + len);
	fact(sig == SIGSEGV && guard_probe.addr == (uintptr_t)writer + len,
	     "  a write one byte too far", "%s at the ring's end",
	     sig ? strsignal(sig) : "no signal");
	fact(reader[len - 1] == 'r' && !guard_load(reader + len), "  the reader's mapping",
	     "has what was written, and no guard");
	fact(!ftruncate(fd, 0) && !ftruncate(fd, len + page) && is_guard(writer + len),
	     "  the file truncated and grown again", "the guard is there");
	munmap(writer, len + page);
	munmap(reader, len + page);
	close(fd);
}

#define LOCKED_STACKS	8

static void show_real_time(void)
{
	const size_t len = 16 * page;
	unsigned long before, after, vmas;
	char *stacks[LOCKED_STACKS];
	bool all = true;

	printf("  a real-time program: mlockall(MCL_CURRENT | MCL_FUTURE)\n");
	if (mlockall(MCL_CURRENT | MCL_FUTURE)) {
		note("  not permitted here", "%s", strerror(errno));
		return;
	}
	for (int i = 0; i < LOCKED_STACKS; i++)
		stacks[i] = map(len, MAP_STACK);
	before = read_number("/proc/self/status", "VmLck:");
	vmas = count_vmas();
	for (int i = 0; i < LOCKED_STACKS; i++) {
		/* mmap() has populated the lowest page as well. */
		if (poison(stacks[i], page))
			die("POISON of locked memory: %s", strerror(errno));
		all &= is_guard(stacks[i]) && is_usable(stacks[i] + page);
	}
	after = read_number("/proc/self/status", "VmLck:");
	fact(all, "  guards under thread stacks", "%d stacks overflow into SIGSEGV", LOCKED_STACKS);
	fact(count_vmas() == vmas, "  VMAs before and after", "%lu and %lu", vmas, count_vmas());
	fact(before == after, "  VmLck before and after", "%lu and %lu kB", before, after);
	munlockall();
	for (int i = 0; i < LOCKED_STACKS; i++)
		munmap(stacks[i], len);
}

static void show_mappings(void)
{
	section("(e) Files, shared memory and locked memory");
	show_library();
	show_ring();
	show_real_time();
}

/* Do not look at uname(): a kernel of any version may have the series. */
static bool kernel_has_guards(void)
{
	char *p = map(page, 0);
	int r = poison(p, page), e = errno;

	munmap(p, page);
	if (r && e != EINVAL)
		die("the probe failed: %s", strerror(e));
	return !r;
}

int main(int argc, char **argv)
{
	const bool mappings = argc == 2 && !strcmp(argv[1], "--mappings");
	struct utsname u;

	if (argc > 1 && !mappings) {
		fputs("usage: guard-demo [--mappings]\n", stderr);
		return 3;
	}
	page = sysconf(_SC_PAGESIZE);
	uname(&u);
	if (!kernel_has_guards()) {
		fprintf(stderr, "demo: this kernel (%s) lacks MADV_GUARD_POISON: boot one with the series\n",
			u.release);
		return 2;
	}
	if (guard_probe_start())
		die("sigaction: %s", strerror(errno));

	if (mappings) {
		show_mappings();
	} else {
		printf("guard-demo: Linux %s %s, pages of %zu bytes, MADV_GUARD_POISON answers\n",
		       u.release, u.machine, page);
		show_bugs();
		show_million();
		show_life();
	}

	if (differ) {
		printf("\ndemo: %u of %u facts differ from the contract\n",
		       differ, facts);
		return 1;
	}
	printf("\ndemo: %s%u facts shown, all as the contract says\n",
	       mappings ? "mappings: " : "", facts);
	return 0;
}
