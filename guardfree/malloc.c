// SPDX-License-Identifier: MIT
/*
 * The allocator's entry points.
 */
#include "malloc.h"
#include "altstack.h"
#include "area.h"
#include "elf.h"
#include "guard.h"
#include "life.h"
#include "log.h"
#include "mismatch.h"
#include "next.h"
#include "options.h"
#include "out.h"
#include "report.h"
#include "slots.h"
#include "include/guardfree.h"
#include <dlfcn.h>
#include <errno.h>
#ifdef __GLIBC__
#include <gnu/libc-version.h>
#endif
#include <malloc.h>
#include <stdio.h>
#include <string.h>

/* In a static program there is no dlsym(), and no allocator after this one. */
#pragma weak dlsym

bool gf_passing;
u64 gf_pass_base, gf_pass_above = UINT64_MAX;

extern char mine_malloc[] __attribute__((visibility("hidden")));

/* Does the program, or what was preloaded before us, define malloc()? */
static bool is_replaced(void)
{
	void *found = dlsym ? dlsym(RTLD_DEFAULT, "malloc") : NULL;

	return found && found != (void *)mine_malloc && gf_defines(found);
}

static void start_passing(void)
{
	gf_passing = true;
	gf_pass_base = gf_heap.base;
	gf_pass_above = gf_heap.max - 1;
}

__attribute__((constructor(102)))
static void late(void)
{
	gf_constructed = true;
	if (!gf_ready)
		gf_init();
	gf_next_find();
	if (gf_ready == 1 && is_replaced()) {
		if (!gf_opt.quiet)
			gf_say("this program has an allocator of its own: it runs unguarded");
		gf_next.malloc = (void *(*)(size_t))dlsym(RTLD_DEFAULT, "malloc");
		gf_next.free = (void (*)(void *))dlsym(RTLD_DEFAULT, "free");
		gf_pass_all = true;
		start_passing();
	}
	if (gf_opt.help)
		gf_options_help();
	if (gf_ready == 2 || gf_opt.sample == 1 || gf_pass_all)
		return;
	if (gf_next.malloc && gf_next.free && gf_next.calloc && gf_next.realloc) {
		start_passing();
	} else {
		gf_say("sample: there is no other allocator in this program: all allocations are guarded");
	}
}

/* Should this one come from the next allocator? That it need not is found out here. */
static bool pass(void)
{
	struct gf_tls *t = &gf_tls;

	if (unlikely(!gf_ready))
		gf_init();
	if (unlikely(gf_pass_all)) {
		if (!gf_next.malloc)
			gf_next_find();
		return gf_next.malloc;
	}
	if (likely(!gf_passing))
		return false;
	gf_me();
	if (t->passes > 0) {
		t->passes--;
		return true;
	}
	if (!t->sampled) {
		t->sampled = true;
		t->passes = gf_random() % gf_opt.sample;
		if (t->passes--)
			return true;
	}
	/* One in N on average, and no program keeps in step with it */
	t->passes = gf_random() % (2 * gf_opt.sample - 1);
	return false;
}

bool gf_pass_on(void)
{
	return pass();
}

/* A handler of a signal that came while this thread was in here: no more of it. */
static void reentered(const void *p, const char *by, struct gf_regs caller)
{
	struct gf_report r;
	char note[100];

	gf_snprintf(note, sizeof(note), "(%s, in a signal handler that interrupted the allocator)", by);
	gf_fill_report(&r, caller, p);
	r.kind = "signal-unsafe-call";
	r.note = note;
	r.by = by;
	gf_report_error(&r);
}

static void exhausted(size_t size, int err)
{
	static u32 said;
	struct gf_heap_stats s;

	if (__atomic_exchange_n(&said, 1, __ATOMIC_RELAXED))
		return;
	gf_slots_stats(&s);
	gf_say("out of memory: %s: malloc of %lu bytes, with %lu objects of %lu bytes live in %lu MiB of address space (RLIMIT_AS, RLIMIT_DATA, vm.overcommit_memory=2?): returns NULL",
	       gf_strerror(err), (unsigned long)size, (unsigned long)s.live,
	       (unsigned long)s.live_bytes, (unsigned long)(gf_heap.mapped >> 20));
}

