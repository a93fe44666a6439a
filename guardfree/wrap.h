/* SPDX-License-Identifier: MIT */
/*
 * How the shared library wraps functions of libc.
 */
#ifndef GF_WRAP_H
#define GF_WRAP_H

#include "gf.h"

struct wrap {
	void **real;
	const char *name;
};

/* All are looked up at the start: dlsym() is not for signal handlers. */
#define WRAP(ret, name, ...)						\
	static ret (*real_##name)(__VA_ARGS__);				\
	static const struct wrap wrap_##name				\
		__attribute__((used, section("gf_wraps"))) =		\
		{ (void **)&real_##name, #name };			\
	EXPORT ret name(__VA_ARGS__)

#define REAL(name) \
	(likely(real_##name) ? real_##name : (gf_wrap_find(&wrap_##name), real_##name))

void gf_wrap_find(const struct wrap *w);

#endif
