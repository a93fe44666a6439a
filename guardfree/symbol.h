/* SPDX-License-Identifier: MIT */
/*
 * Names for addresses.
 */
#ifndef GF_SYMBOL_H
#define GF_SYMBOL_H

#include "gf.h"

/* The number in small hexadecimal digits at *@s, which is moved behind it */
u64 gf_hex(const char **s);

struct gf_frame {
	const char *function;	/* "" if not known */
	const char *file;
	const char *module;
	u64 offset;
	u32 line;
	u32 column;
	bool inlined;		/* into the next one */
};

struct gf_symbols;

/* Calls @fn with each line of /proc/self/maps. */
bool gf_each_map(void (*fn)(char *line, void *arg), void *arg, char *buf, u32 size);
/* Names for the addresses; what @exact[i] is not, is a return address. */
struct gf_symbols *gf_symbolize(const uintptr_t *pc, const bool *exact, u32 n);
/* Why there are no names; "" if there are, or none were wanted */
const char *gf_symbols_missing(const struct gf_symbols *s);
/* The @k-th frame (inlined ones first) of pc[@i]; false if there is none. */
bool gf_symbol(struct gf_symbols *s, u32 i, u32 k, struct gf_frame *f);
void gf_self_path(char *buf, size_t size);
/* A variable for the helper, "NAME=" and its value. Without any, it gets none. */
void gf_helper_variable(const char *name, const char *value);

#endif
