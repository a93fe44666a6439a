// SPDX-License-Identifier: GPL-2.0
/*
 * How often MADV_GUARD_POISON makes the other CPUs flush their TLBs, compared with
 * MADV_DONTNEED of the same memory. A thread spins on each of the other CPUs, so that
 * none of them is idle or may leave its TLB stale.
 *
 * The flushes are counted in two ways:
 *  - The trace event tlb:tlb_flush of the calling thread, with the reason "remote IPI
 *    send". There is one for each flush that other CPUs must take part in, whatever
 *    these do at the time. The counts repeat exactly, so POISON may not need a single
 *    one more than MADV_DONTNEED.
 *  - The line TLB of /proc/interrupts, the IPIs that arrived. Nothing but flushes of
 *    user memory counts there, and no other process of the guest has threads. A CPU
 *    that runs a kernel thread at the time gets no IPI, so a count may be too small,
 *    but not too large. The bound for POISON is therefore what the flushes of
 *    MADV_DONTNEED come to if every other CPU gets an IPI of each.
 *
 * usage: flushes [CALLS]
 * Prints TAP. Exit status 0 if all is well, 1 if not.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "guard.h"
#include "tap.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE	23
#endif

#define HUGE_SIZE	(2UL << 20)
/* More calls than this that meet nobody else's flush, and the test is not awake. */
#define MOST_CALLS	4000
#define TRACING		"/sys/kernel/tracing/"
/* TLB_REMOTE_SEND_IPI of enum tlb_flush_reason */
#define SEND_IPI	4
#define WHOLE_MM	-1L

static size_t page;
static int cpus;
static int interrupts, tracing_on, trace;

static void __attribute__((noreturn, format(printf, 1, 2))) give_up(const char *fmt, ...)
{
	int error = errno;
	va_list args;

	printf("not ok %d - ", ++count);
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	printf(": %s\n1..%d\n", strerror(error), count);
	exit(1);
}

/* ---- What is counted ---- */

static void write_file(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY | O_TRUNC);

	if (fd < 0 || write(fd, value, strlen(value)) != (ssize_t)strlen(value))
		give_up("write '%s' to %s", value, path);
	close(fd);
}

static void trace_start(pid_t caller)
{
	char filter[80];

	if (access(TRACING "events", F_OK) && mount("nodev", TRACING, "tracefs", 0, NULL))
		give_up("mount tracefs");
	write_file(TRACING "tracing_on", "0");
	snprintf(filter, sizeof(filter), "common_pid == %d && reason == %d", caller, SEND_IPI);
	write_file(TRACING "events/tlb/tlb_flush/filter", filter);
	write_file(TRACING "events/tlb/tlb_flush/enable", "1");
	tracing_on = open(TRACING "tracing_on", O_WRONLY);
	trace = open(TRACING "trace", O_RDONLY);
	interrupts = open("/proc/interrupts", O_RDONLY);
	if (tracing_on < 0 || trace < 0 || interrupts < 0)
		give_up("open " TRACING " and /proc/interrupts");
}

static void trace_switch(bool on)
{
	if (write(tracing_on, on ? "1" : "0", 1) != 1)
		give_up("write " TRACING "tracing_on");
}

/* A whole file, as it is now. There is one buffer for all. */
static char *read_all(int fd)
{
	static char text[1 << 20];
	size_t len = 0;
	ssize_t got;

	if (lseek(fd, 0, SEEK_SET))
		give_up("lseek");
	do {
		got = read(fd, text + len, sizeof(text) - 1 - len);
		if (got < 0 || len + got == sizeof(text) - 1)
			give_up("read of a trace or of /proc/interrupts");
		len += got;
	} while (got);
	text[len] = '\0';
	return text;
}

/* Of the line "TLB:", the sum over all CPUs */
static long ipis_now(void)
{
	char *p = strstr(read_all(interrupts), "TLB:"), *end;
	long sum = 0;

	if (!p)
		give_up("/proc/interrupts has no line TLB");
	for (p += 4;; p = end) {
		long n = strtol(p, &end, 10);

		if (end == p)
			return sum;
		sum += n;
	}
}

struct counts {
	long flushes;	/* that other CPUs had to take part in */
	long whole;	/* of them, of all that the process has */
	long most;	/* pages of the largest of the others */
	long ipis;
};

