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
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
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

/* ---- Is this a guard? ------------------------------------------------------- */

/*
 * The functions below ask the kernel. They need no memory but about 2 KiB of the
 * stack, keep nothing open, and are as safe in a signal handler and after fork()
 * as those above. In the order in which they are tried:
 *
 *	PAGEMAP_SCAN	Linux 6.16, and every kernel with this series
 *	pagemap bit 58	Linux 6.15
 *	MADV_POPULATE_READ, for the caller's own pages only: where pagemap cannot be
 *			opened, and on 6.13 and 6.14, which show a guard only as
 *			swapped out
 *
 * The last one brings a page that is no guard into memory, as reading it would,
 * and may wait as long as that (userfaultfd, network file systems). It takes a
 * page behind the end of its file, access to which is a SIGBUS, for a guard.
 */

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ	22
#endif

/* <linux/fs.h> has these since 6.7. */
struct guard_pages_region_ {
	uint64_t start, end, categories;
};

struct guard_pages_scan_ {
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
	uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};

#define GUARD_PAGES_SCAN_	_IOWR('f', 16, struct guard_pages_scan_)
#define GUARD_PAGES_IS_GUARD_	(1ULL << 8)

/* Of the 64 bits of a page in pagemap. */
#define GUARD_PAGES_PM_GUARD_	(1ULL << 58)
#define GUARD_PAGES_PM_SWAP_	(1ULL << 62)
#define GUARD_PAGES_PM_FRAME_	((1ULL << 55) - 1)

#define GUARD_PAGES_AHEAD_	32

/**
 * struct guard_pages_run - guards without a gap between them
 * @start: address of the first
 * @end: address after the last
 *
 * The rest is private. Set all of it to 0 before the first call.
 */
struct guard_pages_run {
	uint64_t start, end;
	uint64_t asked_, to_;		/* the end that the caller gave, and as it is used */
	uint64_t at_;			/* all before it has been read ahead */
	unsigned int next_, count_;	/* in ahead_ */
	int bits_;			/* PAGEMAP_SCAN does not know guards */
	struct guard_pages_region_ ahead_[GUARD_PAGES_AHEAD_];
};

/* What guard_pages_classify() returns. */
enum {
	GUARD_PAGES_HIT_OTHER		= 0,
	GUARD_PAGES_HIT_GUARD		= 1,
	GUARD_PAGES_HIT_PROT_NONE	= 2,
	GUARD_PAGES_HIT_NOTHING		= 3,
};

/*
 * 0: not known yet; 1: pagemap has bit 58, or the kernel has no guards; 2: guards
 * show only as swapped out. Used only where PAGEMAP_SCAN does not know guards.
 */
__attribute__((weak, visibility("hidden"))) int guard_pages_bits_;

static inline uint64_t guard_pages_first_(uint64_t addr)
{
#ifdef __aarch64__
	/* A tag, which a pointer may have and si_addr too, is no part of the address. */
	addr &= (1ULL << 56) - 1;
#endif
	return addr & ~((uint64_t)sysconf(_SC_PAGESIZE) - 1);
}

static inline int guard_pages_open_own_(void)
{
	/* /proc/self is of no use if the first thread has ended. */
	return open("/proc/thread-self/pagemap", O_RDONLY | O_CLOEXEC);
}

/* The process id of a pidfd in this /proc; -1 and errno. */
static inline long guard_pages_pid_(int pidfd)
{
	char text[512], path[48] = "/proc/thread-self/fdinfo/";
	int n = pidfd, i = 25, fd;
	ssize_t got;
	long pid = 0;
	char *s;

	for (i++; n >= 10; n /= 10)
		i++;
	path[i] = '\0';
	for (n = pidfd; n >= 10; n /= 10)
		path[--i] = (char)('0' + n % 10);
	path[--i] = (char)('0' + n);

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	got = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[got > 0 ? got : 0] = '\0';
	for (s = text; *s; s++)
		if (s[0] == '\n' && s[1] == 'P' && s[2] == 'i' && s[3] == 'd' && s[4] == ':' && s[5] == '\t')
			break;
	if (!*s) {
		errno = EBADF;
		return -1;
	}
	for (s += 6; *s >= '0' && *s <= '9'; s++)
		pid = pid * 10 + (*s - '0');
	/* -1: it has ended. 0: it is in no pid namespace that /proc shows. */
	if (!pid) {
		errno = ESRCH;
		return -1;
	}
	return pid;
}

