// SPDX-License-Identifier: MIT
/*
 * The process from start to end, and its threads: what has to be done before
 * others run, when a thread begins and ends, at a fork, and at exit. The one part
 * that knows all that are below the entry points.
 */
#include "life.h"
#include "altstack.h"
#include "area.h"
#include "depot.h"
#include "fault.h"
#include "guard.h"
#include "leak.h"
#include "log.h"
#include "memcg.h"
#include "next.h"
#include "options.h"
#include "out.h"
#include "report.h"
#include "slots.h"
#include "symbol.h"
#include "suppress.h"
#include "sys.h"
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/auxv.h>
#include <sys/syscall.h>

u32 gf_ready;
bool gf_unwanted, gf_pass_all;
static struct gf_lock init_lock;

static pthread_key_t key;
static bool have_key;

#ifdef PTHREAD_DESTRUCTOR_ITERATIONS
#define DESTRUCTOR_ROUNDS PTHREAD_DESTRUCTOR_ITERATIONS
#else
#define DESTRUCTOR_ROUNDS _POSIX_THREAD_DESTRUCTOR_ITERATIONS
#endif

/* The value of a variable; "NAME=" */
static const char *variable(const char *name)
{
	static char text[32768];
	extern char **environ;
	const char *found = NULL;
	char **e, *s;
	long n;

	if (environ) {
		for (e = environ; *e; e++)
			if (gf_prefix(*e, name))
				found = *e;
	} else {
		/* So early that libc does not have it */
		n = gf_read_file("/proc/self/environ", text, sizeof(text));
		for (s = text; n > 0 && s < text + n; s += gf_strlen(s) + 1)
			if (gf_prefix(s, name))
				found = s;
	}
	return found ? found + gf_strlen(name) : NULL;
}

static void want_debuginfod(void)
{
	static const char *const names[] = {
		"DEBUGINFOD_URLS=", "DEBUGINFOD_CACHE_PATH=", "XDG_CACHE_HOME=", "HOME=",
	};
	const char *value = variable(names[0]);
	u32 i;

	if (!value || !*value) {
		gf_say("debuginfod=1 fetches nothing, because DEBUGINFOD_URLS is not set");
		return;
	}
	for (i = 0; i < ARRAY_SIZE(names); i++) {
		value = variable(names[i]);
		if (value)
			gf_helper_variable(names[i], value);
	}
}

/* It preloads a library of its own, whatever the tool. */
static bool under_valgrind(void)
{
	const char *s = variable("LD_PRELOAD=");

	for (; s && *s; s++)
		if (gf_prefix(s, "/vgpreload_"))
			return true;
	return false;
}

void gf_init(void)
{
	bool ok, valgrind;

	gf_lock(&init_lock);
	if (gf_ready)
		goto out;
	gf_page_init();
	gf_log_follow();
	gf_secure = getauxval(AT_SECURE);
	gf_log_path = gf_opt.log;
	gf_options_asan(variable("ASAN_OPTIONS="));
	gf_options_parse(variable("GUARDFREE_OPTIONS="));
	if (gf_opt.first != (u64)gf_sys(SYS_getpid) && getauxval(AT_EXECFN) &&
	    !gf_wants((const char *)getauxval(AT_EXECFN))) {
		gf_unwanted = gf_pass_all = getauxval(AT_BASE);
		if (gf_pass_all) {
			store(&gf_ready, 2);
			goto out;
		}
	}
	gf_suppressions_read();
	if (gf_secure)
		gf_opt.symbolize = 0;
	if (gf_opt.debuginfod && gf_opt.symbolize)
		want_debuginfod();
	gf_probe();
	valgrind = under_valgrind();
	/* A static program has no other allocator, whatever is preloaded. */
	if (valgrind && getauxval(AT_BASE)) {
		if (!gf_opt.quiet)
			gf_say("valgrind is at work here, which has an allocator of its own: the program runs unguarded");
		gf_pass_all = true;
		store(&gf_ready, 2);
		goto out;
	}
	ok = gf_method == METHOD_IS_GUARD || gf_opt.method != METHOD_GUARD;
	if (ok && !gf_place(valgrind)) {
		gf_say("no place in the address space: the program runs unguarded");
		ok = false;
	}
	if (ok && (!gf_slots_init() || !gf_depot_init())) {
		gf_say("no memory to start with: the program runs unguarded");
		ok = false;
	}
	if (gf_opt.memcg)
		gf_memcg_init();
	if (ok) {
		gf_next_init();
		gf_thread_init();
		if (gf_opt.handler)
			gf_fault_init();
	}
	if (!ok)
		gf_pass_all = true;
	if (gf_opt.verbose && ok)
		gf_say(GF_VERSION ": heap at 0x%012lx, guards by %s", (unsigned long)gf_heap.base,
		       gf_method == METHOD_IS_GUARD ? "MADV_GUARD_POISON" : "PROT_NONE");
	store(&gf_ready, ok ? 1 : 2);
out:
	gf_unlock(&init_lock);
}

