// SPDX-License-Identifier: MIT
/*
 * In the shape of Larson's server simulation: each thread replaces objects of
 * its own array at random; after a while it ends, and a new thread takes over
 * the array, so that most objects are freed by another thread than allocated
 * them. An operation is a free and a malloc.
 */
#include "program.h"

#define SLOTS 500
#define GENERATION 2000

struct line {
	struct run *run;
	pthread_t thread;
	uint64_t seed;
	unsigned long ops;
	bool over;
	char *slot[SLOTS];
};

static void *generation(void *arg)
{
	struct line *l = arg;
	int i;

	for (i = 0; i < GENERATION; i++) {
		uint64_t x = random_next(&l->seed);
		size_t size = 10 + (x >> 20) % 490;
		char **p = &l->slot[x % SLOTS];

		free(*p);
		*p = must(malloc(size));
		((volatile char *)*p)[0] = 1;
		((volatile char *)*p)[size - 1] = 2;
		l->ops++;
		/* A slow tool shall end in time. */
		if (i % 100 == 99 && run_over(l->run, l->ops)) {
			l->over = true;
			break;
		}
	}
	return NULL;
}

/* Follows one array through its threads. */
static void *line(void *arg)
{
	struct line *l = arg;
	pthread_t thread;

	while (!l->over) {
		if (pthread_create(&thread, NULL, generation, l))
			_exit(5);
		pthread_join(thread, NULL);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	struct run r = { .name = "larson", .threads = 2 };
	static struct line lines[64];
	unsigned long ops = 0;
	unsigned int i, j;

	run_options(&r, argc, argv);
	if (r.threads > 64)
		r.threads = 64;
	run_start(&r);
	for (i = 0; i < r.threads; i++) {
		lines[i].run = &r;
		lines[i].seed = 88172645463325252ull + i * 7919;
		for (j = 0; j < SLOTS; j++)
			lines[i].slot[j] = must(malloc(10 + j % 490));
		if (pthread_create(&lines[i].thread, NULL, line, &lines[i]))
			_exit(5);
	}
	for (i = 0; i < r.threads; i++) {
		pthread_join(lines[i].thread, NULL);
		ops += lines[i].ops;
	}
	run_end(&r, ops);
	for (i = 0; i < r.threads; i++)
		for (j = 0; j < SLOTS; j++)
			free(lines[i].slot[j]);
	return 0;
}
