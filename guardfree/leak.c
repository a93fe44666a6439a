// SPDX-License-Identifier: MIT
/*
 * leaks=1: at exit, objects that nothing leads to. Roots are what the process has
 * mapped privately and written to, which is globals, TLS and its own mappings, the
 * stacks of threads that live, from their stack pointers on, and their registers.
 * Any word that is an address within an object leads there.
 *
 * Other threads are stopped meanwhile, by a child that shares our memory and traces
 * them, as a thread cannot trace its own process. All is read by calls that may fail.
 */
#include "leak.h"
#include "area.h"
#include "depot.h"
#include "log.h"
#include "options.h"
#include "out.h"
#include "report.h"
#include "slots.h"
#include "stack.h"
#include "suppress.h"
#include "symbol.h"
#include "sys.h"
#include "thread.h"
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>

#define FLAG_REACHED	2
#define FLAG_INDIRECT	4
#define THREADS_MAX	4096
#define GROUPS_MAX	4096
#define RED_ZONE	128
#define TRIES		5000	/* times a millisecond: for a thread to stop */

struct stopped {
	u32 tid;
	uintptr_t sp;
};

static struct stopped stopped[THREADS_MAX];
static u32 nstopped;
static int process;		/* whose threads these are */

static struct gf_leak {
	u32 stack;
	bool direct;
	u64 bytes, objects;
} leaks[GROUPS_MAX];
static u32 nleaks;
static u64 lost_objects, lost_bytes;	/* of more stacks than that */

static u32 work;		/* records + 1 whose objects are to be read */
static struct gf_rec *reading;	/* the leaked object that is read */
static long pagemap;
static u64 words[8192];
static u64 entries[512];

static struct gf_rec *object_at(u64 v)
{
	struct gf_slot slot;

	if (v - gf_heap.base >= gf_heap.mapped || !gf_slot_at(v, &slot) ||
	    load(&slot.rec->state) != STATE_LIVE)
		return NULL;
	if (v - slot.rec->ptr >= slot.rec->size && v != slot.rec->ptr)
		return NULL;
	return slot.rec;
}

static struct gf_rec *rec_of(u32 id)
{
	return (struct gf_rec *)(gf_meta.base + ((u64)id << REC_SHIFT));
}

static void see(u64 v)
{
	struct gf_rec *rec = object_at(v);

	if (likely(!rec) || rec->flags & FLAG_REACHED)
		return;
	if (reading) {
		if (rec != reading)
			rec->flags |= FLAG_INDIRECT;
		return;
	}
	rec->flags |= FLAG_REACHED;
	rec->next = work;	/* a live object is in no list */
	work = (((uintptr_t)rec - gf_meta.base) >> REC_SHIFT) + 1;
}

/* What cannot be read, a guard, no memory, is passed over. */
static void read_words(uintptr_t lo, uintptr_t hi)
{
	while (lo < hi) {
		size_t len = hi - lo < sizeof(words) ? hi - lo : sizeof(words);
		struct iovec to = { words, len }, from = { (void *)lo, len };
		long n = gf_sys(SYS_process_vm_readv, gf_sys(SYS_getpid), &to, 1, &from, 1, 0), i;

		for (i = 0; i < n / 8; i++)
			see(words[i]);
		if (n <= 0)
			n = PAGE - (lo & (PAGE - 1));
		lo += n;
	}
}

/* Only what was written to: a page that is there, or in swap, and is not the file's. */
static void read_range(uintptr_t lo, uintptr_t hi, bool all)
{
	lo = round_up(lo, 8);
	while (lo < hi) {
		u64 first = lo >> PAGE_SHIFT, want = (hi - 1) / PAGE - first + 1;
		long n = -1, i, from = -1;

		if (want > ARRAY_SIZE(entries))
			want = ARRAY_SIZE(entries);
		if (pagemap >= 0)
			n = gf_sys(SYS_pread64, pagemap, entries, want * 8, first * 8) / 8;
		if (n <= 0) {
			if (all)
				read_words(lo, hi);
			return;
		}
		for (i = 0; i <= n; i++) {
			bool has = i < n && entries[i] >> 62 && !(entries[i] >> 61 & 1);
			uintptr_t at = (first + (i > from ? from : i)) << PAGE_SHIFT;

			if (has && from < 0)
				from = i;
			if (has || from < 0)
				continue;
			at = (first + from) << PAGE_SHIFT;
			read_words(at > lo ? at : lo,
				   (first + i) << PAGE_SHIFT < hi ? (first + i) << PAGE_SHIFT : hi);
			from = -1;
		}
		lo = (first + n) << PAGE_SHIFT;
	}
}