/**
 * guard_pages_open - open the pagemap of a process, for guard_pages_next_in()
 * @pidfd: a pidfd (see pidfd_open(2)), a descriptor of a directory /proc/PID, or
 *	-1 for the caller
 *
 * Needs /proc, and for another process the right to trace it (see ptrace(2)). The
 * descriptor is closed on exec. It goes on to stand for the memory that the
 * process has now: after fork() that of the parent, after execve() nothing.
 *
 * Return: a descriptor, or -1 with errno set to
 *   EBADF	@pidfd is none of the three
 *   ESRCH	the process has ended, or is in a pid namespace out of sight
 *   EACCES, EPERM	it may not be traced
 *   ENOENT	there is no /proc, or a kernel without CONFIG_PROC_PAGE_MONITOR
 * or another error of open(2).
 */
static inline int guard_pages_open(int pidfd)
{
	const int saved = errno;
	char path[40] = "/proc/";
	uint64_t bits;
	long pid, n;
	int fd, i, j;

	if (pidfd == -1) {
		fd = guard_pages_open_own_();
		goto opened;
	}
	if (pidfd < 0) {
		errno = EBADF;
		return -1;
	}
	fd = openat(pidfd, "pagemap", O_RDONLY | O_CLOEXEC);
	if (fd < 0 && errno == ENOTDIR) {
		pid = guard_pages_pid_(pidfd);
		if (pid < 0)
			return -1;
		for (n = pid, i = 7; n >= 10; n /= 10)
			i++;
		for (j = 0; j < 9; j++)
			path[i + j] = "/pagemap"[j];
		for (n = pid; i > 6; n /= 10)
			path[--i] = (char)('0' + n % 10);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		/* If it still has this id, nobody else had it meanwhile. */
		if (fd >= 0 && guard_pages_pid_(pidfd) != pid) {
			close(fd);
			errno = ESRCH;
			return -1;
		}
	}
	/* A process that has ended may still have the file, with nothing to read. */
	if (fd >= 0 && pread(fd, &bits, sizeof(bits), 0) != (ssize_t)sizeof(bits)) {
		close(fd);
		errno = ESRCH;
		return -1;
	}
opened:
	if (fd >= 0)
		errno = saved;
	return fd;
}

/* The number of regions, and in *end how far it looked; -1 and errno. */
static inline int guard_pages_scan_(int pagemap, uint64_t from, uint64_t to,
				    struct guard_pages_region_ *region, unsigned int room,
				    uint64_t *end)
{
	struct guard_pages_scan_ arg = {
		sizeof(arg), 0, from, to, 0, (uintptr_t)region, room, 0,
		0, GUARD_PAGES_IS_GUARD_, 0, GUARD_PAGES_IS_GUARD_,
	};
	int n;

	do
		n = ioctl(pagemap, GUARD_PAGES_SCAN_, &arg);
	while (n < 0 && errno == EINTR);
	*end = arg.walk_end;
	return n;
}

/*
 * Have the kernel read a page of the caller. 1: a guard; 0: none; -1 and errno,
 * EACCES if the mapping cannot be read, where a guard would not show.
 */
static inline int guard_pages_touch_(uint64_t addr)
{
	const size_t size = (size_t)sysconf(_SC_PAGESIZE);
	void *p = (void *)(uintptr_t)addr;
	unsigned char in_memory;

	if (!madvise(p, size, MADV_POPULATE_READ))
		return 0;
	switch (errno) {
	case EFAULT:
		return 1;
#ifdef EHWPOISON
	case EHWPOISON:
		return 0;
#endif
	case ENOMEM:
		/* It is not mapped, or the memory is used up. */
		if (mincore(p, size, &in_memory) && errno == ENOMEM)
			return 0;
		errno = ENOMEM;
		return -1;
	case EINVAL:
		/* Before 5.14, there is no such advice, and there are no guards. */
		if (madvise(p, 0, MADV_POPULATE_READ))
			return 0;
		errno = EACCES;
	}
	return -1;
}

