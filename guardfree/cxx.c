// SPDX-License-Identifier: MIT
/*
 * C++'s operators, by the names they have for the linker. The throwing ones
 * find what they need in the program's C++ library, if it has one.
 */
#include "elf.h"
#include "log.h"
#include "malloc.h"
#include "next.h"
#include "slots.h"
#include "stack.h"
#include <dlfcn.h>
#include <stdlib.h>

/* As in malloc.c */
#pragma weak dlsym

typedef void (*new_handler)(void);
extern new_handler cxx_get_new_handler(void) __asm__("_ZSt15get_new_handlerv")
	__attribute__((weak));
extern void cxx_throw_bad_alloc(void) __asm__("_ZSt17__throw_bad_allocv") __attribute__((weak));

enum {
	HAS_NEW = 1, HAS_NEW_ARRAY = 2, HAS_NEW_AL = 4, HAS_NEW_ARRAY_AL = 8,
	HAS_DEL = 16, HAS_DEL_ARRAY = 32, HAS_DEL_AL = 64, HAS_DEL_ARRAY_AL = 128,
	HAS_KNOWN = 256,
};

struct nothrow;

/* By these names the program's come, if it has them. */
EXPORT void *_Znwm(size_t size);
EXPORT void *_Znam(size_t size);
EXPORT void *_ZnwmSt11align_val_t(size_t size, size_t align);
EXPORT void *_ZnamSt11align_val_t(size_t size, size_t align);
EXPORT void _ZdlPv(void *p);
EXPORT void _ZdaPv(void *p);
EXPORT void _ZdlPvSt11align_val_t(void *p, size_t align);
EXPORT void _ZdaPvSt11align_val_t(void *p, size_t align);

/* By these, what is here. */
#define MINE(name) extern char mine##name[] __attribute__((visibility("hidden")))
MINE(_Znwm);
MINE(_Znam);
MINE(_ZnwmSt11align_val_t);
MINE(_ZnamSt11align_val_t);
MINE(_ZdlPv);
MINE(_ZdaPv);
MINE(_ZdlPvSt11align_val_t);
MINE(_ZdaPvSt11align_val_t);

/*
 * A program may replace some of the operators. The others then have to call
 * those, as the C++ library's would: new[] calls new, what is nothrow or sized
 * calls what is not. HAS_... of those that are not ours
 */
static u32 find_replaced(void)
{
	static const struct {
		const char *name;
		void *found;
		char *mine;
	} forms[] = {
#define FORM(name) { #name, (void *)name, mine##name }
		FORM(_Znwm), FORM(_Znam), FORM(_ZnwmSt11align_val_t),
		FORM(_ZnamSt11align_val_t), FORM(_ZdlPv), FORM(_ZdaPv),
		FORM(_ZdlPvSt11align_val_t), FORM(_ZdaPvSt11align_val_t),
	};
	u32 i, has = HAS_KNOWN;

	for (i = 0; i < ARRAY_SIZE(forms); i++)
		if (forms[i].found != forms[i].mine && gf_defines(forms[i].found))
			has |= 1U << i;
	return has;
}

static inline u32 replaced(void)
{
	static u32 has;
	u32 now = load_relaxed(&has);

	if (unlikely(!now)) {
		now = find_replaced();
		store(&has, now);
	}
	return now;
}

/*
 * The handler may throw, and nothrow new may not let that out. The C++ library's
 * own catches it: it calls the throwing one, which is ours.
 */
static bool catching_new(size_t size, size_t align, u8 kind, void **p)
{
	static const char *const names[2][2] = {
		{ "_ZnwmRKSt9nothrow_t", "_ZnwmSt11align_val_tRKSt9nothrow_t" },
		{ "_ZnamRKSt9nothrow_t", "_ZnamSt11align_val_tRKSt9nothrow_t" },
	};
	static const char nothrow;
	void *next = dlsym ? dlsym(RTLD_NEXT, names[kind == KIND_NEW_ARRAY][align != 0]) : NULL;

	if (!next)
		return false;
	if (align)
		*p = ((void *(*)(size_t, size_t, const void *))next)(size, align, &nothrow);
	else
		*p = ((void *(*)(size_t, const void *))next)(size, &nothrow);
	return true;
}

static void *try_new(size_t size, size_t align, u8 kind, bool throws, struct gf_regs caller)
{
	while (true) {
		void *p = NULL;
		new_handler handler = NULL;

		/* gf_pass_on() first: it may be what finds the next allocator */
		if (gf_pass_on() && (!align || gf_next.memalign))
			p = align ? gf_next.memalign(align, size) : gf_next.malloc(size);
		else
			p = gf_malloc_at(size, align, kind, caller);
		if (likely(p))
			return p;
		if (cxx_get_new_handler)
			handler = cxx_get_new_handler();
		if (handler && !throws && catching_new(size, align, kind, &p))
			return p;
		if (handler) {
			handler();
			continue;
		}
		if (!throws)
			return NULL;
		if (cxx_throw_bad_alloc)
			cxx_throw_bad_alloc();
		gf_say("operator new: out of memory, and no std::bad_alloc to throw");
		abort();
	}
}

/* Weak: in a static program its own take their place. */
#define OPERATOR EXPORT __attribute__((weak))
#define ALSO(name) __asm__(".hidden mine" #name "\n.globl mine" #name "\n.set mine" #name ", " #name)

