/* SPDX-License-Identifier: MIT */
/*
 * What the dynamic linker did.
 */
#ifndef GF_ELF_H
#define GF_ELF_H

#include "gf.h"

/* Is this a function's definition, not an entry of some program's linkage table? */
bool gf_defines(const void *function);
/* The module of an address, and where in it, without a system call or a lock */
const char *gf_module_at(uintptr_t pc, u64 *offset);
/* The name of the function at an address, "" if not known */
const char *gf_function_at(uintptr_t pc);
/* ... of that which the call before this return address was of */
const char *gf_function_called(uintptr_t ret);
/*
 * Is this the code of a module that seems to have a C++ library of its own, of which no
 * operator new or delete can be seen from outside?
 */
bool gf_own_operators(uintptr_t pc);

struct gf_binding {
	const char *name;
	void *ours, *libc;
};

/* Modules that have libc's functions bound to them get ours. */
void gf_bind_all(const struct gf_binding *b, u32 n);

#endif
