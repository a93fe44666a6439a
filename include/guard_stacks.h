/* SPDX-License-Identifier: MIT */
/*
 * guard_stacks.h: a pool of stacks of one size, for fibers, each above a guard.
 *
 *	static struct guard_stacks pool;
 *
 *	if (guard_stacks_init(&pool, 64 * 1024, 0, 100000, 0))
 *		err(1, "no stacks");
 *	...
 *	char *low = guard_stacks_get(&pool);	// NULL: errno
 *
 *	context.uc_stack.ss_sp = low;		// the stack begins at low + pool.size
 *	context.uc_stack.ss_size = pool.size;
 *	...
 *	guard_stacks_put(&pool, low);		// once nothing runs on it
 *
 * All stacks lie in one range of addresses. Guards are made in page table entries
 * if the kernel has them (see guard_pages.h), 1,024 by one system call if it lets
 * process_madvise() do that, else one by one. All stacks are one mapping then. On
 * other kernels, guards are PROT_NONE, at the cost of two mappings each. Before
 * they have used up half of vm.max_map_count, later stacks share one: it lies
 * below a group of stacks, and a stack above the lowest overflows into the next.
 *
 * For C99 and C++11 or later, gcc or clang, Linux. There is no library to link.
 * No function uses malloc(), stdio or a lock. Any thread may call them at any time
 * on the same pool, also in a signal handler, except for init and destroy, which
 * must be alone with the pool. After fork() the child has stacks and guards of its
 * own; those that other threads had taken, or were just making, stay taken. If they
 * succeed, the functions do not change errno. They need less than 1 KiB of the
 * caller's stack.
 */
#ifndef GUARD_STACKS_H
#define GUARD_STACKS_H

#include "guard_pages.h"
#include <sys/uio.h>

#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED	24
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE	23
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Options of guard_stacks_init(). */
enum {
	/* No stack without a guard of its own: guard_stacks_get() fails instead. */
	GUARD_STACKS_EACH		= 1,
	/*
	 * Without it, the kernel may use huge pages for stacks of 2 MiB and more (a
	 * table's worth, where pages are larger), which then take 2 MiB on first touch.
	 */
	GUARD_STACKS_SMALL_PAGES	= 2,
};

/* What guard_stacks_find() returns. */
enum {
	GUARD_STACKS_ELSEWHERE	= 0,	/* not in this pool */
	GUARD_STACKS_IN_STACK	= 1,
	GUARD_STACKS_BELOW	= 2,	/* below a stack: an overflow */
};

/**
 * struct guard_stacks - a pool
 * @size: of a stack, in bytes, without the guard
 * @guard: of a guard, in bytes
 * @max: the largest number of stacks
 *
 * To be read; the rest is private.
 */
struct guard_stacks {
	size_t size, guard, max;
	char *base_;			/* slot 0 */
	size_t slot_;			/* bytes from one stack to the next */
	size_t words_;			/* of each of the maps below, a bit for each slot */
	/*
	 * A slot is claimed by whoever changes its bit: not made -> made; fresh or
	 * idle -> neither, which means taken. Nothing has to be seen at the same time
	 * as a bit, so a thread may stop, be interrupted or not exist any more (in a
	 * child) at any place: it leaves at most the slots taken that it had claimed.
	 */
	uintptr_t *made_;		/* guarded and accessible, or about to be */
	uintptr_t *fresh_;		/* free, and empty */
	uintptr_t *idle_;		/* free, but with memory */
	uintptr_t *poison_, *wall_;	/* has a guard of its own, of this kind */
	size_t idle_count_;		/* at least that of the bits in idle_ */
	size_t idle_near_, fresh_near_;	/* the word where there may be one */
	size_t each_, group_;		/* PROT_NONE: each of the first, then every group_-th */
	int options_;
};

/**
 * struct guard_stacks_stats - figures of a pool
 * @stacks: that exist
 * @taken: of those, by guard_stacks_get()
 * @idle: of those, free, and with memory from their last use
 * @poison: of those, above a guard of their own
 * @prot_none: of those, above a PROT_NONE mapping of their own
 *
 * @stacks - @poison - @prot_none share one with others.
 */
struct guard_stacks_stats {
	size_t stacks, taken, idle, poison, prot_none;
};

