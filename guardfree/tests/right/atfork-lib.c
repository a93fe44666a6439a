// SPDX-License-Identifier: MIT
/* A library whose fork handlers allocate, and wait for a thread that does. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static volatile int calls;

static void *work(void *arg)
{
	char *p = malloc(100);

	memset(p, 1, 100);
	free(p);
	return arg;
}

static void in_thread(void)
{
	pthread_t t;

	calls++;
	if (!pthread_create(&t, NULL, work, NULL))
		pthread_join(t, NULL);
	free(strdup("and here"));
}

static void in_child(void)
{
	calls++;
	work(NULL);
}

__attribute__((constructor)) static void init(void)
{
	pthread_atfork(in_thread, in_thread, in_child);
}

int atfork_calls(void)
{
	return calls;
}
