// SPDX-License-Identifier: MIT
/*
 * Signal stacks. A thread has one of ours, as a stack that overflowed is no place
 * for a handler; the first page of each is a guard. What the program sets for
 * itself takes its place, unless it is too small for a fault in a handler that
 * runs there and for the report of it: then ours stays, and the program is told
 * what it set.
 */
#include "altstack.h"
#include "area.h"
#include "guard.h"
#include "sys.h"
#include "thread.h"
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/syscall.h>

#define ALT_SIZE	(PAGE + round_up(60UL << 10, PAGE))
#ifndef AT_MINSIGSTKSZ
#define AT_MINSIGSTKSZ	51
#endif

static struct gf_lock alt_lock;
static u32 alt_free, alts;	/* number + 1; how many there are */

static inline u32 *alt_link(u32 no)
{
	return (u32 *)(gf_alts.base + no * ALT_SIZE + PAGE);
}

void gf_altstack_lock(void)
{
	gf_lock(&alt_lock);
}

void gf_altstack_unlock(void)
{
	gf_unlock(&alt_lock);
}

static long set_ours(struct gf_tls *t)
{
	stack_t ss = { .ss_sp = t->altstack, .ss_size = ALT_SIZE - PAGE };

	return gf_sys(SYS_sigaltstack, &ss, NULL);
}

void gf_altstack_start(struct gf_tls *t)
{
	stack_t old = { 0 };
	u32 no;

	if (gf_sys(SYS_sigaltstack, NULL, &old) || !(old.ss_flags & SS_DISABLE))
		return;
	gf_lock(&alt_lock);
	no = alt_free;
	if (no) {
		no--;
		alt_free = *alt_link(no);
	} else {
		no = alts;
		if (gf_area_need(&gf_alts, (no + 1) * ALT_SIZE)) {
			gf_unlock(&alt_lock);
			return;
		}
		alts++;
		gf_poison(gf_alts.base + no * ALT_SIZE, PAGE);
	}
	gf_unlock(&alt_lock);
	t->altstack = (void *)(gf_alts.base + no * ALT_SIZE + PAGE);
	if (set_ours(t))
		gf_altstack_end(t);
}

void gf_altstack_end(struct gf_tls *t)
{
	stack_t ss = { .ss_flags = SS_DISABLE }, old = { 0 };
	u32 no;

	if (!t->altstack)
		return;
	if (!gf_sys(SYS_sigaltstack, NULL, &old) && old.ss_sp == t->altstack)
		gf_sys(SYS_sigaltstack, &ss, NULL);
	no = ((uintptr_t)t->altstack - gf_alts.base) / ALT_SIZE;
	t->altstack = NULL;
	gf_lock(&alt_lock);
	*alt_link(no) = alt_free;
	alt_free = no + 1;
	gf_unlock(&alt_lock);
}

/* Two frames of signals, one below the other, and what a report takes */
static size_t enough(void)
{
	size_t frame = getauxval(AT_MINSIGSTKSZ);

	return 2 * (frame ? frame : 2048) + 4096;
}

int gf_altstack_user(const stack_t *set, stack_t *old)
{
	struct gf_tls *t = &gf_tls;
	stack_t was = { 0 }, want;
	bool is_ours;
	long err;

	if (set)
		want = *set;
	err = gf_sys(SYS_sigaltstack, NULL, &was);
	is_ours = !err && t->altstack && was.ss_sp == t->altstack;
	if (!err && set) {
		err = gf_sys(SYS_sigaltstack, &want, NULL);
		if (!err && t->altstack &&
		    (want.ss_flags & SS_DISABLE || want.ss_size < enough()))
			set_ours(t);
	}
	if (err) {
		errno = -err;
		return -1;
	}
	if (old && is_ours) {
		old->ss_sp = t->user_alt;
		old->ss_size = t->user_alt_size;
		old->ss_flags = t->user_alt ? was.ss_flags & SS_ONSTACK : SS_DISABLE;
	} else if (old) {
		*old = was;
	}
	if (set) {
		t->user_alt = want.ss_flags & SS_DISABLE ? NULL : want.ss_sp;
		t->user_alt_size = want.ss_flags & SS_DISABLE ? 0 : want.ss_size;
	}
	return 0;
}

void gf_altstack_freed(struct gf_tls *t)
{
	if (t->altstack)
		set_ours(t);
	t->user_alt_size = 0;
	t->user_alt = NULL;
}
