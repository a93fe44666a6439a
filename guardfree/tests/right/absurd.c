// SPDX-License-Identifier: MIT
/* Lengths as from a damaged file: what no machine has is no memory. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
	volatile size_t size;
	int i;

	for (i = 20; i < 64; i++) {
		char *p;

		size = 1UL << i;
		errno = 0;
		p = malloc(size);
		printf("malloc(2^%d) %d %d\n", i, p != NULL, p ? 0 : errno);
		free(p);
		p = calloc(size / 16, 16);
		printf("calloc(2^%d) %d\n", i, p != NULL);
		if (i > 26)
			free(p);
		if (i > 26 && i < 35)	/* a copy of gigabytes */
			continue;
		p = realloc(i > 26 ? malloc(10) : p, size);
		printf("realloc(2^%d) %d\n", i, p != NULL);
		free(p);
	}
	return 0;
}