#define GUARD_STACKS_BITS_	(8 * sizeof(uintptr_t))
/* UIO_MAXIOV: what process_madvise() takes at most. */
#define GUARD_STACKS_BATCH_	1024
#define GUARD_STACKS_FEW_	8

/* Stacks that are being made. */
struct guard_stacks_work_ {
	size_t *slot;
	struct iovec *guard;
	size_t count, room;
};

static inline char *guard_stacks_low_(const struct guard_stacks *pool, size_t slot)
{
	return pool->base_ + (slot + 1) * pool->slot_ - pool->size;
}

static inline uintptr_t guard_stacks_bit_(size_t slot)
{
	return (uintptr_t)1 << slot % GUARD_STACKS_BITS_;
}

static inline uintptr_t guard_stacks_word_(const uintptr_t *map, size_t word)
{
	return __atomic_load_n(&map[word], __ATOMIC_RELAXED);
}

/* Sets bits; returns those that were set. */
static inline uintptr_t guard_stacks_mark_(uintptr_t *map, size_t word, uintptr_t bits)
{
	return __atomic_fetch_or(&map[word], bits, __ATOMIC_RELEASE) & bits;
}

/* Clears bits; returns those that were set, which are the caller's now. */
static inline uintptr_t guard_stacks_claim_(uintptr_t *map, size_t word, uintptr_t bits)
{
	return __atomic_fetch_and(&map[word], ~bits, __ATOMIC_ACQUIRE) & bits;
}

/* Claims one of the map's slots. The number of slots at most, if there is none. */
static inline size_t guard_stacks_claim_one_(struct guard_stacks *pool, uintptr_t *map, size_t *near)
{
	const size_t words = pool->words_;
	size_t word = __atomic_load_n(near, __ATOMIC_RELAXED), i;
	uintptr_t bits, bit;

	for (i = 0; i < words; i++) {
		while ((bits = guard_stacks_word_(map, word)) != 0) {
			bit = bits & -bits;
			if (!guard_stacks_claim_(map, word, bit))
				continue;
			if (i)
				__atomic_store_n(near, word, __ATOMIC_RELAXED);
			return word * GUARD_STACKS_BITS_ + (size_t)__builtin_ctzl(bit);
		}
		if (++word == words)
			word = 0;
	}
	return pool->max;
}

/* The row of neighbours that the lowest bit begins; its first bit, and how many. */
static inline uintptr_t guard_stacks_row_(uintptr_t bits, size_t *first, size_t *count)
{
	uintptr_t row = bits & -bits;

	*first = (size_t)__builtin_ctzl(bits);
	for (*count = 1; bits & row << 1 & ~row; ++*count)
		row |= row << 1;
	return row;
}

/* How many bits of the map are set. */
static inline size_t guard_stacks_count_(const struct guard_stacks *pool, const uintptr_t *map)
{
	size_t count = 0, word;

	for (word = 0; word < pool->words_; word++)
		count += (size_t)__builtin_popcountl(guard_stacks_word_(map, word));
	return count;
}

/* Those of the bits that are highest. */
static inline uintptr_t guard_stacks_highest_(uintptr_t bits, size_t count)
{
	size_t n = (size_t)__builtin_popcountl(bits);

	for (; n > count; n--)
		bits &= bits - 1;
	return bits;
}

/* The search begins at the lowest word where there may be one. */
static inline void guard_stacks_near_(size_t *near, size_t word)
{
	if (word < __atomic_load_n(near, __ATOMIC_RELAXED))
		__atomic_store_n(near, word, __ATOMIC_RELAXED);
}

/* How many stacks exist. */
static inline size_t guard_stacks_existing_(const struct guard_stacks *pool)
{
	return guard_stacks_count_(pool, pool->made_) - (pool->words_ * GUARD_STACKS_BITS_ - pool->max);
}

/* ---- making stacks ---------------------------------------------------------- */

/* A PROT_NONE guard, if this slot is to have one. 0, or -1 and errno. */
static inline int guard_stacks_wall_(struct guard_stacks *pool, size_t slot)
{
	if (slot >= pool->each_ && (slot - pool->each_) % pool->group_)
		return 0;
	if (!mprotect(guard_stacks_low_(pool, slot) - pool->guard, pool->guard, PROT_NONE)) {
		guard_stacks_mark_(pool->wall_, slot / GUARD_STACKS_BITS_, guard_stacks_bit_(slot));
		return 0;
	}
	return pool->options_ & GUARD_STACKS_EACH ? -1 : 0;
}

