// SPDX-License-Identifier: GPL-2.0
/*
 * For bench/profile, in the guest: repeats an operation between two calls of a
 * marker that the plugin for qemu knows.
 *
 * usage: profile-guest CASE | --list
 */
#define _GNU_SOURCE
#include <err.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define POISON		102
#define UNPOISON	103
#define MARK		((void *)0x13370000)	/* as in profile-plugin.c */
#define RW		(PROT_READ | PROT_WRITE)
#define WARM		10
#define ROUNDS		200			/* counted; bench/profile divides by it */

static size_t page;

static char *map(size_t len, int prot)
{
	char *p = mmap(NULL, len, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		err(1, "mmap");
	return p;
}

static void advise(char *p, size_t len, int advice)
{
	if (madvise(p, len, advice))
		err(1, "madvise(%d)", advice);
}

/* Each case makes the operation once. */
static char *area;
static sigjmp_buf env;

static void on_fault(int sig)
{
	(void)sig;
	siglongjmp(env, 1);
}

static void poison_empty(int i)
{
	advise(area + 2 * i * page, page, POISON);
}

static void unpoison_one(int i)
{
	advise(area + 2 * i * page, page, UNPOISON);
}

static void hit(int i)
{
	(void)i;
	if (!sigsetjmp(env, 0))
		*(volatile char *)area;
}

static void stack(int i)
{
	char *p = map(8 << 20, RW);

	(void)i;
	advise(p, page, POISON);
	munmap(p, 8 << 20);
}

static void stack_prot_none(int i)
{
	char *p = map(8 << 20, PROT_NONE);

	(void)i;
	if (mprotect(p + page, (8 << 20) - page, RW))
		err(1, "mprotect");
	munmap(p, 8 << 20);
}

static struct iovec vec[512];

static int self;

static void vector_of_512(int i)
{
	(void)i;
	if (syscall(SYS_process_madvise, self, vec, 512, POISON, 0) < 0)
		err(1, "process_madvise");
	advise(area, 1024 * page, UNPOISON);
}

static void fork_exit(int i)
{
	pid_t pid = fork();

	(void)i;
	if (pid < 0)
		err(1, "fork");
	if (!pid)
		_exit(0);
	waitpid(pid, NULL, 0);
}

static void prepare_empty(void)
{
	/* Have the page tables allocated. */
	area[2 * (WARM + ROUNDS) * page] = 1;
}

static void prepare_guards(void)
{
	advise(area, 2048 * page, POISON);
}

static void prepare_hit(void)
{
	struct sigaction sa = { .sa_handler = on_fault, .sa_flags = SA_NODEFER };

	advise(area, 512 * page, POISON);
	sigaction(SIGSEGV, &sa, NULL);
}

static void prepare_vector(void)
{
	int i;

	self = syscall(SYS_pidfd_open, getpid(), 0);
	if (self < 0)
		err(1, "pidfd_open");
	for (i = 0; i < 512; i++) {
		vec[i].iov_base = area + 2 * i * page;
		vec[i].iov_len = page;
	}
	advise(area, 1024 * page, POISON);
	advise(area, 1024 * page, UNPOISON);
}

static void prepare_alternating(void)
{
	int i;

	for (i = 0; i < 1000; i++)
		advise(area + 2 * i * page, page, POISON);
}

/* Each in a page table of its own */
static void almost_a_table(int i)
{
	advise(area + i * 512 * page, 511 * page, POISON);
}

static void nothing(void)
{
}

static const struct {
	const char *name;
	void (*prepare)(void);
	void (*op)(int i);
	const char *what;
} cases[] = {
	{ "poison", prepare_empty, poison_empty, "POISON of 1 empty page" },
	{ "unpoison", prepare_guards, unpoison_one, "UNPOISON of 1 guard" },
	{ "hit", prepare_hit, hit, "a load from a guard, SIGSEGV, handler" },
	{ "stack", nothing, stack, "8 MiB stack: mmap, POISON of a page, munmap" },
	{ "stack-prot-none", nothing, stack_prot_none, "the same with mprotect" },
	{ "vector", prepare_vector, vector_of_512,
	  "process_madvise POISON of 512 single empty pages, and one UNPOISON of all" },
	{ "large", nothing, almost_a_table, "POISON of 511 pages that have no page table" },
	{ "fork", prepare_alternating, fork_exit, "fork+exit with 1,000 guards, every other page" },
	{ "fork-none", nothing, fork_exit, "fork+exit without" },
};

int main(int argc, char **argv)
{
	void (*mark)(void) = MARK;
	unsigned char *code;
	size_t i;
	int n;

	if (argc != 2) {
		fputs("usage: profile-guest CASE | --list\n", stderr);
		return 2;
	}
	page = sysconf(_SC_PAGESIZE);
	for (i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		if (!strcmp(argv[1], "--list"))
			printf("%s\t%d\t%s\n", cases[i].name, ROUNDS, cases[i].what);
		else if (!strcmp(argv[1], cases[i].name))
			break;
	}
	if (!strcmp(argv[1], "--list"))
		return 0;
	if (i == sizeof(cases) / sizeof(*cases))
		errx(2, "no case %s: see --list", argv[1]);

	/* A function that returns at once, so that the call is a block of its own. */
	code = mmap(MARK, page, RW | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	if (code == MAP_FAILED)
		err(1, "mmap of the marker");
	code[0] = 0xc3;
	mark();
	mark();

	/* A VMA that does not merge with the stacks' */
	area = map((WARM + ROUNDS) * 512 * page, RW);
	if (mprotect(area + ((WARM + ROUNDS) * 512 - 1) * page, page, PROT_NONE))
		err(1, "mprotect");
	cases[i].prepare();
	for (n = 0; n < WARM + ROUNDS; n++) {
		if (n == WARM)
			mark();
		cases[i].op(n);
	}
	mark();
	return 0;
}
