/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The operations of the model checker, each as one call, and the probes. They do
 * not use the model: a printed program consists of this text and calls of these
 * functions.
 *
 * Pages have numbers, not addresses: a window's number in the high 8 bits and
 * the page in the window in the low 24. A window is a fixed range of addresses,
 * except in the heap and the stack, whose addresses vary.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#define _FILE_OFFSET_BITS 64
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <linux/futex.h>
#include <linux/userfaultfd.h>

/* Headers of an older libc or kernel lack these */
#ifndef MADV_COLD
#define MADV_COLD 20
#define MADV_PAGEOUT 21
#endif
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#ifndef MADV_GUARD_POISON
#define MADV_GUARD_POISON 102
#define MADV_GUARD_UNPOISON 103
#endif
#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif
#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif
#ifndef MLOCK_ONFAULT
#define MLOCK_ONFAULT 1
#endif
#ifndef MCL_ONFAULT
#define MCL_ONFAULT 4
#endif
#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#define PR_SET_VMA_ANON_NAME 0
#endif
#ifndef F_ADD_SEALS
#define F_ADD_SEALS 1033
#define F_SEAL_SHRINK 2
#define F_SEAL_GROW 4
#define F_SEAL_WRITE 8
#endif
#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 16
#endif
#ifndef FALLOC_FL_KEEP_SIZE
#define FALLOC_FL_KEEP_SIZE 1
#define FALLOC_FL_PUNCH_HOLE 2
#endif
/* System calls with the same number on all architectures */
#ifndef __NR_process_madvise
#define __NR_process_madvise 440
#endif
#ifndef __NR_mseal
#define __NR_mseal 462
#endif

#define W_SHIFT		24
#define PG(w, page)	(((uint32_t)(w) << W_SHIFT) + (page))
#define WIN(pg)		((pg) >> W_SHIFT)
#define OFF(pg)		((pg) & ((1u << W_SHIFT) - 1))

enum {
	W_TABLE,	/* over the boundary of two page tables */
	W_PMD,		/* three huge pages and some pages on both sides */
	W_PUD,		/* over the boundary of two PMD tables */
	W_SMALL,	/* in the middle of a table */
	W_BIG,		/* several GiB; 128 MiB if addresses have 32 bits */
	W_BRK,
	W_STACK,
	NR_WIN
};

struct rt_win {
	uintptr_t base;
	uint32_t pages;
};

extern struct rt_win rt_win[NR_WIN];
extern size_t rt_psz;		/* bytes in a page */
extern uint32_t rt_ppt;		/* pages that one page table maps */
extern uintptr_t rt_before;	/* a page that is always there, in a table in front of W_TABLE's */
extern bool rt_has_mem_force;	/* /proc/self/mem ignores protections */

/* Read by the last operation: the first and the last word of each page */
#define RT_SEEN 1024
extern uint32_t rt_seen[RT_SEEN][2];
/* The last fault */
struct rt_fault {
	int sig, code;
	uintptr_t addr;
};
extern struct rt_fault rt_fault;

/* Call it once; @stack is RT_STACK pages of the caller's frame */
#define RT_STACK_PAGES 32
#define RT_STACK (RT_STACK_PAGES + 17)
void rt_init(char *stack);
/*
 * Opens new files, of FILE_PAGES pages each: a memfd, and one of a file system that is
 * not shared memory: in $TMPDIR, else, for root, in a ramfs of its own, else in /tmp.
 */
void rt_files(void);
enum { MEMFD, DISK, NR_FILES };
#define FILE_PAGES (1u << 21)
/* In a child, reopens files that belong to the parent's memory when needed */
void rt_forked(void);
__attribute__((noreturn, format(printf, 1, 2))) void rt_die(const char *fmt, ...);

static inline uintptr_t rt_addr(uint32_t pg)
{
	return rt_win[WIN(pg)].base + OFF(pg) * rt_psz;
}

/*
 * Operations. Each returns the result of the system call, or -errno; operations
 * on pages return the number of pages done. Reads and writes by the program
 * itself add the signal that ended them << 32.
 */
#define RT_SIG(r)	((int)((r) >> 32))
#define RT_PAGES(r)	((uint32_t)(r))