/* Add what the trace has, and empty it. */
static void count_trace(struct counts *counts)
{
	char *p = read_all(trace);

	while ((p = strstr(p, "tlb_flush: pages:"))) {
		long pages = strtol(p + strlen("tlb_flush: pages:"), &p, 10);

		counts->flushes++;
		if (pages == WHOLE_MM)
			counts->whole++;
		else if (pages > counts->most)
			counts->most = pages;
	}
	write_file(TRACING "trace", "");
}

/* ---- The other CPUs ---- */

static int spinning;
static bool done, discard;

static void bind_to(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		give_up("run on CPU %d", cpu);
}

static void *spin(void *arg)
{
	long cpu = (long)arg;
	/* CPU 1 discards a page of its own all the time, if it is told to. */
	char *p = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	bind_to(cpu);
	if (p == MAP_FAILED)
		give_up("mmap");
	*p = 1;
	__atomic_add_fetch(&spinning, 1, __ATOMIC_SEQ_CST);
	while (!__atomic_load_n(&done, __ATOMIC_RELAXED)) {
		if (cpu == 1 && __atomic_load_n(&discard, __ATOMIC_RELAXED)) {
			*(volatile char *)p = 1;
			if (madvise(p, page, MADV_DONTNEED))
				give_up("MADV_DONTNEED of the other thread");
		}
	}
	return NULL;
}

/* ---- The memory ---- */

/* Reserve a bit more, to begin at a huge page. *map and *size are what to unmap. */
static char *map_aligned(size_t len, char **map, size_t *size)
{
	*size = len + 2 * HUGE_SIZE;
	*map = mmap(NULL, *size, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (*map == MAP_FAILED)
		give_up("mmap of %zu bytes", *size);
	return (char *)(((unsigned long)*map + HUGE_SIZE) & ~(HUGE_SIZE - 1));
}

/* Huge pages in the VMA at p, in kB: "AnonHugePages" of smaps */
static long huge_kb(char *p)
{
	unsigned long from, to, at = (unsigned long)p;
	bool within = false;
	char line[256];
	long kb = -1;
	FILE *f = fopen("/proc/self/smaps", "r");

	if (!f)
		give_up("open smaps");
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
			within = from <= at && at < to;
		else if (within && sscanf(line, "AnonHugePages: %ld", &kb) == 1)
			break;
	}
	fclose(f);
	return kb;
}

static void populate(char *p, size_t len)
{
	if (madvise(p, len, MADV_POPULATE_WRITE))
		give_up("MADV_POPULATE_WRITE of %zu bytes", len);
}

struct layout {
	const char *name;
	size_t len;		/* of the range of the call; 0: a page */
	size_t every;		/* populate HUGE_SIZE of each so many bytes; 0: all */
	bool huge;
	bool empty;
	int calls;		/* at most; 0: as many as asked for */
};

static const struct layout layouts[] = {
	{ .name = "a page" },
	{ .name = "an empty page", .empty = true },
	{ .name = "512 pages", .len = HUGE_SIZE },
	{ .name = "512 empty pages", .len = HUGE_SIZE, .empty = true },
	{ .name = "16 MiB of small pages", .len = 8 * HUGE_SIZE, .calls = 5 },
	{ .name = "8 huge pages", .len = 8 * HUGE_SIZE, .huge = true },
	{ .name = "half of a huge page", .len = HUGE_SIZE / 2, .huge = true },
	{ .name = "8 blocks of 2 MiB, every other one never touched", .len = 8 * HUGE_SIZE,
	  .every = 2 * HUGE_SIZE, .calls = 10 },
};

/* One call with this advice, of new memory. */
static void measure(const struct layout *layout, int advice, struct counts *counts)
{
	size_t len = layout->len ? layout->len : page, all = len, size, at;
	char *p, *map;
	long ipis;
	int err;

	if (layout->huge)
		all = (len + HUGE_SIZE - 1) & ~(HUGE_SIZE - 1);
	p = map_aligned(all, &map, &size);
	if (madvise(map, size, layout->huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE))
		give_up("advice about huge pages");
	if (layout->every) {
		for (at = 0; at < len; at += layout->every)
			populate(p + at, HUGE_SIZE);
	} else if (!layout->empty) {
		populate(p, all);
	}
	if (huge_kb(p) != (layout->huge ? (long)(all >> 10) : 0))
		give_up("%s: %ld kB are huge pages", layout->name, huge_kb(p));

	ipis = ipis_now();
	trace_switch(true);
	err = madvise(p, len, advice);
	trace_switch(false);
	counts->ipis += ipis_now() - ipis;
	if (err)
		give_up("%s: madvise(%d)", layout->name, advice);
	count_trace(counts);
	munmap(map, size);
}

