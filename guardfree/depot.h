/* SPDX-License-Identifier: MIT */
/*
 * Stacks, each kept once.
 */
#ifndef GF_DEPOT_H
#define GF_DEPOT_H

#include "gf.h"

/* Keeps the stack; 0 if there is no room, or @n is 0. */
u32 gf_depot_put(const uintptr_t *pc, u32 n);
/* Its frames; @n is 0 for what is not there. */
const uintptr_t *gf_depot_get(u32 id, u32 *n);
u64 gf_depot_stacks(void);
bool gf_depot_init(void);

#endif
