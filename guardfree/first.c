// SPDX-License-Identifier: MIT
/*
 * Of a program that has the library linked in: what runs before the constructors
 * of the shared libraries that it uses. (A shared library has no such entry;
 * there wrap.c sees who registers fork handlers.)
 */
#include "life.h"

__attribute__((section(".preinit_array"), used))
static void (*const first)(void) = gf_fork_handlers;

/* By this note the command knows a program that has the library in it. */
__asm__(".pushsection .note.guardfree, \"a\", %note\n"
	"	.balign 4\n"
	"	.long 10, 0, 1\n"
	"	.asciz \"guardfree\"\n"
	"	.balign 4\n"
	".popsection\n");
