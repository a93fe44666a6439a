// SPDX-License-Identifier: MIT
/*
 * The process from start to end: what has to be done before others run, at a
 * fork, and when constructors run. The one part that knows all others.
 */
#include "gf.h"
#include <pthread.h>
#include <stdio.h>
#include <sys/syscall.h>

/* fork(): nobody else is inside the allocator while the memory is copied. */

static void fork_prepare(void)
{
	gf_lock(&gf_report_lock);
	gf_fault_lock();
	gf_slots_lock();
	gf_tls.inside = true;
}

static void fork_parent(void)
{
	gf_tls.inside = false;
	gf_slots_unlock();
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
	gf_thread_late();
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
