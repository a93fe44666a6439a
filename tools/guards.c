// SPDX-License-Identifier: GPL-2.0
/*
 * guards: lists the guard pages of a process from outside, as a checkpointer has
 * to: by the PAGEMAP_SCAN ioctl, or by bit 58 of /proc/PID/pagemap if the ioctl
 * does not know guards.
 *
 * usage: guards [-a] [-b] [-s] PID|self
 *   -a  all mappings, not only those with guards
 *   -b  by bit 58, even if there is PAGEMAP_SCAN
 *   -s  a line for each mapping, but not for each run of guards
 *
 * It prints which way it used; then, for each mapping in the order of the
 * addresses,
 *
 *   START-END PERM: N guards in R runs, P present, S swapped  NAME
 *
 * and below it START-END PAGES for each run. Addresses are hexadecimal, the end is
 * the first address after it; other numbers are pages, in decimal. P and S are
 * the kernel's figures: Linux 6.13 and later count guards as swapped as well. It
 * needs the right to trace the process (see ptrace(2)). A running process may
 * change between one mapping and the next, so stop it for a consistent view.
 *
 * Exit status: 0 done, 1 error, 2 this kernel does not show guards.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../tests/guard.h"

#define REGIONS			512
#define BITS			4096

struct mapping {
	uint64_t start, end;
	char perm[8];
	const char *name;
};

/* The figures of a mapping. */
struct found {
	uint64_t guards, present, swapped;
	uint64_t runs;
	struct run { uint64_t start, end; } *run;
	size_t room;
};

static uint64_t page;

