// SPDX-License-Identifier: MIT
/*
 * musl's own allocator as the next one in line, for sample=N in static programs
 * of musl: link with -Wl,-u,gf_static_next. (In glibc's libc.a its allocator
 * and the name malloc are one object: there it cannot be had.)
 */
#include "next.h"
#include <string.h>

void *__libc_malloc_impl(size_t size);
void *__libc_realloc(void *p, size_t size);
void __libc_free(void *p);

/*
 * What lies before each object is its size, as nothing of musl's that can be
 * linked beside this allocator tells it.
 */
struct head {
	size_t size;
	size_t unused;	/* keeps the alignment */
};

static void *with_size(struct head *h, size_t size)
{
	if (!h)
		return NULL;
	h->size = size;
	return h + 1;
}

static void *next_malloc(size_t size)
{
	/* Sums that wrap are too large for malloc() as well. */
	return with_size(__libc_malloc_impl(size > PTRDIFF_MAX ? size : size + sizeof(struct head)),
			 size);
}

static void *next_calloc(size_t n, size_t size)
{
	size_t all;
	void *p;

	/* Too large for malloc() as well, which says so. */
	if (__builtin_mul_overflow(n, size, &all))
		all = SIZE_MAX;
	p = next_malloc(all);
	return p ? memset(p, 0, all) : p;
}

static void *next_realloc(void *p, size_t size)
{
	return with_size(__libc_realloc((struct head *)p - 1,
					size > PTRDIFF_MAX ? size : size + sizeof(struct head)),
			 size);
}

static void next_free(void *p)
{
	if (p)
		__libc_free((struct head *)p - 1);
}

static size_t next_usable_size(void *p)
{
	return ((struct head *)p - 1)->size;
}

const struct gf_next gf_static_next = {
	.malloc = next_malloc,
	.calloc = next_calloc,
	.realloc = next_realloc,
	.free = next_free,
	.usable_size = next_usable_size,
};
