// SPDX-License-Identifier: MIT
/*
 * What is known of a thread, from its first call to its end.
 */
#include "thread.h"
#include "area.h"
#include "options.h"
#include "sys.h"
#include <sys/prctl.h>
#include <sys/syscall.h>

__thread struct gf_tls gf_tls __attribute__((tls_model("initial-exec")));

static u32 threads;
static u64 seed;

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

void gf_thread_known(struct gf_tls *t)
{
	struct gf_thread *info;

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
}

void gf_thread_ended(const struct gf_tls *t)
{
	struct gf_thread *info = (struct gf_thread *)gf_thread_get(t->no);

	if (info) {	/* by its last name, which is often not its first */
		gf_sys(SYS_prctl, PR_GET_NAME, info->name);
		info->ended = true;
		info->stack_top = t->stack_top;
	}
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
