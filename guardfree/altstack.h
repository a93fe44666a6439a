/* SPDX-License-Identifier: MIT */
/*
 * Signal stacks.
 */
#ifndef GF_ALTSTACK_H
#define GF_ALTSTACK_H

#include "gf.h"
#include <signal.h>

struct gf_tls;

void gf_altstack_start(struct gf_tls *t);
void gf_altstack_end(struct gf_tls *t);
/* sigaltstack(), as the program sees it */
int gf_altstack_user(const stack_t *set, stack_t *old);
/* The memory of its own was freed: it goes on with ours. */
void gf_altstack_freed(struct gf_tls *t);
void gf_altstack_lock(void);
void gf_altstack_unlock(void);

#endif
