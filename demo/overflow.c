// SPDX-License-Identifier: GPL-2.0
/*
 * overflow: an ordinary threaded program that does not use guard pages itself.
 * It starts threads, looks at its address space while all of them live, and has
 * one recurse without end.
 *
 * usage: overflow THREADS
 *
 * It prints a line with the number of threads, of VMAs, and of mappings without
 * access below a stack, and the place where the recursion ended. Exit status 0
 * only if it ended by SIGSEGV inside the guard of that thread's stack.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MOST	1024

static pthread_barrier_t all_started, looked_at;
static uintptr_t lowest[MOST];		/* of each thread's stack */
static unsigned long threads, vmas, none;
static size_t guard;
static uintptr_t low;

static void look(void)
{
	char line[512];
	FILE *f = fopen("/proc/self/maps", "re");

	if (!f) {
		perror("overflow: /proc/self/maps");
		exit(2);
	}
	while (fgets(line, sizeof(line), f)) {
		unsigned long start, end;
		char access[5];

		if (sscanf(line, "%lx-%lx %4s", &start, &end, access) != 3)
			continue;
		vmas++;
		for (unsigned long i = 0; i < threads; i++)
			if (lowest[i] == end && !strcmp(access, "---p")) {
				none++;
				break;
			}
	}
	fclose(f);
}

static void on_fault(int sig, siginfo_t *si, void *context)
{
	uintptr_t at = (uintptr_t)si->si_addr;
	bool inside = at < low && at >= low - guard;
	char line[256];
	int len;
	ssize_t put;

	(void)context;
	len = snprintf(line, sizeof(line),
		       "threads %lu vmas %lu none %lu fault %s %s\n", threads,
		       vmas, none, sig == SIGSEGV ? "SIGSEGV" : "SIGBUS",
		       inside ? "in-guard" : "elsewhere");
	put = write(STDOUT_FILENO, line, len);
	_exit(sig == SIGSEGV && inside && put == len ? 0 : 1);
}

static void *wait_about(void *arg)
{
	pthread_attr_t attr;
	void *addr;
	size_t size;

	if (pthread_getattr_np(pthread_self(), &attr))
		abort();
	pthread_attr_getstack(&attr, &addr, &size);
	pthread_attr_destroy(&attr);
	*(uintptr_t *)arg = (uintptr_t)addr;
	pthread_barrier_wait(&all_started);
	pthread_barrier_wait(&looked_at);
	return NULL;
}

__attribute__((noinline))
static int recurse(int depth)
{
	volatile char frame[512];

	frame[0] = depth;
	/* volatile, or the compiler may remove the recursion. */
	if (*(volatile uintptr_t *)&low == 1)
		return 0;
	return recurse(depth + 1) + frame[0];
}

static void *overflow(void *arg)
{
	static char handler_stack[65536];
	stack_t alt = { .ss_sp = handler_stack, .ss_size = sizeof(handler_stack) };
	pthread_attr_t attr;
	void *addr;
	size_t size;

	(void)arg;
	if (sigaltstack(&alt, NULL) || pthread_getattr_np(pthread_self(), &attr))
		abort();
	pthread_attr_getstack(&attr, &addr, &size);
	pthread_attr_getguardsize(&attr, &guard);
	pthread_attr_destroy(&attr);
	low = (uintptr_t)addr;
	return (void *)(intptr_t)recurse(0);
}

int main(int argc, char **argv)
{
	struct sigaction sa = { .sa_sigaction = on_fault,
				.sa_flags = SA_SIGINFO | SA_ONSTACK };
	pthread_t thread[MOST], last;

	threads = argc == 2 ? strtoul(argv[1], NULL, 10) : 0;
	if (!threads || threads > MOST) {
		fprintf(stderr, "usage: overflow THREADS (1 to %d)\n", MOST);
		return 2;
	}
	if (pthread_barrier_init(&all_started, NULL, threads + 1) ||
	    pthread_barrier_init(&looked_at, NULL, threads + 1))
		return 2;
	for (unsigned long i = 0; i < threads; i++) {
		if (pthread_create(&thread[i], NULL, wait_about, &lowest[i])) {
			fprintf(stderr, "overflow: thread %lu could not be started\n", i);
			return 2;
		}
	}
	pthread_barrier_wait(&all_started);
	look();
	pthread_barrier_wait(&looked_at);
	for (unsigned long i = 0; i < threads; i++)
		pthread_join(thread[i], NULL);

	sigaction(SIGSEGV, &sa, NULL);
	sigaction(SIGBUS, &sa, NULL);
	if (pthread_create(&last, NULL, overflow, NULL))
		return 2;
	pthread_join(last, NULL);
	fputs("overflow: the recursion came back\n", stderr);
	return 1;
}
