/* SPDX-License-Identifier: MIT */
/*
 * Strings, and printing.
 */
#ifndef GF_OUT_H
#define GF_OUT_H

#include "gf.h"

/* Printing, by write(2) alone. %s %c %d %u %x %%, l, width, 0 and - */
struct gf_out {
	int fd;
	u32 len, size;
	bool open;		/* fd is to be closed */
	char *buf;
};

void gf_out_init(struct gf_out *o, int fd, char *buf, u32 size);
void gf_out_flush(struct gf_out *o);
void gf_out_end(struct gf_out *o);
void gf_puts(struct gf_out *o, const char *s, size_t len);
void gf_vprintf(struct gf_out *o, const char *fmt, __builtin_va_list ap);
__attribute__((format(printf, 2, 3)))
void gf_printf(struct gf_out *o, const char *fmt, ...);
size_t gf_snprintf(char *buf, size_t size, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
const char *gf_strerror(int err);
size_t gf_strlen(const char *s);
int gf_strcmp(const char *a, const char *b);
bool gf_prefix(const char *s, const char *prefix);

#endif