/* Guards for these stacks. Returns for how many; if not for all, errno says why. */
static inline size_t guard_stacks_guard_all_(struct guard_stacks *pool, const struct guard_stacks_work_ *work)
{
	size_t i = 0, done;
	long advised;
	int self;

#if defined(SYS_process_madvise) && defined(SYS_pidfd_open)
	if (work->count > 1 && guard_pages_available()) {
		/* Not to be kept: in a child, it would stand for the parent. */
		self = (int)syscall(SYS_pidfd_open, getpid(), 0);
		if (self >= 0) {
			advised = syscall(SYS_process_madvise, self, work->guard, work->count,
					  MADV_GUARD_POISON, 0);
			close(self);
			done = advised > 0 ? (size_t)advised / pool->guard : 0;
			for (; i < done; i++)
				guard_stacks_mark_(pool->poison_, work->slot[i] / GUARD_STACKS_BITS_,
						   guard_stacks_bit_(work->slot[i]));
		}
	}
#else
	(void)advised;
	(void)self;
	(void)done;
#endif
	for (; i < work->count; i++) {
		if (guard_pages_available() &&
		    !madvise(work->guard[i].iov_base, pool->guard, MADV_GUARD_POISON))
			guard_stacks_mark_(pool->poison_, work->slot[i] / GUARD_STACKS_BITS_,
					   guard_stacks_bit_(work->slot[i]));
		else if (guard_stacks_wall_(pool, work->slot[i]))
			break;
	}
	return i;
}

/* After mlockall(MCL_FUTURE) without MCL_ONFAULT, new memory is resident. */
static inline int guard_stacks_populates_(void)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	void *p = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned char in_memory = 0;

	if (p == MAP_FAILED)
		return 0;
	mincore(p, page, &in_memory);
	munmap(p, page);
	return in_memory & 1;
}

/* Slots become what they were: addresses without memory, tables or guards. */
static inline int guard_stacks_unmake_(struct guard_stacks *pool, size_t slot, size_t count)
{
	char *from = pool->base_ + slot * pool->slot_;
	int failed = mmap(from, count * pool->slot_, PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) == MAP_FAILED;

	if (!failed && (pool->options_ & GUARD_STACKS_SMALL_PAGES))
		madvise(from, count * pool->slot_, MADV_NOHUGEPAGE);
	for (; count--; slot++) {
		guard_stacks_claim_(pool->poison_, slot / GUARD_STACKS_BITS_, guard_stacks_bit_(slot));
		guard_stacks_claim_(pool->wall_, slot / GUARD_STACKS_BITS_, guard_stacks_bit_(slot));
		guard_stacks_claim_(pool->made_, slot / GUARD_STACKS_BITS_, guard_stacks_bit_(slot));
	}
	return failed ? -1 : 0;
}

/* How many of the stacks, from i on, have neighbouring slots. */
static inline size_t guard_stacks_beside_(const struct guard_stacks_work_ *work, size_t i)
{
	size_t n = 1;

	while (i + n < work->count && work->slot[i + n] == work->slot[i] + n)
		n++;
	return n;
}

/*
 * Makes up to @count stacks of those that do not exist, and, if @one is not NULL,
 * keeps the first of them for the caller. Returns how many, or -1 and errno.
 */