void *gf_malloc_at(size_t size, size_t align, u8 kind, struct gf_regs caller)
{
	struct gf_tls *me = gf_me();
	void *p = NULL;
	int err = 0;

	if (unlikely(me->inside)) {
		reentered(NULL, "malloc", caller);
		p = gf_next.malloc && align <= 16 ? gf_next.malloc(size) : NULL;
		if (!p)
			errno = ENOMEM;
		return p;
	}
	if (likely(!load_relaxed(&gf_full)) || !gf_next.malloc) {
		me->inside = true;
		p = gf_alloc(me, size, align, kind, gf_stack_here(caller, me->stack_top), &err);
		me->inside = false;
	}
	if (likely(p))
		return p;
	/* At vm.max_map_count there is memory, but none that could be guarded. */
	if (gf_method == METHOD_IS_MPROTECT && gf_next.malloc && size <= PTRDIFF_MAX) {
		store(&gf_passed, true);
		if (align <= 16)
			return gf_next.malloc(size);
		if (gf_next.memalign)
			return gf_next.memalign(align, size);
	} else if (err) {
		exhausted(size, err);
	}
	errno = ENOMEM;
	return NULL;
}

/* Is the next allocator to be asked about it, or is it an error? */
static bool foreign_ok(const void *p)
{
	return gf_ready != 1 || !gf_constructed || gf_passing ||
	       gf_next_has(p, gf_me()->stack_top);
}

static void bad_free(const void *p, enum gf_verdict why, const char *by, struct gf_regs caller)
{
	struct gf_report r;
	struct gf_slot slot;

	gf_me();
	gf_fill_report(&r, caller, p);
	r.by = by;
	r.kind = why == FREE_DOUBLE ? "double-free" : "bad-free";
	if (!strcmp(by, "malloc_usable_size"))
		r.kind = "bad-malloc_usable_size";
	if (gf_ours(p) && gf_slot_at((uintptr_t)p, &slot) && load(&slot.rec->state) != STATE_NEVER)
		r.rec = slot.rec;
	gf_report_error(&r);
}

void gf_free_at(void *p, u8 kind, size_t size, size_t align, const char *by, struct gf_regs caller)
{
	struct gf_report r;
	enum gf_verdict why;
	struct gf_tls *me;
	struct gf_rec *rec;
	uintptr_t at;

	if (unlikely(!gf_ours(p))) {
		if (!gf_next.free)
			gf_next_find();
		if (gf_next.free && foreign_ok(p))
			gf_next.free(p);
		else
			bad_free(p, FREE_WILD, by, caller);
		return;
	}
	me = gf_me();
	if (unlikely(me->inside)) {
		reentered(p, by, caller);
		return;
	}
	rec = gf_find(p, &why);
	if (likely(rec) && unlikely(!gf_claim(rec))) {
		rec = NULL;
		why = FREE_DOUBLE;
	}
	if (unlikely(!rec)) {
		bad_free(p, why, by, caller);
		return;
	}
	if (gf_opt.mismatch &&
	    unlikely(rec->kind != kind || (size != SIZE_MAX && size != rec->size) ||
		     (align > PAGE && (uintptr_t)p & (align - 1))))
		gf_mismatch(rec, p, kind, size, align, by, caller);
	at = gf_check(rec);
	if (unlikely(at)) {
		gf_fill_report(&r, caller, (void *)at);
		r.rec = rec;
		r.by = by;
		r.access = ACCESS_WRITE;
		r.freed_by_this = true;
		r.size = 1;
		r.kind = at < rec->ptr ? "heap-buffer-underflow" : "heap-buffer-overflow";
		r.note = "(found when it was freed: the stack is that of the free)";
		gf_report_error(&r);
	}
	if (unlikely(me->user_alt) &&
	    (uintptr_t)me->user_alt - rec->ptr < (rec->size ? rec->size : 1))
		gf_altstack_freed(me);
	me->inside = true;
	gf_release(me, rec, gf_stack_here(caller, me->stack_top));
	me->inside = false;
}

/*
 * The entry points that programs call most: what goes to the next allocator does
 * so by a few instructions and a jump. The rest is in functions of their own,
 * which are jumped to as well (see the Makefile): the caller's registers are
 * then what the program had. Without that, all is done in one.
 */
#if defined(TAIL_CALLS) && defined(__OPTIMIZE__)
#define SLOW static __attribute__((noinline))
#else
#define SLOW static inline __attribute__((always_inline))
#endif

SLOW void *malloc_slow(size_t size)
{
	if (pass())
		return gf_next.malloc(size);
	return gf_malloc_at(size, 0, KIND_MALLOC, GF_CALLER());
}

