// SPDX-License-Identifier: GPL-2.0
/*
 * fibers: part (f) of the demonstration: 100,000 fibers with stacks of
 * guard_stacks.h, and as many as go with a PROT_NONE mapping below each.
 *
 * usage: fibers [NUMBER]
 * Exit status: 0 all as it should be, 1 something differs, 2 this kernel has no
 * guard pages, 3 the demonstration itself could not run.
 */
#define _GNU_SOURCE
#include "demo.h"
#include "../include/guard_stacks.h"
#include "../tests/guard.h"

#define STACK	(60UL * 1024)

/* Lies at the end of its stack, and shares a page with what runs there. */
struct fiber {
	ucontext_t context;
};

static struct guard_stacks pool;
static ucontext_t scheduler;
static unsigned long page, runs;
static sigjmp_buf back;
static volatile int hit_class, hit_place;
static void *volatile hit_stack;

static void body(unsigned int high, unsigned int low)
{
	struct fiber *f = (struct fiber *)(uintptr_t)((uint64_t)high << 32 | low);

	runs++;
	swapcontext(&f->context, &scheduler);
	abort();
}

static struct fiber *fiber_on(char *low, size_t size, void (*run)(unsigned int, unsigned int))
{
	struct fiber *f = (struct fiber *)((uintptr_t)(low + size - sizeof(*f)) & -64UL);
	uint64_t address = (uintptr_t)f;

	getcontext(&f->context);
	f->context.uc_stack.ss_sp = low;
	f->context.uc_stack.ss_size = (char *)f - low;
	f->context.uc_link = NULL;
	makecontext(&f->context, (void (*)(void))run, 2, (unsigned int)(address >> 32),
		    (unsigned int)address);
	return f;
}

static void resume(struct fiber *f)
{
	if (swapcontext(&scheduler, &f->context))
		abort();
}

/* On a stack of its own: the fiber's is used up. */
static void on_fault(int sig, siginfo_t *info, void *context)
{
	void *low = NULL;

	(void)sig;
	(void)context;
	hit_class = guard_pages_classify(info);
	hit_place = guard_stacks_find(&pool, info->si_addr, &low);
	hit_stack = low;
	siglongjmp(back, 1);
}

/* Has no end but that of the stack, which the compiler cannot know. */
__attribute__((noinline))
static int deeper(volatile char *above)
{
	volatile char room[1024];

	room[0] = above[0];
	if (room[0])
		deeper(room);
	return room[0];
}

static void overflows(unsigned int high, unsigned int low)
{
	char start = 1;

	(void)high;
	(void)low;
	deeper(&start);
}

static void catch_overflow(char *low)
{
	static char alternate[65536];
	stack_t other = { .ss_sp = alternate, .ss_size = sizeof(alternate) };
	struct sigaction sa = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK };

	if (sigaltstack(&other, NULL) || sigaction(SIGSEGV, &sa, NULL))
		die("sigaltstack");
	if (!sigsetjmp(back, 1))
		resume(fiber_on(low, pool.size, overflows));
	fact(hit_class == GUARD_PAGES_HIT_GUARD && hit_place == GUARD_STACKS_BELOW && hit_stack == low,
	     "a fiber that overflows", "%s, below %s stack",
	     hit_class == GUARD_PAGES_HIT_GUARD ? "in its guard" : "elsewhere",
	     hit_stack == low ? "its own" : "another");
}

int main(int argc, char **argv)
{
	unsigned long wanted = argc > 1 ? strtoul(argv[1], NULL, 10) : 100000, n, made, vmas, tables;
	struct guard_stacks_stats stats;
	double started, seconds;
	char **low;

	page = sysconf(_SC_PAGESIZE);
	if (!guard_pages_available()) {
		fputs("demo: this kernel lacks MADV_GUARD_POISON: boot one with the series\n", stderr);
		return 2;
	}
	low = calloc(wanted, sizeof(*low));
	if (!low)
		die("no memory");

	printf("\n(f) %lu fibers, stacks of %lu KiB: guard_stacks.h\n", wanted, STACK / 1024);
	vmas = count_vmas();
	tables = page_table_kib();
	started = now();
	if (guard_stacks_init(&pool, STACK, 0, wanted, 0))
		die("guard_stacks_init");
	for (n = 0; n < wanted; n++) {
		low[n] = guard_stacks_get(&pool);
		if (!low[n])
			break;
	}
	seconds = now() - started;
	made = n;
	guard_stacks_count(&pool, &stats);
	fact(made == wanted && stats.poison == wanted, "stacks made, each above a guard", "%lu", made);
	printf("      %-37s %.2f us\n", "time for each", seconds / (made ? made : 1) * 1e6);
	/* The pool, what of it is not used yet, and its maps. */
	fact(count_vmas() <= vmas + 3, "more VMAs", "%lu", count_vmas() - vmas);
	started = now();
	for (n = 0; n < made; n++)
		resume(fiber_on(low[n], pool.size, body));
	seconds = now() - started;
	fact(runs == made, "all of them have run", "%.2f us each, first touch included",
	     seconds / (made ? made : 1) * 1e6);
	printf("      %-37s %lu kB more\n", "page tables (VmPTE)", page_table_kib() - tables);
	catch_overflow(low[made / 2]);
	for (n = 0; n < made; n++)
		guard_stacks_put(&pool, low[n]);
	n = guard_stacks_trim(&pool, 100);
	fact(n == made - 100, "idle stacks gave their memory back", "%lu", n);
	guard_stacks_destroy(&pool);

	puts("  mmap() and mprotect(PROT_NONE) for each");
	vmas = count_vmas();
	started = now();
	for (n = 0; n < wanted; n++) {
		low[n] = mmap(NULL, STACK + page, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (low[n] == MAP_FAILED || mprotect(low[n], page, PROT_NONE))
			break;
	}
	seconds = now() - started;
	made = n;
	fact(made < wanted && errno == ENOMEM, "stops at", "%lu stacks, %s", made, strerror(errno));
	printf("      %-37s %.2f us\n", "time for each", seconds / (made ? made : 1) * 1e6);
	printf("      %-37s %lu\n", "more VMAs", count_vmas() - vmas);

	return verdict("fibers");
}
