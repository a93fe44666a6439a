// SPDX-License-Identifier: MIT
/*
 * dlopen(). The caller matters to it, who it is told by the return address: so
 * most calls jump there (the Makefile says so to the compiler). Shared library only.
 */
#include "elf.h"
#include "life.h"
#include <dlfcn.h>
#include <malloc.h>
#include <stdlib.h>

#ifdef __GLIBC__

typedef void *open_fn(const char *path, int flags);

static open_fn *next_open(void)
{
	static open_fn *next;

	if (!load_relaxed(&next))
		store(&next, (open_fn *)dlsym(RTLD_NEXT, "dlopen"));
	return next;
}

static __attribute__((noinline)) void *open_deep(const char *path, int flags)
{
	static struct gf_binding b[] = {
#define B(name) { #name, (void *)name, NULL }
		B(malloc), B(free), B(calloc), B(realloc), B(reallocarray), B(memalign),
		B(aligned_alloc), B(posix_memalign), B(valloc), B(pvalloc), B(malloc_usable_size),
	};
	void *got = next_open()(path, flags);
	u32 i;

	if (!got || gf_ready != 1)
		return got;
	for (i = 0; i < ARRAY_SIZE(b); i++)
		store(&b[i].libc, dlsym(RTLD_NEXT, b[i].name));
	gf_bind_all(b, ARRAY_SIZE(b));
	return got;
}

EXPORT void *dlopen(const char *path, int flags)
{
	if (flags & RTLD_DEEPBIND && !(flags & RTLD_NOLOAD))
		return open_deep(path, flags);
	return next_open()(path, flags);
}

#endif
