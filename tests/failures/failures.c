// SPDX-License-Identifier: GPL-2.0
/*
 * Tests POISON without memory for page tables, with signals and at limits. Run as
 * root in the guest; see tests/failures.t and tests/soak-debug.t.
 *
 * usage: failures memcg GROUP | killed GROUP | waits GROUP | fatal GROUP |
 *                 fatal-populated | signal | limits | overcommit | inject
 *   memcg     in a control group (a directory) that reaches its limit while page
 *             tables are allocated, and in which no process can be killed
 *   killed    likewise, but the caller can be killed
 *   waits     UNPOISON of a part of a huge guard, without memory for a page table
 *   fatal     a fatal signal during a POISON that needs 256 MiB of page tables
 *   fatal-populated  SIGKILL during one of 512 MiB that are resident, in small pages
 *             and in huge ones, and during an UNPOISON of 64 MiB of page tables
 *   signal    another signal, which must not end the call
 *   limits    RLIMIT_AS, RLIMIT_DATA, RLIMIT_STACK and vm.max_map_count reached
 *   overcommit  vm.overcommit_memory=2, with all memory committed
 *   inject    each allocation of a POISON fails, one after the other; needs a
 *             kernel with failslab, fail_page_alloc and fail-nth
 * Prints TAP without a plan. Exit status 0 if all holds, 1 if not, 2 for bad usage.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../guard.h"

#define ADV_PAGEOUT	21
#define PAGE		4096UL
#define MIB		(1UL << 20)
#define GIB		(1UL << 30)
#define HUGE		(2 * MIB)

static int failed;

static bool check(bool ok, const char *format, ...)
{
	va_list args;

	printf("%s - ", ok ? "ok" : "not ok");
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
	fflush(stdout);
	failed |= !ok;
	return ok;
}

static void cannot(const char *what)
{
	check(false, "%s: %s", what, strerror(errno));
	exit(1);
}

/* --- helpers ------------------------------------------------------------------------ */

static volatile sig_atomic_t poked;

static void on_poke(int sig)
{
	(void)sig;
	poked = 1;
}

/* Returns -1 for a guard, else the first byte. */
static int peek(volatile unsigned char *p)
{
	return guard_load(p) ? -1 : *p;
}

static unsigned char *map(size_t length)
{
	unsigned char *p = mmap(NULL, length, PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		cannot("mmap");
	madvise(p, length, MADV_NOHUGEPAGE);
	return p;
}

static bool put(const char *dir, const char *file, const char *format, ...)
{
	char name[512], text[64];
	va_list args;
	bool ok;
	int fd;

	snprintf(name, sizeof(name), "%s/%s", dir, file);
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	fd = open(name, O_WRONLY);
	if (fd < 0)
		return false;
	ok = write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	close(fd);
	return ok;
}

/* The number after @name at the start of a line of a file; ~0 if there is none. */
static unsigned long number(const char *file, const char *name)
{
	unsigned long n = ~0UL;
	char line[256];
	FILE *f = fopen(file, "r");

	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, name, strlen(name)) &&
		    sscanf(line + strlen(name), "%*[: \t]%lu", &n) == 1)
			break;
	if (f)
		fclose(f);
	return n;
}

static unsigned long number_only(const char *file)
{
	unsigned long n = ~0UL;
	FILE *f = fopen(file, "r");

	if (f) {
		if (fscanf(f, "%lu", &n) != 1)
			n = ~0UL;
		fclose(f);
	}
	return n;
}

static unsigned long own(const char *name)
{
	return number("/proc/self/status", name);
}

static unsigned long of_group(const char *group, const char *name)
{
	char file[512];

	snprintf(file, sizeof(file), "%s/memory.stat", group);
	return number(file, name);
}

static unsigned int vmas(void)
{
	unsigned int n = 0;
	FILE *f = fopen("/proc/self/maps", "r");
	int c;

	while (f && (c = getc(f)) != EOF)
		n += c == '\n';
	if (f)
		fclose(f);
	return n;
}

/* Waits until @group is charged nothing of @name; false after half a minute. */
static bool given_back(const char *group, const char *name)
{
	struct timespec tick = { 0, 20000000 };

	for (int i = 0; i < 1500; i++) {
		if (!of_group(group, name))
			return true;
		nanosleep(&tick, NULL);
	}
	return false;
}

static int wait_for(pid_t pid)
{
	int status = -1;

	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return status;
}

/* The child makes checks of its own. If it dies, nobody else notices the missing ones. */
static void ended(int status, const char *what)
{
	if (check(WIFEXITED(status), "%s ran to its end: status %x", what, status))
		failed |= WEXITSTATUS(status);
}

