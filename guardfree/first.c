// SPDX-License-Identifier: MIT
/*
 * Of a program that has the library linked in: what runs before the constructors
 * of the shared libraries that it uses. (A shared library has no such entry;
 * there kernel.c sees who registers fork handlers.)
 */
#include "gf.h"

__attribute__((section(".preinit_array"), used))
static void (*const first)(void) = gf_fork_handlers;

/* By this note the command knows a program that has the library in it. */
static const struct {
	unsigned int name_size, size, type;
	char name[12];
} note __attribute__((section(".note.guardfree,\"a\",@note#"), used, aligned(4))) = {
	10, 0, 1, "guardfree",
};
