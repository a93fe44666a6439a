/* SPDX-License-Identifier: MIT */
/*
 * What is said of a hit.
 */
#ifndef GF_REPORT_H
#define GF_REPORT_H

#include "options.h"
#include "stack.h"
#include "sys.h"

struct gf_out;
struct gf_rec;
struct gf_symbols;

enum gf_access { ACCESS_NONE, ACCESS_READ, ACCESS_WRITE, ACCESS_EXEC };

struct gf_report {
	const char *kind;
	enum gf_access access;
	u32 size;		/* of the access; 0: not known */
	uintptr_t addr;
	struct gf_regs regs;
	bool exact;		/* regs.pc is an instruction */
	bool freed_by_this;	/* the object is being freed right now */
	bool signal;		/* not about our memory */
	bool warning;		/* said, and the program runs on */
	u32 thread;
	const char *by;		/* the function that did it, "free", "read", ... */
	struct gf_rec *rec;	/* the object it is about, or NULL */
	const char *note;
	u32 n;
	uintptr_t pc[GF_DEPTH_MAX];
};

/*
 * Says it; false if it is suppressed. Two threads at once: the second waits for ever,
 * or for its turn.
 */
bool gf_report(struct gf_report *r);
/* By this thread, in a call of @caller's, about @p */
void gf_fill_report(struct gf_report *r, struct gf_regs caller, const void *p);
/* For what is no fault: says it, and ends the process unless halt=0. */
void gf_report_error(struct gf_report *r);
/* A hit of @addr: which object, what kind */
void gf_classify(struct gf_report *r);
/* At exit: what was written beside objects that nobody freed; what was counted */
void gf_report_live(void);
void gf_report_counts(void);
/* One stack of leaks, and their sum. Under gf_report_lock */
void gf_leak_text(struct gf_out *o, bool direct, u64 bytes, u64 objects,
		  struct gf_symbols *symbols, const uintptr_t *pc, u32 from, u32 n, bool first);
void gf_leak_summary(struct gf_out *o, u64 bytes, u64 objects);
void gf_stats(void);
extern struct gf_lock gf_report_lock;

#endif
