// SPDX-License-Identifier: MIT
/* many N: N small objects live at once, in use, then freed from both ends. */
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
	long n = argc > 1 ? atol(argv[1]) : 1000, i;
	char **p = malloc(n * sizeof(*p));

	for (i = 0; i < n; i++) {
		p[i] = malloc(24);
		if (!p[i]) {
			printf("NULL at %ld\n", i);
			return 1;
		}
		p[i][0] = i;
	}
	for (i = 0; i < n; i++)
		if (p[i][0] != (char)i)
			return 2;
	printf("%ld live\n", n);
	for (i = 0; i < n / 2; i++) {
		free(p[i]);
		free(p[n - 1 - i]);
	}
	free(p);
	return 0;
}
