/* SPDX-License-Identifier: MIT */
/*
 * What one made and another frees.
 */
#ifndef GF_MISMATCH_H
#define GF_MISMATCH_H

#include "stack.h"

struct gf_rec;

/* Says so, unless there is an explanation. After gf_claim(). */
void gf_mismatch(struct gf_rec *rec, void *p, u8 kind, size_t size, size_t align, const char *by,
		 struct gf_regs caller);

#endif