static void compare(const struct layout *layout, int calls, struct counts *all)
{
	struct counts dontneed = {}, poison = {};
	int i;

	if (layout->calls && layout->calls < calls)
		calls = layout->calls;
	for (i = 0; i < calls; i++) {
		measure(layout, MADV_DONTNEED, &dontneed);
		measure(layout, MADV_GUARD_POISON, &poison);
	}
	printf("# %s, %d calls: MADV_DONTNEED %ld flushes, %ld of all memory, %ld IPIs; POISON %ld, %ld, %ld\n",
	       layout->name, calls, dontneed.flushes, dontneed.whole, dontneed.ipis,
	       poison.flushes, poison.whole, poison.ipis);
	/* Or what is below compares nothing with nothing. */
	if (!layout->empty && dontneed.flushes < calls)
		tap(false, "%s: each MADV_DONTNEED needs a flush", layout->name);
	tap(poison.flushes <= dontneed.flushes, "%s: as few flushes as MADV_DONTNEED",
	    layout->name);
	tap(poison.whole <= dontneed.whole, "%s: as few of them of all memory", layout->name);
	tap(poison.ipis <= dontneed.flushes * (cpus - 1), "%s: as few IPIs", layout->name);
	all->flushes += dontneed.flushes;
	all->ipis += dontneed.ipis;
}

/*
 * While another thread is between zapping and flushing, POISON of an empty page must
 * flush: the page may be one that the other has just emptied. It has to flush no more
 * than that page.
 */
static void beside_another(int wanted)
{
	size_t size, pages = MOST_CALLS;
	struct counts counts = {};
	char *p, *map;
	size_t i;

	p = map_aligned(pages * page, &map, &size);
	if (madvise(map, size, MADV_NOHUGEPAGE))
		give_up("MADV_NOHUGEPAGE");
	__atomic_store_n(&discard, true, __ATOMIC_SEQ_CST);
	for (i = 0; i < pages && counts.flushes < wanted; i++) {
		trace_switch(true);
		if (madvise(p + i * page, page, MADV_GUARD_POISON))
			give_up("POISON beside MADV_DONTNEED");
		trace_switch(false);
		/* The trace is long to read: of a few calls at once */
		if (i % 16 == 15)
			count_trace(&counts);
	}
	__atomic_store_n(&discard, false, __ATOMIC_SEQ_CST);
	count_trace(&counts);
	munmap(map, size);
	printf("# beside MADV_DONTNEED of another thread, %zu calls: %ld flushes, %ld of all memory, others of up to %ld pages\n",
	       i, counts.flushes, counts.whole, counts.most);
	tap(counts.flushes > 0, "an empty page, beside MADV_DONTNEED of another thread: flushes have been seen");
	tap(counts.flushes <= (long)i, "and at most one a call");
	tap(!counts.whole && counts.most <= 1, "and each of that page only");
}

int main(int argc, char **argv)
{
	int calls = argc > 1 ? atoi(argv[1]) : 20;
	struct counts all = {};
	pthread_t thread;
	size_t i;

	setvbuf(stdout, NULL, _IOLBF, 0);
	page = sysconf(_SC_PAGESIZE);
	cpus = sysconf(_SC_NPROCESSORS_ONLN);
	if (cpus < 2 || calls < 1)
		give_up("at least two CPUs and one call are needed");
	bind_to(0);
	trace_start(syscall(SYS_gettid));
	/* khugepaged would flush as well. */
	write_file("/sys/kernel/mm/transparent_hugepage/khugepaged/scan_sleep_millisecs",
		   "100000000");
	for (long cpu = 1; cpu < cpus; cpu++)
		if ((errno = pthread_create(&thread, NULL, spin, (void *)cpu)))
			give_up("pthread_create");
	while (__atomic_load_n(&spinning, __ATOMIC_SEQ_CST) != cpus - 1)
		sched_yield();

	for (i = 0; i < sizeof(layouts) / sizeof(layouts[0]); i++)
		compare(&layouts[i], calls, &all);
	beside_another(calls);
	/* If the others were idle, IPIs would tell nothing. */
	tap(all.ipis > all.flushes * (cpus - 1) / 2,
	    "most IPIs of MADV_DONTNEED have arrived: %ld of %ld", all.ipis,
	    all.flushes * (cpus - 1));

	__atomic_store_n(&done, true, __ATOMIC_SEQ_CST);
	printf("1..%d\n", count);
	return failed != 0;
}
