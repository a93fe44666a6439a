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
 * qemu's -icount the counter counts instructions.
 */
#ifndef PROGRAM_H
#define PROGRAM_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define UNUSED __attribute__((unused))

struct run {
	const char *name;
	double seconds;		/* ends after that ... */
	unsigned long max;	/* ... or after so many operations; 0: no limit */
	unsigned int threads;
	struct timespec start;	/* by the clock ... */
	struct timespec cpu;	/* ... and of the processors' time */
	uint64_t cycles;
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

static inline UNUSED void run_start(struct run *r)
{
	clock_gettime(CLOCK_MONOTONIC, &r->start);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &r->cpu);
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
	char line[200];
	int n;

	n = snprintf(line, sizeof(line), "%s\t%lu\t%.1f\t%.1f\t%.0f\n", r->name, ops,
		     cpu * 1e9 / ops, wall * 1e9 / ops, (double)cycles / ops);
	if (write(1, line, n) != n)
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