static inline long guard_stacks_make_(struct guard_stacks *pool, size_t count, size_t *one)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	const size_t room = GUARD_STACKS_BATCH_ * (sizeof(struct iovec) + sizeof(size_t));
	struct iovec few_guards[GUARD_STACKS_FEW_];
	size_t few_slots[GUARD_STACKS_FEW_], word, i, n, claimed, usable = 0, made;
	struct guard_stacks_work_ work = { few_slots, few_guards, 0, GUARD_STACKS_FEW_ };
	void *scratch = MAP_FAILED;
	int error = EAGAIN, locked = 0;
	uintptr_t bits, bit;
	char *from;

	/* The caller's stack may be small. */
	if (count > GUARD_STACKS_FEW_)
		scratch = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (scratch != MAP_FAILED) {
		work.guard = (struct iovec *)scratch;
		work.slot = (size_t *)(void *)(work.guard + GUARD_STACKS_BATCH_);
		work.room = GUARD_STACKS_BATCH_;
	}
	if (count > work.room)
		count = work.room;

	for (word = 0; word < pool->words_ && work.count < count; word++) {
		bits = ~guard_stacks_word_(pool->made_, word);
		for (; bits && work.count < count; bits &= ~bit) {
			bit = bits & -bits;
			if (guard_stacks_mark_(pool->made_, word, bit))
				continue;
			i = word * GUARD_STACKS_BITS_ + (size_t)__builtin_ctzl(bit);
			work.slot[work.count] = i;
			work.guard[work.count].iov_base = guard_stacks_low_(pool, i) - pool->guard;
			work.guard[work.count++].iov_len = pool->guard;
		}
	}
	claimed = work.count;

	/* A row of neighbours at a time. */
	for (i = 0; i < claimed; i += n) {
		n = guard_stacks_beside_(&work, i);
		from = pool->base_ + work.slot[i] * pool->slot_;
		/*
		 * After mlockall() it is locked. Then mprotect() would populate it, guards
		 * included, and mainline would refuse to make guards there.
		 */
		if (madvise(from, page, MADV_DONTNEED) && errno == EINVAL) {
			locked = 1;
			munlock(from, n * pool->slot_);
		}
		if (mprotect(from, n * pool->slot_, PROT_READ | PROT_WRITE)) {
			error = errno;
			break;
		}
		usable = i + n;
	}

	work.count = usable;
	made = guard_stacks_guard_all_(pool, &work);
	if (made < usable)
		error = errno;

	work.count = made;
	for (i = 0; locked && i < made; i += n) {
		n = guard_stacks_beside_(&work, i);
#ifdef SYS_mlock2
		/* 1: MLOCK_ONFAULT. Else it would fail at the first guard. */
		syscall(SYS_mlock2, pool->base_ + work.slot[i] * pool->slot_, n * pool->slot_, 1);
#endif
	}
	if (locked && guard_stacks_populates_())
		for (i = 0; i < made; i++)
			madvise(guard_stacks_low_(pool, work.slot[i]), pool->size, MADV_POPULATE_WRITE);

	work.count = claimed;
	for (i = made; i < claimed; i += n) {
		n = guard_stacks_beside_(&work, i);
		guard_stacks_unmake_(pool, work.slot[i], n);
	}

	for (i = 0; i < made; i++) {
		if (one && !i)
			*one = work.slot[i];
		else
			guard_stacks_mark_(pool->fresh_, work.slot[i] / GUARD_STACKS_BITS_,
					   guard_stacks_bit_(work.slot[i]));
	}
	if (made)
		guard_stacks_near_(&pool->fresh_near_, work.slot[0] / GUARD_STACKS_BITS_);
	if (scratch != MAP_FAILED)
		munmap(scratch, room);
	if (!made)
		errno = error;
	return made ? (long)made : -1;
}

/* ---- for programs ----------------------------------------------------------- */

/**
 * guard_stacks_init - prepare a pool
 * @pool: where; it may be static
 * @size: of a stack in bytes, without the guard; rounded up to pages
 * @guard: of a guard in bytes, rounded up to pages; 0 for one page
 * @max: the largest number of stacks; stacks are made as they are needed
 * @options: 0, or some of GUARD_STACKS_EACH and GUARD_STACKS_SMALL_PAGES, by "|"
 *
 * Reserves addresses for @max stacks, which cost nothing until they are made, but
 * count as locked memory after mlockall(MCL_FUTURE). The range begins and ends
 * at a multiple of 2 MiB (of what one page table maps), so guards cost no memory
 * of others its huge pages. So does each stack of 2 MiB and more: all of its blocks
 * can be huge, except for the lowest, if that has the guard in it because
 * @size + @guard, but not @size, is a multiple.
 *
 * Return: 0, or -1 with errno set to
 *   EINVAL	@size or @max is 0
 *   ENOMEM	the address space has no such range
 * or another error of mmap(2).
 */
