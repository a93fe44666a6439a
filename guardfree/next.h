/* SPDX-License-Identifier: MIT */
/*
 * The next allocator in line, and pointers that were not allocated here.
 */
#ifndef GF_NEXT_H
#define GF_NEXT_H

#include "gf.h"

struct gf_next {
	void *(*malloc)(size_t size);
	void *(*calloc)(size_t n, size_t size);
	void *(*realloc)(void *p, size_t size);
	void *(*memalign)(size_t align, size_t size);
	void (*free)(void *p);
	size_t (*usable_size)(void *p);
};

extern struct gf_next gf_next HIDDEN;
/* Of a static program, if it was linked for that: see next-musl.c */
extern const struct gf_next gf_static_next __attribute__((weak));
void gf_next_init(void);
void gf_next_find(void);
extern bool gf_passed;		/* allocations that could not be guarded went on */
/* Can it be that the next allocator made this? The thread's stack ends at @stack_top. */
bool gf_next_has(const void *p, uintptr_t stack_top);

#endif
