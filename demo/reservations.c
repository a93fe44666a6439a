// SPDX-License-Identifier: GPL-2.0
/*
 * reservations: part (g) of the demonstration: a pool of WebAssembly heaps. Each has
 * 6 GiB of address space, all guards but a heap that grows by UNPOISON. Beside it, the
 * same by PROT_NONE and mprotect(), which ends at vm.max_map_count in a larger pool.
 *
 * usage: reservations (no arguments)
 * Exit status: 0 all as it should be, 1 something differs, 2 this kernel has no
 * guard pages, 3 the demonstration itself could not run.
 */
#define _GNU_SOURCE
#include <sys/mman.h>

#include "demo.h"
#include "../include/guard_pages.h"
#include "../tests/guard.h"

#define MIB		(1UL << 20)
#define GIB		(1UL << 30)
#define NUMBER		1000UL
#define RESERVED	(6 * GIB)
#define FIRST		(64UL << 10)	/* a heap at first */
#define GROWN		(MIB + 4096 * 3)	/* and after it has grown */
#define SMALLER		GIB		/* a reservation in the larger pool */

static char *heaps[100000];

static char *reserve(size_t size, int prot)
{
	char *p = mmap(NULL, size, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

/* Does the kernel guard 2 MiB without a page table? */
static bool has_huge_guards(void)
{
	char *room = reserve(6 * MIB, PROT_READ | PROT_WRITE), *p;
	unsigned long before;

	if (!room)
		die("mmap");
	p = (char *)(((uintptr_t)room + 2 * MIB - 1) & -(2 * MIB));
	if (madvise(p, 4096, MADV_GUARD_POISON))
		die("POISON");
	before = page_table_kib();
	if (madvise(p + 2 * MIB, 2 * MIB, MADV_GUARD_POISON))
		die("POISON");
	before = page_table_kib() - before;
	munmap(room, 6 * MIB);
	return !before;
}

static bool grow(char *heap, size_t from, size_t to, bool poison)
{
	int err = poison ? madvise(heap + from, to - from, MADV_GUARD_UNPOISON) :
		  mprotect(heap + from, to - from, PROT_READ | PROT_WRITE);

	if (err)
		return false;
	memset(heap + to - 8, 7, 8);
	return true;
}

/* Fills heaps[] with up to @number reservations, each with its first heap. */
static unsigned long make(unsigned long number, size_t size, bool poison)
{
	unsigned long n;

	for (n = 0; n < number; n++) {
		heaps[n] = reserve(size, poison ? PROT_READ | PROT_WRITE : PROT_NONE);
		if (!heaps[n] || (poison && madvise(heaps[n], size, MADV_GUARD_POISON)) ||
		    !grow(heaps[n], 0, FIRST, poison))
			break;
	}
	return n;
}

static void drop(unsigned long number, size_t size)
{
	for (unsigned long n = 0; n < number && heaps[n]; n++)
		munmap(heaps[n], size);
}

static void pool(bool poison)
{
	unsigned long vmas = count_vmas(), tables = page_table_kib(), n, grown = 0, good = 0;
	double started = now(), seconds;

	printf("  %s\n", poison ? "MADV_GUARD_POISON" : "PROT_NONE");
	n = make(NUMBER, RESERVED, poison);
	seconds = now() - started;
	fact(n == NUMBER, "reservations of 6 GiB", "%lu, %.0f us each", n, seconds / NUMBER * 1e6);
	started = now();
	for (unsigned long i = 0; i < n; i++)
		grown += grow(heaps[i], FIRST, GROWN, poison);
	seconds = now() - started;
	fact(grown == n, "heaps that have grown to a mebibyte", "%lu, %.0f us each", grown,
	     seconds / NUMBER * 1e6);
	for (unsigned long i = 0; i < n; i += n / 50)
		good += !guard_load(heaps[i] + GROWN - 4) && guard_load(heaps[i] + GROWN) &&
			guard_load(heaps[i] + RESERVED / 2) && guard_load(heaps[i] + RESERVED - 1);
	fact(good == (n + n / 50 - 1) / (n / 50), "tried: usable to the end, not behind", "%lu",
	     good);
	if (poison)
		fact(count_vmas() <= vmas + 2, "more VMAs", "%lu", count_vmas() - vmas);
	else
		printf("      %-37s %lu\n", "more VMAs", count_vmas() - vmas);
	printf("      %-37s %lu kB more\n", "page tables (VmPTE)", page_table_kib() - tables);
	drop(n, RESERVED);
}

int main(void)
{
	unsigned long limit, larger, n;

	if (!guard_pages_available()) {
		fputs("demo: this kernel lacks MADV_GUARD_POISON: boot one with the series\n", stderr);
		return 2;
	}
	guard_probe_start();
	printf("\n(g) a pool of %lu reservations of 6 GiB, each all guards but a heap that grows\n",
	       NUMBER);
	if (!has_huge_guards()) {
		puts("      left out: this kernel takes a page table for each 2 MiB of guards");
		return verdict("reservations");
	}
	pool(true);
	pool(false);

	limit = number_of("/proc/sys/vm/max_map_count", "");
	larger = limit / 2 + 1000;
	printf("  a larger pool, of 1 GiB each, with vm.max_map_count %lu\n", limit);
	if (larger > sizeof(heaps) / sizeof(*heaps)) {
		puts("      left out: the limit was raised");
		return verdict("reservations");
	}
	n = make(larger, SMALLER, false);
	fact(n < larger && errno == ENOMEM, "PROT_NONE stops at", "%lu reservations, %s", n,
	     strerror(errno));
	drop(n + 1, SMALLER);
	n = make(larger, SMALLER, true);
	fact(n == larger, "MADV_GUARD_POISON goes on to", "%lu, and could go on", n);
	drop(n, SMALLER);
	return verdict("reservations");
}