static inline int guard_stacks_init(struct guard_stacks *pool, size_t size, size_t guard, size_t max,
				    int options)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE), block = page / sizeof(uint64_t) * page;
	size_t slot, words, total, align, maps, most = 65530, word, walls;
	const int saved = errno;
	uintptr_t *map;
	char *p, text[24];
	ssize_t got;
	int fd;

	if (!size || !max) {
		errno = EINVAL;
		return -1;
	}
	if (size > SIZE_MAX / 4 || guard > SIZE_MAX / 4 || max > SIZE_MAX / 4 / page) {
		errno = ENOMEM;
		return -1;
	}
	size = (size + page - 1) & ~(page - 1);
	guard = guard ? (guard + page - 1) & ~(page - 1) : page;
	slot = size + guard;
	if (slot >= block)
		slot = (slot + block - 1) & ~(block - 1);
	align = slot > (SIZE_MAX / 2) / max ? 0 : slot * max >= block ? block : page;
	if (!align) {
		errno = ENOMEM;
		return -1;
	}
	total = (slot * max + align - 1) & ~(align - 1);
	words = (max + GUARD_STACKS_BITS_ - 1) / GUARD_STACKS_BITS_;
	maps = (5 * words * sizeof(uintptr_t) + page - 1) & ~(page - 1);

	map = (uintptr_t *)mmap(NULL, maps, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (map == MAP_FAILED)
		return -1;
	p = (char *)mmap(NULL, total + align - page, PROT_NONE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED) {
		const int error = errno;

		munmap(map, maps);
		errno = error;
		return -1;
	}
	pool->base_ = (char *)(((uintptr_t)p + align - 1) & ~(uintptr_t)(align - 1));
	if (pool->base_ != p)
		munmap(p, (size_t)(pool->base_ - p));
	if (p + align - page != pool->base_)
		munmap(pool->base_ + total, (size_t)(p + align - page - pool->base_));
	if (options & GUARD_STACKS_SMALL_PAGES)
		madvise(pool->base_, total, MADV_NOHUGEPAGE);

	pool->size = size;
	pool->guard = guard;
	pool->max = max;
	pool->slot_ = slot;
	pool->words_ = words;
	pool->made_ = map;
	pool->fresh_ = map + words;
	pool->idle_ = map + 2 * words;
	pool->poison_ = map + 3 * words;
	pool->wall_ = map + 4 * words;
	pool->idle_count_ = pool->idle_near_ = pool->fresh_near_ = 0;
	pool->options_ = options;
	/* What is in the last word and beyond @max can never be made. */
	for (word = max; word % GUARD_STACKS_BITS_; word++)
		map[words - 1] |= guard_stacks_bit_(word);

	/* PROT_NONE: half of the mappings that the process may have, two a guard. */
	pool->each_ = max;
	pool->group_ = 1;
	if (!guard_pages_available() && !(options & GUARD_STACKS_EACH)) {
		if (!prctl(PR_GET_SECCOMP, 0, 0, 0, 0)) {
			fd = open("/proc/sys/vm/max_map_count", O_RDONLY | O_CLOEXEC);
			got = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
			if (fd >= 0)
				close(fd);
			for (word = 0, most = got > 0 ? 0 : most; got > 0 && word < (size_t)got; word++)
				if (text[word] >= '0' && text[word] <= '9')
					most = 10 * most + (size_t)(text[word] - '0');
		}
		walls = most / 4 ? most / 4 : 1;
		if (max > walls) {
			pool->each_ = walls / 2;
			pool->group_ = (max - pool->each_ + walls - pool->each_ - 1) /
				       (walls - pool->each_);
		}
	}
	errno = saved;
	return 0;
}

/**
 * guard_stacks_get - take a stack
 *
 * One that was put back, the last one or one near it if there are some, else
 * one that is empty. If there is none, it makes as many as there are, but at
 * least 8 and at most 1,024.
 *
 * Return: the lowest address, @pool->size bytes below the end; or NULL with errno
 * set to
 *   EAGAIN	all @max stacks are taken
 *   ENOMEM	no memory for page tables, or, with GUARD_STACKS_EACH and PROT_NONE,
 *		the process would have more than vm.max_map_count mappings
 */