/* Sets guard_pages_bits_; 0 if it could not. */
static inline int guard_pages_bits_known_(void)
{
	int state = __atomic_load_n(&guard_pages_bits_, __ATOMIC_RELAXED);
	const size_t size = (size_t)sysconf(_SC_PAGESIZE);
	uint64_t bits;
	void *p;
	int fd;

	if (state)
		return state;
	if (!guard_pages_available())
		return guard_pages_state_ == 2;
	fd = guard_pages_open_own_();
	if (fd < 0)
		return 0;
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p != MAP_FAILED) {
		munlock(p, size);
		if (!madvise(p, size, MADV_GUARD_POISON) &&
		    pread(fd, &bits, sizeof(bits), (off_t)((uintptr_t)p / size * sizeof(bits))) ==
		    (ssize_t)sizeof(bits)) {
			state = bits & GUARD_PAGES_PM_GUARD_ ? 1 : 2;
			__atomic_store_n(&guard_pages_bits_, state, __ATOMIC_RELAXED);
		}
		munmap(p, size);
	}
	close(fd);
	return state;
}

/* By the bits of a page in pagemap: 1: a guard; 0: none; -1 and errno. */
static inline int guard_pages_by_bits_(uint64_t bits, uint64_t addr, int own)
{
	if (bits & GUARD_PAGES_PM_GUARD_)
		return 1;
	if (!(bits & GUARD_PAGES_PM_SWAP_))
		return 0;
	/*
	 * Swapped out, or a guard of 6.13 or 6.14. A caller with CAP_SYS_ADMIN sees the
	 * swap entry: 31 is the type of a marker, and bit 2 of its offset that of a guard.
	 */
	if (bits & GUARD_PAGES_PM_FRAME_)
		return (bits & 31) == 31 && (bits & (4ULL << 5));
	if (own)
		return guard_pages_touch_(addr);
	if (guard_pages_bits_known_() == 1)
		return 0;
	errno = EOPNOTSUPP;
	return -1;
}

/* Reads on, until there is a run or the end. 0, or -1 and errno. */
static inline int guard_pages_read_(int pagemap, int own, struct guard_pages_run *run)
{
	const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	uint64_t bits[2 * GUARD_PAGES_AHEAD_], low, high, middle, end, n, i;
	struct guard_pages_region_ *r;
	ssize_t got;
	int guard, found;

	run->next_ = run->count_ = 0;
	while (!run->bits_ && run->at_ < run->to_) {
		found = guard_pages_scan_(pagemap, run->at_, run->to_, run->ahead_,
					  GUARD_PAGES_AHEAD_, &end);
		if (found >= 0) {
			if (end <= run->at_) {
				errno = EIO;
				return -1;
			}
			run->at_ = end;
			run->count_ = (unsigned int)found;
			if (found)
				return 0;
		} else if (errno == EFAULT) {
			/* It goes beyond the address space. Find where that ends. */
			low = run->at_ / page;
			high = run->to_ / page;
			while (low < high) {
				middle = low + (high - low) / 2;
				if (guard_pages_scan_(pagemap, middle * page, (middle + 1) * page,
						      run->ahead_, 1, &end) < 0)
					high = middle;
				else
					low = middle + 1;
			}
			if (low * page == run->to_) {
				errno = EFAULT;
				return -1;
			}
			run->to_ = low * page;
		} else if (errno == EINVAL || errno == ENOTTY) {
			run->bits_ = 1;
		} else {
			return -1;
		}
	}

	/* Do not read all of pagemap for nothing. */
	if (run->bits_ && !guard_pages_available() && guard_pages_state_ == 2)
		run->at_ = run->to_;
	while (!run->count_ && run->at_ < run->to_) {
		n = (run->to_ - run->at_) / page;
		if (n > sizeof(bits) / sizeof(*bits))
			n = sizeof(bits) / sizeof(*bits);
		got = pread(pagemap, bits, (size_t)n * sizeof(*bits),
			    (off_t)(run->at_ / page * sizeof(*bits)));
		if (got < 0)
			return -1;
		n = (uint64_t)got / sizeof(*bits);
		if (!n) {
			run->at_ = run->to_;
			break;
		}
		for (i = 0; i < n; i++, run->at_ += page) {
			guard = guard_pages_by_bits_(bits[i], run->at_, own);
			if (guard < 0)
				return -1;
			if (!guard)
				continue;
			r = run->count_ ? &run->ahead_[run->count_ - 1] : NULL;
			if (!r || r->end != run->at_) {
				r = &run->ahead_[run->count_++];
				r->start = run->at_;
			}
			r->end = run->at_ + page;
		}
	}
	return 0;
}