static void read_object(const struct gf_rec *rec)
{
	if (rec->size <= sizeof(words))
		read_words(round_up(rec->ptr, 8), rec->ptr + rec->size);
	else
		read_range(rec->ptr, rec->ptr + rec->size, true);
}

/*
 * libc keeps the stacks of threads that have ended, for the next ones, and what it
 * knows of a thread at their top.
 */
static uintptr_t dead_stack(uintptr_t lo, uintptr_t hi)
{
	const struct gf_thread *t;
	u32 no;

	for (no = 1; (t = gf_thread_get(no)) && t->tid; no++)
		if (t->ended && t->stack_top >= lo && t->stack_top < hi &&
		    hi - t->stack_top < 64UL << 10)
			return t->stack_top;
	return lo;
}

struct walk {
	uintptr_t none_end;	/* of a mapping that nobody may access */
};

static void root(char *line, void *arg)
{
	struct walk *walk = arg;
	const char *s = line;
	uintptr_t lo = gf_hex(&s), hi, from;
	char perms[5] = "";
	bool guarded = lo == walk->none_end, live = false;
	u32 i;

	if (*s++ != '-')
		return;
	hi = gf_hex(&s);
	for (i = 0; *s == ' ' && i < 4 && s[1 + i]; i++)
		perms[i] = s[1 + i];
	if (perms[0] != 'r') {
		walk->none_end = hi;
		return;
	}
	if (perms[3] != 'p')
		return;
	/* Our own areas lie one behind the other. */
	if (lo >= gf_units.base && lo < gf_heap.base + gf_heap.max)
		return;
	from = lo;
	for (i = 0; i < nstopped; i++) {
		if (stopped[i].sp < lo || stopped[i].sp >= hi)
			continue;
		if (!live || stopped[i].sp < from)
			from = stopped[i].sp;
		live = true;
	}
	if (live && from - lo > RED_ZONE)
		from -= RED_ZONE;
	else if (live)
		from = lo;
	else if (guarded)
		from = dead_stack(lo, hi);
	read_range(from, hi, perms[1] == 'w');
}

static void clear(struct gf_rec *rec)
{
	rec->flags &= ~(FLAG_REACHED | FLAG_INDIRECT);
}

static void read_leaked(struct gf_rec *rec)
{
	if (rec->flags & FLAG_REACHED)
		return;
	reading = rec;
	read_object(rec);
	reading = NULL;
}

static void count(struct gf_rec *rec)
{
	bool direct = !(rec->flags & FLAG_INDIRECT);
	u32 i, at = (rec->alloc_stack * 2 + direct) * 2654435761U;

	if (rec->flags & FLAG_REACHED)
		return;
	for (i = 0; i < GROUPS_MAX; i++) {
		struct gf_leak *l = &leaks[(at + i) % GROUPS_MAX];

		if (l->objects && (l->stack != rec->alloc_stack || l->direct != direct))
			continue;
		nleaks += !l->objects;
		l->stack = rec->alloc_stack;
		l->direct = direct;
		l->bytes += rec->size;
		l->objects++;
		return;
	}
	lost_objects++;
	lost_bytes += rec->size;
}