static volatile int *shared(void)
{
	void *p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		cannot("mmap");
	return p;
}

/* --- memory cgroup -------------------------------------------------------------------- */

/*
 * The bytes of guards that take one more page table: those of a page table, or where
 * a huge guard stands for these, of a table of entries for huge pages.
 */
static size_t per_table = HUGE;

static void find_per_table(void)
{
	unsigned char *room = map(3 * HUGE), *p = room + (-(uintptr_t)room & (HUGE - 1));
	unsigned long before;

	if (madvise(p, PAGE, MADV_GUARD_POISON))
		cannot("POISON");
	before = own("VmPTE");
	if (madvise(p + HUGE, HUGE, MADV_GUARD_POISON))
		cannot("POISON");
	if (own("VmPTE") == before)
		per_table = GIB;
	munmap(room, 3 * HUGE);
}

#define RANGE (16384 * per_table)	/* 64 MiB of page tables */

static void enter(const char *group)
{
	if (mkdir(group, 0755) && errno != EEXIST)
		cannot(group);
	if (!put(group, "memory.max", "max") || !put(group, "memory.swap.max", "0") ||
	    !put(group, "cgroup.procs", "0"))
		cannot("entering the control group");
}

/* At its limit, a group cannot open a file, so open the one of the limit before */
static int open_limit(const char *group)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/memory.max", group);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		cannot("memory.max");
	return fd;
}

static void lift_limit(int fd)
{
	if (write(fd, "max", 3) != 3)
		cannot("memory.max");
	close(fd);
}

static void in_memcg(const char *group)
{
	/* Contents at 1/16 of the range and near its end: both are freed for page tables */
	const size_t low = RANGE / 16, high = RANGE - 4 * PAGE;
	unsigned long tables, first = 0, last = 0;
	bool torn = false;
	unsigned char *p;
	int err, fd;

	enter(group);
	/*
	 * Copy now what fork() shares: a page fault that gets no memory at the limit is
	 * tried again for ever, as no process in the group can be killed.
	 */
	if (mlockall(MCL_CURRENT) || munlockall())
		cannot("mlockall");
	/* For the same reason, the allocation of POISON fails */
	if (!put("/proc/self", "oom_score_adj", "-1000"))
		cannot("oom_score_adj");
	p = map(RANGE);
	for (int i = 0; i < 4; i++) {
		p[low + i * PAGE] = 1 + i;
		p[high + i * PAGE] = 101 + i;
	}
	if (!put(group, "memory.max", "%lu", number("/proc/self/status", "VmRSS") * 1024 +
		 24 * MIB))
		cannot("memory.max");

	fd = open_limit(group);
	err = madvise(p, RANGE, MADV_GUARD_POISON) ? errno : 0;
	lift_limit(fd);
	tables = own("VmPTE");
	check(err == ENOMEM, "POISON in a group at its limit: %s", strerror(err));
	check(tables > 4096 && tables < 65536, "it made progress: %lu kB of page tables", tables);
	/*
	 * Some tables are older than the process's membership in the group, and its
	 * statistics may lack 64 pages for each CPU.
	 */
	check(of_group(group, "pagetables") / 1024 + 64 + 2 * 256 >= tables, "they are charged: %lu kB",
	      of_group(group, "pagetables") / 1024);
	check(peek(p + low) == -1 && peek(p + low + 3 * PAGE) == -1,
	      "there are guards up to where it got, also in place of contents");
	check(peek(p + high) == -1 && peek(p + high + 3 * PAGE) == -1,
	      "there are guards in place of the contents at the end");
	/* All pages up to some address must be guards, and none between it and the last table */
	for (size_t at = 0; at < RANGE - per_table; at += 4 * per_table + PAGE) {
		if (peek(p + at) == -1) {
			torn |= last != 0;
			first = at;
		} else if (!last) {
			last = at;
		}
	}
	check(!torn && first && last, "poisoned up to about %lu MiB, and nothing beyond",
	      first / MIB);

	err = madvise(p, RANGE, MADV_GUARD_POISON) ? errno : 0;
	check(!err, "the same call again, without the limit: %s", strerror(err));
	torn = false;
	for (size_t at = 0; at < RANGE; at += 4 * per_table + PAGE)
		torn |= peek(p + at) != -1;
	check(!torn && peek(p + high) == -1 && peek(p + RANGE - PAGE) == -1,
	      "now all of it is guards");
	check(own("VmPTE") >= RANGE / per_table * 4, "VmPTE says %lu kB", own("VmPTE"));
	munmap(p, RANGE);
	check(own("VmPTE") < 1024, "after munmap VmPTE says %lu kB", own("VmPTE"));
}

