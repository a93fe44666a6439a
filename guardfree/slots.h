/* SPDX-License-Identifier: MIT */
/*
 * Where objects lie.
 */
#ifndef GF_SLOTS_H
#define GF_SLOTS_H

#include "area.h"

struct gf_arena;
struct gf_tls;

enum {
	STATE_NEVER,		/* the slot was not used yet, or is open for use */
	STATE_LIVE,
	STATE_FREED,		/* in the quarantine, or free */
};

enum { KIND_MALLOC, KIND_NEW, KIND_NEW_ARRAY };

/*
 * A slot's record. There is room for one every second page of the heap, and
 * no slot is shorter than two pages: the slot's first page tells which.
 */
struct gf_rec {
	u32 state;
	u32 next;		/* in a list */
	uintptr_t ptr;
	u64 size;
	u32 page;		/* of the heap: the slot's first */
	u32 first, pages;	/* of the slot: open to the program */
	u32 alloc_stack, free_stack;
	u32 alloc_thread, free_thread;
	u8 kind;
	u8 align_log;
	u8 flags;
	u8 fresh;		/* the pages are open already */
};

struct gf_slot {
	struct gf_rec *rec;
	uintptr_t start;	/* of the first page for data */
	u32 pages;		/* for data; a guard follows */
};

enum gf_verdict { FREE_OK, FREE_DOUBLE, FREE_INSIDE, FREE_WILD };

static inline bool gf_ours(const void *p)
{
	return (uintptr_t)p - gf_heap.base < load_relaxed(&gf_heap.mapped);
}

/*
 * NULL, and errno is not set, if there is no memory: *@err is why, and left alone if
 * no system has so much. @align is a power of 2.
 */
void *gf_alloc(const struct gf_tls *me, size_t size, size_t align, u8 kind, u32 stack, int *err);
/* The live object that begins at p; NULL, and why, if none does. */
struct gf_rec *gf_find(const void *p, enum gf_verdict *why);
/* True for the one caller that frees it. */
bool gf_claim(struct gf_rec *rec);
/* After gf_claim(). */
void gf_release(const struct gf_tls *me, struct gf_rec *rec, u32 stack);
/* The slot that an address lies in, its guard and the one before included. */
bool gf_slot_at(uintptr_t addr, struct gf_slot *slot);
bool gf_slot_before(const struct gf_slot *slot, struct gf_slot *prev);
bool gf_slot_after(const struct gf_slot *slot, struct gf_slot *next);
bool gf_slots_init(void);
/* All arenas' locks, for fork. */
void gf_slots_lock(void);
void gf_slots_unlock(void);
struct gf_arena *gf_arena_enter(void);
void gf_arena_leave(struct gf_arena *arena);
/* The child has one thread. */
void gf_arenas_forked(struct gf_arena *mine);
/* The bytes around an object that nobody may write: 0 or the address of one that was */
uintptr_t gf_check(const struct gf_rec *rec);
/* The same where others may free it meanwhile: what cannot be read is not looked at */
uintptr_t gf_check_live(const struct gf_rec *rec);
/* Calls @fn for every object that is live. */
void gf_each_live(void (*fn)(struct gf_rec *rec));

struct gf_heap_stats {
	u64 allocs, frees, live, live_bytes, peak;
	u64 quarantined, quarantined_bytes, chunks;
};

void gf_slots_stats(struct gf_heap_stats *s);

#endif
