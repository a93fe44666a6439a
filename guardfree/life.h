/* SPDX-License-Identifier: MIT */
/*
 * The process from start to end, and its threads.
 */
#ifndef GF_LIFE_H
#define GF_LIFE_H

#include "thread.h"

extern u32 gf_ready HIDDEN;	/* 1: yes; 2: cannot be, all goes to the next allocator */
extern bool gf_unwanted;	/* by children= or skip= */
extern bool gf_pass_all HIDDEN;	/* nothing is guarded */
void gf_init(void);
void gf_thread_start(void);
/* The thread runs: it is number @no. */
void gf_thread_begin(u32 no);

static inline struct gf_tls *gf_me(void)
{
	if (unlikely(!gf_tls.known))
		gf_thread_start();
	return &gf_tls;
}

/* Registers them, once: before anybody else's */
void gf_fork_handlers(void);

#endif
