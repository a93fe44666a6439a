// SPDX-License-Identifier: MIT
/*
 * What guardfree wants of the system, without libc: it may be called before
 * libc is set up, in a signal handler, or while libc holds its locks.
 */
#include "gf.h"
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FUTEX_WAIT_PRIVATE 128
#define FUTEX_WAKE_PRIVATE 129
#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif
/* MADV_GUARD_POISON and _UNPOISON; GUARD_INSTALL and _REMOVE in mainline */
#define ADVICE_POISON	102
#define ADVICE_UNPOISON	103
#define ADVICE_POPULATE_WRITE 23

struct gf_counts gf_calls;

#if defined(__x86_64__)
long gf_syscall(long nr, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "0"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return ret;
}
#elif defined(__aarch64__)
long gf_syscall(long nr, long a, long b, long c, long d, long e, long f)
{
	register long x8 __asm__("x8") = nr;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;
	register long x5 __asm__("x5") = f;

	__asm__ volatile("svc 0"
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
			 : "memory");
	return x0;
}
#else
#error "guardfree does not know this machine's system calls"
#endif

/* Locks: 0 free, 1 held, 2 held and somebody may wait. */

void gf_lock_slow(struct gf_lock *lock)
{
	int spin;

	for (spin = 0; spin < 64; spin++) {
		u32 was = 0;

		if (__atomic_compare_exchange_n(&lock->word, &was, 1, false,
						__ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
			return;
	}
	while (__atomic_exchange_n(&lock->word, 2, __ATOMIC_ACQUIRE))
		gf_sys(SYS_futex, &lock->word, FUTEX_WAIT_PRIVATE, 2, NULL);
}

void gf_wake(struct gf_lock *lock)
{
	gf_sys(SYS_futex, &lock->word, FUTEX_WAKE_PRIVATE, 1);
}

/* Strings. */

size_t gf_strlen(const char *s)
{
	size_t n = 0;

	while (s[n])
		n++;
	return n;
}

int gf_strcmp(const char *a, const char *b)
{
	while (*a && *a == *b)
		a++, b++;
	return (u8)*a - (u8)*b;
}

bool gf_prefix(const char *s, const char *prefix)
{
	while (*prefix)
		if (*s++ != *prefix++)
			return false;
	return true;
}

const char *gf_strerror(int err)
{
	switch (err < 0 ? -err : err) {
	case ENOMEM: return "Cannot allocate memory";
	case EINVAL: return "Invalid argument";
	case EAGAIN: return "Resource temporarily unavailable";
	case EPERM: return "Operation not permitted";
	case EACCES: return "Permission denied";
	case ENOSYS: return "Function not implemented";
	case EEXIST: return "File exists";
	case ENOENT: return "No such file or directory";
	case EBADF: return "Bad file descriptor";
	case EMFILE: return "Too many open files";
	}
	return "failed";
}

/* Printing. */

void gf_out_init(struct gf_out *o, int fd, char *buf, u32 size)
{
	o->fd = fd;
	o->buf = buf;
	o->size = size;
	o->len = 0;
	o->open = false;
}

void gf_out_flush(struct gf_out *o)
{
	u32 at = 0;

	while (o->fd >= 0 && at < o->len) {
		long n = gf_sys(SYS_write, o->fd, o->buf + at, o->len - at);

		if (n == -EINTR || n == -EAGAIN)
			continue;
		if (n <= 0)
			break;
		at += n;
	}
	o->len = 0;
}

void gf_out_end(struct gf_out *o)
{
	gf_out_flush(o);
	if (o->open)
		gf_sys(SYS_close, o->fd);
	o->open = false;
}

void gf_puts(struct gf_out *o, const char *s, size_t len)
{
	while (len--) {
		if (o->len == o->size) {
			if (o->fd < 0)
				return;
			gf_out_flush(o);
		}
		o->buf[o->len++] = *s++;
	}
}

static void gf_number(struct gf_out *o, u64 v, u32 base, bool neg, u32 width, bool zero,
		      bool left)
{
	char digits[24];
	u32 n = 0, i;

	do {
		digits[n++] = "0123456789abcdef"[v % base];
		v /= base;
	} while (v);
	if (neg)
		digits[n++] = '-';
	if (!left)
		for (i = n; i < width; i++)
			gf_puts(o, zero ? "0" : " ", 1);
	for (i = n; i; i--)
		gf_puts(o, &digits[i - 1], 1);
	if (left)
		for (i = n; i < width; i++)
			gf_puts(o, " ", 1);
}

void gf_vprintf(struct gf_out *o, const char *fmt, va_list ap)
{
	for (; *fmt; fmt++) {
		bool is_long = false, zero = false, left = false;
		u32 width = 0;
		const char *s;
		size_t len;
		s64 d;

		if (*fmt != '%') {
			gf_puts(o, fmt, 1);
			continue;
		}
		for (fmt++; *fmt == '0' || *fmt == '-'; fmt++)
			*(*fmt == '0' ? &zero : &left) = true;
		for (; *fmt >= '0' && *fmt <= '9'; fmt++)
			width = width * 10 + (*fmt - '0');
		for (; *fmt == 'l' || *fmt == 'z'; fmt++)
			is_long = true;
		switch (*fmt) {
		case 'c': {
			char c = va_arg(ap, int);

			gf_puts(o, &c, 1);
			break;
		}
		case 's':
			s = va_arg(ap, const char *);
			if (!s)
				s = "(null)";
			len = gf_strlen(s);
			gf_puts(o, s, len);
			for (; len < width; len++)
				gf_puts(o, " ", 1);
			break;
		case 'd':
			d = is_long ? va_arg(ap, long) : va_arg(ap, int);
			gf_number(o, d < 0 ? -(u64)d : (u64)d, 10, d < 0, width, zero, left);
			break;
		case 'u':
			gf_number(o, is_long ? va_arg(ap, unsigned long) : va_arg(ap, unsigned int),
				  10, false, width, zero, left);
			break;
		case 'x':
			gf_number(o, is_long ? va_arg(ap, unsigned long) : va_arg(ap, unsigned int),
				  16, false, width, zero, left);
			break;
		case 0:
			return;
		default:
			gf_puts(o, fmt, 1);
		}
	}
}

void gf_printf(struct gf_out *o, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	gf_vprintf(o, fmt, ap);
	va_end(ap);
}

/* The length written, without the 0 at the end; cut to what there is room for. */
size_t gf_snprintf(char *buf, size_t size, const char *fmt, ...)
{
	struct gf_out o;
	va_list ap;

	if (!size)
		return 0;
	gf_out_init(&o, -1, buf, size - 1);
	va_start(ap, fmt);
	gf_vprintf(&o, fmt, ap);
	va_end(ap);
	buf[o.len] = 0;
	return o.len;
}

void gf_say(const char *fmt, ...)
{
	char buf[600];	/* may be on a small stack, and without a lock */
	struct gf_out o;
	va_list ap;

	gf_out_log(&o, buf, sizeof(buf));
	gf_puts(&o, "guardfree: ", 11);
	va_start(ap, fmt);
	gf_vprintf(&o, fmt, ap);
	va_end(ap);
	gf_puts(&o, "\n", 1);
	gf_out_end(&o);
}

long gf_read_file(const char *path, char *buf, size_t size)
{
	long fd = gf_sys(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC), n;
	size_t len = 0;

	buf[0] = 0;
	if (fd < 0)
		return fd;
	while (len < size - 1) {
		n = gf_sys(SYS_read, fd, buf + len, size - 1 - len);
		if (n == -EINTR)
			continue;
		if (n <= 0)
			break;
		len += n;
	}
	gf_sys(SYS_close, fd);
	buf[len] = 0;
	return len;
}

/* Areas. */

struct gf_area gf_heap = { .step = UNIT, .what = "objects" };
struct gf_area gf_meta = { .step = 64 << 10, .what = "records of objects" };
struct gf_area gf_units = { .step = 64 << 10, .what = "records of chunks" };
struct gf_area gf_depot = { .step = 256 << 10, .what = "stacks" };
struct gf_area gf_threads = { .step = 64 << 10, .what = "records of threads" };
struct gf_area gf_alts = { .step = 256 << 10, .what = "signal stacks" };
struct gf_lock gf_grow_lock;

/* The largest step: so much address space may be mapped and not used. */
#define STEP_MAX	(64UL << 20)

static long gf_map_at(uintptr_t addr, u64 len, int prot)
{
	long got = gf_sys(SYS_mmap, addr, len, prot,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);

	gf_calls.map++;
	if (got < 0 && got > -4096)
		return got;
	if ((uintptr_t)got != addr) {	/* before 4.17 it is a hint */
		gf_sys(SYS_munmap, got, len);
		return -EEXIST;
	}
	return 0;
}

bool gf_place(bool small)
{
	static const struct {
		u64 at, heap, slide;
	} places[] = {
		{ 16UL << 40, 16UL << 40, 30UL << 40 },
		{ 16UL << 40, 16UL << 40, 0 },
		{ 2UL << 40, 4UL << 40, 0 },		/* 43 bits */
		{ 64UL << 30, 128UL << 30, 0 },		/* 39 bits */
		{ 16UL << 30, 8UL << 30, 0 },
	};
	u64 random = 0;
	u32 i;

	if (!(gf_sys(SYS_personality, 0xffffffff) & ADDR_NO_RANDOMIZE))
		gf_sys(SYS_getrandom, &random, sizeof(random), 1);
	for (i = small ? ARRAY_SIZE(places) - 1 : 0; i < ARRAY_SIZE(places); i++) {
		u64 heap = places[i].heap, meta = heap / 2 / PAGE << REC_SHIFT;
		u64 units = heap / UNIT * 16, depot = heap >= 1UL << 40 ? 4UL << 30 : 1UL << 30;
		u64 threads = depot / 8, alts = depot, gap = UNIT;
		uintptr_t at = places[i].at;
		u64 all;
		long err;

		if (places[i].slide)
			at += random % places[i].slide & ~((1UL << 30) - 1);
		all = heap + meta + units + depot + threads + alts + 7 * gap;
		err = gf_map_at(at, all, PROT_NONE);
		if (!err)
			gf_sys(SYS_munmap, at, all);
		/* A limit of the address space keeps us from looking. */
		if (err == -ENOMEM || err == -EAGAIN) {
			err = gf_map_at(at, PAGE, PROT_NONE);
			if (!err)
				gf_sys(SYS_munmap, at, PAGE);
		}
		if (err)
			continue;
		gf_units.base = at + gap;
		gf_units.max = units;
		gf_meta.base = gf_units.base + units + gap;
		gf_meta.max = meta;
		gf_depot.base = gf_meta.base + meta + gap;
		gf_depot.max = depot;
		gf_threads.base = gf_depot.base + depot + gap;
		gf_threads.max = threads;
		gf_alts.base = gf_threads.base + threads + gap;
		gf_alts.max = alts;
		gf_heap.base = gf_alts.base + alts + gap;
		gf_heap.max = heap;
		return true;
	}
	return false;
}

static int gf_map_area(struct gf_area *area, u64 more)
{
	uintptr_t at = area->base + area->mapped;
	long err;

	if (!gf_locked)
		return gf_map_at(at, more, PROT_READ | PROT_WRITE);
	/* As the memory to come is locked, it would be filled right here. */
	err = gf_map_at(at, more, PROT_NONE);
	if (err)
		return err;
	gf_sys(SYS_munlock, at, more);
	gf_calls.map += 2;
	return gf_sys(SYS_mprotect, at, more, PROT_READ | PROT_WRITE);
}

int gf_area_grow(struct gf_area *area, u64 need)
{
	u64 more;
	int err;

	need = round_up(need, PAGE);
	if (need <= area->mapped)
		return 0;
	if (need > area->max)
		return -ENOMEM;
	more = need - area->mapped;
	if (more < area->step)
		more = area->step;
	if (more > area->max - area->mapped)
		more = area->max - area->mapped;
	err = gf_map_area(area, more);
	if (err == -ENOMEM && more > need - area->mapped) {
		more = need - area->mapped;
		err = gf_map_area(area, more);
	}
	if (err)
		return err;
	store(&area->mapped, area->mapped + more);
	if (area->step < STEP_MAX)
		area->step *= 2;
	return 0;
}

int gf_remap(uintptr_t addr, size_t len, int prot)
{
	long got = gf_sys(SYS_mmap, addr, len, prot,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);

	gf_calls.map++;
	if (got < 0 && got > -4096)
		return got;
	if (gf_locked)
		gf_sys(SYS_munlock, addr, len);
	return 0;
}

bool gf_would_map(size_t len)
{
	long got;

	if (gf_locked)	/* it would be filled right here */
		return true;
	got = gf_sys(SYS_mmap, 0, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	gf_calls.map++;
	if (got < 0 && got > -4096)
		return false;
	gf_sys(SYS_munmap, got, len);
	return true;
}

/* Guards. */

u32 gf_method = METHOD_IS_GUARD;
bool gf_locked;
u64 gf_unguarded;
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

void gf_unlock_memory(void)
{
	static u32 said;
	struct gf_area *areas[] = { &gf_heap, &gf_meta, &gf_units, &gf_depot, &gf_threads, &gf_alts };
	u32 i;

	if (!__atomic_exchange_n(&said, 1, __ATOMIC_RELAXED))
		gf_say("the program locks its memory (mlockall): its heap is unlocked again, as a locked page cannot be a guard");
	store(&gf_locked, true);
	for (i = 0; i < ARRAY_SIZE(areas); i++)
		if (areas[i]->mapped)
			gf_sys(SYS_munlock, areas[i]->base, areas[i]->mapped);
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

/*
 * The memory cgroup. Going over its limit is no error that malloc() could
 * return, it is the OOM killer; so look before the heap grows.
 */
static struct {
	char dir[256];
	u64 max;
} gf_memcg[4];
static u32 gf_memcgs;
static bool gf_memcg_v1;

static u64 gf_parse(const char *s)
{
	u64 v = 0;

	for (; *s >= '0' && *s <= '9'; s++)
		v = v * 10 + (*s - '0');
	return v;
}

static u64 gf_memcg_read(const char *dir, const char *file)
{
	char path[320], text[64];

	gf_snprintf(path, sizeof(path), "%s/%s", dir, file);
	if (gf_read_file(path, text, sizeof(text)) <= 0 || text[0] < '0' || text[0] > '9')
		return UINT64_MAX;
	return gf_parse(text);
}

void gf_memcg_init(void)
{
	static char text[2048];
	char path[256];
	const char *s, *in = NULL;
	size_t len, root;

	gf_memcgs = 0;
	if (gf_read_file("/proc/self/cgroup", text, sizeof(text)) <= 0)
		return;
	for (s = text; *s; s++) {
		if (s > text && s[-1] != '\n')
			continue;
		if (gf_prefix(s, "0::/")) {
			in = s + 3;
			gf_memcg_v1 = false;
		} else {
			while (*s && *s != ':')
				s++;
			if (gf_prefix(s, ":memory:/")) {
				in = s + 8;
				gf_memcg_v1 = true;
				break;
			}
		}
		while (*s && *s != '\n')
			s++;
		if (!*s)
			break;
	}
	if (!in)
		return;
	root = gf_snprintf(path, sizeof(path), "/sys/fs/cgroup%s", gf_memcg_v1 ? "/memory" : "");
	len = root;
	while (*in && *in != '\n' && len < sizeof(path) - 1)
		path[len++] = *in++;
	while (len > root && path[len - 1] == '/')
		len--;
	path[len] = 0;
	/* The limits above hold too. */
	while (gf_memcgs < ARRAY_SIZE(gf_memcg)) {
		u64 max = gf_memcg_read(path, gf_memcg_v1 ? "memory.limit_in_bytes" : "memory.max");

		if (max < 1UL << 50) {
			gf_snprintf(gf_memcg[gf_memcgs].dir, sizeof(path), "%s", path);
			gf_memcg[gf_memcgs++].max = max;
		}
		while (len > root && path[len - 1] != '/')
			len--;
		if (len <= root)
			break;
		path[--len] = 0;
	}
}

bool gf_memcg_allows(size_t more)
{
	static u32 said;
	u32 i;

	for (i = 0; i < gf_memcgs; i++) {
		u64 used = gf_memcg_read(gf_memcg[i].dir, gf_memcg_v1 ? "memory.usage_in_bytes" :
									"memory.current");
		char stat[320], text[512];
		u64 file = 0;

		if (used == UINT64_MAX || used + more <= gf_memcg[i].max)
			continue;
		/* The page cache gives way. */
		gf_snprintf(stat, sizeof(stat), "%s/memory.stat", gf_memcg[i].dir);
		if (gf_read_file(stat, text, sizeof(text)) > 0) {
			const char *s;

			for (s = text; *s; s++)
				if ((s == text || s[-1] == '\n') &&
				    (gf_prefix(s, "file ") || gf_prefix(s, "cache ")))
					file = gf_parse(s + (s[0] == 'f' ? 5 : 6));
		}
		if (used + more - (file < used ? file : used) <= gf_memcg[i].max)
			continue;
		if (!__atomic_exchange_n(&said, 1, __ATOMIC_RELAXED))
			gf_say("the memory cgroup's limit is reached (%s: %lu of %lu MiB used): malloc returns NULL",
			       gf_memcg[i].dir, (unsigned long)(used >> 20),
			       (unsigned long)(gf_memcg[i].max >> 20));
		return false;
	}
	return true;
}
