/* SPDX-License-Identifier: MIT */
/*
 * For programs that want to know of guardfree. To all others it is malloc: none of
 * this is needed to use it.
 */
#ifndef GUARDFREE_H
#define GUARDFREE_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * The functions are not there without guardfree: look whether their address is NULL,
 * as guardfree_guards() below does.
 */

/* 1 if objects are guarded in this process, 0 if it says why they are not */
int guardfree_active(void) __attribute__((weak));
/* The size of the live object that begins at p, in *size; 0 if there is one, else -1 */
int guardfree_object(const void *p, size_t *size) __attribute__((weak));

static inline int guardfree_guards(void)
{
	return guardfree_active && guardfree_active();
}

#ifdef __cplusplus
}
#endif

#endif
