/* SPDX-License-Identifier: MIT */
/*
 * GUARDFREE_OPTIONS.
 */
#ifndef GF_OPTIONS_H
#define GF_OPTIONS_H

#include "gf.h"

#define GF_DEPTH_MAX	64	/* frames of a stack */

enum { GUARD_AFTER, GUARD_BEFORE };
enum { METHOD_AUTO, METHOD_GUARD, METHOD_MPROTECT };
enum { UNWIND_CFI, UNWIND_FP, UNWIND_NONE };
enum { FRESH_ALL, FRESH_TRAILING };
enum { FORMAT_TEXT, FORMAT_JSON };
enum { COLOR_AUTO, COLOR_ALWAYS, COLOR_NEVER };

struct gf_options {
	u64 quarantine;
	u64 quarantine_objects;
	u64 seed;
	u64 sample;
	u32 guard;
	u32 align;
	u32 batch;
	u32 open;
	u32 populate;
	u32 fresh;
	u32 method;
	u32 arenas;
	u32 check;
	s32 fill;
	u32 depth;
	u32 unwind;
	u32 mismatch;
	u32 foreign;
	u32 halt;
	u32 kernel;
	u32 handler;
	u32 segv;
	u32 symbolize;
	u32 symbolizer_seconds;
	u32 debuginfod;
	u32 format;
	u32 color;
	u32 stats;
	u32 leaks;
	s32 exitcode;
	u64 first;
	u32 memcg;
	u32 verbose;
	u32 quiet;
	u32 help;
	char name[32];
	char log[256];
	char suppressions[256];
	char children[256];
	char skip[256];
	char symbolizer[256];
};

extern struct gf_options gf_opt HIDDEN;
extern bool gf_secure;		/* setuid or the like: no files, no programs */
/* Reads @text into gf_opt, over what is there; says what it does not know. */
void gf_options_parse(const char *text);
/* ASAN_OPTIONS: what has the same name there; the rest is not for us. */
void gf_options_asan(const char *text);
void gf_options_help(void);
/* children=, skip=: is a program of this path to be guarded? */
bool gf_wants(const char *path);

#endif
