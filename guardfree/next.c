// SPDX-License-Identifier: MIT
/*
 * The next allocator in line, and pointers that were not allocated here.
 *
 * With everything guarded there is one honest way to come by such a pointer: an
 * allocation that did not go by this library, because it was passed on (gf_passed),
 * or because a library has libc's malloc bound to it (RTLD_DEEPBIND, dlmopen).
 * What is not one of these was allocated by nobody; to hand it to the next
 * allocator is to die in there, if not to corrupt its heap.
 *
 * Nothing is read through the pointer: the kernel is asked to copy, which
 * fails where a load would be a SIGSEGV.
 */
#include "next.h"
#include "options.h"
#include "sys.h"
#include <dlfcn.h>
#include <errno.h>
#include <sys/syscall.h>
#include <sys/uio.h>

/* In a static program there is no dlsym(), and no allocator after this one. */
#pragma weak dlsym
#pragma weak dladdr
#pragma weak gnu_get_libc_version
extern const char *gnu_get_libc_version(void);

struct gf_next gf_next;
bool gf_passed;
static bool next_is_glibc;
static uintptr_t brk_start;

void gf_next_init(void)
{
	/* Nobody has moved it: whoever allocates comes by here first. */
	brk_start = gf_sys(SYS_brk, 0);
}

static void look_at_next(void)
{
	Dl_info next, libc;

	next_is_glibc = gf_next.malloc && dladdr && gnu_get_libc_version &&
			dladdr((void *)gf_next.malloc, &next) &&
			dladdr((void *)gnu_get_libc_version, &libc) &&
			next.dli_fbase == libc.dli_fbase;
}

void gf_next_find(void)
{
	static __thread bool finding __attribute__((tls_model("initial-exec")));

	if (&gf_static_next) {
		gf_next = gf_static_next;
		return;
	}
	/* dlsym() allocates where it has something to say. */
	if (!dlsym || finding)
		return;
	finding = true;
	gf_next.calloc = (void *(*)(size_t, size_t))dlsym(RTLD_NEXT, "calloc");
	gf_next.realloc = (void *(*)(void *, size_t))dlsym(RTLD_NEXT, "realloc");
	gf_next.memalign = (void *(*)(size_t, size_t))dlsym(RTLD_NEXT, "memalign");
	gf_next.free = (void (*)(void *))dlsym(RTLD_NEXT, "free");
	gf_next.usable_size = (size_t (*)(void *))dlsym(RTLD_NEXT, "malloc_usable_size");
	gf_next.malloc = (void *(*)(size_t))dlsym(RTLD_NEXT, "malloc");
	finding = false;
	look_at_next();
}

/* 0, or -errno: -EFAULT if it is not there, others if that cannot be known */
static long copy(void *to, uintptr_t from, size_t len)
{
	struct iovec here = { to, len }, there = { (void *)from, len };
	long got = gf_sys(SYS_process_vm_readv, gf_sys(SYS_getpid), &here, 1, &there, 1, 0);

	return got < 0 ? got : got == (long)len ? 0 : -EFAULT;
}

/* What glibc has before each object ... */
struct chunk {
	u64 prev_size, size;
};

#define CHUNK_MMAPPED	2UL
#define CHUNK_ARENA	4UL	/* of one other than the first, which is in the brk heap */
#define CHUNK_BITS	7UL

/* ... and at the start of each piece of such an arena, which is aligned to this. */
#define ARENA_PIECE	(64UL << 20)

struct piece {
	u64 arena, prev, size, writable;
};

static bool is_nexts(const void *p)
{
	uintptr_t at = (uintptr_t)p, start = at & -ARENA_PIECE;
	struct chunk c;
	struct piece piece;
	u64 size, end;
	long err;

	if (!next_is_glibc)
		return load_relaxed(&gf_passed);
	if (at % 16 || at < PAGE)
		return false;
	if (at - brk_start < (uintptr_t)gf_sys(SYS_brk, 0) - brk_start)
		return true;
	err = copy(&c, at - sizeof(c), sizeof(c));
	if (err)
		return err != -EFAULT;
	size = c.size & ~CHUNK_BITS;
	if (c.size & CHUNK_MMAPPED)
		return size >= PAGE && !((at - sizeof(c) - c.prev_size) % PAGE) &&
			!((c.prev_size + size) % PAGE);
	if (!(c.size & CHUNK_ARENA))
		return false;
	err = copy(&piece, start, sizeof(piece));
	if (err)
		return err != -EFAULT;
	end = start + piece.size;
	return piece.size <= ARENA_PIECE && !(piece.size % PAGE) && piece.writable <= ARENA_PIECE &&
		piece.arena && !(piece.arena % 16) && !(piece.prev % ARENA_PIECE) &&
		at > start + sizeof(piece) && at < end && size >= 32 && size <= end - at + sizeof(c);
}

/* What lies in this thread's stack or in a program's file is nobody's. */
static bool is_nobodys(const void *p, uintptr_t top)
{
	uintptr_t sp = (uintptr_t)__builtin_frame_address(0);

	if (top != UINTPTR_MAX && sp < top && (uintptr_t)p >= sp && (uintptr_t)p < top)
		return true;
#ifdef DLFO_STRUCT_HAS_EH_DBASE
#pragma weak _dl_find_object
	if (_dl_find_object) {
		struct dl_find_object o;

		return !_dl_find_object((void *)p, &o);
	}
#endif
	return false;
}

bool gf_next_has(const void *p, uintptr_t stack_top)
{
	return !is_nobodys(p, stack_top) && (gf_opt.foreign || is_nexts(p));
}
