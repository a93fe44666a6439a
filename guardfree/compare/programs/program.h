/* SPDX-License-Identifier: MIT */
/*
 * What the programs that measure have in common: they run for a time, or for a
 * number of operations, and say what one took:
 *
 *   PROGRAM [--seconds S] [--ops N] [--threads N]
 *   -> PROGRAM <tab> operations <tab> nanoseconds an operation, of the processors'
 *      time <tab> the same, by the clock <tab> cycles an operation (x86's time
 *      stamp counter; else 0)
 *
 * The seconds are those of the processors: others may want them as well. Under
 * qemu's -icount the counter counts instructions. With EVENTS in the environment
 * these follow, for an operation: system calls, page faults, pages that came into
 * use, flushes of the TLB. To count costs instructions, so the two are not to be
 * had of one run; it takes root, and tracefs. With PROFILE the bounds are marked for
 * bench/profile-plugin.c.
 */
#ifndef PROGRAM_H
#define PROGRAM_H

#include <fcntl.h>
#include <linux/perf_event.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#define UNUSED __attribute__((unused))

struct run {
	const char *name;
	double seconds;		/* ends after that ... */
	unsigned long max;	/* ... or after so many operations; 0: no limit */
	unsigned int threads;
	struct timespec start;	/* by the clock ... */
	struct timespec cpu;	/* ... and of the processors' time */
	uint64_t cycles;
	bool events;
	long pages;
	int fd[3];		/* system calls, faults, flushes */
};

static inline UNUSED uint64_t cycles_now(void)
{
#if defined(__x86_64__) || defined(__i386__)
	return __builtin_ia32_rdtsc();
#else
	return 0;
#endif
}

static inline UNUSED double since(clockid_t clock, const struct timespec *start)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return now.tv_sec - start->tv_sec + (now.tv_nsec - start->tv_nsec) / 1e9;
}

/* A counter of this process and the threads that it makes from now on */
static inline UNUSED int event_open(const char *tracepoint, const char *filter)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE, .size = sizeof(attr),
		.config = PERF_COUNT_SW_PAGE_FAULTS, .inherit = 1,
	};
	char text[100] = "";
	int fd;

	if (tracepoint) {
		snprintf(text, sizeof(text), "/sys/kernel/tracing/events/%s/id", tracepoint);
		fd = open(text, O_RDONLY);
		if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0)
			_exit(6);
		close(fd);
		attr.type = PERF_TYPE_TRACEPOINT;
		attr.config = strtoul(text, NULL, 10);
	}
	fd = syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0);
	if (fd < 0 || (filter && ioctl(fd, PERF_EVENT_IOC_SET_FILTER, filter)))
		_exit(6);
	return fd;
}

static inline UNUSED long pages_now(void)
{
	struct rusage usage, children;

	getrusage(RUSAGE_SELF, &usage);
	getrusage(RUSAGE_CHILDREN, &children);
	return usage.ru_minflt + children.ru_minflt;
}

#define MARK ((void *)0x13370000)	/* as in profile-plugin.c */

static inline UNUSED void run_mark(void)
{
	static const unsigned char ret = 0xc3;

	if (!getenv("PROFILE"))
		return;
	if (mmap(MARK, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MARK)
		_exit(7);
	memcpy(MARK, &ret, 1);
	((void (*)(void))MARK)();
}

static inline UNUSED void run_start(struct run *r)
{
	r->events = getenv("EVENTS");
	if (r->events) {
		r->fd[0] = event_open("raw_syscalls/sys_enter", NULL);
		r->fd[1] = event_open(NULL, NULL);
		/* 0 is a switch of tasks, 4 the sender's side of what other CPUs count */
		r->fd[2] = event_open("tlb/tlb_flush", "reason != 0 && reason != 4");
		r->pages = pages_now();
	}
	clock_gettime(CLOCK_MONOTONIC, &r->start);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &r->cpu);
	run_mark();
	r->cycles = cycles_now();
}

/* Asked now and then: is it enough? */
static inline UNUSED bool run_over(const struct run *r, unsigned long ops)
{
	return (r->max && ops >= r->max) ||
		(r->seconds > 0 && since(CLOCK_PROCESS_CPUTIME_ID, &r->cpu) >= r->seconds);
}

static inline UNUSED void run_end(const struct run *r, unsigned long ops)
{
	uint64_t cycles = cycles_now() - r->cycles;
	double cpu = since(CLOCK_PROCESS_CPUTIME_ID, &r->cpu);
	double wall = since(CLOCK_MONOTONIC, &r->start);
	long pages = r->events ? pages_now() - r->pages : 0;
	uint64_t n[3] = { 0 };
	char line[200];
	int len, i;

	run_mark();
	if (getenv("PROFILE")) {
		int maps = open("/proc/self/maps", O_RDONLY);

		while ((len = read(maps, line, sizeof(line))) > 0)
			if (write(2, line, len) != len)
				_exit(7);
		close(maps);
	}
	len = snprintf(line, sizeof(line), "%s\t%lu\t%.1f\t%.1f\t%.0f", r->name, ops,
		       cpu * 1e9 / ops, wall * 1e9 / ops, (double)cycles / ops);
	for (i = 0; r->events && i < 3; i++)
		if (read(r->fd[i], &n[i], sizeof(n[i])) != sizeof(n[i]))
			_exit(6);
	if (r->events)
		len += snprintf(line + len, sizeof(line) - len, "\t%.3f\t%.3f\t%.3f\t%.3f",
				(double)n[0] / ops, (double)n[1] / ops, (double)pages / ops,
				(double)n[2] / ops);
	line[len++] = '\n';
	if (write(1, line, len) != len)
		_exit(3);
}

static inline UNUSED void run_options(struct run *r, int argc, char **argv)
{
	int i;

	for (i = 1; i + 1 < argc; i += 2) {
		if (!strcmp(argv[i], "--seconds"))
			r->seconds = atof(argv[i + 1]);
		else if (!strcmp(argv[i], "--ops"))
			r->max = strtoul(argv[i + 1], NULL, 0);
		else if (!strcmp(argv[i], "--threads"))
			r->threads = strtoul(argv[i + 1], NULL, 0);
		else
			break;
	}
	if (i != argc || (r->seconds <= 0 && !r->max)) {
		fprintf(stderr, "usage: %s --seconds S | --ops N [--threads N]\n", argv[0]);
		exit(3);
	}
}

/* Marsaglia's xorshift */
static inline UNUSED uint64_t random_next(uint64_t *state)
{
	uint64_t x = *state;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return *state = x;
}

static inline UNUSED void *must(void *p)
{
	if (!p) {
		static const char said[] = "out of memory\n";

		if (write(2, said, sizeof(said) - 1) < 0)
			_exit(4);
		_exit(4);
	}
	return p;
}

#endif
