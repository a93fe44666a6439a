// SPDX-License-Identifier: MIT
/*
 * 1,000 live objects of 16 to 512 bytes; one of them, at random, is freed and
 * allocated anew, and touched at both ends. An operation is a free and a malloc.
 */
#include "program.h"

#define LIVE 1000

int main(int argc, char **argv)
{
	struct run r = { .name = "churn" };
	static char *live[LIVE];
	uint64_t seed = 88172645463325252ull;
	unsigned long ops = 0;
	int i;

	run_options(&r, argc, argv);
	for (i = 0; i < LIVE; i++)
		live[i] = must(malloc(16 + random_next(&seed) % 497));
	run_start(&r);
	do {
		for (i = 0; i < 200; i++, ops++) {
			uint64_t x = random_next(&seed);
			size_t size = 16 + (x >> 20) % 497;
			char **p = &live[x % LIVE];

			free(*p);
			*p = must(malloc(size));
			((volatile char *)*p)[0] = 1;
			((volatile char *)*p)[size - 1] = 2;
		}
	} while (!run_over(&r, ops));
	run_end(&r, ops);
	for (i = 0; i < LIVE; i++)
		free(live[i]);
	return 0;
}
