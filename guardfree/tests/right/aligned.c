// SPDX-License-Identifier: MIT
/* aligned_alloc() with what C11 forbids and this libc takes, or not. */
#include <errno.h>
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
	static const size_t aligns[] = { 0, 1, 2, 3, 8, 16, 24, 64, 100, 4096, 8192, SIZE_MAX / 2 + 2 };
	volatile size_t align, size;
	unsigned int i, j;

	for (i = 0; i < sizeof(aligns) / sizeof(aligns[0]); i++) {
		for (j = 1; j < 10000; j = j * 3 + 1) {
			void *p;

			errno = 0;
			align = aligns[i];
			size = j;
			p = aligned_alloc(align, size);
			printf("aligned_alloc(%zu, %zu): %d %d\n", align, size, p != NULL,
			       p ? 0 : errno);
			free(p);
		}
	}
	return 0;
}
