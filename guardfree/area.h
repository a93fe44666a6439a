/* SPDX-License-Identifier: MIT */
/*
 * Areas of the address space, which grow.
 */
#ifndef GF_AREA_H
#define GF_AREA_H

#include "sys.h"

#define UNIT_SHIFT	(PAGE_SHIFT + 8)
#define UNIT		(1UL << UNIT_SHIFT)	/* what the heap is dealt out in */
#define REC_SHIFT	6	/* of the size of an object's record */

/*
 * An area is a range of the address space of our own choice, of which the
 * first @mapped bytes are mapped. It is one VMA however it grew.
 */
struct gf_area {
	uintptr_t base;
	u64 max;
	u64 mapped;
	u64 step;
	const char *what;
};

extern struct gf_area gf_heap HIDDEN, gf_meta HIDDEN, gf_units HIDDEN, gf_depot HIDDEN;
extern struct gf_area gf_threads, gf_alts;
extern struct gf_lock gf_grow_lock;

/*
 * Finds a place for all the areas; false if the address space has none. @small for
 * valgrind, which notes the state of each page: of terabytes without end.
 */
bool gf_place(bool small);
/* Maps the area's first @need bytes; 0 or -errno. The lock is held. */
int gf_area_grow(struct gf_area *area, u64 need);

static inline int gf_area_need(struct gf_area *area, u64 need)
{
	int err;

	if (likely(need <= load(&area->mapped)))
		return 0;
	gf_lock(&gf_grow_lock);
	err = gf_area_grow(area, need);
	gf_unlock(&gf_grow_lock);
	return err;
}

/* A mapping of [addr, +len) as new: no contents, no guards. 0 or -errno */
int gf_remap(uintptr_t addr, size_t len, int prot);
/* Does the system let a program map so much? */
bool gf_would_map(size_t len);
extern bool gf_locked;		/* the program has locked its memory */
/* What is locked in memory cannot be poisoned. */
void gf_unlock_memory(void);

#endif
