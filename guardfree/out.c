// SPDX-License-Identifier: MIT
/*
 * Strings, and printing by write(2) alone.
 */
#include "out.h"
#include "sys.h"
#include <errno.h>
#include <stdarg.h>
#include <sys/syscall.h>

size_t gf_strlen(const char *s)
{
	size_t n = 0;

	while (s[n])
		n++;
	return n;
}

int gf_strcmp(const char *a, const char *b)
{
	while (*a && *a == *b)
		a++, b++;
	return (u8)*a - (u8)*b;
}

bool gf_prefix(const char *s, const char *prefix)
{
	while (*prefix)
		if (*s++ != *prefix++)
			return false;
	return true;
}

const char *gf_strerror(int err)
{
	switch (err < 0 ? -err : err) {
	case ENOMEM: return "Cannot allocate memory";
	case EINVAL: return "Invalid argument";
	case EAGAIN: return "Resource temporarily unavailable";
	case EPERM: return "Operation not permitted";
	case EACCES: return "Permission denied";
	case ENOSYS: return "Function not implemented";
	case EEXIST: return "File exists";
	case ENOENT: return "No such file or directory";
	case EBADF: return "Bad file descriptor";
	case EMFILE: return "Too many open files";
	}
	return "failed";
}

/* Printing. */

void gf_out_init(struct gf_out *o, int fd, char *buf, u32 size)
{
	o->fd = fd;
	o->buf = buf;
	o->size = size;
	o->len = 0;
	o->open = false;
}

void gf_out_flush(struct gf_out *o)
{
	u32 at = 0;

	while (o->fd >= 0 && at < o->len) {
		long n = gf_sys(SYS_write, o->fd, o->buf + at, o->len - at);

		if (n == -EINTR || n == -EAGAIN)
			continue;
		if (n <= 0)
			break;
		at += n;
	}
	o->len = 0;
}

void gf_out_end(struct gf_out *o)
{
	gf_out_flush(o);
	if (o->open)
		gf_sys(SYS_close, o->fd);
	o->open = false;
}

void gf_puts(struct gf_out *o, const char *s, size_t len)
{
	while (len--) {
		if (o->len == o->size) {
			if (o->fd < 0)
				return;
			gf_out_flush(o);
		}
		o->buf[o->len++] = *s++;
	}
}

static void gf_number(struct gf_out *o, u64 v, u32 base, bool neg, u32 width, bool zero,
		      bool left)
{
	char digits[24];
	u32 n = 0, i;

	do {
		digits[n++] = "0123456789abcdef"[v % base];
		v /= base;
	} while (v);
	if (neg)
		digits[n++] = '-';
	if (!left)
		for (i = n; i < width; i++)
			gf_puts(o, zero ? "0" : " ", 1);
	for (i = n; i; i--)
		gf_puts(o, &digits[i - 1], 1);
	if (left)
		for (i = n; i < width; i++)
			gf_puts(o, " ", 1);
}

void gf_vprintf(struct gf_out *o, const char *fmt, va_list ap)
{
	for (; *fmt; fmt++) {
		bool is_long = false, zero = false, left = false;
		u32 width = 0;
		const char *s;
		size_t len;
		s64 d;

		if (*fmt != '%') {
			gf_puts(o, fmt, 1);
			continue;
		}
		for (fmt++; *fmt == '0' || *fmt == '-'; fmt++)
			*(*fmt == '0' ? &zero : &left) = true;
		for (; *fmt >= '0' && *fmt <= '9'; fmt++)
			width = width * 10 + (*fmt - '0');
		for (; *fmt == 'l' || *fmt == 'z'; fmt++)
			is_long = true;
		switch (*fmt) {
		case 'c': {
			char c = va_arg(ap, int);

			gf_puts(o, &c, 1);
			break;
		}
		case 's':
			s = va_arg(ap, const char *);
			if (!s)
				s = "(null)";
			len = gf_strlen(s);
			gf_puts(o, s, len);
			for (; len < width; len++)
				gf_puts(o, " ", 1);
			break;
		case 'd':
			d = is_long ? va_arg(ap, long) : va_arg(ap, int);
			gf_number(o, d < 0 ? -(u64)d : (u64)d, 10, d < 0, width, zero, left);
			break;
		case 'u':
			gf_number(o, is_long ? va_arg(ap, unsigned long) : va_arg(ap, unsigned int),
				  10, false, width, zero, left);
			break;
		case 'x':
			gf_number(o, is_long ? va_arg(ap, unsigned long) : va_arg(ap, unsigned int),
				  16, false, width, zero, left);
			break;
		case 0:
			return;
		default:
			gf_puts(o, fmt, 1);
		}
	}
}

void gf_printf(struct gf_out *o, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	gf_vprintf(o, fmt, ap);
	va_end(ap);
}

/* The length written, without the 0 at the end; cut to what there is room for. */
size_t gf_snprintf(char *buf, size_t size, const char *fmt, ...)
{
	struct gf_out o;
	va_list ap;

	if (!size)
		return 0;
	gf_out_init(&o, -1, buf, size - 1);
	va_start(ap, fmt);
	gf_vprintf(&o, fmt, ap);
	va_end(ap);
	buf[o.len] = 0;
	return o.len;
}