/* In a group at its limit, guards one page short of a page table, until one is missing */
static void in_pieces(const char *group)
{
	const size_t length = 8 * GIB;
	unsigned char *room = map(length + HUGE), *p = room + (-(uintptr_t)room & (HUGE - 1));
	size_t at, got;
	int err = 0, fd;

	if (!put(group, "memory.max", "%lu", number_only("/sys/fs/cgroup/failures/memory.current") +
		 8 * MIB))
		cannot("memory.max");
	fd = open_limit(group);
	for (got = 0; got < length && !err; got += HUGE)
		err = madvise(p + got, HUGE - PAGE, MADV_GUARD_POISON) ? errno : 0;
	lift_limit(fd);
	check(err == ENOMEM && got > 64 * MIB, "in pieces: %s after %zu MiB", strerror(err),
	      got / MIB);
	got -= HUGE;
	for (at = 0; at < got && peek(p + at) == -1 && peek(p + at + HUGE - PAGE) == 0; at += HUGE)
		;
	check(at == got && !peek(p + got), "there are guards up to where it got: %zu MiB", at / MIB);
	munmap(room, length + HUGE);
}

/*
 * UNPOISON of a part of a huge guard needs a page table. In a group at its limit, it
 * waits for that: until there is memory again, or it is killed.
 */
static void wait_for_table(const char *group, bool kill_it)
{
	volatile int *state = shared();
	unsigned long tried, one, tries;
	char events[512];
	int status;
	pid_t pid;

	snprintf(events, sizeof(events), "%s/memory.events", group);
	if (mkdir(group, 0755) && errno != EEXIST)
		cannot(group);
	pid = fork();
	if (!pid) {
		unsigned char *room = map(4 * HUGE), *p = room + (-(uintptr_t)room & (HUGE - 1));
		int err, poisoned;

		enter(group);
		if (!put("/proc/self", "oom_score_adj", "-1000"))
			cannot("oom_score_adj");
		if (madvise(p, 2 * HUGE, MADV_GUARD_POISON))
			cannot("POISON");
		state[0] = 1;
		/* Until the end, it can touch no memory anew. */
		while (state[0] != 2)
			sched_yield();
		poisoned = madvise(p + 2 * HUGE, PAGE, MADV_GUARD_POISON) ? errno : 0;
		state[1] = 1;
		while (state[0] != 3)
			sched_yield();
		err = madvise(p + HUGE / 2, HUGE, MADV_GUARD_UNPOISON) ? errno : 0;
		state[1] = 2;
		while (state[0] != 4)
			sched_yield();
		check(poisoned == ENOMEM, "POISON of a page does not wait: %s", strerror(poisoned));
		check(!err, "UNPOISON of a part that has waited for memory: %s", strerror(err));
		check(peek(p + HUGE / 2 - PAGE) == -1 && !peek(p + HUGE / 2) &&
		      !peek(p + HUGE + HUGE / 2 - PAGE) && peek(p + HUGE + HUGE / 2) == -1,
		      "it has removed that part and no more");
		fflush(stdout);
		_exit(failed);
	}
	while (state[0] != 1)
		sched_yield();
	if (!put(group, "memory.max", "0"))
		cannot("memory.max");
	tried = number(events, "max");
	state[0] = 2;
	while (state[1] != 1)
		sched_yield();
	/* A charge counts each time that it tries to reclaim memory of the group. */
	one = number(events, "max") - tried;
	tried += one;
	state[0] = 3;
	/* The first of UNPOISON is made with the locks held. */
	do
		tries = number(events, "max") - tried;
	while (tries < 4 * one && state[1] != 2);
	check(one && state[1] != 2, "UNPOISON of a part waits for memory: %lu attempts, a charge makes %lu",
	      tries, one);
	if (kill_it)
		kill(pid, SIGKILL);
	else if (!put(group, "memory.max", "max"))
		cannot("memory.max");
	if (!kill_it)
		while (state[1] != 2)
			sched_yield();
	state[0] = 4;
	status = wait_for(pid);
	if (kill_it)
		check(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL && state[1] != 2,
		      "and can be killed while it waits: status %x", status);
	else
		ended(status, "the process that waited");
	rmdir(group);
}

