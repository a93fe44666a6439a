/* SPDX-License-Identifier: MIT */
/*
 * guard_pages.h: guard pages for programs, with a fall-back.
 *
 * guard_pages_set() makes pages inaccessible with madvise(MADV_GUARD_POISON),
 * also known as MADV_GUARD_INSTALL, if the kernel has it and accepts it for that
 * memory, else with mprotect(PROT_NONE). It returns which of the two it used;
 * pass that to guard_pages_clear().
 *
 *	int how = guard_pages_set(p, len);
 *
 *	if (how < 0)
 *		err(1, "no guard");
 *	...
 *	guard_pages_clear(p, len, PROT_READ | PROT_WRITE, how);
 *
 * For C99 and C++11 or later, gcc or clang, Linux. There is no library to link.
 * With -std=c99 and the like, define _DEFAULT_SOURCE or _GNU_SOURCE before the
 * first #include. Each program or shared object has a state of its own. Any
 * thread may call the functions at any time, also after fork() and in a signal
 * handler. If they succeed, they do not change errno.
 */
#ifndef GUARD_PAGES_H
#define GUARD_PAGES_H

#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef MAP_ANONYMOUS
#error "guard_pages.h: define _DEFAULT_SOURCE or _GNU_SOURCE before any #include"
#endif

/* The values are the same on every architecture. */
#ifndef MADV_GUARD_POISON
#define MADV_GUARD_POISON	102
#endif
#ifndef MADV_GUARD_UNPOISON
#define MADV_GUARD_UNPOISON	103
#endif
#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED	24
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* The ways to make a range inaccessible, which guard_pages_set() returns. */
enum {
	GUARD_PAGES_FAILED	= -1,	/* none; see errno */
	GUARD_PAGES_POISON	= 1,	/* guards in page table entries */
	GUARD_PAGES_PROT_NONE	= 2,	/* one or more mappings of its own */
};

/*
 * 0: not known yet; 1: the kernel has guards; 2: it does not. Weak, so that all
 * files of a program share it.
 */
__attribute__((weak, visibility("hidden"))) int guard_pages_state_;

/*
 * Does the kernel refuse to read this word for a system call? Some emulators
 * ignore the advice and return success. Seccomp filters permit futex(), and with
 * this value it never waits.
 */
static inline int guard_pages_refused_(void *word)
{
	/* 128: FUTEX_WAIT | FUTEX_PRIVATE_FLAG. The word is 0, if anything. */
#ifdef SYS_futex
	if (syscall(SYS_futex, word, 128, 1, NULL, NULL, 0) == -1 && errno == EFAULT)
		return 1;
#endif
#ifdef SYS_futex_time64
	/* 32-bit kernels may lack the other one. */
	if (syscall(SYS_futex_time64, word, 128, 1, NULL, NULL, 0) == -1 && errno == EFAULT)
		return 1;
#endif
	return 0;
}

/**
 * guard_pages_available - does this kernel have guard pages?
 *
 * Tries it on a page of its own and remembers the answer. Several threads that
 * are here first at the same time may all try it, with the same result. If it
 * can map no page to try, it remembers nothing.
 *
 * Return: 1 if it has, 0 if not, or if there is no page to try.
 */
static inline int guard_pages_available(void)
{
	int state = __atomic_load_n(&guard_pages_state_, __ATOMIC_RELAXED);
	const int saved = errno;
	size_t size;
	void *p;

	if (state)
		return state == 1;

	size = (size_t)sysconf(_SC_PAGESIZE);
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p != MAP_FAILED) {
		/* After mlockall(MCL_FUTURE) it is locked, and would be refused. */
		munlock(p, size);
		state = !madvise(p, size, MADV_GUARD_POISON) && guard_pages_refused_(p) ? 1 : 2;
		munmap(p, size);
		__atomic_store_n(&guard_pages_state_, state, __ATOMIC_RELAXED);
	}
	errno = saved;
	return state == 1;
}

