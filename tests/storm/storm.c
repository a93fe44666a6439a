// SPDX-License-Identifier: GPL-2.0
/*
 * The race storm; see docs/testing.md. The supervisor starts a process of many
 * threads again and again, until the time is up or a check fails.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "storm.h"

/* It hangs if no operation ends for this many seconds. */
#define HANG	150

struct control *ctl;
__thread struct worker *me;

const char *const op_names[NR_OPS] = {
	[OP_POISON] = "POISON", [OP_POISON_VECTOR] = "POISON by process_madvise",
	[OP_JOIN] = "POISON during POISON", [OP_REPOISON] = "POISON of guards",
	[OP_UNPOISON] = "UNPOISON", [OP_CHAOS] = "POISON during UNPOISON",
	[OP_LOAD] = "load", [OP_STORE] = "store", [OP_FETCH] = "fetch from a guard",
	[OP_KERNEL_LOAD] = "load by the kernel", [OP_KERNEL_STORE] = "store by the kernel",
	[OP_GUARD_HIT] = "guard hit", [OP_KEEP_CHECK] = "outside unchanged",
	[OP_EMPTY_CHECK] = "empty after UNPOISON", [OP_HAMMER] = "touched during POISON",
	[OP_DONTNEED] = "MADV_DONTNEED", [OP_FREE] = "MADV_FREE", [OP_COLD] = "MADV_COLD",
	[OP_PAGEOUT] = "MADV_PAGEOUT", [OP_WILLNEED] = "MADV_WILLNEED",
	[OP_POPULATE] = "MADV_POPULATE", [OP_COLLAPSE] = "MADV_COLLAPSE",
	[OP_HUGE_ADVICE] = "MADV_(NO)HUGEPAGE", [OP_KSM_ADVICE] = "MADV_(UN)MERGEABLE",
	[OP_MPROTECT] = "mprotect of a part", [OP_MPROTECT_ALL] = "mprotect of all",
	[OP_MOVE] = "mremap of all", [OP_MOVE_PIECE] = "mremap of a part and back",
	[OP_MAP_OVER] = "mmap over", [OP_TRUNCATE] = "truncate", [OP_PUNCH] = "hole punched",
	[OP_COLLAPSE_FILE] = "collapse by another mapping", [OP_MIRROR] = "load by another mapping",
	 [OP_MLOCK] = "mlock", [OP_SIGNAL] = "signal",
	[OP_CLEAR_REFS] = "clear_refs", [OP_PAGEMAP] = "pagemap", [OP_MINCORE] = "mincore",
	[OP_MIGRATE] = "move_pages", [OP_FORK] = "fork", [OP_FORK_CHECK] = "guard hit in a child",
	[OP_VFORK] = "vfork", [OP_UFFD_REGISTER] = "UFFDIO_REGISTER",
	[OP_UFFD_UNREGISTER] = "UFFDIO_UNREGISTER", [OP_UFFD_COPY] = "UFFDIO_COPY",
	[OP_UFFD_ZERO] = "UFFDIO_ZEROPAGE", [OP_UFFD_MOVE] = "UFFDIO_MOVE",
	[OP_UFFD_WP] = "UFFDIO_WRITEPROTECT", [OP_UFFD_REFUSED] = "UFFDIO_* refused by a guard",
	[OP_UFFD_FAULT] = "fault resolved", [OP_UFFD_WPFAULT] = "write-protection resolved",
	[OP_UFFD_REMOVE] = "UFFD_EVENT_REMOVE",
	[OP_END_EXIT] = "ended orderly", [OP_END_GROUP] = "ended by exit_group",
	[OP_END_KILL] = "ended by SIGKILL", [OP_END_EXEC] = "ended by exec",
	[OP_W_COMPACT] = "compaction", [OP_W_KSM] = "KSM has merged",
	[OP_W_KSM_UNMERGE] = "KSM unmerged all", [OP_W_KHUGEPAGED] = "khugepaged has scanned",
	[OP_W_SWAPOFF] = "swapoff", [OP_W_RECLAIM] = "memory.reclaim",
	[OP_W_SPLIT] = "huge pages split", [OP_W_SMAPS] = "smaps, numa_maps",
	[OP_W_PAGEMAP] = "pagemap from outside",
	[OP_W_PAGEOUT] = "process_madvise from outside", [OP_W_READ] = "load from outside",
	[OP_W_MIGRATE] = "migrate_pages",
};

