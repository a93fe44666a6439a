/* SPDX-License-Identifier: MIT */
/*
 * Guards. What fails is said, and counted in gf_unguarded.
 */
#ifndef GF_GUARD_H
#define GF_GUARD_H

#include "gf.h"

struct gf_range {
	void *addr;
	size_t len;
};

enum { METHOD_IS_GUARD, METHOD_IS_MPROTECT };
extern u32 gf_method HIDDEN;
extern u64 gf_unguarded;
extern bool gf_went_on HIDDEN;		/* not all that is new is zero: a guard was taken away */
extern u32 gf_full HIDDEN;		/* PROT_NONE's end is reached */
void gf_probe(void);
bool gf_poison(uintptr_t addr, size_t len);
bool gf_unpoison(uintptr_t addr, size_t len);
/* Pages that are about to be used: spares them the faults. */
void gf_populate_many(const struct gf_range *r, size_t n);
/* Many at a time; the number that was done, counted from the first. */
size_t gf_poison_many(const struct gf_range *r, size_t n);
/* All of them but those that fail, which has been said */
void gf_poison_all(const struct gf_range *r, size_t n);
size_t gf_unpoison_many(const struct gf_range *r, size_t n);

#endif