__attribute__((noreturn, format(printf, 2, 3)))
static void quit(int status, const char *fmt, ...)
{
	va_list ap;

	fflush(stdout);
	fputs("guards: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(status);
}

/* Runs arrive in order, but one may arrive in parts. */
static void add(struct found *f, uint64_t start, uint64_t end, bool guard, bool present,
		bool swapped)
{
	uint64_t n = (end - start) / page;

	f->present += present ? n : 0;
	f->swapped += swapped ? n : 0;
	if (!guard)
		return;
	f->guards += n;
	if (f->runs && f->run[f->runs - 1].end == start) {
		f->run[f->runs - 1].end = end;
		return;
	}
	if (f->runs == f->room) {
		f->room = f->room ? 2 * f->room : 64;
		f->run = realloc(f->run, f->room * sizeof(*f->run));
		if (!f->run)
			quit(1, "no memory for %zu runs", f->room);
	}
	f->run[f->runs].start = start;
	f->run[f->runs++].end = end;
}

/* Returns false, with errno, if the kernel does not scan for guards. */
static bool by_scan(int fd, const struct mapping *m, struct found *f)
{
	static struct scan_region region[REGIONS];
	const uint64_t wanted = SCAN_GUARD | SCAN_PRESENT | SCAN_SWAPPED;
	struct scan_arg arg = {
		.size = sizeof(arg),
		.start = m->start,
		.end = m->end,
		.vec = (uintptr_t)region,
		.vec_len = REGIONS,
		.category_anyof_mask = wanted,
		.return_mask = wanted,
	};

	while (arg.start < arg.end) {
		int n = ioctl(fd, SCAN, &arg);

		if (n < 0)
			return false;
		for (int i = 0; i < n; i++)
			add(f, region[i].start, region[i].end,
			    region[i].categories & SCAN_GUARD,
			    region[i].categories & SCAN_PRESENT,
			    region[i].categories & SCAN_SWAPPED);
		if (arg.walk_end <= arg.start)
			quit(1, "PAGEMAP_SCAN stays at %" PRIx64, (uint64_t)arg.start);
		arg.start = arg.walk_end;
	}
	return true;
}

static bool by_bits(int fd, const struct mapping *m, struct found *f)
{
	static uint64_t bits[BITS];

	for (uint64_t at = m->start; at < m->end;) {
		uint64_t n = (m->end - at) / page;
		ssize_t got;

		n = n < BITS ? n : BITS;
		got = pread(fd, bits, n * sizeof(*bits), at / page * sizeof(*bits));
		if (got < (ssize_t)sizeof(*bits))
			return false;
		n = got / sizeof(*bits);
		for (uint64_t i = 0; i < n; i++, at += page)
			add(f, at, at + page, bits[i] & PM_GUARD, bits[i] & PM_PRESENT,
			    bits[i] & PM_SWAPPED);
	}
	return true;
}

typedef bool look(int fd, const struct mapping *m, struct found *f);

/*
 * A kernel that shows no guards may have none, or not show them; bit 58 is 0
 * either way. So try it with a guard of our own, between two other pages.
 * Returns the way that finds it, or NULL.
 */
static look *way_to_look(bool only_bits, const char **why)
{
	static look *const ways[] = { by_scan, by_bits };
	char *p = mmap(NULL, 3 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct mapping m = { (uintptr_t)p, (uintptr_t)p + 3 * page, "", "" };
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	look *found = NULL;

	if (fd < 0)
		quit(1, "/proc/self/pagemap: %s", strerror(errno));
	if (p == MAP_FAILED)
		quit(1, "no memory: %s", strerror(errno));
	/* After mlockall(), the page would be locked. */
	munlock(p, 3 * page);
	if (madvise(p + page, page, MADV_GUARD_POISON)) {
		*why = "this kernel has no guard pages";
	} else {
		*why = "this kernel has guard pages, but shows them neither to PAGEMAP_SCAN nor in pagemap";
		for (int i = only_bits; i < 2 && !found; i++) {
			struct found f = { 0 };

			if (ways[i](fd, &m, &f) && f.guards == 1 && f.runs == 1 &&
			    f.run[0].start == m.start + page)
				found = ways[i];
			free(f.run);
		}
	}
	munmap(p, 3 * page);
	close(fd);
	return found;
}

int main(int argc, char **argv)
{
	bool all = false, only_bits = false, summary = false;
	uint64_t guards = 0, with = 0, mappings = 0;
	char path[64], *line = NULL;
	const char *who, *why;
	size_t room = 0;
	int c, pagemap;
	look *look_at;
	FILE *maps;

	while ((c = getopt(argc, argv, "abs")) != -1) {
		if (c == 'a')
			all = true;
		else if (c == 'b')
			only_bits = true;
		else if (c == 's')
			summary = true;
		else
			optind = argc + 1;
	}
	if (optind != argc - 1) {
		fputs("usage: guards [-a] [-b] [-s] PID|self\n", stderr);
		return 1;
	}
	who = argv[optind];
	if (strcmp(who, "self") && (!*who || strspn(who, "0123456789") != strlen(who) ||
				    strlen(who) > 10))
		quit(1, "%s is no process id", who);
	page = sysconf(_SC_PAGESIZE);

	look_at = way_to_look(only_bits, &why);
	if (!look_at)
		quit(2, "%s", why);

	snprintf(path, sizeof(path), "/proc/%s/pagemap", who);
	pagemap = open(path, O_RDONLY | O_CLOEXEC);
	if (pagemap < 0)
		quit(1, "%s: %s", path, strerror(errno));
	snprintf(path, sizeof(path), "/proc/%s/maps", who);
	maps = fopen(path, "re");
	if (!maps)
		quit(1, "%s: %s", path, strerror(errno));

	printf("guards of %s, by %s\n", who, look_at == by_scan ? "PAGEMAP_SCAN" : "pagemap bit 58");
	while (getline(&line, &room, maps) > 0) {
		struct found f = { 0 };
		struct mapping m;
		int name = 0;

		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %7s %*s %*s %*s %n", &m.start, &m.end,
			   m.perm, &name) < 3 || !name)
			quit(1, "%s: cannot read this: %s", path, line);
		line[strcspn(line, "\n")] = '\0';
		m.name = line + name;
		/* The kernel's; no page table of the process has it. */
		if (!strcmp(m.name, "[vsyscall]"))
			continue;
		mappings++;
		if (!look_at(pagemap, &m, &f))
			quit(1, "%" PRIx64 "-%" PRIx64 ": %s", m.start, m.end,
			     errno ? strerror(errno) : "nothing to read");
		guards += f.guards;
		with += f.guards != 0;
		if (f.guards || all) {
			printf("%" PRIx64 "-%" PRIx64 " %s: %" PRIu64 " guards in %" PRIu64
			       " runs, %" PRIu64 " present, %" PRIu64 " swapped%s%s\n", m.start, m.end,
			       m.perm, f.guards, f.runs, f.present, f.swapped, *m.name ? "  " : "",
			       m.name);
			for (uint64_t i = 0; i < f.runs && !summary; i++)
				printf("  %" PRIx64 "-%" PRIx64 " %" PRIu64 "\n", f.run[i].start,
				       f.run[i].end, (f.run[i].end - f.run[i].start) / page);
		}
		free(f.run);
	}
	if (ferror(maps))
		quit(1, "%s: %s", path, strerror(errno));
	/* There are no mappings if the process is a zombie. */
	if (!mappings)
		quit(1, "%s has no memory", who);
	printf("%" PRIu64 " guards, %" PRIu64 " kB, in %" PRIu64 " of %" PRIu64 " mappings\n", guards,
	       guards * page / 1024, with, mappings);
	fclose(maps);
	close(pagemap);
	free(line);
	return fflush(stdout) || ferror(stdout) ? 1 : 0;
}
