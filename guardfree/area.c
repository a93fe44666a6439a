// SPDX-License-Identifier: MIT
/*
 * Areas: where in the address space all that is ours lies.
 */
#include "area.h"
#include "log.h"
#include <errno.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/syscall.h>

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

struct gf_area gf_heap = { .what = "objects" };
struct gf_area gf_meta = { .step = 64 << 10, .what = "records of objects" };
struct gf_area gf_units = { .step = 64 << 10, .what = "records of chunks" };
struct gf_area gf_depot = { .step = 256 << 10, .what = "stacks" };
struct gf_area gf_threads = { .step = 64 << 10, .what = "records of threads" };
struct gf_area gf_alts = { .step = 256 << 10, .what = "signal stacks" };
struct gf_lock gf_grow_lock;
bool gf_locked;

/* The largest step: so much address space may be mapped and not used. */
#define STEP_MAX	(64UL << 20)

static long gf_map_at(uintptr_t addr, u64 len, int prot)
{
	long got = gf_sys(SYS_mmap, addr, len, prot,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);

	gf_calls.map++;
	if (got < 0 && got > -4096)
		return got;
	if ((uintptr_t)got != addr) {	/* before 4.17 it is a hint */
		gf_sys(SYS_munmap, got, len);
		return -EEXIST;
	}
	return 0;
}

bool gf_place(bool small)
{
	static const struct {
		u64 at, heap, slide;
	} places[] = {
		{ 16UL << 40, 16UL << 40, 30UL << 40 },
		{ 16UL << 40, 16UL << 40, 0 },
		{ 2UL << 40, 4UL << 40, 0 },		/* 43 bits */
		{ 64UL << 30, 128UL << 30, 0 },		/* 39 bits */
		{ 16UL << 30, 8UL << 30, 0 },
	};
	u64 random = 0;
	u32 i;

	if (!(gf_sys(SYS_personality, 0xffffffff) & ADDR_NO_RANDOMIZE))
		gf_sys(SYS_getrandom, &random, sizeof(random), 1);
	for (i = small ? ARRAY_SIZE(places) - 1 : 0; i < ARRAY_SIZE(places); i++) {
		u64 heap = places[i].heap, meta = heap / 2 / PAGE << REC_SHIFT;
		u64 units = heap / UNIT * 16, depot = heap >= 1UL << 40 ? 4UL << 30 : 1UL << 30;
		u64 threads = depot / 8, alts = depot, gap = UNIT;
		uintptr_t at = places[i].at;
		u64 all;
		long err;

		if (places[i].slide)
			at += random % places[i].slide & ~((1UL << 30) - 1);
		all = heap + meta + units + depot + threads + alts + 7 * gap;
		err = gf_map_at(at, all, PROT_NONE);
		if (!err)
			gf_sys(SYS_munmap, at, all);
		/* A limit of the address space keeps us from looking. */
		if (err == -ENOMEM || err == -EAGAIN) {
			err = gf_map_at(at, PAGE, PROT_NONE);
			if (!err)
				gf_sys(SYS_munmap, at, PAGE);
		}
		if (err)
			continue;
		gf_units.base = at + gap;
		gf_units.max = units;
		gf_meta.base = gf_units.base + units + gap;
		gf_meta.max = meta;
		gf_depot.base = gf_meta.base + meta + gap;
		gf_depot.max = depot;
		gf_threads.base = gf_depot.base + depot + gap;
		gf_threads.max = threads;
		gf_alts.base = gf_threads.base + threads + gap;
		gf_alts.max = alts;
		gf_heap.base = gf_alts.base + alts + gap;
		gf_heap.max = heap;
		gf_heap.step = UNIT;
		return true;
	}
	return false;
}

static int gf_map_area(struct gf_area *area, u64 more)
{
	uintptr_t at = area->base + area->mapped;
	long err;

	if (!gf_locked)
		return gf_map_at(at, more, PROT_READ | PROT_WRITE);
	/* As the memory to come is locked, it would be filled right here. */
	err = gf_map_at(at, more, PROT_NONE);
	if (err)
		return err;
	gf_sys(SYS_munlock, at, more);
	gf_calls.map += 2;
	return gf_sys(SYS_mprotect, at, more, PROT_READ | PROT_WRITE);
}

int gf_area_grow(struct gf_area *area, u64 need)
{
	u64 more;
	int err;

	need = round_up(need, PAGE);
	if (need <= area->mapped)
		return 0;
	if (need > area->max)
		return -ENOMEM;
	more = need - area->mapped;
	if (more < area->step)
		more = area->step;
	if (more > area->max - area->mapped)
		more = area->max - area->mapped;
	err = gf_map_area(area, more);
	if (err == -ENOMEM && more > need - area->mapped) {
		more = need - area->mapped;
		err = gf_map_area(area, more);
	}
	if (err)
		return err;
	store(&area->mapped, area->mapped + more);
	if (area->step < STEP_MAX)
		area->step *= 2;
	return 0;
}

int gf_remap(uintptr_t addr, size_t len, int prot)
{
	long got = gf_sys(SYS_mmap, addr, len, prot,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);

	gf_calls.map++;
	if (got < 0 && got > -4096)
		return got;
	if (gf_locked)
		gf_sys(SYS_munlock, addr, len);
	return 0;
}

bool gf_would_map(size_t len)
{
	long got;

	if (gf_locked)	/* it would be filled right here */
		return true;
	got = gf_sys(SYS_mmap, 0, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	gf_calls.map++;
	if (got < 0 && got > -4096)
		return false;
	gf_sys(SYS_munmap, got, len);
	return true;
}

void gf_unlock_memory(void)
{
	static u32 said;
	struct gf_area *areas[] = { &gf_heap, &gf_meta, &gf_units, &gf_depot, &gf_threads, &gf_alts };
	u32 i;

	if (!__atomic_exchange_n(&said, 1, __ATOMIC_RELAXED))
		gf_say("the program locks its memory (mlockall): its heap is unlocked again, as a locked page cannot be a guard");
	store(&gf_locked, true);
	for (i = 0; i < ARRAY_SIZE(areas); i++)
		if (areas[i]->mapped)
			gf_sys(SYS_munlock, areas[i]->base, areas[i]->mapped);
}
