// SPDX-License-Identifier: MIT
/* With libguardfree.a, setuid: what whoever starts it may not have it do. */
#include <stdlib.h>

int main(void)
{
	char *volatile p = malloc(10);

	free(p);
	return p[1];
}
