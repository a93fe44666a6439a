// SPDX-License-Identifier: MIT
/* Built in ways in which it cannot be guarded: it runs all the same. */
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
	char *volatile p = malloc(10);

	puts(p ? "ran" : "no memory");
	free(p);
	return 3;
}