static void memcg(const char *group, bool may_die)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		if (!may_die) {
			in_memcg(group);
			in_pieces(group);
		} else {
			unsigned char *p;

			enter(group);
			put("/proc/self", "oom_score_adj", "1000");
			p = map(RANGE);
			if (!put(group, "memory.max", "%lu", own("VmRSS") * 1024 + 24 * MIB))
				cannot("memory.max");
			printf("# POISON in a group at its limit: %d\n",
			       madvise(p, RANGE, MADV_GUARD_POISON));
		}
		fflush(stdout);
		_exit(failed);
	}
	status = wait_for(pid);
	if (may_die)
		check(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL,
		      "a process that may be killed is, if POISON reaches the limit of its group: status %x",
		      status);
	else
		ended(status, "the process at the limit of its group");
	check(given_back(group, "pagetables"), "page tables charged to the group after the end: %lu",
	      of_group(group, "pagetables"));
	check(given_back(group, "anon"), "memory charged to the group after the end: %lu",
	      of_group(group, "anon"));
	check(!rmdir(group), "the group can be removed");
}

/* --- signals -------------------------------------------------------------------------- */

#define MANY (65536 * per_table)	/* 256 MiB of page tables */

static unsigned long of_child(pid_t pid, const char *name)
{
	char file[64];

	snprintf(file, sizeof(file), "/proc/%d/status", (int)pid);
	return number(file, name);
}

/* One POISON of @length of empty memory, which allocates only page tables. */
static void poison_slowly(size_t length, volatile int *state, long alarm_us)
{
	const struct itimerval timer = { .it_value = { 0, alarm_us } };
	unsigned char *p = map(length);

	setitimer(ITIMER_REAL, &timer, NULL);
	madvise(p, length, MADV_GUARD_POISON);
	state[0] = 1;
	_exit(0);
}

/*
 * A timer sends a signal that is not handled, and the call must end soon after it.
 * The group's peak shows how much the call had allocated by then.
 */
static void fatal(const char *group)
{
	volatile int *state = shared();
	unsigned long peak = 0, begin = 0;
	char file[512];
	int status = 0;
	long us;

	snprintf(file, sizeof(file), "%s/memory.peak", group);
	/* On a busy machine the timer may expire too early */
	for (us = 5000; us < 900000; us *= 2) {
		pid_t pid;

		enter(group);
		put("/sys/fs/cgroup", "cgroup.procs", "%d", (int)getpid());
		begin = number_only(file);
		state[0] = state[1] = 0;
		pid = fork();
		if (!pid) {
			enter(group);
			poison_slowly(MANY, state, us);
		}
		status = wait_for(pid);
		peak = number_only(file) - begin;
		if (peak > 8 * MIB)
			break;
		given_back(group, "pagetables");
		rmdir(group);
	}
	check(WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM && !state[0],
	      "a fatal signal within a POISON of %zu GiB ends it: status %x", MANY / GIB, status);
	check(peak > 8 * MIB && peak < MANY / per_table * PAGE / 2,
	      "after %ld ms it has allocated %lu MiB, of %lu MiB of page tables in all", us / 1000,
	      peak / MIB, MANY / per_table * PAGE / MIB);
	check(given_back(group, "pagetables"), "page tables charged to the group after the end: %lu",
	      of_group(group, "pagetables"));
	rmdir(group);
}

/* The number of our resident pages */
static unsigned long resident(int statm)
{
	unsigned long all = 0;
	char text[128] = "";

	if (pread(statm, text, sizeof(text) - 1, 0) <= 0 || sscanf(text, "%*u %lu", &all) != 1)
		cannot("/proc/self/statm");
	return all;
}

struct call {
	unsigned char *p;
	size_t length;
	int advice;
	volatile int begun, done;
};

static int make_call(void *arg)
{
	struct call *c = arg;

	c->begun = 1;
	madvise(c->p, c->length, c->advice);
	c->done = 1;
	return 0;
}

/*
 * SIGKILL during the call, which another process makes in our memory, so that we
 * can see at the end of the range whether the call went on.
 */
static void fatal_within(const char *what, size_t length, int advice, bool huge)
{
	const bool poison = advice == MADV_GUARD_POISON;
	int statm = open("/proc/self/statm", O_RDONLY);
	static char stack[65536];
	bool early = false;
	int status = 0;

	/* A call for huge pages ends quickly, so the signal may be too late */
	for (int i = 0; i < 100 && !early; i++) {
		unsigned char *room = map(length + HUGE);
		struct call c = { .length = length, .advice = advice };
		unsigned long before;
		pid_t pid;

		c.p = room + (-(uintptr_t)room & (HUGE - 1));
		if (huge)
			madvise(c.p, length, MADV_HUGEPAGE);
		if (poison)
			memset(c.p, 1, length);
		else if (madvise(c.p, length, MADV_GUARD_POISON))
			cannot("POISON");
		before = resident(statm);
		pid = clone(make_call, stack + sizeof(stack), CLONE_VM | SIGCHLD, &c);
		if (pid < 0)
			cannot("clone");
		while (!c.begun)
			sched_yield();
		while (poison && !c.done && resident(statm) > before - 8 * MIB / PAGE)
			;
		kill(pid, SIGKILL);
		status = wait_for(pid);
		early = !c.done && (peek(c.p + length - PAGE) == -1) != poison;
		munmap(room, length + HUGE);
	}
	close(statm);
	check(early && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL,
	      "SIGKILL within %s ends it before its end: status %x", what, status);
}