static inline void *guard_stacks_get(struct guard_stacks *pool)
{
	size_t slot = pool->max, made;
	const int saved = errno;

	if (__atomic_load_n(&pool->idle_count_, __ATOMIC_RELAXED)) {
		slot = guard_stacks_claim_one_(pool, pool->idle_, &pool->idle_near_);
		if (slot < pool->max)
			__atomic_fetch_sub(&pool->idle_count_, 1, __ATOMIC_RELAXED);
	}
	if (slot == pool->max)
		slot = guard_stacks_claim_one_(pool, pool->fresh_, &pool->fresh_near_);
	if (slot == pool->max) {
		made = guard_stacks_existing_(pool);
		made = made < 8 ? 8 : made > GUARD_STACKS_BATCH_ ? GUARD_STACKS_BATCH_ : made;
		if (guard_stacks_make_(pool, made, &slot) < 0)
			return NULL;
	}
	errno = saved;
	return guard_stacks_low_(pool, slot);
}

/* The slot of a stack's lowest address; @max if it is none. */
static inline size_t guard_stacks_slot_(const struct guard_stacks *pool, const void *low)
{
	const size_t offset = (size_t)((const char *)low - pool->base_);
	const size_t slot = offset / pool->slot_;

	if ((const char *)low < pool->base_ || slot >= pool->max || guard_stacks_low_(pool, slot) != low)
		return pool->max;
	return slot;
}

/**
 * guard_stacks_put - give a stack back
 * @low: what guard_stacks_get() returned
 *
 * Nothing may run on it any more. It keeps its memory until guard_stacks_trim().
 *
 * Return: 0, or -1 with errno set to EINVAL if it is not a stack that is taken.
 */
static inline int guard_stacks_put(struct guard_stacks *pool, void *low)
{
	const size_t slot = guard_stacks_slot_(pool, low), word = slot / GUARD_STACKS_BITS_;
	const uintptr_t bit = guard_stacks_bit_(slot);

	if (slot < pool->max && (guard_stacks_word_(pool->made_, word) & bit) &&
	    !(guard_stacks_word_(pool->fresh_, word) & bit)) {
		/* First the count, which must not be too low. */
		__atomic_fetch_add(&pool->idle_count_, 1, __ATOMIC_RELAXED);
		if (!guard_stacks_mark_(pool->idle_, word, bit)) {
			__atomic_store_n(&pool->idle_near_, word, __ATOMIC_RELAXED);
			return 0;
		}
		__atomic_fetch_sub(&pool->idle_count_, 1, __ATOMIC_RELAXED);
	}
	errno = EINVAL;
	return -1;
}

/**
 * guard_stacks_trim - free the memory of idle stacks
 * @keep: how many idle stacks may keep theirs; those with the lowest addresses do
 *
 * Their guards stay, and so do the page tables.
 *
 * Return: the number of stacks that gave their memory back.
 */
static inline size_t guard_stacks_trim(struct guard_stacks *pool, size_t keep)
{
	size_t trimmed = 0, idle = guard_stacks_count_(pool, pool->idle_), word, first, n;
	const int saved = errno;
	uintptr_t bits, row;
	char *from;

	for (word = pool->words_; word-- && idle > keep;) {
		bits = guard_stacks_highest_(guard_stacks_word_(pool->idle_, word), idle - keep);
		bits = guard_stacks_claim_(pool->idle_, word, bits);
		n = (size_t)__builtin_popcountl(bits);
		__atomic_fetch_sub(&pool->idle_count_, n, __ATOMIC_RELAXED);
		idle -= n < idle ? n : idle;
		for (; bits; bits &= ~row) {
			row = guard_stacks_row_(bits, &first, &n);
			from = pool->base_ + (word * GUARD_STACKS_BITS_ + first) * pool->slot_;
			if (madvise(from, n * pool->slot_, MADV_DONTNEED) &&
			    madvise(from, n * pool->slot_, MADV_DONTNEED_LOCKED)) {
				__atomic_fetch_add(&pool->idle_count_, n, __ATOMIC_RELAXED);
				guard_stacks_mark_(pool->idle_, word, row);
				continue;
			}
			trimmed += n;
			guard_stacks_mark_(pool->fresh_, word, row);
			guard_stacks_near_(&pool->fresh_near_, word);
		}
	}
	errno = saved;
	return trimmed;
}

/**
 * guard_stacks_resize - change the number of stacks that exist
 * @count: how many; at most @pool->max
 *
 * Makes stacks ahead of guard_stacks_get(), or undoes free ones, with guards and
 * page tables, beginning with the highest addresses. Those that are taken stay.
 *
 * Return: the number that exist now, which may be other than @count.
 */