/**
 * guard_pages_set - make pages inaccessible, and free what is in them
 * @addr: the first page; a multiple of the page size
 * @len: length in bytes, which is rounded up to pages; 0 is a success
 *
 * After it has returned, any access to the range by the program is a SIGSEGV with
 * si_code SEGV_ACCERR and the address in si_addr, and any by the kernel for a
 * system call is EFAULT. Pages that are guards already stay so.
 *
 * If the kernel has no guards, or refuses them in a part of the range, such as
 * locked contents, hugetlb or, on mainline before 6.15, memory that is shared or
 * of a file, it uses mprotect(PROT_NONE) for all of the range. It frees contents
 * of private anonymous memory (if locked, since Linux 5.18); other contents may
 * be there again when the range is accessible.
 *
 * Return: GUARD_PAGES_POISON, GUARD_PAGES_PROT_NONE, or GUARD_PAGES_FAILED with
 * errno set to
 *   EINVAL	@addr is not aligned, or the end is beyond the address space
 *   ENOMEM	a part of the range is not mapped, there is no memory for page
 *		tables, or, for PROT_NONE, the process would have more than
 *		vm.max_map_count mappings
 *   EPERM	a part is sealed (see mseal(2))
 * or another error of mprotect(2). A part of the range may then be inaccessible:
 * undo it by guard_pages_clear() with GUARD_PAGES_PROT_NONE, or try again.
 */
static inline int guard_pages_set(void *addr, size_t len)
{
	const size_t mask = (size_t)sysconf(_SC_PAGESIZE) - 1;
	const int saved = errno;

	if (((uintptr_t)addr & mask) || len > SIZE_MAX - mask ||
	    (uintptr_t)addr > UINTPTR_MAX - ((len + mask) & ~mask)) {
		errno = EINVAL;
		return GUARD_PAGES_FAILED;
	}

	if (guard_pages_available()) {
		if (!madvise(addr, len, MADV_GUARD_POISON))
			return GUARD_PAGES_POISON;
		/* mprotect() would not help with other errors. */
		if (errno != EINVAL)
			return GUARD_PAGES_FAILED;
	}

	/* In this order, or another thread could bring contents back. */
	if (mprotect(addr, len, PROT_NONE))
		return GUARD_PAGES_FAILED;
	if (madvise(addr, len, MADV_DONTNEED))
		madvise(addr, len, MADV_DONTNEED_LOCKED);
	errno = saved;
	return GUARD_PAGES_PROT_NONE;
}

/**
 * guard_pages_clear - make guards accessible again
 * @addr: the first page; a multiple of the page size
 * @len: length in bytes, which is rounded up to pages; 0 is a success
 * @prot: the protection that the memory had, for mprotect()
 * @how: what guard_pages_set() returned for the range
 *
 * With GUARD_PAGES_POISON, guards in the range become empty pages; other pages do
 * not change, and @prot is not used. With GUARD_PAGES_PROT_NONE, all of the range
 * gets @prot, and guards that guard_pages_set() made before the kernel refused a
 * part of the range become empty pages.
 *
 * Return: 0, or -1 with errno set to
 *   EINVAL	@addr is not aligned, the end is beyond the address space, @how is
 *		neither of the two, or is GUARD_PAGES_POISON and the memory can
 *		have no guards
 *   ENOMEM	a part of the range is not mapped (the rest is done, if @how is
 *		GUARD_PAGES_POISON), or the process would have more than
 *		vm.max_map_count mappings
 *   EACCES, EPERM	as for mprotect(2)
 */
static inline int guard_pages_clear(void *addr, size_t len, int prot, int how)
{
	const int saved = errno;

	if (how == GUARD_PAGES_POISON)
		return madvise(addr, len, MADV_GUARD_UNPOISON);

	if (how != GUARD_PAGES_PROT_NONE) {
		errno = EINVAL;
		return -1;
	}
	/*
	 * POISON stops at the first VMA that it refuses. UNPOISON refuses no VMA
	 * that POISON accepts, so it gets at least as far.
	 */
	if (guard_pages_available() && madvise(addr, len, MADV_GUARD_UNPOISON))
		errno = saved;
	return mprotect(addr, len, prot);
}

#ifdef __cplusplus
}
#endif

#endif /* GUARD_PAGES_H */