static void fatal_populated(void)
{
	fatal_within("a POISON of 512 MiB that are resident", 512 * MIB, MADV_GUARD_POISON, false);
	fatal_within("a POISON of 512 MiB of huge pages", 512 * MIB, MADV_GUARD_POISON, true);
	fatal_within("an UNPOISON of 64 MiB of page tables", RANGE, MADV_GUARD_UNPOISON, false);
}

/* The handler runs once the call has done its work. */
static void nonfatal(void)
{
	const size_t length = RANGE;
	struct sigaction sa = { .sa_handler = on_poke };
	volatile int *result = shared();
	int status;
	pid_t pid = fork();

	if (!pid) {
		unsigned char *p = map(length);
		int err;

		sigaction(SIGUSR1, &sa, NULL);	/* without SA_RESTART */
		result[1] = 1;
		err = madvise(p, length, MADV_GUARD_POISON) ? errno : 0;
		result[0] = 1;
		result[2] = err;
		result[3] = peek(p) == -1 && peek(p + length / 2) == -1 &&
			    peek(p + length - PAGE) == -1;
		result[4] = poked;
		_exit(0);
	}
	while (!result[1])
		sched_yield();
	while (of_child(pid, "VmPTE") < 4096 && !result[0])
		;
	check(!result[0], "the signal comes during the call");
	kill(pid, SIGUSR1);
	status = wait_for(pid);
	check(!status && !result[2] && result[3],
	      "a POISON of %zu GiB goes on through a signal to its end: status %x, %s",
	      length / GIB, status, strerror(result[2]));
	check(result[4], "and the handler has run");
}

/* --- limits -------------------------------------------------------------------------------- */

static void limit(int which, unsigned long bytes)
{
	struct rlimit r = { bytes, bytes };

	if (setrlimit(which, &r))
		cannot("setrlimit");
}

static void in_limits(void)
{
	const size_t length = 256 * MIB;
	unsigned char *p = map(length), *full;
	unsigned long size, data;
	unsigned int before, n;
	int err = 0, unerr = 0;

	for (size_t at = 0; at < length; at += 64 * PAGE)
		p[at] = 7;
	/* Set the limits to the current use */
	size = own("VmSize");
	data = own("VmData");
	limit(RLIMIT_AS, size * 1024);
	limit(RLIMIT_DATA, data * 1024);
	full = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	check(full == MAP_FAILED && errno == ENOMEM, "RLIMIT_AS: no page more can be mapped");
	err = madvise(p, length, MADV_GUARD_POISON) ? errno : 0;
	check(!err && peek(p) == -1 && peek(p + length - PAGE) == -1,
	      "RLIMIT_AS and RLIMIT_DATA reached: POISON of %zu MiB: %s", length / MIB,
	      strerror(err));
	check(own("VmSize") == size && own("VmData") == data, "VmSize and VmData are the same");
	err = madvise(p, length, MADV_GUARD_UNPOISON) ? errno : 0;
	check(!err && peek(p) == 0, "UNPOISON: %s", strerror(err));
	limit(RLIMIT_STACK, 65536);
	limit(RLIMIT_MEMLOCK, 0);

	/* Then make as many mappings as the kernel permits */
	n = 0;
	before = vmas();
	for (size_t at = 0; at < length; at += 2 * PAGE, n++)
		if (mprotect(p + at, PAGE, PROT_NONE))
			break;
	check(n && n < length / PAGE / 2, "vm.max_map_count: mprotect number %u fails", n + 1);
	/* Guard every other page of the rest, from the end */
	before = vmas();
	for (size_t i = 0; i < 1000; i++) {
		err |= madvise(p + length - (2 * i + 1) * PAGE, PAGE, MADV_GUARD_POISON) ? errno : 0;
		unerr |= peek(p + length - (2 * i + 1) * PAGE) != -1 ||
			 peek(p + length - (2 * i + 2) * PAGE) == -1;
	}
	check(!err && !unerr && vmas() == before,
	      "1000 guards at every other page of that: %s, %u mappings before, %u after",
	      strerror(err), before, vmas());
}