/* Ends the run, from any process of the storm, and keeps the first reason. */
void fail(const char *format, ...)
{
	va_list args;

	if (__atomic_exchange_n(&ctl->failed, 1, __ATOMIC_SEQ_CST))
		return;
	va_start(args, format);
	vsnprintf(ctl->why, sizeof(ctl->why), format, args);
	va_end(args);
	store_rel(&ctl->failed, 2);
}

/* --- the stormy process --------------------------------------------------------------- */

static pthread_barrier_t gate;
static int monitor_end[2];

static void *gated_work(void *arg)
{
	pthread_barrier_wait(&gate);
	return work(arg);
}

static void *gated_forks(void *arg)
{
	pthread_barrier_wait(&gate);
	return forks(arg);
}

static void *gated_monitor(void *arg)
{
	pthread_barrier_wait(&gate);
	return uffd_monitor(arg);
}

/* kB of RssAnon and VmSwap, and of page tables, of this process. */
static void own_memory(unsigned long *pages, unsigned long *tables)
{
	static const char *const names[] = { "RssAnon:", "VmSwap:", "VmPTE:" };
	unsigned long value[3] = { 0 };
	char text[4096] = "";
	int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);

	if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0)
		fail("/proc/self/status: %s", strerror(errno));
	close(fd);
	for (int i = 0; i < 3; i++) {
		char *at = strstr(text, names[i]);

		if (at)
			sscanf(at + strlen(names[i]), "%lu", &value[i]);
	}
	*pages = value[0] + value[1];
	*tables = value[2];
}

/* With the arenas unmapped, the process must use no more than before. */
static void check_memory(unsigned long pages, unsigned long tables)
{
	unsigned long now, nowtables;

	for (size_t n = 0; n < ctl->narenas; n++) {
		struct arena *a = &ctl->arena[n];

		for (int i = 0; i < 3; i++)
			munmap(a->room[i], a->roomy);
		if (a->flags & A_FILE)
			munmap(a->room[3], a->mirror_room);
	}
	own_memory(&now, &nowtables);
	/* The kernel counts for each CPU, in batches, so leave some room */
	if (now > pages + 2048)
		fail("with all unmapped, %lu kB are resident or swapped; %lu kB at first", now,
		     pages);
	if (nowtables > tables + 32)
		fail("with all unmapped, there are %lu kB of page tables; %lu kB at first",
		     nowtables, tables);
}