/* fd: a pagemap, or, if @process, what guard_pages_open() takes. */
static inline int guard_pages_next_(int fd, int process, uint64_t from, uint64_t to,
				    struct guard_pages_run *run)
{
	const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	const int own = process && fd == -1, saved = errno;
	int pagemap = process ? -1 : fd, found = 0;

	/* Go on with what has been read ahead, unless this is another range. */
	if (run->start == run->end || from != run->end || to != run->asked_) {
		run->asked_ = to;
		run->at_ = guard_pages_first_(from);
		run->to_ = to > UINT64_MAX - page ? UINT64_MAX - page + 1 :
			   guard_pages_first_(to + page - 1);
		if (sizeof(void *) == 4 && run->to_ > UINT32_MAX - page + 1)
			run->to_ = UINT32_MAX - page + 1;
		run->next_ = run->count_ = 0;
	}

	run->start = run->end = from;
	for (;;) {
		for (; run->next_ < run->count_; run->next_++) {
			const struct guard_pages_region_ *r = &run->ahead_[run->next_];

			if (found && r->start != run->end)
				goto out;
			if (!found)
				run->start = r->start;
			run->end = r->end;
			found = 1;
		}
		/* What follows it may be in the next piece. */
		if (run->at_ >= run->to_ || (found && run->end < run->at_))
			break;
		if (pagemap < 0) {
			pagemap = guard_pages_open(fd);
			if (pagemap < 0) {
				found = -1;
				break;
			}
		}
		if (guard_pages_read_(pagemap, own, run)) {
			found = -1;
			break;
		}
	}
out:
	if (found < 0)
		run->start = run->end = from;
	if (process && pagemap >= 0) {
		const int error = errno;

		close(pagemap);
		errno = error;
	}
	if (found >= 0)
		errno = saved;
	return found;
}

/**
 * guard_pages_next - find guards in a range of the caller or of another process
 * @pidfd: a pidfd, a descriptor of a directory /proc/PID, or -1 for the caller
 * @from: where to begin, in bytes; rounded down to a page
 * @to: where to end, rounded up; UINT64_MAX for the end of the address space
 * @run: set to 0 before the first call; receives the guards found
 *
 *	struct guard_pages_run run = { 0 };
 *	uint64_t at = from;
 *
 *	for (; guard_pages_next(-1, at, to, &run) == 1; at = run.end)
 *		use(run.start, run.end);
 *
 * Finds the first guards in the range, and all that follow them without a gap. In
 * such a loop it reads up to 32 runs at a time, and so costs a system call for
 * many; it does not see what changed meanwhile. Memory that is not mapped has no
 * guards. It needs what guard_pages_open() needs, and opens a file, for which a
 * filter of system calls may kill: see guard_pages_next_in(). A 32-bit program
 * sees the first 4 GiB of another process.
 *
 * On 6.13 to 6.15, where PAGEMAP_SCAN does not know guards, the time is that of
 * reading 8 bytes for each page of the range, so give it mappings, and not the
 * address space. If a filter lets the caller set none there, it finds none.
 *
 * Return: 1 if there are guards, 0 if not, -1 with errno set as by
 * guard_pages_open(), or to
 *   EOPNOTSUPP	another process has pages that are swapped out or guards: the
 *		kernel (6.13 or 6.14) tells only callers with CAP_SYS_ADMIN which
 *   EACCES	the same of the caller's own pages, in a mapping without PROT_READ
 *   ESRCH	the process has ended
 */
static inline int guard_pages_next(int pidfd, uint64_t from, uint64_t to,
				   struct guard_pages_run *run)
{
	return guard_pages_next_(pidfd, 1, from, to, run);
}

