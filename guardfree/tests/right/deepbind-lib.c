// SPDX-License-Identifier: MIT
/* Opened with RTLD_DEEPBIND, so that libc's malloc is bound to it. */
#include <stdlib.h>
#include <string.h>

void *deep_make(size_t n)
{
	void *p = malloc(n);

	return p ? memset(p, 1, n) : p;
}

void deep_take(void *p)
{
	free(p);
}

void *deep_more(void *p, size_t n)
{
	return realloc(p, n);
}
