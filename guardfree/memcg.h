/* SPDX-License-Identifier: MIT */
/*
 * The limit of the memory cgroup.
 */
#ifndef GF_MEMCG_H
#define GF_MEMCG_H

#include "gf.h"

/* Is this much more memory within the cgroup's limit? Says so if not. */
bool gf_memcg_allows(size_t more);
void gf_memcg_init(void);

#endif
