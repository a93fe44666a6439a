// SPDX-License-Identifier: MIT
/*
 * jemalloc's own guards (MALLOC_CONF=san_guard_small:N,san_guard_large:N) as
 * guard pages, with the library as Debian ships it:
 *
 *   LD_PRELOAD=jeguard.so:libjemalloc.so.2 program
 *
 * jemalloc takes and gives back guards with mprotect(), and uses that for
 * nothing else: PROT_NONE becomes MADV_GUARD_POISON, read and write
 * MADV_GUARD_UNPOISON. The calls of others are passed on. Where the kernel
 * refuses (it has no guards, or the memory is locked) jemalloc gets what it
 * asked for, and so it does from then on wherever that matters.
 *
 * JEGUARD=stats says at exit how many there were.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#ifndef MADV_GUARD_POISON
#define MADV_GUARD_POISON 102
#define MADV_GUARD_UNPOISON 103
#endif

static unsigned long marked, unmarked, refused, others;

static unsigned long count(unsigned long *n)
{
	return __atomic_fetch_add(n, 1, __ATOMIC_RELAXED);
}

/* Neither allocates nor locks: this is called from within malloc. */
static bool is_jemalloc(void *pc)
{
	static uintptr_t start, end;
	struct dl_find_object object;
	const char *name;

	if ((uintptr_t)pc - __atomic_load_n(&start, __ATOMIC_ACQUIRE) <
	    __atomic_load_n(&end, __ATOMIC_ACQUIRE) - start)
		return true;
	if (_dl_find_object(pc, &object) || !object.dlfo_link_map)
		return false;
	name = object.dlfo_link_map->l_name;
	if (!name || !strstr(name, "libjemalloc.so"))
		return false;
	__atomic_store_n(&start, (uintptr_t)object.dlfo_map_start, __ATOMIC_RELEASE);
	__atomic_store_n(&end, (uintptr_t)object.dlfo_map_end, __ATOMIC_RELEASE);
	return true;
}

__attribute__((visibility("default")))
int mprotect(void *addr, size_t len, int prot)
{
	int saved = errno;

	if (!is_jemalloc(__builtin_return_address(0))) {
		count(&others);
	} else if (prot == PROT_NONE) {
		if (!syscall(SYS_madvise, addr, len, MADV_GUARD_POISON)) {
			count(&marked);
			return 0;
		}
		count(&refused);
	} else {
		syscall(SYS_madvise, addr, len, MADV_GUARD_UNPOISON);
		count(&unmarked);
		/* Some guard is of PROT_NONE; this may be the one. */
		if (!__atomic_load_n(&refused, __ATOMIC_RELAXED)) {
			errno = saved;
			return 0;
		}
	}
	errno = saved;
	return syscall(SYS_mprotect, addr, len, prot);
}

__attribute__((destructor))
static void tell(void)
{
	const char *how = getenv("JEGUARD");
	char line[160];
	int n;

	if (!how || strcmp(how, "stats"))
		return;
	n = snprintf(line, sizeof(line), "jeguard: %lu guards set, %lu taken away, %lu refused; "
		     "%lu calls of others\n", marked, unmarked, refused, others);
	if (write(2, line, n) < 0)
		return;
}