static inline size_t guard_stacks_resize(struct guard_stacks *pool, size_t count)
{
	size_t made = guard_stacks_existing_(pool), word, first, n;
	const int saved = errno;
	uintptr_t bits, idle, row;
	long more;

	for (; made < count; made += (size_t)more) {
		more = guard_stacks_make_(pool, count - made, NULL);
		if (more <= 0)
			break;
	}
	for (word = pool->words_; word-- && made > count;) {
		bits = guard_stacks_word_(pool->fresh_, word) | guard_stacks_word_(pool->idle_, word);
		bits = guard_stacks_highest_(bits, made - count);
		idle = guard_stacks_claim_(pool->idle_, word, bits);
		__atomic_fetch_sub(&pool->idle_count_, (size_t)__builtin_popcountl(idle), __ATOMIC_RELAXED);
		bits = idle | guard_stacks_claim_(pool->fresh_, word, bits & ~idle);
		for (; bits; bits &= ~row) {
			row = guard_stacks_row_(bits, &first, &n);
			guard_stacks_unmake_(pool, word * GUARD_STACKS_BITS_ + first, n);
			made -= n < made ? n : made;
		}
	}
	errno = saved;
	return made;
}

/**
 * guard_stacks_find - where in a pool is this address?
 * @addr: any address; in a signal handler, si_addr
 * @low: receives the lowest address of the stack that it belongs to; may be NULL
 *
 * Return: one of
 *   GUARD_STACKS_IN_STACK	in a stack, whether taken or not
 *   GUARD_STACKS_BELOW		below it, in its guard: it has overflowed
 *   GUARD_STACKS_ELSEWHERE	not in this pool
 */
static inline int guard_stacks_find(const struct guard_stacks *pool, const void *addr, void **low)
{
	const uintptr_t at = (uintptr_t)addr, base = (uintptr_t)pool->base_;
	size_t slot;

	if (at < base || at - base >= pool->max * pool->slot_)
		return GUARD_STACKS_ELSEWHERE;
	slot = (at - base) / pool->slot_;
	if (low)
		*low = guard_stacks_low_(pool, slot);
	return at < (uintptr_t)guard_stacks_low_(pool, slot) ? GUARD_STACKS_BELOW : GUARD_STACKS_IN_STACK;
}

/**
 * guard_stacks_how - which guard of its own does a stack have?
 * @low: its lowest address
 *
 * Return: GUARD_PAGES_POISON or GUARD_PAGES_PROT_NONE; 0 if it shares one with the
 * stacks below it, or does not exist.
 */
static inline int guard_stacks_how(const struct guard_stacks *pool, const void *low)
{
	const size_t slot = guard_stacks_slot_(pool, low), word = slot / GUARD_STACKS_BITS_;

	if (slot >= pool->max)
		return 0;
	if (guard_stacks_word_(pool->poison_, word) & guard_stacks_bit_(slot))
		return GUARD_PAGES_POISON;
	return guard_stacks_word_(pool->wall_, word) & guard_stacks_bit_(slot) ? GUARD_PAGES_PROT_NONE : 0;
}

/**
 * guard_stacks_count - the figures of a pool
 *
 * While other threads work on it, they are not of one moment.
 */
static inline void guard_stacks_count(const struct guard_stacks *pool, struct guard_stacks_stats *stats)
{
	const size_t fresh = guard_stacks_count_(pool, pool->fresh_);

	stats->stacks = guard_stacks_existing_(pool);
	stats->idle = guard_stacks_count_(pool, pool->idle_);
	stats->taken = stats->stacks - stats->idle - fresh;
	stats->poison = guard_stacks_count_(pool, pool->poison_);
	stats->prot_none = guard_stacks_count_(pool, pool->wall_);
}

/** guard_stacks_destroy - unmap a pool; nobody may use it or its stacks any more */
static inline void guard_stacks_destroy(struct guard_stacks *pool)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE), block = page / sizeof(uint64_t) * page;
	const size_t total = pool->slot_ * pool->max, align = total >= block ? block : page;

	munmap(pool->base_, (total + align - 1) & ~(align - 1));
	munmap(pool->made_, (5 * pool->words_ * sizeof(uintptr_t) + page - 1) & ~(page - 1));
}

#ifdef __cplusplus
}
#endif

#endif /* GUARD_STACKS_H */
