// SPDX-License-Identifier: MIT
/*
 * Guards, one or many at a time: by the two advice values, or by PROT_NONE.
 */
#include "guard.h"
#include "area.h"
#include "log.h"
#include "options.h"
#include "out.h"
#include "sys.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

/* MADV_GUARD_POISON and _UNPOISON; GUARD_INSTALL and _REMOVE in mainline */
#define ADVICE_POISON	102
#define ADVICE_UNPOISON	103
#define ADVICE_POPULATE_WRITE 23

u32 gf_method = METHOD_IS_GUARD;
u64 gf_unguarded;
bool gf_went_on;
/* Some of the memory has guards of the other kind. */
static bool gf_mixed;

static long gf_madvise(uintptr_t addr, size_t len, int advice)
{
	return gf_sys(SYS_madvise, addr, len, advice);
}

/*
 * Tried, never asked: the version says nothing. With @touch, is it really one? GUP does
 * not get through it. A filter that the program has set by now may kill it for that.
 */
static bool gf_probe_guards(bool touch)
{
	long page = gf_sys(SYS_mmap, 0, PAGE, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	bool works;

	if (page < 0 && page > -4096)
		return false;
	gf_sys(SYS_munlock, page, PAGE);
	works = !gf_madvise(page, PAGE, ADVICE_POISON);
	if (works && touch)
		works = gf_sys(SYS_getrandom, page, 1, 1) == -EFAULT &&
			!gf_madvise(page, PAGE, ADVICE_UNPOISON) &&
			gf_sys(SYS_getrandom, page, 1, 1) != -EFAULT;
	gf_sys(SYS_munmap, page, PAGE);
	return works;
}

void gf_probe(void)
{
	gf_method = METHOD_IS_GUARD;
	if (gf_opt.method == METHOD_MPROTECT) {
		gf_method = METHOD_IS_MPROTECT;
	} else if (!gf_probe_guards(true)) {
		gf_method = METHOD_IS_MPROTECT;
		gf_say("this kernel has no guard pages (MADV_GUARD_POISON, MADV_GUARD_INSTALL): using PROT_NONE, which ends at vm.max_map_count, some 32,000 objects");
	}
}

/*
 * At vm.max_map_count nothing can be mapped any more, by nobody, not even more
 * of libc's heap. So give some mappings back, by taking the guards away from
 * the oldest part of the heap, and have objects come from the next allocator
 * until some of the guarded ones were freed.
 */
u32 gf_full;

/* Who says no to what worked before? */
static const char *gf_who_refuses(void)
{
	return gf_sys(SYS_prctl, PR_GET_SECCOMP) == 2 ?
		"a filter of system calls (seccomp) refuses it" :
		"it worked at the start and is refused now, by a filter of system calls?";
}

static void gf_make_room(long err)
{
	static u32 said;

	if (!__atomic_exchange_n(&said, 1, __ATOMIC_RELAXED))
		gf_say("mprotect: %s: %s: objects come unguarded from here on", gf_strerror(err),
		       err == -ENOMEM ? "vm.max_map_count is reached" : gf_who_refuses());
	store(&gf_full, 1000);
	if (err != -ENOMEM) {
		store(&gf_full, UINT32_MAX);	/* that will not change */
		return;
	}
	gf_sys(SYS_mprotect, gf_heap.base, gf_heap.mapped < 4 * UNIT ? gf_heap.mapped : 4 * UNIT,
	       PROT_READ | PROT_WRITE);
}

static bool gf_mprotect(uintptr_t addr, size_t len, bool open)
{
	u32 full;
	long err;

	gf_calls.other++;
	err = gf_sys(SYS_mprotect, addr, len, open ? PROT_READ | PROT_WRITE : PROT_NONE);
	if (err) {
		gf_make_room(err);
		return false;
	}
	full = load_relaxed(&gf_full);
	if (unlikely(full) && full != UINT32_MAX && !open)
		__atomic_compare_exchange_n(&gf_full, &full, full - 1, false, __ATOMIC_RELAXED,
					    __ATOMIC_RELAXED);
	return true;
}

/*
 * Guards worked, and do not any more: a filter that the program set. Those that
 * are there stay. What is to be used again is mapped anew, as mprotect() does not
 * remove them; what is freed becomes PROT_NONE.
 */
static void gf_refused(const char *what, long err)
{
	static u32 said;

	gf_mixed = true;
	store(&gf_method, METHOD_IS_MPROTECT);
	if (!__atomic_exchange_n(&said, 1, __ATOMIC_RELAXED))
		gf_say("madvise(%s): %s: %s: using PROT_NONE from here on", what,
		       gf_strerror(err), gf_who_refuses());
}

bool gf_poison(uintptr_t addr, size_t len)
{
	static u32 said;
	bool ok;
	long err;

	if (likely(gf_method == METHOD_IS_GUARD)) {
		gf_calls.poison++;
		err = gf_madvise(addr, len, ADVICE_POISON);
		if (likely(!err))
			return true;
		if (err == -EINVAL && gf_probe_guards(false)) {
			gf_unlock_memory();
			err = gf_madvise(addr, len, ADVICE_POISON);
			if (!err)
				return true;
		}
		if (err == -ENOMEM) {	/* no memory for page tables */
			if (!__atomic_exchange_n(&said, 1, __ATOMIC_RELAXED))
				gf_say("madvise(MADV_GUARD_POISON): %s: objects go unguarded",
				       gf_strerror(err));
			if (gf_madvise(addr, len, MADV_DONTNEED))
				store(&gf_went_on, true);
			fetch_add(&gf_unguarded, 1);
			return false;
		}
		gf_refused("MADV_GUARD_POISON", err);
	}
	ok = gf_mprotect(addr, len, false);
	if (!ok)
		fetch_add(&gf_unguarded, 1);
	gf_calls.other++;
	if (gf_madvise(addr, len, MADV_DONTNEED))
		store(&gf_went_on, true);	/* what is new is not zero any more */
	return ok;
}

bool gf_unpoison(uintptr_t addr, size_t len)
{
	long err;

	if (likely(gf_method == METHOD_IS_GUARD)) {
		gf_calls.unpoison++;
		err = gf_madvise(addr, len, ADVICE_UNPOISON);
		if (likely(!err))
			return true;
		if (err == -ENOMEM)
			return false;
		gf_refused("MADV_GUARD_UNPOISON", err);
	}
	if (gf_mixed)
		return !gf_remap(addr, len, PROT_READ | PROT_WRITE);
	return gf_mprotect(addr, len, true);
}

/*
 * process_madvise() on oneself. From 6.15 on a number stands for the caller;
 * before that it takes a descriptor, kept out of the way of the program's own,
 * and opened anew where the program closed it or a fork left it with the
 * parent's: both give an error, as nobody may do this to another process.
 */
static long gf_vector(const struct gf_range *r, size_t n, int advice, bool *refused)
{
	static int self = -10001;
	long got, fd;

	if (load_relaxed(refused))
		return -EINVAL;
	gf_calls.vector++;
	fd = load_relaxed(&self);
	got = gf_sys(SYS_process_madvise, fd, r, n, advice, 0);
	if (likely(got >= 0))
		return got;
	if (got != -EBADF && got != -EINVAL && got != -ESRCH)
		goto refuse;
	fd = gf_sys(SYS_pidfd_open, gf_sys(SYS_getpid), 0);
	if (fd >= 0) {
		long high = gf_sys(SYS_fcntl, fd, F_DUPFD_CLOEXEC, 700);

		if (high >= 0) {
			gf_sys(SYS_close, fd);
			fd = high;
		}
		gf_calls.other += 3;
		got = gf_sys(SYS_process_madvise, fd, r, n, advice, 0);
		if (got >= 0) {
			store(&self, (int)fd);
			return got;
		}
		gf_sys(SYS_close, fd);
	}
	if (got == -EMFILE || got == -ENFILE)
		return got;
refuse:
	/* An error about this memory need not be one of the call as such. */
	if (got != -ENOMEM)
		store(refused, true);
	return got;
}

static size_t gf_many(const struct gf_range *r, size_t n, int advice)
{
	static bool refused;
	size_t done = 0;

	while (done < n) {
		size_t want = n - done > 512 ? 512 : n - done;
		long got = want > 1 && gf_method == METHOD_IS_GUARD ?
			   gf_vector(r + done, want, advice, &refused) : -ENOSYS;

		while (got > 0 && done < n && (size_t)got >= r[done].len)
			got -= r[done++].len;
		if (done == n || got == 0)
			continue;
		/* What it did not do, or did in part, is done by itself. */
		if (!(advice == ADVICE_POISON ? gf_poison : gf_unpoison)((uintptr_t)r[done].addr,
									 r[done].len))
			return done;
		done++;
	}
	return n;
}

size_t gf_poison_many(const struct gf_range *r, size_t n)
{
	return gf_many(r, n, ADVICE_POISON);
}

void gf_poison_all(const struct gf_range *r, size_t n)
{
	size_t at;

	for (at = 0; at < n; at++)
		at += gf_poison_many(r + at, n - at);
}

size_t gf_unpoison_many(const struct gf_range *r, size_t n)
{
	return gf_many(r, n, ADVICE_UNPOISON);
}

void gf_populate_many(const struct gf_range *r, size_t n)
{
	static bool refused;

	/* From 6.13 on; one by one it would be no less work than the faults. */
	if (n > 1 && gf_method == METHOD_IS_GUARD)
		gf_vector(r, n, ADVICE_POPULATE_WRITE, &refused);
}
