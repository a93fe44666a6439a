// SPDX-License-Identifier: MIT
/*
 * What is known of a thread, from its first call to its end.
 */
#include "gf.h"
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

__thread struct gf_tls gf_tls __attribute__((tls_model("initial-exec")));

static u32 threads;
static pthread_key_t key;
static bool have_key;
static u64 seed;

#ifdef PTHREAD_DESTRUCTOR_ITERATIONS
#define DESTRUCTOR_ROUNDS PTHREAD_DESTRUCTOR_ITERATIONS
#else
#define DESTRUCTOR_ROUNDS _POSIX_THREAD_DESTRUCTOR_ITERATIONS
#endif

const struct gf_thread *gf_thread_get(u32 no)
{
	if (((u64)no + 1) * sizeof(struct gf_thread) > load(&gf_threads.mapped))
		return NULL;
	return (struct gf_thread *)gf_threads.base + no;
}

u32 gf_thread_new(u32 creator, u32 create_stack)
{
	u32 no = fetch_add(&threads, 1);
	struct gf_thread *t;

	if (((u64)no + 1) * sizeof(struct gf_thread) > gf_threads.max ||
	    gf_area_need(&gf_threads, ((u64)no + 1) * sizeof(struct gf_thread)))
		return no;
	t = (struct gf_thread *)gf_threads.base + no;
	t->creator = creator;
	t->create_stack = create_stack;
	return no;
}

u64 gf_random(void)
{
	u64 z = gf_tls.random += 0x9e3779b97f4a7c15UL;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9UL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebUL;
	return z ^ z >> 31;
}

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
	struct gf_arena *arena = t->arena;
	struct gf_thread *info;

	if (!t->known)
		return;
	if (++t->ends < DESTRUCTOR_ROUNDS && !pthread_setspecific(key, t))
		return;
	gf_altstack_end(t);
	info = (struct gf_thread *)gf_thread_get(t->no);
	if (info) {	/* by its last name, which is often not its first */
		gf_sys(SYS_prctl, PR_GET_NAME, info->name);
		info->ended = true;
		info->stack_top = t->stack_top;
	}
	t->over = true;
	gf_arena_leave(arena);
}

void gf_thread_start(void)
{
	struct gf_tls *t = &gf_tls;
	struct gf_thread *info;

	if (!gf_ready)
		gf_init();
	t->arena = gf_arena_enter();
	if (!t->stack_top) {
		t->stack_top = stack_top();
		if (!t->no && gf_sys(SYS_gettid) != gf_sys(SYS_getpid))
			t->no = gf_thread_new(UINT32_MAX, 0);
	}
	if (!t->random)
		t->random = gf_opt.seed ? gf_opt.seed + t->no : seed ^ (u64)t->no << 32;
	t->known = true;
	info = (struct gf_thread *)gf_thread_get(t->no);
	if (info)
		info->ended = false;
	if (info && !info->tid) {
		info->tid = gf_sys(SYS_gettid);
		gf_sys(SYS_prctl, PR_GET_NAME, info->name);
	}
	if (have_key)
		pthread_setspecific(key, t);	/* may allocate: known is set */
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

u32 gf_stack_here(struct gf_regs caller)
{
	uintptr_t pc[GF_DEPTH_MAX];

	gf_me();
	return gf_depot_put(pc, gf_unwind(caller, false, pc, gf_opt.depth));
}

void gf_thread_init(void)
{
	u64 random = 0;

	gf_sys(SYS_getrandom, &random, sizeof(random), 1);
	seed = random | 1;
	gf_thread_new(UINT32_MAX, 0);
}

void gf_thread_forked(void)
{
	struct gf_thread *info = (struct gf_thread *)gf_thread_get(gf_tls.no);

	if (info)
		info->tid = gf_sys(SYS_gettid);
}

/* Not before the constructors: in some libcs a key is memory. */
void gf_thread_late(void)
{
	have_key = !pthread_key_create(&key, thread_end);
	if (gf_tls.known && have_key)
		pthread_setspecific(key, &gf_tls);
}
