/* SPDX-License-Identifier: MIT */
/*
 * Reports that nobody wants to see.
 */
#ifndef GF_SUPPRESS_H
#define GF_SUPPRESS_H

#include "gf.h"

struct gf_symbols;

extern bool gf_have_suppressions;
void gf_suppressions_read(void);
bool gf_matches(const char *s, const char *pattern);
/* Is one of these frames' functions or files in a line that suppresses @kind? */
bool gf_suppressed(const char *kind, struct gf_symbols *symbols, u32 from, u32 frames);

#endif
