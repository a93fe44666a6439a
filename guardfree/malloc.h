/* SPDX-License-Identifier: MIT */
/*
 * The allocator's entry points.
 */
#ifndef GF_MALLOC_H
#define GF_MALLOC_H

#include "stack.h"
#include "thread.h"

extern bool gf_passing HIDDEN;	/* sampling: most are passed on */
/* Then the heap's place, else all there is */
extern u64 gf_pass_base HIDDEN, gf_pass_above HIDDEN;

/* Is this one of those that go by? Nearly always so, when sampling. */
static inline bool gf_counted(void)
{
	return likely(--gf_tls.passes >= 0);
}

/* Does the next allocator free this? One comparison says so; if not, gf_free_at() knows. */
static inline bool gf_passes_free(const void *p)
{
	return likely((uintptr_t)p - gf_pass_base > gf_pass_above);
}

/* Sampling: should this one come from the next allocator? */
bool gf_pass_on(void);
void *gf_malloc_at(size_t size, size_t align, u8 kind, struct gf_regs caller);
void gf_free_at(void *p, u8 kind, size_t size, size_t align, const char *by,
		struct gf_regs caller);

#endif
