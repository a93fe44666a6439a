// SPDX-License-Identifier: MIT
/*
 * What this machine charges for a change of a page table's entry: plain loops,
 * without any allocator. A line for each: what, tab, nanoseconds of the processors'
 * time for one page.
 */
#include "program.h"

#define POISON		102	/* MADV_GUARD_POISON; GUARD_INSTALL in mainline */
#define UNPOISON	103
#define POPULATE_WRITE	23
#define AHEAD		64UL
#define ROUNDS		200

static size_t page;
static char *area;

static void advise(char *p, size_t n, int advice)
{
	if (madvise(p, n * page, advice)) {
		perror("entries: madvise");
		exit(1);
	}
}

static char *map(size_t n)
{
	char *p = mmap(NULL, n * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED) {
		perror("entries: mmap");
		exit(1);
	}
	return p;
}

static void each(int advice)
{
	size_t i;

	for (i = 0; i < AHEAD; i++)
		advise(area + i * page, 1, advice);
}

static void touch(void)
{
	size_t i;

	for (i = 0; i < AHEAD; i++)
		((volatile char *)area)[i * page] = 1;
}

static void nothing(void)
{
	size_t i;

	for (i = 0; i < AHEAD; i++)
		syscall(SYS_getppid);
}

static void poison_again(void)
{
	each(POISON);
}

static void fault_poison(void)
{
	touch();
	each(POISON);
	advise(area, AHEAD, UNPOISON);
}

static void populate_poison(void)
{
	advise(area, AHEAD, POPULATE_WRITE);
	each(POISON);
	advise(area, AHEAD, UNPOISON);
}

static void map_touch_unmap(void)
{
	size_t i;

	for (i = 0; i < AHEAD; i++) {
		char *p = map(1);

		*(volatile char *)p = 1;
		munmap(p, page);
	}
}

static void measure(const char *what, void (*once)(void))
{
	struct timespec start;
	int i;

	once();
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &start);
	for (i = 0; i < ROUNDS; i++)
		once();
	printf("%s\t%.0f\n", what,
	       since(CLOCK_PROCESS_CPUTIME_ID, &start) * 1e9 / (AHEAD * ROUNDS));
}

int main(void)
{
	page = sysconf(_SC_PAGESIZE);
	area = map(AHEAD);
	printf("what\tns\n");
	measure("a system call that does nothing (getppid)", nothing);
	measure("mmap, first touch and munmap of a page", map_touch_unmap);
	advise(area, AHEAD, POISON);
	measure("POISON of what is a guard", poison_again);
	advise(area, AHEAD, UNPOISON);
	measure("first touch and POISON of a page", fault_poison);
	measure("the same, 64 pages filled in ahead by one call", populate_poison);
	return 0;
}
