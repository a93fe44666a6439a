/* SPDX-License-Identifier: MIT */
/*
 * guardfree: types and macros that all of the library uses. Nothing here is for the
 * programs that use it: to them it is malloc.
 *
 * Each part has a header of its own. They are included by "", as some of their names
 * are libc's too. The Makefile has the parts in their order: one needs only those that
 * are before it.
 */
#ifndef GF_H
#define GF_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if !defined(__LP64__) || !defined(__linux__)
#error "guardfree wants a 64-bit Linux"
#endif

#define GF_VERSION	"1.0"

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int32_t s32;
typedef int64_t s64;

/* gf_page_init() sets it where kernels differ; a constant makes shorter code elsewhere. */
#ifdef __aarch64__
extern u32 gf_page_shift __attribute__((visibility("hidden")));
#define PAGE_SHIFT	gf_page_shift
#else
#define PAGE_SHIFT	12
#endif
#define PAGE		(1UL << PAGE_SHIFT)

#define likely(x)	__builtin_expect(!!(x), 1)
#define unlikely(x)	__builtin_expect(!!(x), 0)
#define EXPORT		__attribute__((visibility("default")))
/* A variable that is declared so is read without a detour by way of a table. */
#define HIDDEN		__attribute__((visibility("hidden")))
#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

static inline u64 round_up(u64 x, u64 to)
{
	return (x + to - 1) & ~(to - 1);
}

#define load(p)		__atomic_load_n(p, __ATOMIC_ACQUIRE)
#define load_relaxed(p)	__atomic_load_n(p, __ATOMIC_RELAXED)
#define store(p, v)	__atomic_store_n(p, v, __ATOMIC_RELEASE)
#define fetch_add(p, v)	__atomic_fetch_add(p, v, __ATOMIC_RELAXED)

#endif