EXPORT void *malloc(size_t size)
{
	if (gf_counted())
		return gf_next.malloc(size);
	return malloc_slow(size);
}
__asm__(".hidden mine_malloc\n.globl mine_malloc\n.set mine_malloc, malloc");

SLOW void free_slow(void *p)
{
	if (p)
		gf_free_at(p, KIND_MALLOC, SIZE_MAX, 0, "free", GF_CALLER());
}

EXPORT void free(void *p)
{
	if (gf_passes_free(p))
		gf_next.free(p);
	else
		free_slow(p);
}

EXPORT void free_sized(void *p, size_t size)
{
	if (p)
		gf_free_at(p, KIND_MALLOC, size, 0, "free_sized", GF_CALLER());
}

EXPORT void free_aligned_sized(void *p, size_t align, size_t size)
{
	if (p)
		gf_free_at(p, KIND_MALLOC, size, align, "free_aligned_sized", GF_CALLER());
}

EXPORT void cfree(void *p)
{
	if (p)
		gf_free_at(p, KIND_MALLOC, SIZE_MAX, 0, "cfree", GF_CALLER());
}

SLOW void *calloc_slow(size_t n, size_t size)
{
	size_t all;
	void *p;

	if (__builtin_mul_overflow(n, size, &all)) {
		errno = ENOMEM;
		return NULL;
	}
	if (pass())
		return gf_next.calloc(n, size);
	p = gf_malloc_at(all, 0, KIND_MALLOC, GF_CALLER());
	if (p && (gf_opt.fill >= 0 || unlikely(load_relaxed(&gf_went_on))))
		memset(p, 0, all);
	return p;
}

EXPORT void *calloc(size_t n, size_t size)
{
	if (gf_counted())
		return gf_next.calloc(n, size);
	return calloc_slow(n, size);
}

static void *realloc_at(void *p, size_t size, struct gf_regs caller)
{
	enum gf_verdict why;
	struct gf_rec *rec;
	void *to;

	if (!p) {
		if (pass())
			return gf_next.malloc(size);
		return gf_malloc_at(size, 0, KIND_MALLOC, caller);
	}
	if (!gf_ours(p)) {
		if (!gf_next.realloc)
			gf_next_find();
		if (gf_next.realloc && foreign_ok(p))
			return gf_next.realloc(p, size);
		bad_free(p, FREE_WILD, "realloc", caller);
		errno = ENOMEM;
		return NULL;
	}
	rec = gf_find(p, &why);
	if (!rec) {
		bad_free(p, why, "realloc", caller);
		errno = ENOMEM;
		return NULL;
	}
	if (!size) {	/* as glibc does */
		gf_free_at(p, KIND_MALLOC, SIZE_MAX, 0, "realloc", caller);
		return NULL;
	}
	/* It always moves: who kept the old pointer is to be found out. */
	to = pass() ? gf_next.malloc(size) : gf_malloc_at(size, 0, KIND_MALLOC, caller);
	if (!to)
		return NULL;
	memcpy(to, p, rec->size < size ? rec->size : size);
	gf_free_at(p, KIND_MALLOC, SIZE_MAX, 0, "realloc", caller);
	return to;
}

SLOW void *realloc_slow(void *p, size_t size)
{
	return realloc_at(p, size, GF_CALLER());
}

EXPORT void *realloc(void *p, size_t size)
{
	if (gf_passing && p && !gf_ours(p))
		return gf_next.realloc(p, size);
	return realloc_slow(p, size);
}

EXPORT void *reallocarray(void *p, size_t n, size_t size)
{
	size_t all;

	if (__builtin_mul_overflow(n, size, &all)) {
		errno = ENOMEM;
		return NULL;
	}
	return realloc_at(p, all, GF_CALLER());
}

static bool power_of_2(size_t x)
{
	return x && !(x & (x - 1));
}

static inline void *aligned_at(size_t align, size_t size, struct gf_regs caller)
{
	/* pass() first: it may be what finds the next allocator */
	if (pass() && gf_next.memalign)
		return gf_next.memalign(align, size);
	return gf_malloc_at(size, align, KIND_MALLOC, caller);
}

