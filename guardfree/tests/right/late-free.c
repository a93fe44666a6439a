// SPDX-License-Identifier: MIT
/*
 * Threads for which libc frees after their keys' destructors, and keys whose
 * destructors allocate: what a thread took goes with it.
 */
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static pthread_key_t key;
static char *volatile text;

static void again(void *arg)	/* to the last round */
{
	long n = (long)arg;

	free(malloc(100));
	if (n < PTHREAD_DESTRUCTOR_ITERATIONS)
		pthread_setspecific(key, (void *)(n + 1));
}

static void *thread(void *arg)
{
	text = strerror(9999);	/* a string for each thread */
	if (arg)
		pthread_setspecific(key, (void *)1L);
	return NULL;
}

static long kb(const char *what)
{
	char line[200];
	long v = -1;
	FILE *f = fopen("/proc/self/status", "r");

	while (fgets(line, sizeof(line), f))
		if (!strncmp(line, what, strlen(what)))
			v = atol(line + strlen(what));
	fclose(f);
	return v;
}

int main(int argc, char **argv)
{
	long n = argc > 1 ? atol(argv[1]) : 2000, i, size = 0, rss = 0;
	pthread_t t;

	pthread_key_create(&key, again);
	for (i = 0; i < n; i++) {
		if (i == n / 4) {
			size = kb("VmSize:");
			rss = kb("VmRSS:");
		}
		pthread_create(&t, NULL, thread, (void *)(i % 2));
		pthread_join(t, NULL);
	}
	size = kb("VmSize:") - size;
	rss = kb("VmRSS:") - rss;
	if (size > n / 4 + 5000 || rss > n / 8 + 500)	/* records, the heap's quarantine and a step of it */
		printf("%ld kB of address space more, %ld kB of memory\n", size, rss);
	else
		puts("flat");
	return 0;
}
