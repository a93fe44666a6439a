// SPDX-License-Identifier: GPL-2.0
/*
 * The weather: another process, which drives compaction, KSM, khugepaged,
 * reclaim, swapoff, and looks into the stormy process from outside.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>
#include "storm.h"

#define KSM	"/sys/kernel/mm/ksm/"
#define THP	"/sys/kernel/mm/transparent_hugepage/"

static bool put(const char *file, const char *text)
{
	int fd = open(file, O_WRONLY | O_CLOEXEC);
	bool ok;

	if (fd < 0)
		return false;
	ok = write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	close(fd);
	return ok;
}

/* The number after @name in a file, or the first if @name is NULL; 0 if none. */
static uint64_t number(const char *file, const char *name)
{
	char text[8192], *at = text;
	int fd = open(file, O_RDONLY | O_CLOEXEC);
	unsigned long n = 0;
	ssize_t got;

	if (fd < 0)
		return 0;
	got = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[got > 0 ? got : 0] = 0;
	if (name)
		at = strstr(text, name);
	if (at)
		sscanf(at + (name ? strlen(name) : 0), "%lu", &n);
	return n;
}

/* Reads a file of the stormy process to its end, or 1 MiB of it. */
static bool slurp(pid_t pid, const char *what)
{
	char name[64], text[16384];
	ssize_t n, all = 0;
	int fd;

	snprintf(name, sizeof(name), "/proc/%d/%s", (int)pid, what);
	fd = open(name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	while ((n = read(fd, text, sizeof(text))) > 0 && all < 1 << 20)
		all += n;
	close(fd);
	return all > 0;
}

/* Loads a page of the stormy process, which must fail on a guard. */
static void outside_load(pid_t pid)
{
	struct arena *a = &ctl->arena[random_below(ctl->narenas)];
	uint64_t round = load_acq(&ctl->round), seq, w, v = 0;
	struct slot *s;
	size_t page;
	char *p;
	bool ok;

	if (!a->nslots)
		return;
	s = &a->slot[random_below(a->nslots)];
	page = s->first + random_below(s->pages ? s->pages : 1);
	seq = load_acq(&a->seq);
	w = load_acq(&s->word);
	p = load_acq(&a->base) + page * PAGE;
	ok = process_vm_readv(pid, &(struct iovec){ &v, 8 }, 1, &(struct iovec){ p, 8 }, 1, 0) == 8;
	did(OP_W_READ, ok);
	if (ok && W_STATE(w) == GUARD && !(seq & 1) &&
	    W_WHAT(load_acq(&s->word)) == W_WHAT(w) && load_acq(&a->seq) == seq &&
	    load_acq(&ctl->pid) == pid && load_acq(&ctl->round) == round)
		fail("%s slot %zu: page %zu is a guard, and another process could read it: %lx",
		     a->name, (size_t)(s - a->slot), page - s->first, (unsigned long)v);
}

static void outside_advice(pid_t pid)
{
	static const int advice[] = { ADV_PAGEOUT, ADV_COLD, MADV_WILLNEED, ADV_COLLAPSE };
	struct arena *a = &ctl->arena[random_below(ctl->narenas)];
	struct iovec iov = { load_acq(&a->base), a->pages * PAGE };
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);

	if (fd < 0)
		return;
	did(OP_W_PAGEOUT, syscall(SYS_process_madvise, fd, &iov, 1UL,
				  advice[random_below(4)], 0UL) > 0);
	close(fd);
}

static void khugepaged(void)
{
	bool ok = put(THP "khugepaged/scan_sleep_millisecs", random_below(2) ? "0" : "10");

	put(THP "khugepaged/alloc_sleep_millisecs", "0");
	put(THP "khugepaged/pages_to_scan", "8192");
	put(THP "khugepaged/max_ptes_none", random_below(2) ? "511" : "0");
	put(THP "khugepaged/max_ptes_swap", random_below(2) ? "511" : "64");
	put(THP "enabled", random_below(2) ? "madvise" : "always");
	put(THP "shmem_enabled", random_below(2) ? "never" : "always");
	put(THP "defrag", random_below(2) ? "madvise" : "always");
	did(OP_W_KHUGEPAGED, ok && number(THP "khugepaged/full_scans", NULL));
}

static void ksm(bool unmerge)
{
	if (unmerge) {
		did(OP_W_KSM_UNMERGE, put(KSM "run", "2"));
	} else {
		put(KSM "smart_scan", "0");
		put(KSM "pages_to_scan", "2000");
		put(KSM "sleep_millisecs", random_below(2) ? "1" : "20");
		/* The kernel refuses this while pages are merged */
		put(KSM "use_zero_pages", random_below(2) ? "1" : "0");
	}
	put(KSM "run", "1");
	if (!unmerge)
		did(OP_W_KSM, number(KSM "pages_shared", NULL) > 0);
}

static void migrate(pid_t pid)
{
	unsigned long from = 1, to = 2;

	if (random_below(2)) {
		from = 2;
		to = 1;
	}
	did(OP_W_MIGRATE, syscall(SYS_migrate_pages, pid, 64UL, &from, &to) >= 0);
}

/*
 * Runs until ctl->weather_stop. @cgroup is the stormy process's, or NULL, @swap a
 * device, or NULL. Returns an exit status.
 */
int weather(const char *cgroup, const char *swap, unsigned int seed)
{
	char reclaim[512];

	me = &ctl->worker[MAX_WORKERS - 1];
	me->id = MAX_WORKERS - 1;
	me->random = seed;
	snprintf(reclaim, sizeof(reclaim), "%s/memory.reclaim", cgroup ? cgroup : "");
	while (!load_acq(&ctl->weather_stop)) {
		pid_t pid = load_acq(&ctl->pid);

		me->doing = "weather";
		switch (random_below(24)) {
		case 0:
			me->doing = "compact_memory";
			did(OP_W_COMPACT, put("/proc/sys/vm/compact_memory", "1"));
			break;
		case 1:
		case 2:
			me->doing = "ksm";
			ksm(false);
			break;
		case 3:
			me->doing = "ksm unmerge";
			ksm(true);
			break;
		case 4:
			me->doing = "khugepaged";
			khugepaged();
			break;
		case 5:
			if (!swap)
				break;
			me->doing = "swapoff";
			if (did(OP_W_SWAPOFF, !swapoff(swap)) && swapon(swap, 0))
				fail("swapon %s: %s", swap, strerror(errno));
			break;
		case 6:
		case 7:
			me->doing = "memory.reclaim";
			if (cgroup)
				did(OP_W_RECLAIM, put(reclaim, random_below(2) ? "1M" : "16M"));
			break;
		case 8:
			me->doing = "split_huge_pages";
			did(OP_W_SPLIT, put("/sys/kernel/debug/split_huge_pages", "1"));
			break;
		case 9:
			me->doing = "smaps";
			if (pid)
				did(OP_W_SMAPS, slurp(pid, random_below(2) ? "smaps" : "numa_maps"));
			break;
		case 10:
			me->doing = "pagemap";
			if (pid)
				did(OP_W_PAGEMAP, slurp(pid, "pagemap"));
			break;
		case 11:
		case 12:
		case 13:
			me->doing = "process_madvise";
			if (pid)
				outside_advice(pid);
			break;
		case 14:
			me->doing = "migrate_pages";
			if (pid && ctl->nodes > 1)
				migrate(pid);
			break;
		default:
			me->doing = "process_vm_readv";
			for (int i = 0; pid && i < 20; i++)
				outside_load(pid);
			break;
		}
	}
	return 0;
}
