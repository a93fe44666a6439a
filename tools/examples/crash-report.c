// SPDX-License-Identifier: MIT
/*
 * A crash reporter that saves the stack of a process from outside. A usual rule
 * is: where the stack pointer is in a mapping without permissions, that is the
 * stack's guard, the stack has overflowed, and its contents begin after the
 * mapping. A guard in a page table entry has no mapping: the reporter sees rw-p,
 * reads from the stack pointer on, and gets nothing.
 *
 *	cc -O2 crash-report.c
 *
 * usage: crash-report plain|asks
 *   plain: goes by the permissions in /proc/PID/maps
 *   asks: asks guard_pages.h as well
 * A child overflows its stack. The reporter says whether it sees that, and how
 * much of the stack it has saved. Status: 0 if it has both, else 1.
 */
#define _GNU_SOURCE
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <ucontext.h>

#include "../../include/guard_pages.h"

#ifndef SYS_pidfd_open
#define SYS_pidfd_open	434
#endif
#define STACK		(256 * 1024)
#define SAVED		(32 * 1024)

/* ---- the program that crashes --------------------------------------------------- */

static int to_reporter;

static void on_segv(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)context;
	if (write(to_reporter, &info->si_addr, sizeof(info->si_addr)) < 0)
		_exit(2);
	for (;;)
		pause();
}

__attribute__((noinline))
static int deeper(volatile char *above)
{
	volatile char room[512];

	memset((char *)room, 'x', sizeof(room));
	if (above[0])
		deeper(room);
	return room[0];
}

static void overflow(void)
{
	char start = 1;

	deeper(&start);
}

static void crash(void)
{
	static char alternate[65536];
	struct sigaction sa = { .sa_sigaction = on_segv, .sa_flags = SA_SIGINFO | SA_ONSTACK };
	stack_t other = { .ss_sp = alternate, .ss_size = sizeof(alternate) };
	const size_t page = sysconf(_SC_PAGESIZE);
	static ucontext_t here, there;
	char *low = mmap(NULL, STACK + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (low == MAP_FAILED || guard_pages_set(low, page) < 0 ||
	    sigaltstack(&other, NULL) || sigaction(SIGSEGV, &sa, NULL))
		_exit(2);
	getcontext(&there);
	there.uc_stack.ss_sp = low + page;
	there.uc_stack.ss_size = STACK;
	there.uc_link = &here;
	makecontext(&there, overflow, 0);
	swapcontext(&here, &there);
	_exit(2);
}

/* ---- the reporter ------------------------------------------------------------- */

/* The mapping of an address. */
static bool find_mapping(pid_t pid, uintptr_t addr, uintptr_t *from, uintptr_t *to, char perm[5])
{
	char path[64], line[512];
	bool found = false;
	FILE *maps;

	snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
	maps = fopen(path, "re");
	while (maps && !found && fgets(line, sizeof(line), maps))
		found = sscanf(line, "%lx-%lx %4s", from, to, perm) == 3 && addr >= *from && addr < *to;
	if (maps)
		fclose(maps);
	return found;
}

static bool report(pid_t pid, uintptr_t sp, bool asks)
{
	const uintptr_t page = sysconf(_SC_PAGESIZE);
	static char saved[SAVED];
	char path[64], perm[5];
	struct guard_pages_run run = { 0 };
	uintptr_t from, to, begin = sp & ~(page - 1);
	bool overflowed = false;
	ssize_t got = 0;
	int mem, pidfd;

	if (!find_mapping(pid, sp, &from, &to, perm))
		return false;
	if (!strncmp(perm, "---", 3)) {
		overflowed = true;
		begin = to;
	} else if (asks) {
		pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
		if (guard_pages_next(pidfd, begin, begin + page, &run) == 1) {
			overflowed = true;
			begin = run.end;
		}
		close(pidfd);
	}
	snprintf(path, sizeof(path), "/proc/%d/mem", (int)pid);
	mem = open(path, O_RDONLY | O_CLOEXEC);
	if (mem >= 0) {
		got = pread(mem, saved, sizeof(saved), (off_t)begin);
		close(mem);
	}
	printf("%s, %zd bytes of its stack saved\n",
	       overflowed ? "the stack has overflowed" : "no overflow seen", got > 0 ? got : 0);
	return overflowed && got == SAVED;
}

int main(int argc, char **argv)
{
	const bool asks = argc == 2 && !strcmp(argv[1], "asks");
	bool good = false;
	uintptr_t sp;
	int fds[2];
	pid_t pid;

	if (argc != 2 || (!asks && strcmp(argv[1], "plain"))) {
		fputs("usage: crash-report plain|asks\n", stderr);
		return 2;
	}
	if (pipe(fds))
		return 2;
	pid = fork();
	if (!pid) {
		to_reporter = fds[1];
		crash();
	}
	close(fds[1]);
	if (pid > 0 && read(fds[0], &sp, sizeof(sp)) == sizeof(sp))
		good = report(pid, sp, asks);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	return !good;
}
