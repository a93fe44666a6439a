/* SPDX-License-Identifier: GPL-2.0 */
/* What the parts of the demonstration share: facts, and numbers of /proc. */
#ifndef DEMO_H
#define DEMO_H

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static unsigned int facts, differ;

__attribute__((noreturn))
static void die(const char *what)
{
	fprintf(stderr, "demo: cannot go on: %s: %s\n", what, strerror(errno));
	exit(3);
}

__attribute__((format(printf, 3, 4)))
static void fact(bool good, const char *what, const char *fmt, ...)
{
	char seen[128];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(seen, sizeof(seen), fmt, ap);
	va_end(ap);
	facts++;
	printf("  %-3s %-37s %s\n", good ? "ok" : "NOT", what, seen);
	if (!good) {
		differ++;
		fprintf(stderr, "demo: differs from the contract: %s: %s\n", what, seen);
	}
	fflush(stdout);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static unsigned long count_vmas(void)
{
	static char text[1 << 16];
	unsigned long lines = 0;
	FILE *f = fopen("/proc/self/maps", "re");
	size_t got;

	if (!f)
		die("/proc/self/maps");
	while ((got = fread(text, 1, sizeof(text), f)))
		for (char *s = text; (s = memchr(s, '\n', text + got - s)); s++)
			lines++;
	fclose(f);
	return lines;
}

/* The number after @key, which begins a line of a file, or 0 */
static unsigned long number_of(const char *path, const char *key)
{
	FILE *f = fopen(path, "re");
	unsigned long value = 0;
	char line[128];

	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, key, strlen(key)) &&
		    sscanf(line + strlen(key), "%lu", &value) == 1)
			break;
	if (f)
		fclose(f);
	return value;
}

static unsigned long page_table_kib(void)
{
	return number_of("/proc/self/status", "VmPTE:");
}

/* The last line of part @name, and its exit status */
static int verdict(const char *name)
{
	if (differ) {
		printf("\ndemo: %s: %u of %u facts differ from the contract\n", name, differ, facts);
		return 1;
	}
	printf("\ndemo: %s: %u facts shown, all as the contract says\n", name, facts);
	return 0;
}

#endif