/**
 * guard_pages_next_in - the same, by a descriptor of a pagemap
 * @pagemap: what guard_pages_open() returned, or /proc/PID/pagemap
 *
 * For programs that enter a sandbox: open it before. With a kernel that has guards
 * and does not tell PAGEMAP_SCAN of them (6.13 to 6.15), the first call may open
 * /proc/thread-self/pagemap, to see whether that has bit 58.
 */
static inline int guard_pages_next_in(int pagemap, uint64_t from, uint64_t to,
				      struct guard_pages_run *run)
{
	return guard_pages_next_(pagemap, 0, from, to, run);
}

/**
 * guard_pages_at - is this a guard?
 * @addr: any address of the caller
 *
 * If a seccomp filter is in force, which might kill for it, it opens no file, and
 * uses MADV_POPULATE_READ. System calls: prctl(PR_GET_SECCOMP), then openat(),
 * ioctl(), pread() and close(), or madvise() and mincore().
 *
 * Return: 1 if a guard is there, 0 if not, also where nothing is mapped, or -1 with
 * errno set to
 *   EACCES	pagemap is not available, and the mapping has no PROT_READ
 *   ENOMEM	no memory to populate the page
 * or another error of madvise(2), which a filter may choose.
 */
static inline int guard_pages_at(const void *addr)
{
	const uint64_t p = guard_pages_first_((uintptr_t)addr);
	const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	const int saved = errno;
	struct guard_pages_region_ region;
	uint64_t bits, end;
	int found = -1, fd;
	ssize_t got;

	/* EINVAL: a kernel without seccomp. */
	found = prctl(PR_GET_SECCOMP, 0, 0, 0, 0);
	fd = !found || (found < 0 && errno == EINVAL) ? guard_pages_open_own_() : -1;
	found = -1;
	if (fd >= 0) {
		found = guard_pages_scan_(fd, p, p + page, &region, 1, &end);
		if (found < 0) {
			got = pread(fd, &bits, sizeof(bits), (off_t)(p / page * sizeof(bits)));
			if (got == (ssize_t)sizeof(bits))
				found = guard_pages_by_bits_(bits, p, 1);
			else if (!got)
				found = 0;
		}
		close(fd);
	}
	if (found < 0)
		found = guard_pages_touch_(p);
	if (found >= 0)
		errno = saved;
	return found;
}

/**
 * guard_pages_classify - what did an access hit that was a SIGSEGV?
 * @info: what the signal handler got
 *
 * Looks at the memory as it is now, which another thread may have changed. Works as
 * guard_pages_at() does. To tell the others apart, it has the kernel read the page.
 *
 * Return: one of
 *   GUARD_PAGES_HIT_GUARD	a guard
 *   GUARD_PAGES_HIT_PROT_NONE	a mapping that cannot be read
 *   GUARD_PAGES_HIT_NOTHING	an address where nothing is mapped
 *   GUARD_PAGES_HIT_OTHER	none of them: not a SIGSEGV of the memory's, such as one
 *				that kill() sent; a write to read-only memory; or
 *				memory that is accessible by now
 * or -1 with errno set as by guard_pages_at().
 */
static inline int guard_pages_classify(const siginfo_t *info)
{
	const size_t size = (size_t)sysconf(_SC_PAGESIZE);
	const int saved = errno;
	unsigned char in_memory;
	uint64_t first;
	int result;
	void *p;

	if (info->si_signo != SIGSEGV ||
	    (info->si_code != SEGV_MAPERR && info->si_code != SEGV_ACCERR))
		return GUARD_PAGES_HIT_OTHER;
	first = guard_pages_first_((uintptr_t)info->si_addr);
	p = (void *)(uintptr_t)first;
	if (mincore(p, size, &in_memory) && errno == ENOMEM) {
		errno = saved;
		return GUARD_PAGES_HIT_NOTHING;
	}
	result = guard_pages_at(p) == 1 ? 1 : guard_pages_touch_(first);
	if (result == 1)
		result = GUARD_PAGES_HIT_GUARD;
	else if (!result)
		result = GUARD_PAGES_HIT_OTHER;
	else if (errno == EACCES)
		result = GUARD_PAGES_HIT_PROT_NONE;
	if (result >= 0)
		errno = saved;
	return result;
}

#ifdef __cplusplus
}
#endif

#endif /* GUARD_PAGES_H */
