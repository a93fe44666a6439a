// SPDX-License-Identifier: MIT
/*
 * C++'s operators, by the names they have for the linker. The throwing ones
 * find what they need in the program's C++ library, if it has one.
 */
#include "gf.h"
#include <dlfcn.h>
#include <stdlib.h>

/* As in malloc.c */
#pragma weak dlsym

typedef void (*new_handler)(void);
extern new_handler cxx_get_new_handler(void) __asm__("_ZSt15get_new_handlerv")
	__attribute__((weak));
extern void cxx_throw_bad_alloc(void) __asm__("_ZSt17__throw_bad_allocv") __attribute__((weak));

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

struct nothrow;

#define NEW(name, kind, throws) \
	EXPORT void *name(size_t size) \
	{ \
		void *p = gf_counted() ? gf_next.malloc(size) : NULL; \
		return likely(p) ? p : try_new(size, 0, kind, throws, GF_CALLER()); \
	}
#define NEW_NT(name, kind) \
	EXPORT void *name(size_t size, const struct nothrow *nt) \
	{ (void)nt; return try_new(size, 0, kind, false, GF_CALLER()); }
#define NEW_AL(name, kind) \
	EXPORT void *name(size_t size, size_t align) \
	{ return try_new(size, align, kind, true, GF_CALLER()); }
#define NEW_AL_NT(name, kind) \
	EXPORT void *name(size_t size, size_t align, const struct nothrow *nt) \
	{ (void)nt; return try_new(size, align, kind, false, GF_CALLER()); }

NEW(_Znwm, KIND_NEW, true)
NEW(_Znam, KIND_NEW_ARRAY, true)
NEW_NT(_ZnwmRKSt9nothrow_t, KIND_NEW)
NEW_NT(_ZnamRKSt9nothrow_t, KIND_NEW_ARRAY)
NEW_AL(_ZnwmSt11align_val_t, KIND_NEW)
NEW_AL(_ZnamSt11align_val_t, KIND_NEW_ARRAY)
NEW_AL_NT(_ZnwmSt11align_val_tRKSt9nothrow_t, KIND_NEW)
NEW_AL_NT(_ZnamSt11align_val_tRKSt9nothrow_t, KIND_NEW_ARRAY)

static const char *const by[] = { "free", "operator delete", "operator delete []" };

#define DEL(name, kind, size, align, ...) \
	EXPORT void name(void *p, ##__VA_ARGS__) \
	{ \
		if (gf_passing && !gf_ours(p)) \
			gf_next.free(p); \
		else if (p) \
			gf_free_at(p, kind, size, align, by[kind], GF_CALLER()); \
	}

#define NT __attribute__((unused)) const struct nothrow *nt

DEL(_ZdlPv, KIND_NEW, SIZE_MAX, 0)
DEL(_ZdaPv, KIND_NEW_ARRAY, SIZE_MAX, 0)
DEL(_ZdlPvm, KIND_NEW, size, 0, size_t size)
DEL(_ZdaPvm, KIND_NEW_ARRAY, size, 0, size_t size)
DEL(_ZdlPvRKSt9nothrow_t, KIND_NEW, SIZE_MAX, 0, NT)
DEL(_ZdaPvRKSt9nothrow_t, KIND_NEW_ARRAY, SIZE_MAX, 0, NT)
DEL(_ZdlPvSt11align_val_t, KIND_NEW, SIZE_MAX, align, size_t align)
DEL(_ZdaPvSt11align_val_t, KIND_NEW_ARRAY, SIZE_MAX, align, size_t align)
DEL(_ZdlPvmSt11align_val_t, KIND_NEW, size, align, size_t size, size_t align)
DEL(_ZdaPvmSt11align_val_t, KIND_NEW_ARRAY, size, align, size_t size, size_t align)
DEL(_ZdlPvSt11align_val_tRKSt9nothrow_t, KIND_NEW, SIZE_MAX, align, size_t align, NT)
DEL(_ZdaPvSt11align_val_tRKSt9nothrow_t, KIND_NEW_ARRAY, SIZE_MAX, align, size_t align, NT)