static bool look(void)
{
	static char maps[32 << 10];
	struct walk walk = { 0 };
	bool ok;

	gf_stack_clear();
	pagemap = gf_sys(SYS_openat, AT_FDCWD, "/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	ok = gf_each_map(root, &walk, maps, sizeof(maps));
	while (ok && work) {
		const struct gf_rec *rec = rec_of(work - 1);

		work = rec->next;
		read_object(rec);
	}
	if (ok) {
		gf_each_live(read_leaked);
		gf_each_live(count);
	}
	if (pagemap >= 0)
		gf_sys(SYS_close, pagemap);
	return ok;
}

/* Other threads. */

static const char *why;		/* they could not be looked at */

static void add_registers(u32 tid, uintptr_t sp, const u64 *regs, long n)
{
	long i;

	stopped[nstopped].tid = tid;
	stopped[nstopped++].sp = sp;
	for (i = 0; i < n; i++)
		see(regs[i]);
}

static bool has_ended(u32 tid)
{
	char path[64], text[256], *s, *end = NULL;

	gf_snprintf(path, sizeof(path), "/proc/%d/task/%u/stat", process, tid);
	if (gf_read_file(path, text, sizeof(text)) <= 0)
		return true;
	for (s = text; *s; s++)
		if (*s == ')')
			end = s;
	return end && (end[2] == 'Z' || end[2] == 'X');
}

static bool stop(u32 tid)
{
	static u64 regs[64], more[64];
	struct iovec v = { regs, sizeof(regs) };
	struct timespec ms = { .tv_nsec = 1000000 };
	uintptr_t sp;
	int status, tries;
	long got, i;

	if (gf_sys(SYS_ptrace, PTRACE_SEIZE, tid, 0, 0))
		return has_ended(tid);
	gf_sys(SYS_ptrace, PTRACE_INTERRUPT, tid, 0, 0);
	for (tries = 0;; tries++) {
		got = gf_sys(SYS_wait4, tid, &status, __WALL | WNOHANG, NULL);
		if (got == (long)tid && WIFSTOPPED(status))
			break;
		if (got == (long)tid || (got < 0 && got != -EINTR))
			return true;	/* it has ended */
		if (tries == TRIES)
			return false;
		gf_sys(SYS_nanosleep, &ms, NULL);
	}
	if (nstopped == THREADS_MAX ||
	    gf_sys(SYS_ptrace, PTRACE_GETREGSET, tid, NT_PRSTATUS, &v))
		return false;
#if defined(__x86_64__)
	sp = regs[19];
#else
	sp = regs[31];
#endif
	add_registers(tid, sp, regs, v.iov_len / 8);
	v = (struct iovec){ more, sizeof(more) };
	if (!gf_sys(SYS_ptrace, PTRACE_GETREGSET, tid, NT_PRFPREG, &v))
		for (i = 0; i < (long)v.iov_len / 8; i++)
			see(more[i]);
	/* Our own memory is a root like any other. */
	memset(regs, 0, sizeof(regs));
	memset(more, 0, sizeof(more));
	return true;
}

struct entry {		/* as getdents64() has it */
	u64 ino, off;
	u16 len;
	u8 type;
	char name[];
};

/* Until no new ones come: those that run make more. -1, or how many there are now */
static int stop_all(u32 me, bool only_count)
{
	static char buf[8192];
	char path[32];
	int found = 0, all = 0;

	gf_snprintf(path, sizeof(path), "/proc/%d/task", process);
	do {
		long fd = gf_sys(SYS_openat, AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), n, at;

		if (fd < 0)
			return -1;
		found = all = 0;
		while ((n = gf_sys(SYS_getdents64, fd, buf, sizeof(buf))) > 0) {
			for (at = 0; at < n; at += ((struct entry *)(buf + at))->len) {
				const char *s = ((struct entry *)(buf + at))->name;
				u32 tid = 0, i;

				for (; *s >= '0' && *s <= '9'; s++)
					tid = tid * 10 + (*s - '0');
				if (!tid || tid == me || (only_count && has_ended(tid)))
					continue;
				all++;
				for (i = 0; i < nstopped && stopped[i].tid != tid; i++)
					;
				if (i < nstopped || only_count || has_ended(tid))
					continue;
				if (!stop(tid)) {
					gf_sys(SYS_close, fd);
					return -1;
				}
				found++;
			}
		}
		gf_sys(SYS_close, fd);
	} while (found);
	return all;
}

static int tracer(void *arg)
{
	if (stop_all((u32)(uintptr_t)arg, false) < 0)
		why = "its other threads cannot be stopped (ptrace)";
	else if (!look())
		why = "/proc/self/maps cannot be read";
	/* Who traces and ends lets go. */
	gf_sys(SYS_exit_group, 0);
	return 0;
}

static __attribute__((noinline)) void look_at_all(void)
{
	static char stack[64 << 10] __attribute__((aligned(16)));
	u32 me = gf_sys(SYS_gettid);
	u64 all = ~0UL, was;
	int others, status;
	long pid;

	/* What a caller has in its registers is on the stack from here on. */
	__builtin_unwind_init();
	gf_each_live(clear);
	process = gf_pid();
	add_registers(me, (uintptr_t)__builtin_frame_address(0) - 256, NULL, 0);
	others = stop_all(me, true);
	if (!others) {
		if (!look())
			why = "/proc/self/maps cannot be read";
		return;
	}
	gf_sys(SYS_prctl, PR_SET_PTRACER, PR_SET_PTRACER_ANY);
	gf_sys(SYS_rt_sigprocmask, SIG_BLOCK, &all, &was, 8);
	pid = clone(tracer, stack + sizeof(stack) - 64, CLONE_VM | CLONE_VFORK, (void *)(uintptr_t)me);
	gf_sys(SYS_rt_sigprocmask, SIG_SETMASK, &was, NULL, 8);
	gf_sys(SYS_prctl, PR_SET_PTRACER, 0);
	if (pid < 0)
		why = "there is no process to stop its other threads with";
	while (pid > 0 && gf_sys(SYS_wait4, pid, &status, __WALL, NULL) == -EINTR)
		;
}

/* Direct ones first, the largest first */
static bool before(const struct gf_leak *a, const struct gf_leak *b)
{
	return a->direct != b->direct ? a->direct : a->bytes > b->bytes;
}

static u32 sort_leaks(void)
{
	u32 i, n = 0, gap;

	for (i = 0; i < GROUPS_MAX; i++)
		if (leaks[i].objects)
			leaks[n++] = leaks[i];
	for (gap = n / 2; gap; gap /= 2) {
		for (i = gap; i < n; i++) {
			struct gf_leak l = leaks[i];
			u32 k = i;

			for (; k >= gap && before(&l, &leaks[k - gap]); k -= gap)
				leaks[k] = leaks[k - gap];
			leaks[k] = l;
		}
	}
	return n;
}

#define BATCH	(512 / GF_DEPTH_MAX)	/* as many addresses as one helper is asked for */

bool gf_leaks(void)
{
	static uintptr_t pc[BATCH * GF_DEPTH_MAX];
	static const bool exact[BATCH * GF_DEPTH_MAX];
	static char buf[4000];
	u64 bytes = 0, objects = 0, quiet = 0;
	bool head = false;
	struct gf_out o;
	u32 n, i, k;

	if (gf_sandboxed)
		why = "the program has set a filter of system calls";
	else
		look_at_all();
	if (why) {
		gf_say("%d: leaks=1: not looked for: %s", gf_pid(), why);
		return false;
	}
	n = sort_leaks();
	if (!n)
		return false;
	gf_lock(&gf_report_lock);
	gf_out_log(&o, buf, sizeof(buf));
	for (i = 0; i < n; i += BATCH) {
		u32 from[BATCH], len[BATCH], all = 0;
		struct gf_symbols *symbols;

		for (k = 0; k < BATCH && i + k < n; k++) {
			const uintptr_t *p = gf_depot_get(leaks[i + k].stack, &len[k]);
			u32 at;

			from[k] = all;
			for (at = 0; at < len[k]; at++)
				pc[all++] = p[at];
		}
		symbols = gf_symbolize(pc, exact, all);
		for (k = 0; k < BATCH && i + k < n; k++) {
			const struct gf_leak *l = &leaks[i + k];

			if (gf_suppressed("leak", symbols, from[k], len[k])) {
				quiet += l->objects;
				continue;
			}
			gf_leak_text(&o, l->direct, l->bytes, l->objects, symbols, pc, from[k],
				     len[k], !head);
			head = true;
			bytes += l->bytes;
			objects += l->objects;
		}
	}
	bytes += lost_bytes;
	objects += lost_objects;
	if (objects)
		gf_leak_summary(&o, bytes, objects);
	gf_out_end(&o);
	gf_unlock(&gf_report_lock);
	if (quiet && gf_opt.verbose)
		gf_say("%d: %lu leaked objects are suppressed", gf_pid(), (unsigned long)quiet);
	return objects;
}
