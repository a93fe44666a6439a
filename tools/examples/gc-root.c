// SPDX-License-Identifier: MIT
/*
 * For tools/bdwgc-8.2.2.patch: the only reference to an object lies behind a guard, in
 * a mapping that the collector finds in /proc/self/maps. Without the patch, it
 * never ends. Status: 0 if the object lives, 1 if it was collected.
 */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

/* Of <gc.h>, which need not be installed. */
void GC_init(void);
void *GC_malloc(size_t size);
int GC_general_register_disappearing_link(void **link, const void *object);
void GC_gcollect(void);

int main(void)
{
	long page = sysconf(_SC_PAGESIZE);
	void *object, *link;
	char *p;

	GC_init();
	p = mmap(NULL, 16 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	object = GC_malloc(100);
	*(void **)(p + 8 * page) = object;
	/* Hidden from the collector; becomes NULL when the object is collected. */
	link = (void *)~(uintptr_t)object;
	GC_general_register_disappearing_link(&link, object);
	object = NULL;
	if (madvise(p + 4 * page, page, 102)) {
		perror("gc-root: no guard");
		return 2;
	}
	GC_gcollect();
	puts(link ? "alive" : "collected");
	return !link;
}
