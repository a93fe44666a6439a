// SPDX-License-Identifier: GPL-2.0
/*
 * How often MADV_GUARD_POISON of a file's page looks for a page table, while other
 * threads and another process collapse the same part of the file all the time, which
 * takes the table away again. It must not matter how often they do: a call for one
 * page asks for a table twice at most, and zaps once at most.
 *
 * Kprobes count the calls of walk_install_table() and zap_ptes_to_guards(). Nobody
 * else in the guest sets guards.
 *
 * usage: passes [CALLS]
 * Prints TAP. Exit status 0 if all is well, 1 if not.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guard.h"
#include "tap.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE	25
#endif

#define HUGE_SIZE	(2UL << 20)
#define TRACING		"/sys/kernel/tracing/"
/* So many calls must have found that the table was gone; and no more calls than this. */
#define ENOUGH		50
#define MOST_CALLS	20000

static char *p;
static bool stop;

static void __attribute__((noreturn)) die(const char *what)
{
	printf("Bail out! %s: %s\n", what, strerror(errno));
	exit(1);
}

static void write_to(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		die(path);
	close(fd);
}

/* How often was the function of this probe called? */
static long hits(const char *probe)
{
	FILE *f = fopen(TRACING "kprobe_profile", "re");
	char name[128];
	long n, missed;

	if (!f)
		die(TRACING "kprobe_profile");
	while (fscanf(f, "%127s %ld %ld", name, &n, &missed) == 3)
		if (!strcmp(name, probe)) {
			fclose(f);
			return missed ? -1 : n;
		}
	fclose(f);
	return -1;
}

static void *collapse(void *range)
{
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED))
		madvise(range, HUGE_SIZE, MADV_COLLAPSE);
	return NULL;
}

static void *touch_and_drop(void *range)
{
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		/* Not where the guards are set */
		((volatile char *)range)[HUGE_SIZE - 1] = 1;
		madvise(range, HUGE_SIZE, MADV_DONTNEED);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	long calls = 0, least = argc > 1 ? atol(argv[1]) : 200, open_after = 0;
	long installs = 0, zaps = 0, most_installs = 0, most_zaps = 0;
	const size_t page = sysconf(_SC_PAGESIZE);
	int fd = memfd_create("passes", MFD_CLOEXEC);
	pthread_t threads[2];
	pid_t child;

	mount("tracing", TRACING, "tracefs", 0, NULL);
	write_to(TRACING "kprobe_events", "p:guard/install walk_install_table\n");
	write_to(TRACING "kprobe_events", "p:guard/zap zap_ptes_to_guards\n");

	if (fd < 0 || ftruncate(fd, HUGE_SIZE))
		die("memfd_create");
	p = mmap(NULL, 2 * HUGE_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		die("mmap");
	p = (char *)(((uintptr_t)p + HUGE_SIZE - 1) & -HUGE_SIZE);
	if (mmap(p, HUGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) != p)
		die("mmap of a memfd");
	memset(p, 1, HUGE_SIZE);
	if (guard_probe_start())
		die("sigaction");

	child = fork();
	if (child < 0)
		die("fork");
	if (!child)
		for (;;) {
			madvise(p, HUGE_SIZE, MADV_COLLAPSE);
			/* Split again, so that there is something to collapse. */
			madvise(p, page, MADV_REMOVE);
			p[0] = 1;
		}
	if (pthread_create(&threads[0], NULL, collapse, p) ||
	    pthread_create(&threads[1], NULL, touch_and_drop, p))
		die("pthread_create");

	write_to(TRACING "events/guard/enable", "1");
	do {
		char *at = p + (calls * 7 % 500 + 1) * page;
		long before;

		if (madvise(at, page, MADV_GUARD_POISON))
			die("POISON");
		before = installs;
		installs = hits("install");
		most_installs = installs - before > most_installs ? installs - before : most_installs;
		before = zaps;
		zaps = hits("zap");
		most_zaps = zaps - before > most_zaps ? zaps - before : most_zaps;
		open_after += guard_load(at) != SIGSEGV;
		if (madvise(at, page, MADV_GUARD_UNPOISON))
			die("UNPOISON");
		calls++;
	} while ((calls < least || installs < ENOUGH) && calls < MOST_CALLS);
	write_to(TRACING "events/guard/enable", "0");

	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	pthread_join(threads[0], NULL);
	pthread_join(threads[1], NULL);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);

	printf("# %ld calls: asked %ld times for a table, zapped %ld times\n", calls, installs, zaps);
	tap(open_after == 0, "no page is open after POISON (%ld)", open_after);
	tap(installs >= ENOUGH, "tables were taken away meanwhile");
	tap(most_installs <= 2, "a call asks for a table twice at most (%ld)", most_installs);
	tap(zaps >= 0 && most_zaps <= 1, "a call zaps once at most (%ld)", most_zaps);
	printf("1..%d\n", count);
	return failed != 0;
}