static void limits(void)
{
	pid_t pid;

	if (!put("/proc/sys/vm", "max_map_count", "4096"))
		cannot("max_map_count");
	pid = fork();
	if (!pid) {
		in_limits();
		_exit(failed);
	}
	ended(wait_for(pid), "the process at its limits");
}

static void overcommit(void)
{
	const size_t length = 64 * MIB;
	unsigned char *p, *rest;
	unsigned long before, poisoned, after, limit;
	size_t step = 16 * MIB;
	int err, none, again, full;

	/* Less than half of the memory, or there is no room for page tables */
	if (!put("/proc/sys/vm", "overcommit_ratio", "40") ||
	    !put("/proc/sys/vm", "overcommit_memory", "2"))
		cannot("overcommit_memory");
	p = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		cannot("mmap");
	madvise(p, length, MADV_NOHUGEPAGE);
	for (size_t at = 0; at < length / 2; at += PAGE)
		p[at] = 9;
	/* Commit all memory, down to the last pages */
	while (step >= PAGE) {
		rest = mmap(NULL, step, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (rest == MAP_FAILED)
			step /= 2;
	}
	rest = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	full = rest == MAP_FAILED && errno == ENOMEM;
	limit = number("/proc/meminfo", "CommitLimit");
	before = number("/proc/meminfo", "Committed_AS");
	err = madvise(p, length, MADV_GUARD_POISON) ? errno : 0;
	poisoned = number("/proc/meminfo", "Committed_AS");
	rest = mmap(NULL, 8 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	none = rest == MAP_FAILED && errno == ENOMEM;
	again = madvise(p, length, MADV_GUARD_UNPOISON) ? errno : 0;
	for (size_t at = 0; at < length / 2; at += PAGE)
		p[at] = 9;
	after = number("/proc/meminfo", "Committed_AS");
	put("/proc/sys/vm", "overcommit_memory", "0");
	printf("# CommitLimit %lu kB; Committed_AS %lu kB, %lu kB poisoned, %lu kB unpoisoned\n",
	       limit, before, poisoned, after);
	check(full, "nothing more can be committed");
	check(!err, "overcommit_memory=2 and nothing left: POISON: %s", strerror(err));
	/* The kernel counts in batches for each CPU */
	check(labs((long)(poisoned - before)) < 4096 && none,
	      "it changes nothing in Committed_AS");
	check(!again && labs((long)(after - before)) < 4096,
	      "UNPOISON: %s; the memory is there again", strerror(again));
}

/* --- one allocation after the other ----------------------------------------------------- */

#define LOOKS	4096

struct scene {
	unsigned char *range;		/* to poison */
	size_t length;
	unsigned char *room;		/* the mapping around it */
	size_t roomy;
	size_t hole, holes;		/* bytes in the range that are not mapped */
	pid_t child;			/* shares the pages, or 0 */
	bool vector;
};

static unsigned char content(size_t page)
{
	return 1 + page % 250;
}

static void plain_near(struct scene *s, void *where, size_t length, size_t align)
{
	s->roomy = length + align;
	s->room = mmap(where, s->roomy, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (s->room == MAP_FAILED)
		cannot("mmap");
	s->range = (unsigned char *)(((uintptr_t)s->room + align - 1) & -align);
	s->length = length;
	madvise(s->room, s->roomy, MADV_NOHUGEPAGE);
}

static void plain(struct scene *s, size_t length, size_t align)
{
	plain_near(s, NULL, length, align);
}

static void fill(struct scene *s)
{
	for (size_t at = 0; at < s->length; at += PAGE)
		if (at < s->hole || at >= s->hole + s->holes)
			s->range[at] = content(at / PAGE);
}

static void one_page(struct scene *s)
{
	/* In 512 GiB of its own, so that it needs a table of each level but the highest */
	plain(s, PAGE, 512 * GIB);
}

static void far_page(struct scene *s)
{
	/* With five levels, the kernel goes beyond 128 TiB for those who name a place there. */
	plain_near(s, (void *)(3UL << 48), PAGE, PAGE);
}

static void empty_tables(struct scene *s)
{
	/* Across the boundary of two 1 GiB entries */
	plain(s, 4 * GIB, GIB);
	s->range += GIB - 3 * MIB;
	s->length = 6 * MIB;
}

static void small_pages(struct scene *s)
{
	plain(s, 700 * PAGE, HUGE);
	fill(s);
}

static void many_pages(struct scene *s)
{
	/* More than one batch of a gather */
	plain(s, 12000 * PAGE, HUGE);
	fill(s);
}

static void huge(struct scene *s)
{
	plain(s, 3 * HUGE, HUGE);
	madvise(s->room, s->roomy, MADV_HUGEPAGE);
	fill(s);
}

static void huge_part(struct scene *s)
{
	huge(s);
	s->range += 100 * PAGE;
	s->length = 2 * HUGE;
	fill(s);
}

static void huge_zero(struct scene *s)
{
	plain(s, 2 * HUGE, HUGE);
	madvise(s->room, s->roomy, MADV_HUGEPAGE);
	for (size_t at = 0; at < s->length; at += HUGE)
		if (peek(s->range + at))
			cannot("reading");
	s->range += 7 * PAGE;
	s->length = HUGE;
}

static void swapped(struct scene *s)
{
	small_pages(s);
	madvise(s->range, s->length, ADV_PAGEOUT);
}

static void forked(struct scene *s)
{
	huge_part(s);
	s->child = fork();
	if (!s->child) {
		pause();
		_exit(0);
	}
}

static void with_hole(struct scene *s)
{
	plain(s, 8 * MIB, HUGE);
	s->hole = 3 * MIB;
	s->holes = MIB;
	fill(s);
	munmap(s->range + s->hole, s->holes);
	mprotect(s->range + 6 * MIB, MIB, PROT_READ);
}

/* Opened before allocations fail */
static int self = -1;

static void vector(struct scene *s)
{
	small_pages(s);
	s->vector = true;
	if (self < 0)
		self = (int)syscall(SYS_pidfd_open, getpid(), 0);
	if (self < 0)
		cannot("pidfd_open");
}

static void merged(struct scene *s)
{
	plain(s, 300 * PAGE, HUGE);
	fill(s);
	madvise(s->range, s->length, MADV_MERGEABLE);
}

static const struct {
	const char *name;
	void (*make)(struct scene *s);
	bool empty;
} scenes[] = {
	{ "one page in 512 GiB of its own", one_page, true },
	{ "one page in 256 TiB of its own", far_page, true },
	{ "6 MiB, empty, across 1 GiB", empty_tables, true },
	{ "700 pages with contents", small_pages, false },
	{ "12000 pages with contents", many_pages, false },
	{ "3 huge pages", huge, false },
	{ "a whole huge page and parts of two", huge_part, false },
	{ "parts of huge zero pages", huge_zero, true },
	{ "pages that are swapped out", swapped, false },
	{ "huge pages that a child shares", forked, false },
	{ "several mappings with a hole", with_hole, false },
	{ "process_madvise of 20 ranges", vector, false },
	{ "mergeable pages", merged, false },
};

static int poison(const struct scene *s)
{
	struct iovec iov[20];
	size_t each = s->length / PAGE / 20 * PAGE;

	if (!s->vector)
		return madvise(s->range, s->length, MADV_GUARD_POISON) ? errno : 0;
	for (size_t i = 0; i < 20; i++) {
		iov[i].iov_base = s->range + i * each;
		iov[i].iov_len = i < 19 ? each : s->length - 19 * each;
	}
	ssize_t done = syscall(SYS_process_madvise, self, iov, 20UL, MADV_GUARD_POISON, 0UL);

	/* If it has done a part, call it again for the rest */
	return done < 0 ? errno : (size_t)done < s->length ? ENOMEM : 0;
}

/* Counts the guards; ~0 if a page is neither a guard nor as it was. */
static size_t guards(const struct scene *s, bool empty)
{
	size_t n = 0, step = PAGE;

	if (empty && s->length > LOOKS * PAGE)
		step = s->length / LOOKS / PAGE * PAGE;
	for (size_t at = 0; at < s->length; at += step) {
		int v;

		if (at >= s->hole && at < s->hole + s->holes)
			continue;
		v = peek(s->range + at);
		if (v == -1) {
			n++;
		} else if (v != (empty ? 0 : content(at / PAGE))) {
			printf("# page %zu has %d\n", at / PAGE, v);
			return ~0UL;
		}
	}
	return n;
}

static void inject_one(size_t which)
{
	unsigned int refused = 0, lived = 0, tolerated = 0, nth;
	unsigned long tables = own("VmPTE"), pages = own("RssAnon") + own("VmSwap");
	char file[64];
	int fd;

	snprintf(file, sizeof(file), "/proc/self/task/%d/fail-nth", (int)syscall(SYS_gettid));
	fd = open(file, O_RDWR);
	if (fd < 0)
		cannot("fail-nth");

	for (nth = 1;; nth++) {
		struct scene s = { 0 };
		int err, again, left;
		char text[16] = "";
		size_t n, all;

		scenes[which].make(&s);
		snprintf(text, sizeof(text), "%u", nth);
		if (write(fd, text, strlen(text)) < 0)
			cannot("fail-nth");
		err = poison(&s);
		memset(text, 0, sizeof(text));
		left = pread(fd, text, sizeof(text) - 1, 0) > 0 ? atoi(text) : 0;
		if (write(fd, "0", 1) != 1)
			cannot("fail-nth");

		n = guards(&s, scenes[which].empty);
		if (n == ~0UL)
			check(false, "%s, allocation %u fails (%s): a page is neither a guard nor what it was",
			      scenes[which].name, nth, strerror(err));
		if (left && err && !s.hole)
			check(false, "%s: %s, and nothing had failed", scenes[which].name,
			      strerror(err));
		if (!left) {
			if (err && err != ENOMEM)
				check(false, "%s, allocation %u fails: %s", scenes[which].name, nth,
				      strerror(err));
			if (err)
				refused++;
			else
				tolerated++;
		}
		again = poison(&s);
		/* A hole gives ENOMEM as well, after everything else is done */
		if (again && !(s.hole && again == ENOMEM))
			check(false, "%s, after allocation %u had failed: the same call again: %s",
			      scenes[which].name, nth, strerror(again));
		all = guards(&s, scenes[which].empty);
		for (size_t at = 0; at < s.length; at += PAGE) {
			if (at >= s.hole && at < s.hole + s.holes)
				continue;
			if (s.length > 8 * MIB && at % (7 * PAGE))
				continue;
			if (peek(s.range + at) != -1) {
				check(false, "%s, after allocation %u had failed: page %zu is no guard after the same call again (%zu of them were, now %zu)",
				      scenes[which].name, nth, at / PAGE, n, all);
				break;
			}
		}
		if (s.child) {
			kill(s.child, SIGKILL);
			wait_for(s.child);
		}
		munmap(s.room, s.roomy);
		lived++;
		if (left || failed)
			break;
	}
	close(fd);
	check(nth > 1 || !refused, "%s: %u allocations failed in turn, %u of them without harm",
	      scenes[which].name, refused + tolerated, tolerated);
	check(own("VmPTE") <= tables + 16, "%s: page tables %lu kB before, %lu kB after",
	      scenes[which].name, tables, own("VmPTE"));
	check(own("RssAnon") + own("VmSwap") <= pages + 1024, "%s: memory %lu kB before, %lu kB after",
	      scenes[which].name, pages, own("RssAnon") + own("VmSwap"));
}

static void inject(void)
{
	static const char *const faults[] = { "/sys/kernel/debug/failslab",
					      "/sys/kernel/debug/fail_page_alloc" };

	for (int i = 0; i < 2; i++) {
		/* By default, only allocations that cannot sleep fail */
		if (!put(faults[i], "ignore-gfp-wait", "N") || !put(faults[i], "verbose", "0"))
			cannot(faults[i]);
	}
	if (!put(faults[1], "min-order", "0") || !put(faults[1], "ignore-gfp-highmem", "N"))
		cannot(faults[1]);
	for (size_t i = 0; i < sizeof(scenes) / sizeof(*scenes); i++)
		inject_one(i);
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "", *group = argc > 2 ? argv[2] : NULL;

	guard_probe_start();
	find_per_table();
	if (!strcmp(what, "memcg") && group)
		memcg(group, false);
	else if (!strcmp(what, "killed") && group)
		memcg(group, true);
	else if (!strcmp(what, "waits") && group) {
		if (per_table == HUGE) {
			printf("ok - UNPOISON waits for memory # SKIP this kernel has no huge guards\n");
			return 0;
		}
		wait_for_table(group, false);
		wait_for_table(group, true);
	} else if (!strcmp(what, "fatal") && group)
		fatal(group);
	else if (!strcmp(what, "fatal-populated"))
		fatal_populated();
	else if (!strcmp(what, "signal"))
		nonfatal();
	else if (!strcmp(what, "limits"))
		limits();
	else if (!strcmp(what, "overcommit"))
		overcommit();
	else if (!strcmp(what, "inject"))
		inject();
	else {
		fprintf(stderr, "usage: failures memcg GROUP | killed GROUP | waits GROUP | fatal GROUP | fatal-populated | signal | limits | overcommit | inject\n");
		return 2;
	}
	return failed;
}