enum { M_SHARED = 1, M_FILE = 2, M_NOREPLACE = 4, M_POPULATE = 8, M_LOCKED = 16, M_DISK = 32 };
/* Of a file (M_FILE: the memfd, with M_DISK the other one), from its page @from on */
int64_t x_mmap(uint32_t pg, uint32_t n, int prot, int how, uint32_t from);
int64_t x_munmap(uint32_t pg, uint32_t n);
int64_t x_mprotect(uint32_t pg, uint32_t n, int prot);
int64_t x_madvise(uint32_t pg, uint32_t n, int advice);
int64_t x_madvise_odd(uint32_t pg, int64_t offset, int64_t bytes, int advice);
int64_t x_process_madvise(uint32_t pg1, uint32_t n1, uint32_t pg2, uint32_t n2, int advice);
int64_t x_read(uint32_t pg, uint32_t n);
int64_t x_write(uint32_t pg, uint32_t n, uint32_t id, uint32_t step);
int64_t x_pipe_from(uint32_t pg, uint32_t n);
int64_t x_pipe_to(uint32_t pg, uint32_t n, uint32_t id, uint32_t step);
int64_t x_vm_readv(uint32_t pg, uint32_t n);
int64_t x_vm_writev(uint32_t pg, uint32_t n, uint32_t id, uint32_t step);
int64_t x_mem_read(uint32_t pg, uint32_t n);
int64_t x_mem_write(uint32_t pg, uint32_t n, uint32_t id, uint32_t step);
int64_t x_futex(uint32_t pg);
int64_t x_fork(void);
int64_t x_wait(int64_t child);
int64_t x_vfork(uint32_t pg, uint32_t n, int advice);
int64_t x_mlock(uint32_t pg, uint32_t n, int flags);
int64_t x_munlock(uint32_t pg, uint32_t n);
int64_t x_mlockall(int flags);
int64_t x_munlockall(void);
int64_t x_mremap(uint32_t src, uint32_t n, uint32_t dst, uint32_t m, int flags);
int64_t x_mseal(uint32_t pg, uint32_t n);
int64_t x_name(uint32_t pg, uint32_t n, int on);
int64_t x_brk(uint32_t pages);
int64_t x_msync(uint32_t pg, uint32_t n, int flags);
/* On a file itself */
int64_t x_truncate(int file, uint32_t pages);
int64_t x_punch(int file, uint32_t page, uint32_t n);
int64_t x_file_read(int file, uint32_t page, uint32_t n);
int64_t x_file_write(int file, uint32_t page, uint32_t n, uint32_t id, uint32_t step);
int64_t x_fadvise(int file, uint32_t page, uint32_t n);
int64_t x_seal(int seals);
enum { U_MISSING = 1, U_WP = 2, U_ASYNC = 4 };
int64_t x_uffd_register(uint32_t pg, uint32_t n, int mode);
int64_t x_uffd_unregister(uint32_t pg, uint32_t n, int async);
int64_t x_uffd_copy(uint32_t pg, uint32_t n, uint32_t id, uint32_t step, int wp);
int64_t x_uffd_zeropage(uint32_t pg, uint32_t n);
int64_t x_uffd_poison(uint32_t pg, uint32_t n);
int64_t x_uffd_wp(uint32_t pg, uint32_t n, int on);
int64_t x_uffd_move(uint32_t dst, uint32_t src, uint32_t n, int holes);
int64_t x_uffd_fault(uint32_t pg, uint32_t n, uint32_t id);
int64_t x_uffd_event(uint32_t pg, uint32_t n);
int64_t x_scan(uint32_t pg, uint32_t n, int wp);
int64_t x_clear_refs(int what);
int64_t x_soft_dirty(uint32_t pg, uint32_t id);
int64_t x_mincore(uint32_t pg, uint32_t n);
int64_t x_move_pages(uint32_t pg, uint32_t n);
enum { G_SWAPOFF, G_KSM, G_KHUGEPAGED, G_COMPACT, NR_GLOBAL };
int64_t x_global(int what);
int64_t x_hwpoison(uint32_t pg);
int64_t x_offline(uint32_t pg);

/* Reads all readable pages, as a check does */
int64_t x_look(uint32_t pg, uint32_t n);

/* Probes return 0 or the signal, and do not change a page that is as expected */
int rt_load(uint32_t pg, uint32_t val[2]);
int rt_store(uint32_t pg, const uint32_t val[2]);
/* Can the kernel read or write there, for a system call? */
bool rt_kernel_reads(uint32_t pg);
bool rt_kernel_writes(uint32_t pg);
/* As a debugger, which ignores the protection: 0 or -errno */
int rt_peek(uint32_t pg, uint32_t val[2]);
int rt_pagemap(uint32_t pg, uint32_t n, uint64_t *entries);
/* As read(2) of the file has it: 0 or -errno */
int rt_file_peek(int file, uint32_t page, uint32_t val[2]);
#define PM_PRESENT	(1ull << 63)
#define PM_SWAPPED	(1ull << 62)
#define PM_GUARD	(1ull << 58)
#define PM_WP		(1ull << 57)
#define PM_SOFT		(1ull << 55)
/* Pages in the windows at which a VMA begins; returns -1 if they could not be read */
int rt_vma_boundaries(uint32_t *at, int max);
/* Anonymous memory of this process, resident or swapped out, in pages */
int64_t rt_anon_pages(void);
void rt_anon_rebase(void);	/* count from the current number */
/* Page tables of this process, in bytes */
int64_t rt_tables(void);
void rt_tables_rebase(void);
/* The categories of each page by x_scan(), 0 if it was not reported */
extern uint64_t rt_scanned[RT_SEEN];
/* The results of x_mincore() and x_move_pages() for each page */
extern unsigned char rt_core[RT_SEEN];
extern int rt_node[RT_SEEN];

/* For the printed programs: print the fault, and end with status 1 */
#define want(call, value) rt_want(#call, (call), (value))
void rt_want(const char *what, int64_t got, int64_t value);
void want_guard(uint32_t pg);		/* for a debugger too */
void want_segv(uint32_t pg, int write);
void want_sigbus(uint32_t pg, int write);
void want_contents(uint32_t pg, uint32_t first, uint32_t last);
void want_zero_or(uint32_t pg, uint32_t first, uint32_t last);
void want_file(int file, uint32_t page, uint32_t first, uint32_t last);
void want_pagemap(uint32_t pg, uint64_t mask, uint64_t value);
void want_boundaries(int win, int min, int max);
void want_anon(int64_t min, int64_t max);
void want_tables(int64_t max);
void want_mincore(uint32_t pg, int value);
