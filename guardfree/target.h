/* SPDX-License-Identifier: MIT */
/*
 * What would become of a program under guardfree, by its file. For the command
 * and for the library, before a program is executed.
 */
#ifndef GF_TARGET_H
#define GF_TARGET_H

#include <stdbool.h>

struct gf_target {
	const char *why;	/* it runs unguarded; NULL if it is guarded */
	bool late;		/* it says so itself when it runs */
	bool drop;		/* it does not run at all with the library preloaded */
};

/* False if there is no such file. Async-signal-safe, and needs little stack. */
bool gf_target_look(const char *path, struct gf_target *t);

#endif
