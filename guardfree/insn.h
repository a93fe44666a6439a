/* SPDX-License-Identifier: MIT */
/*
 * What an instruction does to memory.
 */
#ifndef GF_INSN_H
#define GF_INSN_H

#include "gf.h"

/* How many bytes it moves; 0 if not known */
u32 gf_access_size(const u8 *insn, u32 len);

#endif
