/* SPDX-License-Identifier: MIT */
/*
 * Where reports and messages go.
 */
#ifndef GF_LOG_H
#define GF_LOG_H

#include "gf.h"

struct gf_out;

extern const char *gf_log_path;	/* log=, as it is filled in when options are read */
extern bool gf_sandboxed;	/* the program has set a filter of system calls */
void gf_out_log(struct gf_out *o, char *buf, u32 size);	/* where reports go */
void gf_log_follow(void);
void gf_log_forked(void);
void gf_log_let_go(void);
/* Is this descriptor ours? */
bool gf_log_is(int fd);
int gf_pid(void);
/* One line, "guardfree: ..." */
__attribute__((format(printf, 1, 2)))
void gf_say(const char *fmt, ...);

#endif
