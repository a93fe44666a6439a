/* SPDX-License-Identifier: MIT */
/*
 * The allocator's entry points.
 */
#ifndef GF_MALLOC_H
#define GF_MALLOC_H

#include "stack.h"
#include "thread.h"

extern bool gf_passing;		/* sampling: most are passed on */

/* Is this one of those that go by? Nearly always so, when sampling. */
static inline bool gf_counted(void)
{
	struct gf_tls *t = &gf_tls;

	if (likely(t->until_sample > 1)) {
		t->until_sample--;
		return true;
	}
	return false;
}

/* Sampling: should this one come from the next allocator? */
bool gf_pass_on(void);
void *gf_malloc_at(size_t size, size_t align, u8 kind, struct gf_regs caller);
void gf_free_at(void *p, u8 kind, size_t size, size_t align, const char *by,
		struct gf_regs caller);

#endif
