// SPDX-License-Identifier: MIT
/*
 * How many objects can live at once, and in how many VMAs.
 *
 *   scale PATTERN COUNT [SECONDS [SIZE]]
 *
 * allocates COUNT objects of SIZE bytes (64), and then:
 *   live         nothing more
 *   untouched    nor does it write to them
 *   interleaved  frees every other one
 *   lifo         frees the younger half, the last one first
 *   all          frees all, the oldest first
 *   pairs        allocates two and frees the first of them, COUNT times: what a
 *                program does that runs for long
 * It ends earlier at the first failure, or after SECONDS (60) of the processors'
 * time, or 12 times that by the clock. A child does it, and the parent tells how far it got, however it ended:
 *   PATTERN <tab> objects allocated <tab> of these live at most <tab> frees <tab>
 *   VMAs at most, beyond those at the start <tab> VMAs at the end <tab> page tables, kB
 *   <tab> why it ended: done, NULL, time, signal N, or exit N
 */
#include "program.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

struct progress {
	unsigned long allocated, live, live_max, frees;
	long vmas, vmas_max, start;
	long tables;
	int why;
};

enum { WHY_DIED, WHY_DONE, WHY_NULL, WHY_TIME };

static struct progress *at;
static struct timespec began;
static double seconds = 60;
static bool touch = true;

/* With no allocation: the lines of maps, and VmPTE. */
static void look(void)
{
	static char buffer[65536], *found;
	long lines = 0, n, i;
	int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		_exit(3);
	while ((n = read(fd, buffer, sizeof(buffer))) > 0)
		for (i = 0; i < n; i++)
			lines += buffer[i] == '\n';
	close(fd);
	at->vmas = lines - at->start;
	if (at->vmas > at->vmas_max)
		at->vmas_max = at->vmas;
	fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		_exit(3);
	n = read(fd, buffer, sizeof(buffer) - 1);
	close(fd);
	buffer[n > 0 ? n : 0] = 0;
	found = strstr(buffer, "VmPTE:");
	if (found)
		at->tables = atol(found + 6);
}

/* Seldom enough not to be what is measured. */
static void now_and_then(unsigned long n)
{
	if (n % 512 == 0 && (n <= 8192 || n % 8192 == 0))
		look();
	if (n % 512 == 0 && since(CLOCK_PROCESS_CPUTIME_ID, &began) > seconds) {
		at->why = WHY_TIME;
		look();
		_exit(0);
	}
}

static char *allocate(size_t size)
{
	char *p = malloc(size);

	if (!p) {
		at->why = WHY_NULL;
		look();
		_exit(0);
	}
	if (touch)
		((volatile char *)p)[size - 1] = 1;
	at->live++;
	if (at->live > at->live_max)
		at->live_max = at->live;
	now_and_then(++at->allocated);
	return p;
}

static void release(char *p)
{
	free(p);
	at->live--;
	now_and_then(++at->frees);
}

static int work(const char *pattern, unsigned long count, size_t size)
{
	/* Not by the allocator that is looked at. */
	char **all = mmap(NULL, count * sizeof(*all), PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	unsigned long i;
	char *p;

	if (all == MAP_FAILED)
		return 3;
	touch = strcmp(pattern, "untouched");
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &began);
	/* What the tool sets up with its first object is a part of what it costs. */
	look();
	at->start = at->vmas;
	at->vmas_max = 0;
	for (i = 0; i < count; i++) {
		p = allocate(size);
		if (!strcmp(pattern, "pairs")) {
			all[i] = allocate(size);
			release(p);
		} else {
			all[i] = p;
		}
	}
	look();
	if (!strcmp(pattern, "interleaved")) {
		for (i = 0; i < count; i += 2)
			release(all[i]);
	} else if (!strcmp(pattern, "lifo")) {
		for (i = count; i-- > count / 2;)
			release(all[i]);
	} else if (!strcmp(pattern, "all")) {
		for (i = 0; i < count; i++)
			release(all[i]);
	} else if (touch && strcmp(pattern, "live") && strcmp(pattern, "pairs")) {
		return 3;
	}
	look();
	at->why = WHY_DONE;
	return 0;
}

static void on_alarm(int signal)
{
	(void)signal;
}

int main(int argc, char **argv)
{
	unsigned long count = argc > 2 ? strtoul(argv[2], NULL, 0) : 0;
	size_t size = argc > 4 ? strtoul(argv[4], NULL, 0) : 64;
	struct sigaction interrupt = { .sa_handler = on_alarm };
	char why[40], line[300];
	int status, n;
	pid_t pid;

	if (argc < 3 || argc > 5 || !count || !size) {
		fprintf(stderr, "usage: scale live|untouched|interleaved|lifo|all|pairs COUNT [SECONDS [SIZE]]\n");
		return 3;
	}
	if (argc > 3)
		seconds = atof(argv[3]);
	at = mmap(NULL, sizeof(*at), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (at == MAP_FAILED)
		return 3;
	sigaction(SIGALRM, &interrupt, NULL);
	pid = fork();
	if (pid < 0)
		return 3;
	if (!pid)
		_exit(work(argv[1], count, size));
	alarm(12 * seconds + 1);
	if (waitpid(pid, &status, 0) != pid) {
		/* It may be in the middle of a call that takes that long. */
		at->why = WHY_TIME;
		kill(pid, SIGKILL);
		if (waitpid(pid, &status, 0) != pid)
			return 3;
		status = 0;
	}
	if (WIFSIGNALED(status))
		snprintf(why, sizeof(why), "signal %d", WTERMSIG(status));
	else if (WEXITSTATUS(status) || at->why == WHY_DIED)
		snprintf(why, sizeof(why), "exit %d", WEXITSTATUS(status));
	else
		strcpy(why, at->why == WHY_DONE ? "done" : at->why == WHY_NULL ? "NULL" : "time");
	n = snprintf(line, sizeof(line), "%s\t%lu\t%lu\t%lu\t%ld\t%ld\t%ld\t%s\n", argv[1],
		     at->allocated, at->live_max, at->frees, at->vmas_max, at->vmas, at->tables, why);
	if (write(1, line, n) != n)
		return 3;
	return strcmp(why, "done") ? 1 : 0;
}
