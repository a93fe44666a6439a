// SPDX-License-Identifier: GPL-2.0
/*
 * guards: lists the guard pages of a process from outside, as a checkpointer has
 * to: with guard_pages_next_in() of guard_pages.h, by the PAGEMAP_SCAN ioctl, or by
 * bit 58 of /proc/PID/pagemap if the ioctl does not know guards.
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

static void add(struct found *f, const struct guard_pages_run *run)
{
	f->guards += (run->end - run->start) / page;
	if (f->runs == f->room) {
		f->room = f->room ? 2 * f->room : 64;
		f->run = realloc(f->run, f->room * sizeof(*f->run));
		if (!f->run)
			quit(1, "no memory for %zu runs", f->room);
	}
	f->run[f->runs].start = run->start;
	f->run[f->runs++].end = run->end;
}

/* The guards of a mapping. Returns false, with errno. */
static bool find_guards(int fd, const struct mapping *m, bool by_bits, struct found *f)
{
	/* Private, but there is no other way to leave PAGEMAP_SCAN out. */
	struct guard_pages_run run = { .bits_ = by_bits };
	uint64_t at = m->start;
	int got;

	for (; (got = guard_pages_next_in(fd, at, m->end, &run)) == 1; at = run.end)
		add(f, &run);
	return !got;
}

/* What else is in it, by PAGEMAP_SCAN. Returns false, with errno. */
static bool count_by_scan(int fd, const struct mapping *m, struct found *f)
{
	static struct scan_region region[REGIONS];
	struct scan_arg arg = {
		.size = sizeof(arg),
		.start = m->start,
		.end = m->end,
		.vec = (uintptr_t)region,
		.vec_len = REGIONS,
		.category_anyof_mask = SCAN_PRESENT | SCAN_SWAPPED,
		.return_mask = SCAN_PRESENT | SCAN_SWAPPED,
	};

	while (arg.start < arg.end) {
		int n = ioctl(fd, SCAN, &arg);

		if (n < 0)
			return false;
		for (int i = 0; i < n; i++) {
			uint64_t pages = (region[i].end - region[i].start) / page;

			f->present += region[i].categories & SCAN_PRESENT ? pages : 0;
			f->swapped += region[i].categories & SCAN_SWAPPED ? pages : 0;
		}
		if (arg.walk_end <= arg.start)
			quit(1, "PAGEMAP_SCAN stays at %" PRIx64, (uint64_t)arg.start);
		arg.start = arg.walk_end;
	}
	return true;
}

static bool count_by_bits(int fd, const struct mapping *m, struct found *f)
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
		for (uint64_t i = 0; i < n; i++, at += page) {
			f->present += bits[i] & PM_PRESENT ? 1 : 0;
			f->swapped += bits[i] & PM_SWAPPED ? 1 : 0;
		}
	}
	return true;
}

static bool look_at(int fd, const struct mapping *m, bool by_bits, struct found *f)
{
	if (!find_guards(fd, m, by_bits, f))
		return false;
	if (!by_bits && count_by_scan(fd, m, f))
		return true;
	f->present = f->swapped = 0;
	return count_by_bits(fd, m, f);
}

/*
 * A kernel that shows no guards may have none, or not show them. So try it with
 * a guard of our own, between two other pages. *by_bits is whether to leave
 * PAGEMAP_SCAN out, and becomes the way that finds it. Returns NULL, or why no way
 * does.
 */
static const char *way_to_look(bool *by_bits)
{
	char *p = mmap(NULL, 3 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	struct guard_pages_run run = { .bits_ = *by_bits };
	uint64_t at = (uintptr_t)p;
	const char *why = NULL;

	if (fd < 0)
		quit(1, "/proc/self/pagemap: %s", strerror(errno));
	if (p == MAP_FAILED)
		quit(1, "no memory: %s", strerror(errno));
	/* After mlockall(), the page would be locked. */
	munlock(p, 3 * page);
	if (madvise(p + page, page, MADV_GUARD_POISON))
		why = "this kernel has no guard pages";
	else if (guard_pages_next_in(fd, at, at + 3 * page, &run) != 1 ||
		 run.start != at + page || run.end != at + 2 * page)
		why = "this kernel has guard pages, but shows them neither to PAGEMAP_SCAN nor in pagemap";
	*by_bits = run.bits_;
	munmap(p, 3 * page);
	close(fd);
	return why;
}

int main(int argc, char **argv)
{
	bool all = false, by_bits = false, summary = false;
	uint64_t guards = 0, with = 0, mappings = 0;
	char path[64], *line = NULL;
	const char *who, *why;
	size_t room = 0;
	int c, pagemap;
	FILE *maps;

	while ((c = getopt(argc, argv, "abs")) != -1) {
		if (c == 'a')
			all = true;
		else if (c == 'b')
			by_bits = true;
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

	why = way_to_look(&by_bits);
	if (why)
		quit(2, "%s", why);

	snprintf(path, sizeof(path), "/proc/%s/pagemap", who);
	pagemap = open(path, O_RDONLY | O_CLOEXEC);
	if (pagemap < 0)
		quit(1, "%s: %s", path, strerror(errno));
	snprintf(path, sizeof(path), "/proc/%s/maps", who);
	maps = fopen(path, "re");
	if (!maps)
		quit(1, "%s: %s", path, strerror(errno));

	printf("guards of %s, by %s\n", who, by_bits ? "pagemap bit 58" : "PAGEMAP_SCAN");
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
		if (!look_at(pagemap, &m, by_bits, &f))
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