EXPORT int posix_memalign(void **to, size_t align, size_t size)
{
	int err = errno;
	void *p;

	if (!power_of_2(align) || align % sizeof(void *))
		return EINVAL;
	p = aligned_at(align, size, GF_CALLER());
	errno = err;
	if (!p)
		return ENOMEM;
	*to = p;
	return 0;
}

static size_t memalign_to(size_t align)
{
	size_t to = sizeof(void *);

	while (to < align)	/* as glibc does */
		to *= 2;
	return to;
}

EXPORT void *memalign(size_t align, size_t size)
{
	if (align > PTRDIFF_MAX) {
		errno = EINVAL;
		return NULL;
	}
	return aligned_at(memalign_to(align), size, GF_CALLER());
}

static bool aligned_alloc_takes(size_t align)
{
#ifdef __GLIBC__
	const char *v = gnu_get_libc_version();
	bool since_2_38 = v[0] > '2' || (v[2] == '3' && v[3] >= '8') || (v[2] > '3' && v[3]);

	return !since_2_38 || power_of_2(align);
#else
	return !align || power_of_2(align);
#endif
}

/*
 * What may be asked of it differs: C11 forbids a size that is no multiple and an
 * alignment that is none; the libcs take any size; glibc before 2.38 takes any
 * alignment, as memalign() does.
 */
EXPORT void *aligned_alloc(size_t align, size_t size)
{
	if (align > PTRDIFF_MAX || !aligned_alloc_takes(align)) {
		errno = EINVAL;
		return NULL;
	}
	return aligned_at(memalign_to(align), size, GF_CALLER());
}

EXPORT void *valloc(size_t size)
{
	return aligned_at(PAGE, size, GF_CALLER());
}

EXPORT void *pvalloc(size_t size)
{
	if (size > PTRDIFF_MAX) {
		errno = ENOMEM;
		return NULL;
	}
	return aligned_at(PAGE, round_up(size ? size : 1, PAGE), GF_CALLER());
}

EXPORT size_t malloc_usable_size(void *p)
{
	enum gf_verdict why;
	struct gf_rec *rec;

	if (!p)
		return 0;
	if (!gf_ours(p)) {
		if (!gf_next.usable_size)
			gf_next_find();
		if (gf_next.usable_size && foreign_ok(p))
			return gf_next.usable_size(p);
		bad_free(p, FREE_WILD, "malloc_usable_size", GF_CALLER());
		return 0;
	}
	/* No more than was asked for: what lies behind is guarded. */
	rec = gf_find(p, &why);
	if (!rec) {
		bad_free(p, why, "malloc_usable_size", GF_CALLER());
		return 0;
	}
	return rec->size;
}

/* include/guardfree.h */

EXPORT int guardfree_active(void)
{
	return gf_ready == 1 && !gf_pass_all;
}

EXPORT int guardfree_object(const void *p, size_t *size)
{
	enum gf_verdict why;
	struct gf_rec *rec = gf_ours(p) ? gf_find(p, &why) : NULL;

	if (!rec)
		return -1;
	*size = rec->size;
	return 0;
}

EXPORT int malloc_trim(size_t pad)
{
	(void)pad;
	return 0;	/* what is freed has gone back to the system already */
}

#ifdef __GLIBC__
EXPORT struct mallinfo2 mallinfo2(void)
{
	struct mallinfo2 m = { 0 };
	struct gf_heap_stats s;

	gf_slots_stats(&s);
	m.arena = gf_heap.mapped;
	m.ordblks = s.quarantined;
	m.uordblks = s.live_bytes;
	m.fordblks = s.quarantined_bytes;
	return m;
}

EXPORT struct mallinfo mallinfo(void)
{
	struct mallinfo2 m = mallinfo2();

	return (struct mallinfo){
		.arena = m.arena, .ordblks = m.ordblks, .uordblks = m.uordblks,
		.fordblks = m.fordblks,
	};
}

EXPORT int mallopt(int param, int value)
{
	(void)param;
	(void)value;
	return 1;
}

EXPORT void malloc_stats(void)
{
	gf_stats();
}

EXPORT int malloc_info(int options, FILE *fp)
{
	struct gf_heap_stats s;

	if (options) {
		errno = EINVAL;
		return -1;
	}
	gf_slots_stats(&s);
	fprintf(fp, "<malloc version=\"guardfree-" GF_VERSION "\"><live objects=\"%lu\" bytes=\"%lu\"/></malloc>\n",
		(unsigned long)s.live, (unsigned long)s.live_bytes);
	return 0;
}
#endif
