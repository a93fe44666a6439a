/* SPDX-License-Identifier: MIT */
/*
 * SIGSEGV and SIGBUS, and who gets them next.
 */
#ifndef GF_FAULT_H
#define GF_FAULT_H

#include "gf.h"

struct sigaction;

void gf_fault_init(void);
/* What the program set for SIGSEGV or SIGBUS; the handler here stays. */
void gf_user_action(int sig, const struct sigaction *set, struct sigaction *old);
bool gf_fault_installed(void);
/* For fork. */
void gf_fault_lock(void);
void gf_fault_unlock(void);

#endif