/* Threads. */

static uintptr_t thread_pointer(void)
{
	uintptr_t tp;

#if defined(__x86_64__)
	__asm__("mov %%fs:0, %0" : "=r"(tp));
#else
	__asm__("mrs %0, tpidr_el0" : "=r"(tp));
#endif
	return tp;
}

/*
 * Where the stack ends. The first thread's has the program's name at its top;
 * what pthread_create() makes has the thread pointer there.
 */
static uintptr_t stack_top(void)
{
	uintptr_t here = (uintptr_t)__builtin_frame_address(0), tp = thread_pointer();
	uintptr_t top = getauxval(AT_EXECFN);

	if (gf_sys(SYS_gettid) != gf_sys(SYS_getpid) && here < tp && tp - here < 4UL << 30)
		return tp;
	return top ? top : UINTPTR_MAX;
}

/*
 * Other keys' destructors, and after these libc itself, still free and even
 * allocate. This one asks to be called again as long as it will be; what comes
 * after the last time is done in an arena that it does not count in.
 */
static void thread_end(void *arg)
{
	struct gf_tls *t = arg;

	if (!t->known)
		return;
	if (++t->ends < DESTRUCTOR_ROUNDS && !pthread_setspecific(key, t))
		return;
	gf_altstack_end(t);
	gf_thread_ended(t);
	gf_arena_leave(t->arena);
}

void gf_thread_start(void)
{
	struct gf_tls *t = &gf_tls;

	if (!gf_ready)
		gf_init();
	t->arena = gf_arena_enter();
	if (!t->stack_top) {
		t->stack_top = stack_top();
		if (!t->no && gf_sys(SYS_gettid) != gf_sys(SYS_getpid))
			t->no = gf_thread_new(UINT32_MAX, 0);
	}
	gf_thread_known(t);
	if (have_key)
		pthread_setspecific(key, t);	/* may allocate: known is set */
	if (gf_fault_installed())
		gf_altstack_start(t);
}

void gf_thread_begin(u32 no)
{
	const struct gf_thread *t = gf_thread_get(no);

	gf_tls.no = no;
	if (t)
		gf_tls.blocked = t->blocked;
	gf_me();
}

/* Not before the constructors: in some libcs a key is memory. */
static void make_key(void)
{
	have_key = !pthread_key_create(&key, thread_end);
	if (gf_tls.known && have_key)
		pthread_setspecific(key, &gf_tls);
}

/* fork(): nobody else is inside the allocator while the memory is copied. */

static void fork_prepare(void)
{
	gf_lock(&gf_report_lock);
	gf_fault_lock();
	gf_altstack_lock();
	gf_slots_lock();
	gf_tls.inside = true;
}

static void fork_parent(void)
{
	gf_tls.inside = false;
	gf_slots_unlock();
	gf_altstack_unlock();
	gf_fault_unlock();
	gf_unlock(&gf_report_lock);
}

static void fork_child(void)
{
	fork_parent();
	gf_log_forked();
	gf_arenas_forked(gf_tls.arena);
	gf_thread_forked();
}

/*
 * Handlers of others allocate, and wait for threads that do. So these here are
 * registered before all others: they are called last before a fork, first after.
 */
void gf_fork_handlers(void)
{
	static u32 registered;

	if (!__atomic_exchange_n(&registered, 1, __ATOMIC_ACQ_REL))
		pthread_atfork(fork_prepare, fork_parent, fork_child);
}

__attribute__((constructor(101)))
static void late(void)
{
	if (!gf_ready)
		gf_init();
	if (gf_ready == 2)
		return;
	make_key();
	gf_fork_handlers();
}

/* The last destructor: what it does not come to, exit() does not. */
__attribute__((destructor(101)))
static void end(void)
{
	bool leaks;

	if (gf_ready != 1)
		return;
	gf_report_live();
	leaks = gf_opt.leaks && gf_leaks();
	gf_report_counts();
	if (gf_opt.stats)
		gf_stats();
	if (!leaks || !gf_opt.exitcode)
		return;
	fflush(NULL);
	gf_sys(SYS_exit_group, gf_opt.exitcode > 0 ? gf_opt.exitcode : GF_LEAK_STATUS);
}