#define NEW(name, kind, base, base_name) \
	OPERATOR void *name(size_t size) \
	{ \
		void *p; \
		if ((base) && unlikely(replaced() & (base))) \
			return base_name(size); \
		p = gf_counted() ? gf_next.malloc(size) : NULL; \
		return likely(p) ? p : try_new(size, 0, kind, true, GF_CALLER()); \
	} \
	ALSO(name)
#define NEW_NT(name, kind, base) \
	OPERATOR void *name(size_t size, const struct nothrow *nt) \
	{ \
		void *p; \
		(void)nt; \
		if (unlikely(replaced() & (base)) && catching_new(size, 0, kind, &p)) \
			return p; \
		return try_new(size, 0, kind, false, GF_CALLER()); \
	}
#define NEW_AL(name, kind, base, base_name) \
	OPERATOR void *name(size_t size, size_t align) \
	{ \
		if ((base) && unlikely(replaced() & (base))) \
			return base_name(size, align); \
		return try_new(size, align, kind, true, GF_CALLER()); \
	} \
	ALSO(name)
#define NEW_AL_NT(name, kind, base) \
	OPERATOR void *name(size_t size, size_t align, const struct nothrow *nt) \
	{ \
		void *p; \
		(void)nt; \
		if (unlikely(replaced() & (base)) && catching_new(size, align, kind, &p)) \
			return p; \
		return try_new(size, align, kind, false, GF_CALLER()); \
	}

NEW(_Znwm, KIND_NEW, 0, _Znwm);
NEW(_Znam, KIND_NEW_ARRAY, HAS_NEW, _Znwm);
NEW_NT(_ZnwmRKSt9nothrow_t, KIND_NEW, HAS_NEW)
NEW_NT(_ZnamRKSt9nothrow_t, KIND_NEW_ARRAY, HAS_NEW | HAS_NEW_ARRAY)
NEW_AL(_ZnwmSt11align_val_t, KIND_NEW, 0, _ZnwmSt11align_val_t);
NEW_AL(_ZnamSt11align_val_t, KIND_NEW_ARRAY, HAS_NEW_AL, _ZnwmSt11align_val_t);
NEW_AL_NT(_ZnwmSt11align_val_tRKSt9nothrow_t, KIND_NEW, HAS_NEW_AL)
NEW_AL_NT(_ZnamSt11align_val_tRKSt9nothrow_t, KIND_NEW_ARRAY, HAS_NEW_AL | HAS_NEW_ARRAY_AL)

static const char *const by[] = { "free", "operator delete", "operator delete []" };

#define PARAMS(...) __VA_ARGS__
#define DEL(name, kind, size, align, base, call, params) \
	OPERATOR void name(PARAMS params) \
	{ \
		if ((base) && unlikely(replaced() & (base))) \
			call; \
		else if (gf_passes_free(p)) \
			gf_next.free(p); \
		else if (p) \
			gf_free_at(p, kind, size, align, by[kind], GF_CALLER()); \
	}

#define NT __attribute__((unused)) const struct nothrow *nt
#define DELS	(HAS_DEL | HAS_DEL_ARRAY)
#define DELS_AL	(HAS_DEL_AL | HAS_DEL_ARRAY_AL)

DEL(_ZdlPv, KIND_NEW, SIZE_MAX, 0, 0, (void)0, (void *p))
ALSO(_ZdlPv);
DEL(_ZdaPv, KIND_NEW_ARRAY, SIZE_MAX, 0, HAS_DEL, _ZdlPv(p), (void *p))
ALSO(_ZdaPv);
DEL(_ZdlPvm, KIND_NEW, size, 0, HAS_DEL, _ZdlPv(p), (void *p, size_t size))
DEL(_ZdaPvm, KIND_NEW_ARRAY, size, 0, DELS, _ZdaPv(p), (void *p, size_t size))
DEL(_ZdlPvRKSt9nothrow_t, KIND_NEW, SIZE_MAX, 0, HAS_DEL, _ZdlPv(p), (void *p, NT))
DEL(_ZdaPvRKSt9nothrow_t, KIND_NEW_ARRAY, SIZE_MAX, 0, DELS, _ZdaPv(p), (void *p, NT))
DEL(_ZdlPvSt11align_val_t, KIND_NEW, SIZE_MAX, align, 0, (void)0, (void *p, size_t align))
ALSO(_ZdlPvSt11align_val_t);
DEL(_ZdaPvSt11align_val_t, KIND_NEW_ARRAY, SIZE_MAX, align, HAS_DEL_AL,
    _ZdlPvSt11align_val_t(p, align), (void *p, size_t align))
ALSO(_ZdaPvSt11align_val_t);
DEL(_ZdlPvmSt11align_val_t, KIND_NEW, size, align, HAS_DEL_AL,
    _ZdlPvSt11align_val_t(p, align), (void *p, size_t size, size_t align))
DEL(_ZdaPvmSt11align_val_t, KIND_NEW_ARRAY, size, align, DELS_AL,
    _ZdaPvSt11align_val_t(p, align), (void *p, size_t size, size_t align))
DEL(_ZdlPvSt11align_val_tRKSt9nothrow_t, KIND_NEW, SIZE_MAX, align, HAS_DEL_AL,
    _ZdlPvSt11align_val_t(p, align), (void *p, size_t align, NT))
DEL(_ZdaPvSt11align_val_tRKSt9nothrow_t, KIND_NEW_ARRAY, SIZE_MAX, align, DELS_AL,
    _ZdaPvSt11align_val_t(p, align), (void *p, size_t align, NT))
