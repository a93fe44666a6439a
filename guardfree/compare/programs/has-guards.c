// SPDX-License-Identifier: MIT
/* Status 0 if the kernel has guard pages: asked of a page, not of the version. */
#include <sys/mman.h>

#ifndef MADV_GUARD_POISON
#define MADV_GUARD_POISON 102
#endif

int main(void)
{
	void *p = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED || madvise(p, 4096, MADV_GUARD_POISON);
}
