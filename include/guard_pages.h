/* SPDX-License-Identifier: MIT */
/*
 * guard_pages.h: guard pages for programs, with a fall-back.
 *
 * guard_pages_set() makes pages inaccessible with madvise(MADV_GUARD_POISON),
 * also known as MADV_GUARD_INSTALL, where the kernel has it and takes it for
 * that memory; else with mprotect(PROT_NONE). The return value says which, and
 * guard_pages_clear() wants to be told.
 *
 *	int how = guard_pages_set(p, len);
 *
 *	if (how < 0)
 *		err(1, "no guard");
 *	...
 *	guard_pages_clear(p, len, PROT_READ | PROT_WRITE, how);
 *
 * For C99 and C++11 or later, gcc or clang, Linux. Nothing to link with. Where
 * the compiler is told to be strict (-std=c99), _DEFAULT_SOURCE or _GNU_SOURCE
 * must be defined before the first #include of the file. Each program or shared
 * object has a state of its own. All functions may be called by any thread, at
 * the same time, after fork(), and from a signal handler. On success they leave
 * errno as it was.
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

/* How a range was made inaccessible: what guard_pages_set() returns. */
enum {
	GUARD_PAGES_FAILED	= -1,	/* it was not; see errno */
	GUARD_PAGES_POISON	= 1,	/* guards in page table entries */
	GUARD_PAGES_PROT_NONE	= 2,	/* a mapping, or several, of its own */
};

/*
 * 0: not known yet; 1: the kernel has guards; 2: it does not. Weak, so that all
 * files of a program share it.
 */
__attribute__((weak, visibility("hidden"))) int guard_pages_state_;

/*
 * Does the kernel refuse to read this word, for a system call? A call that
 * seccomp filters let pass, on a value that it never waits for. (Some emulators
 * say that any advice was taken, and do nothing.)
 */
static inline int guard_pages_refused_(void *word)
{
	/* 128: FUTEX_WAIT | FUTEX_PRIVATE_FLAG. The word is 0, if anything. */
#ifdef SYS_futex
	if (syscall(SYS_futex, word, 128, 1, NULL, NULL, 0) == -1 && errno == EFAULT)
		return 1;
#endif
#ifdef SYS_futex_time64
	/* Kernels for 32 bits need not have the other one. */
	if (syscall(SYS_futex_time64, word, 128, 1, NULL, NULL, 0) == -1 && errno == EFAULT)
		return 1;
#endif
	return 0;
}

/**
 * guard_pages_available - does this kernel have guard pages?
 *
 * Tries it, on a page of its own, and remembers the answer. Threads that come
 * here first at the same time may each try it, with the same result. If there
 * is no page to try it on, that is not remembered.
 *
 * Return: 1 if it has, 0 if not, or if it cannot be found out now.
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
 * From its return on, any access to the range by the program is a SIGSEGV with
 * si_code SEGV_ACCERR and the address in si_addr, and any by the kernel for a
 * system call is EFAULT. Pages that are guards already stay so.
 *
 * mprotect(PROT_NONE) is what it comes to for all of the range if the kernel has
 * no guards or refuses them for a part: memory that is locked, shared or of a
 * file, for example. Contents are freed if the range is private anonymous memory
 * (locked: since Linux 5.18); otherwise, they may come back with the access.
 *
 * Return: GUARD_PAGES_POISON, GUARD_PAGES_PROT_NONE, or GUARD_PAGES_FAILED with
 * errno set to
 *   EINVAL	@addr is not aligned, or the end is beyond the address space
 *   ENOMEM	a part of the range is not mapped, there is no memory for page
 *		tables, or, for PROT_NONE, the process would have more than
 *		vm.max_map_count mappings
 *   EPERM	a part is sealed (see mseal(2))
 * or what else mprotect(2) says. A part of the range may be inaccessible then:
 * guard_pages_clear() with GUARD_PAGES_PROT_NONE undoes either, or it can be
 * tried again.
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
		/* Only what is refused is worth another way. */
		if (errno != EINVAL)
			return GUARD_PAGES_FAILED;
	}

	/* In this order: nobody brings back contents between the two. */
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
 * With GUARD_PAGES_POISON, guards in the range become empty pages; what is no
 * guard is not touched, and @prot is not used. With GUARD_PAGES_PROT_NONE, all of
 * the range gets @prot, and what guard_pages_set() had made guards of before it
 * came to memory that was refused is undone.
 *
 * Return: 0, or -1 with errno set to
 *   EINVAL	@addr is not aligned, the end is beyond the address space, @how is
 *		neither of the two, or is GUARD_PAGES_POISON and the memory can
 *		have no guards
 *   ENOMEM	a part of the range is not mapped (the rest is done, if @how is
 *		GUARD_PAGES_POISON), or the process would have more than
 *		vm.max_map_count mappings
 *   EACCES, EPERM	as mprotect(2) says
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
	 * POISON goes from VMA to VMA until one is refused, and so does this: it
	 * gets as far, or farther.
	 */
	if (guard_pages_available() && madvise(addr, len, MADV_GUARD_UNPOISON))
		errno = saved;
	return mprotect(addr, len, prot);
}

#ifdef __cplusplus
}
#endif

#endif /* GUARD_PAGES_H */
