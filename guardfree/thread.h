/* SPDX-License-Identifier: MIT */
/*
 * What is known of a thread.
 */
#ifndef GF_THREAD_H
#define GF_THREAD_H

#include "gf.h"

struct gf_arena;

struct gf_thread {		/* what a report says of it; never freed */
	u32 tid;
	u32 creator;
	u32 create_stack;
	char name[19];
	bool ended;
	u8 blocked;		/* when it starts */
	uintptr_t stack_top;	/* once it has ended */
	void *(*start)(void *);	/* until it runs */
	void *arg;
};

struct gf_tls {
	struct gf_arena *arena;
	uintptr_t stack_top;
	uintptr_t tid_address;
	void *altstack;
	u64 random;
	s64 passes;		/* so many allocations go by; below 0: find out */
	u32 no;			/* T0 is the first thread */
	void *user_alt;		/* the signal stack that the program has set */
	size_t user_alt_size;
	u8 blocked, held;	/* SIGSEGV 1, SIGBUS 2: in the program's mask; sent meanwhile */
	bool moving;		/* a signal's frame */
	u8 ends;		/* how often its end was announced */
	bool known;
	bool sampled;		/* @passes was set */
	bool inside;		/* the allocator: a signal may come */
	bool in_report;
};

extern __thread struct gf_tls gf_tls __attribute__((tls_model("initial-exec")));
void gf_thread_init(void);
const struct gf_thread *gf_thread_get(u32 no);
u32 gf_thread_new(u32 creator, u32 create_stack);
u64 gf_random(void);
/* In a fork's child */
void gf_thread_forked(void);
/* It runs, under the number that it has; it ends */
void gf_thread_known(struct gf_tls *t);
void gf_thread_ended(const struct gf_tls *t);

#endif
