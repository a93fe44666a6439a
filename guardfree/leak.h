/* SPDX-License-Identifier: MIT */
/*
 * Objects that nothing leads to.
 */
#ifndef GF_LEAK_H
#define GF_LEAK_H

#include "gf.h"

#define GF_LEAK_STATUS	23	/* LeakSanitizer's */

/* leaks=1, at exit; true if there are some */
bool gf_leaks(void);

#endif
