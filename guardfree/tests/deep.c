// SPDX-License-Identifier: MIT
/*
 * A library that is loaded with RTLD_DEEPBIND: malloc() is libc's own here,
 * whatever was put before it.
 */
#include <pthread.h>
#include <stdlib.h>

struct want {
	size_t size;
	char *p;
};

void *__libc_malloc(size_t size);	/* whoever defines malloc */

static void *in_thread(void *arg)
{
	struct want *w = arg;

	w->p = __libc_malloc(w->size);
	return NULL;
}

char *deep_get(size_t size, int thread);

char *deep_get(size_t size, int thread)
{
	struct want w = { .size = size };
	pthread_t t;

	if (thread && !pthread_create(&t, NULL, in_thread, &w))
		pthread_join(t, NULL);
	else
		in_thread(&w);
	return w.p;
}