static int storm(void)
{
	int nthreads = ctl->nworkers + 1 + !(ctl->without & WITHOUT_UFFD);
	pthread_t thread[MAX_WORKERS];
	unsigned long pages, tables;
	char *scratch;

	handlers();
	scratch = mmap(NULL, MAX_WORKERS * 2 * PAGE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (scratch == MAP_FAILED || !ops_open() || pipe(monitor_end))
		fail("cannot prepare: %s", strerror(errno));
	if (!(ctl->without & WITHOUT_UFFD) && !uffd_open())
		fail("userfaultfd: %s", strerror(errno));
	if (load_acq(&ctl->failed))
		return 1;
	madvise(scratch, MAX_WORKERS * 2 * PAGE, MADV_NOHUGEPAGE);

	/* Create the threads first, because nothing may map memory during the storm */
	pthread_barrier_init(&gate, NULL, nthreads + 1);
	for (int i = 0; i < nthreads; i++) {
		struct worker *w = &ctl->worker[i];
		int err;

		w->id = i;
		w->scratch = scratch + i * 2 * PAGE;
		w->probe_arena = NULL;
		err = pthread_create(&thread[i], NULL,
				     i < ctl->nworkers ? gated_work :
				     i == ctl->nworkers ? gated_forks : gated_monitor,
				     i <= ctl->nworkers ? (void *)w : (void *)monitor_end);
		if (err) {
			fail("pthread_create: %s", strerror(err));
			return 1;
		}
	}
	own_memory(&pages, &tables);
	arenas_map();
	pthread_barrier_wait(&gate);

	for (int i = 0; i <= ctl->nworkers; i++)
		pthread_join(thread[i], NULL);
	if (!(ctl->without & WITHOUT_UFFD)) {
		if (write(monitor_end[1], "", 1) == 1)
			pthread_join(thread[nthreads - 1], NULL);
		me = &ctl->worker[0];
		uffd_unregister();
	}
	me = &ctl->worker[0];
	me->doing = "audit";
	if (!load_acq(&ctl->failed))
		audit();
	if (!load_acq(&ctl->failed))
		check_memory(pages, tables);
	return load_acq(&ctl->failed) != 0;
}

/* --- the supervisor -------------------------------------------------------------------- */

static const char *cgroup, *swap_device;
static double started;

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static uint64_t total(enum op op)
{
	uint64_t n = 0;

	for (int i = 0; i < MAX_WORKERS; i++)
		n += ctl->worker[i].count[op].done;
	return n;
}

static uint64_t attempts(enum op op)
{
	uint64_t n = 0;

	for (int i = 0; i < MAX_WORKERS; i++)
		n += ctl->worker[i].count[op].tried;
	return n;
}

static uint64_t everything(void)
{
	uint64_t n = 0;

	for (int op = 0; op < OP_W_COMPACT; op++)
		n += attempts(op);
	return n;
}

static void say_what_hangs(pid_t pid)
{
	for (int i = 0; i < MAX_WORKERS; i++) {
		struct worker *w = &ctl->worker[i];
		char name[64], where[256] = "";
		int fd;

		if (!w->doing)
			continue;
		snprintf(name, sizeof(name), "/proc/%d/task/%d/stack", (int)pid, w->tid);
		fd = open(name, O_RDONLY);
		if (fd >= 0) {
			ssize_t n = read(fd, where, sizeof(where) - 1);

			where[n > 0 ? n : 0] = 0;
			close(fd);
		}
		for (char *p = where; *p; p++)
			if (*p == '\n')
				*p = ' ';
		printf("# thread %d (%d): %s %s\n", i, w->tid, w->doing, where);
	}
	for (size_t n = 0; n < ctl->narenas; n++)
		for (size_t i = 0; i < ctl->arena[n].nslots; i++) {
			uint64_t w = ctl->arena[n].slot[i].word;

			if (W_PINS(w) || W_STATE(w) == BUSY)
				printf("# %s slot %zu: %s, %u calls under way\n",
				       ctl->arena[n].name, i, state_name(W_STATE(w)), W_PINS(w));
		}
}

static bool put(const char *dir, const char *file, const char *text)
{
	char name[512];
	int fd;
	bool ok;

	snprintf(name, sizeof(name), "%s/%s", dir, file);
	fd = open(name, O_WRONLY);
	if (fd < 0)
		return false;
	ok = write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	close(fd);
	return ok;
}

/* Bytes that the control group counts as @name, of memory.stat. */
static unsigned long charged(const char *name)
{
	char file[512], text[8192] = "", line[64], *at;
	unsigned long n = ~0UL;
	int fd;

	snprintf(file, sizeof(file), "%s/memory.stat", cgroup);
	fd = open(file, O_RDONLY);
	if (fd >= 0) {
		if (read(fd, text + 1, sizeof(text) - 2) > 0)
			text[0] = '\n';
		close(fd);
	}
	snprintf(line, sizeof(line), "\n%s ", name);
	at = strstr(text, line);
	if (at)
		sscanf(at + strlen(line), "%lu", &n);
	return n;
}

static void pause_ms(long ms)
{
	struct timespec t = { ms / 1000, ms % 1000 * 1000000 };

	nanosleep(&t, NULL);
}

/* Waits until the group has nothing left of the process, which may take a while. */
static void check_charges(void)
{
	unsigned long anon = 0, tables = 0;
	double end = now() + 30;

	if (!cgroup)
		return;
	do {
		anon = charged("anon");
		tables = charged("pagetables");
		if (!anon && !tables)
			return;
		pause_ms(50);
	} while (now() < end);
	fail("the process is gone, and its group is still charged %lu bytes of memory and %lu of page tables",
	     anon, tables);
}

static void progress(void)
{
	printf("# %4.0f s, round %lu: %lu POISON, %lu UNPOISON, %lu accesses, %lu guard hits, %lu forks\n",
	       now() - started, (unsigned long)ctl->round,
	       (unsigned long)(total(OP_POISON) + total(OP_POISON_VECTOR)),
	       (unsigned long)total(OP_UNPOISON),
	       (unsigned long)(attempts(OP_LOAD) + attempts(OP_STORE)),
	       (unsigned long)(total(OP_GUARD_HIT) + total(OP_FORK_CHECK)),
	       (unsigned long)total(OP_FORK));
	fflush(stdout);
}

/* Waits for the process, and ends it when its time is up. */
static void watch(pid_t pid, double deadline)
{
	uint64_t last = everything();
	double since = now(), told = now();
	bool killed = false;
	int status = 0;
	sigset_t child;

	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	while (waitpid(pid, &status, WNOHANG) == 0) {
		struct timespec tick = { 0, 100000000 };
		uint64_t at = everything();

		if (at != last) {
			last = at;
			since = now();
		}
		if (now() - since > HANG && !killed) {
			fail("nothing happens any more in %d s", HANG);
			say_what_hangs(pid);
			kill(pid, SIGKILL);
			killed = true;
		}
		if (now() > deadline && load_acq(&ctl->limit)) {
			store_rel(&ctl->limit, 0);
			if (ctl->ending == END_EXIT)
				store_rel(&ctl->stop, 1);
		}
		if (ctl->ending == END_KILL && load_acq(&ctl->poisons) >= load_acq(&ctl->limit) &&
		    !killed) {
			kill(pid, SIGKILL);
			killed = true;
		}
		/* A thread that sleeps in the kernel does not notice the stop */
		if (load_acq(&ctl->failed) == 2 && !killed) {
			kill(pid, SIGKILL);
			killed = true;
		}
		if (now() - told > 10) {
			progress();
			told = now();
		}
		sigtimedwait(&child, NULL, &tick);
	}
	store_rel(&ctl->pid, 0);
	if (load_acq(&ctl->failed))
		return;
	if (ctl->ending == END_KILL ? !WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL :
				      status != 0)
		fail("the process ended with status %x", status);
	else
		did(OP_END_EXIT + ctl->ending, true);
}

static bool needed(int op)
{
	if (wrong)
		return false;
	if (ctl->without & WITHOUT_UFFD && op >= OP_UFFD_REGISTER && op <= OP_UFFD_REMOVE)
		return false;
	if (ctl->without & WITHOUT_WEATHER && op >= OP_W_COMPACT)
		return false;
	if (ctl->without & WITHOUT_NUMA && (op == OP_MIGRATE || op == OP_W_MIGRATE))
		return false;
	if ((!cgroup && op == OP_W_RECLAIM) || (!swap_device && op == OP_W_SWAPOFF))
		return false;
	return true;
}

/* The first operation that has not succeeded yet, or 0. */
static const char *never_done(void)
{
	for (int op = 0; op < NR_OPS; op++)
		if (!total(op) && needed(op))
			return op_names[op];
	return NULL;
}

static int usage(void)
{
	fprintf(stderr,
		"usage: storm [-s SEED] [-t SECONDS] [-n POISONS] [-j THREADS] [-x THINGS]\n"
		"             [-g CGROUP] [-d SWAPDEVICE] [-W WRONG]\n"
		"       storm -l\n"
		"  -s  what the layout and the choices come from (1)\n"
		"  -t  when to end (60); later, up to four times that, if by then not every\n"
		"      operation has been seen to work and every ending been run\n"
		"  -n  POISON calls in a round, 1 or more (4000); it also ends after an eighth\n"
		"      of the time\n"
		"  -j  threads that poison and so on, 2 to 28 (8)\n"
		"  -x  do without: uffd, pagemap, numa, weather; with commas\n"
		"  -g  a directory of a version 2 control group with memory, to run in\n"
		"  -d  a swap device that is on, to take away and give back\n"
		"  -W  with an imitation that is wrong; -l lists them\n"
		"Exit status 0 if all holds, 1 if not, 2 for bad usage.\n");
	return 2;
}

static bool do_without(char *things)
{
	static const char *const names[] = { "uffd", "pagemap", "numa", "weather" };
	char *save = NULL;

	for (char *p = strtok_r(things, ",", &save); p; p = strtok_r(NULL, ",", &save)) {
		size_t i;

		for (i = 0; i < 4 && strcmp(p, names[i]); i++)
			;
		if (i == 4)
			return false;
		ctl->without |= 1U << i;
	}
	return true;
}

int main(int argc, char **argv)
{
	unsigned long seconds = 60, poisons = 4000;
	pid_t pid, weatherman = 0;
	double deadline, latest, share;
	sigset_t set;
	int c;

	if (argc == 2 && !strcmp(argv[1], "--done"))
		return 0;
	ctl = mmap(NULL, sizeof(*ctl), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		   -1, 0);
	if (ctl == MAP_FAILED) {
		perror("storm: mmap");
		return 1;
	}
	ctl->seed = 1;
	ctl->nworkers = 8;
	while ((c = getopt(argc, argv, "s:t:n:j:x:g:d:W:l")) != -1) {
		switch (c) {
		case 's': ctl->seed = strtoul(optarg, NULL, 0); break;
		case 't': seconds = strtoul(optarg, NULL, 0); break;
		case 'n': poisons = strtoul(optarg, NULL, 0); break;
		case 'j': ctl->nworkers = atoi(optarg); break;
		case 'g': cgroup = optarg; break;
		case 'd': swap_device = optarg; break;
		case 'l': wrong_list(); return 0;
		case 'W':
			if (!wrong_known(optarg))
				return usage();
			wrong = optarg;
			break;
		case 'x':
			if (!do_without(optarg))
				return usage();
			break;
		default: return usage();
		}
	}
	if (optind != argc || !poisons || ctl->nworkers < 2 || ctl->nworkers > MAX_WORKERS - 4)
		return usage();
	ctl->nodes = access("/sys/devices/system/node/node1", F_OK) ? 1 : 2;
	if (ctl->nodes < 2)
		ctl->without |= WITHOUT_NUMA;
	if (sysconf(_SC_NPROCESSORS_ONLN) < 2) {
		fprintf(stderr, "storm: there is one CPU: races need 2\n");
		return 1;
	}
	if (cgroup && mkdir(cgroup, 0755) && errno != EEXIST) {
		fprintf(stderr, "storm: %s: %s\n", cgroup, strerror(errno));
		return 1;
	}

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	setvbuf(stdout, NULL, _IOLBF, 0);
	started = now();
	deadline = started + seconds;
	/* On a busy machine some operations take long to succeed once */
	latest = deadline + 3 * seconds;
	me = &ctl->worker[MAX_WORKERS - 3];
	if (!(ctl->without & WITHOUT_WEATHER)) {
		weatherman = fork();
		if (!weatherman)
			_exit(weather(cgroup, swap_device, (unsigned int)ctl->seed));
	}

	for (ctl->round = 0; !ctl->failed; ctl->round++) {
		if (now() >= deadline && (wrong || (ctl->round >= NR_ENDINGS &&
						    (!never_done() || now() >= latest))))
			break;
		me->random = mix(ctl->seed ^ ctl->round << 32);
		ctl->poisons = 0;
		ctl->limit = poisons;
		ctl->stop = 0;
		ctl->ending = wrong ? END_EXIT : ctl->round % NR_ENDINGS;
		arenas_describe();
		pid = fork();
		if (!pid) {
			sigprocmask(SIG_UNBLOCK, &set, NULL);
			if (cgroup && !put(cgroup, "cgroup.procs", "0"))
				fail("cannot enter %s: %s", cgroup, strerror(errno));
			exit(load_acq(&ctl->failed) ? 1 : storm());
		}
		if (pid < 0) {
			fail("fork: %s", strerror(errno));
			break;
		}
		store_rel(&ctl->pid, pid);
		share = now() + seconds / 8.0;
		watch(pid, wrong ? deadline : share);
		if (!load_acq(&ctl->failed))
			check_charges();
	}

	store_rel(&ctl->weather_stop, 1);
	if (weatherman > 0) {
		int status;

		waitpid(weatherman, &status, 0);
		if (status)
			fail("the weather ended with status %x", status);
	}
	progress();
	for (int op = 0; op < NR_OPS; op++) {
		if (attempts(op))
			printf("#   %-30s %10lu of %10lu\n", op_names[op],
			       (unsigned long)total(op), (unsigned long)attempts(op));
	}
	if (never_done())
		fail("%s: never done in all this time", never_done());
	printf("# the longest POISON: others populated %lu pages meanwhile, of %lu in its range; that is %.1f%% of the bound\n",
	       (unsigned long)(ctl->most_share & 0xffffff),
	       (unsigned long)(ctl->most_share >> 24 & 0xffffff), (ctl->most_share >> 48) / 10.0);
	printf("# likewise: %lu accesses by others in its range; %.1f ms of the caller's own time, %lu times switched away from\n",
	       (unsigned long)ctl->most_accesses, (double)ctl->most_ns / 1e6,
	       (unsigned long)ctl->most_switches);
	if (ctl->failed)
		printf("# seed %lu, round %lu: %s\n", (unsigned long)ctl->seed,
		       (unsigned long)ctl->round, ctl->why);
	printf("%s - storm%s%s: seed %lu, %lu rounds, %lu operations\n",
	       ctl->failed ? "not ok" : "ok", wrong ? " with what is wrong: " : "",
	       wrong ? wrong : "", (unsigned long)ctl->seed, (unsigned long)ctl->round,
	       (unsigned long)everything());
	return ctl->failed != 0;
}
