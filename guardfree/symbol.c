// SPDX-License-Identifier: MIT
/*
 * Names and lines for addresses. /proc/self/maps says which file an address is
 * of; the rest is done by a helper process, the guardfree command, so that
 * nothing of this happens in a process that is in no state for it: no memory
 * is allocated here, no lock taken, no function of libc that could.
 *
 * To the helper:	<offset in the file, hex> <path>\n	for each address
 * From it:		f\t<function>\t<file>\t<line>\n		inlined ones first
 *			.\t<address in the module, hex>\n	ends each
 *			!\t<why names are missing>\n		after all, if so
 */
#include "symbol.h"
#include "elf.h"
#include "log.h"
#include "options.h"
#include "out.h"
#include "sys.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#ifndef SYS_close_range
#define SYS_close_range 436
#endif

#define SYMBOLS_MAX	512

struct gf_symbols {
	u32 n;
	struct {
		u32 path;	/* in text; 0: none */
		u64 offset;	/* in the file */
		u64 rel;	/* in the module */
		const char *reply;	/* its lines */
	} at[SYMBOLS_MAX];
	u32 len;
	char missing[400];	/* why there are no names */
	char text[256 << 10];
	char stack[32 << 10];
	char replies[1 << 20];
};

bool gf_each_map(void (*fn)(char *line, void *arg), void *arg, char *buf, u32 size)
{
	u32 len = 0, i, from;
	long fd;

	if (gf_sandboxed)
		return false;
	fd = gf_sys(SYS_openat, AT_FDCWD, "/proc/self/maps", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	while (true) {
		long n = gf_sys(SYS_read, fd, buf + len, size - len);

		if (n == -EINTR)
			continue;
		if (n <= 0)
			break;
		len += n;
		for (i = from = 0; i < len; i++) {
			if (buf[i] != '\n')
				continue;
			buf[i] = 0;
			fn(buf + from, arg);
			from = i + 1;
		}
		for (i = 0; from + i < len; i++)
			buf[i] = buf[from + i];
		len = i;
		if (len == size)
			len = 0;
	}
	gf_sys(SYS_close, fd);
	return true;
}

u64 gf_hex(const char **s)
{
	u64 v = 0;

	for (;; (*s)++) {
		char c = **s;

		if (c >= '0' && c <= '9')
			v = v << 4 | (c - '0');
		else if (c >= 'a' && c <= 'f')
			v = v << 4 | (c - 'a' + 10);
		else
			return v;
	}
}

/* start-end perms offset dev inode   path */
static const char *parse_map(const char *s, u64 *start, u64 *end, u64 *offset)
{
	u32 field;

	*start = gf_hex(&s);
	if (*s++ != '-')
		return NULL;
	*end = gf_hex(&s);
	for (field = 0; field < 2; field++)
		while (*s && *s++ != ' ')
			;
	*offset = gf_hex(&s);
	for (field = 0; field < 3; field++)
		while (*s && *s++ != ' ')
			;
	while (*s == ' ')
		s++;
	return s;
}

struct find {
	struct gf_symbols *s;
	const uintptr_t *pc;
	const bool *exact;
	u64 base;
	u32 last;	/* the path of base */
};

static void find_map(char *line, void *arg)
{
	struct find *f = arg;
	struct gf_symbols *s = f->s;
	u64 start, end, offset;
	const char *path = parse_map(line, &start, &end, &offset);
	u32 i;

	if (!path || (*path != '/' && *path != '['))
		return;
	if (!f->last || gf_strcmp(s->text + f->last, path)) {
		u32 len = gf_strlen(path) + 1;

		if (s->len + len > sizeof(s->text))
			return;
		f->last = s->len;
		f->base = start;
		s->len += gf_snprintf(s->text + s->len, len, "%s", path) + 1;
	}
	for (i = 0; i < s->n; i++) {
		u64 pc = f->pc[i] - !f->exact[i];

		if (pc < start || pc >= end)
			continue;
		s->at[i].path = f->last;
		s->at[i].offset = pc - start + offset;
		s->at[i].rel = f->pc[i] - f->base;
	}
}

static void find_self(char *line, void *arg)
{
	u64 start, end, offset, me = (uintptr_t)find_self;
	const char *path = parse_map(line, &start, &end, &offset);
	char **buf = arg;

	if (path && me >= start && me < end && *path == '/')
		gf_snprintf(buf[0], 256, "%s", path);
}

void gf_self_path(char *path, size_t size)
{
	static char buf[8192];
	char found[256] = "", *arg[] = { found };

	gf_each_map(find_self, arg, buf, sizeof(buf));
	gf_snprintf(path, size, "%s", found);
}

static bool helper_path(char *path, size_t size)
{
	static const char *const places[] = { "guardfree", "../bin/guardfree",
					      "../../bin/guardfree" };
	char self[256];
	u32 i;

	if (gf_opt.symbolizer[0]) {
		gf_snprintf(path, size, "%s", gf_opt.symbolizer);
		return true;
	}
	gf_self_path(self, sizeof(self));
	for (i = 0; self[0] == '/' && i < ARRAY_SIZE(places); i++) {
		u32 at;

		for (at = gf_strlen(self); at && self[at - 1] != '/'; at--)
			;
		self[at] = 0;
		gf_snprintf(path, size, "%s%s", self, places[i]);
		if (!gf_sys(SYS_faccessat, AT_FDCWD, path, 1))
			return true;
	}
	gf_snprintf(path, size, "/usr/bin/guardfree");
	if (!gf_sys(SYS_faccessat, AT_FDCWD, path, 1))
		return true;
	gf_snprintf(path, size, "/usr/local/bin/guardfree");
	return !gf_sys(SYS_faccessat, AT_FDCWD, path, 1);
}

static const char *helper_env[5];

void gf_helper_variable(const char *name, const char *value)
{
	/* A copy, because the program may do with its own what it wants. */
	static char text[4096];
	static u32 len, n;
	u32 size = gf_strlen(name) + gf_strlen(value) + 1;

	if (n == ARRAY_SIZE(helper_env) - 1 || size > sizeof(text) - len)
		return;
	helper_env[n++] = text + len;
	len += gf_snprintf(text + len, size, "%s%s", name, value) + 1;
}

struct spawn {
	const char *path;
	int fd;
};

static int spawned(void *arg)
{
	struct spawn *s = arg;
	const char *argv[] = { "guardfree", "--symbolize", NULL };
	u64 none = 0;

	gf_sys(SYS_dup3, s->fd, 0, 0);
	gf_sys(SYS_dup3, s->fd, 1, 0);
	gf_sys(SYS_rt_sigprocmask, SIG_SETMASK, &none, NULL, 8);
	/* The descriptors are a copy: none of the program's goes along. */
	gf_sys(SYS_close_range, 2, ~0U, 0);
	gf_sys(SYS_execve, s->path, argv, helper_env);
	gf_sys(SYS_exit_group, 127);
	return 0;
}

/* A child that shares our memory until it is another program: no copy of it. */
static long spawn(struct gf_symbols *s, struct spawn *how)
{
	u64 all = ~0UL, was;
	long pid;

	gf_sys(SYS_rt_sigprocmask, SIG_BLOCK, &all, &was, 8);
	pid = clone(spawned, s->stack + sizeof(s->stack) - 64, CLONE_VM | CLONE_VFORK, how);
	gf_sys(SYS_rt_sigprocmask, SIG_SETMASK, &was, NULL, 8);
	return pid;
}

static u64 nanoseconds(clockid_t clock)
{
	struct timespec t = { 0 };

	gf_sys(SYS_clock_gettime, clock, &t);
	return t.tv_sec * 1000000000UL + t.tv_nsec;
}

/* The clock of a process's time, as the kernel numbers them */
#define CPU_CLOCK(pid)	((clockid_t)(~(u32)(pid) << 3 | 2))

/*
 * A busy machine is no reason to go without names: the limit is of the helper's
 * own time, and only far beyond it of the time that passes.
 */
static bool too_long(struct gf_symbols *s, long pid, u64 since)
{
	u64 limit = gf_opt.symbolizer_seconds * 1000000000UL;

	if (nanoseconds(CPU_CLOCK(pid)) >= limit)
		gf_snprintf(s->missing, sizeof(s->missing),
			    "the helper took more than %u s of the processor's time (symbolizer_seconds=)",
			    gf_opt.symbolizer_seconds);
	else if (nanoseconds(CLOCK_MONOTONIC) - since >= 15 * limit)
		gf_snprintf(s->missing, sizeof(s->missing),
			    "the helper did not answer in %u s (symbolizer_seconds=, 15 times that)",
			    15 * gf_opt.symbolizer_seconds);
	else
		return false;
	gf_sys(SYS_kill, pid, SIGKILL);
	return true;
}

static void ask_helper(struct gf_symbols *s)
{
	static char line[4200];	/* as in gf_report(), with its lock */
	char path[300];
	struct spawn how = { .path = path };
	int fd[2], status = 0;
	long pid, n;
	u32 i, len = 0;
	u64 start;
	char *p;

	if (!gf_opt.symbolize)
		return;
	if (!helper_path(path, sizeof(path))) {
		gf_snprintf(s->missing, sizeof(s->missing),
			    "there is no helper, the guardfree command, beside the library (symbolizer=)");
		return;
	}
	n = gf_sys(SYS_socketpair, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd);
	if (n) {
		gf_snprintf(s->missing, sizeof(s->missing), "no socket for the helper: %s",
			    gf_strerror(n));
		return;
	}
	how.fd = fd[1];
	/* dup3() onto itself is an error, and leaves it to be closed. */
	if (how.fd < 2) {
		n = gf_sys(SYS_fcntl, how.fd, F_DUPFD_CLOEXEC, 3);
		if (n >= 0) {
			gf_sys(SYS_close, how.fd);
			how.fd = n;
		}
	}
	pid = spawn(s, &how);
	gf_sys(SYS_close, how.fd);
	if (pid <= 0) {
		gf_sys(SYS_close, fd[0]);
		gf_snprintf(s->missing, sizeof(s->missing), "no process for the helper");
		return;
	}
	for (i = 0; i < s->n; i++) {
		u32 at = 0, size = gf_snprintf(line, sizeof(line), "%lx %s\n",
					       (unsigned long)s->at[i].offset,
					       s->at[i].path ? s->text + s->at[i].path : "?");

		while (at < size) {
			n = gf_sys(SYS_sendto, fd[0], line + at, size - at, MSG_NOSIGNAL, NULL, 0);
			if (n == -EINTR)
				continue;
			if (n <= 0)
				goto sent;
			at += n;
		}
	}
sent:
	gf_sys(SYS_shutdown, fd[0], SHUT_WR);
	start = nanoseconds(CLOCK_MONOTONIC);
	while (len < sizeof(s->replies) - 1) {
		struct pollfd poll = { .fd = fd[0], .events = POLLIN };
		struct timespec now_and_then = { .tv_nsec = 200000000 };

		n = gf_sys(SYS_ppoll, &poll, 1, &now_and_then, NULL);
		if (n <= 0) {
			if (too_long(s, pid, start))
				break;
			continue;
		}
		n = gf_sys(SYS_read, fd[0], s->replies + len, sizeof(s->replies) - 1 - len);
		if (n == -EINTR)
			continue;
		if (n <= 0)
			break;
		len += n;
	}
	gf_sys(SYS_close, fd[0]);
	while (gf_sys(SYS_wait4, pid, &status, __WALL, NULL) == -EINTR)
		;
	if (!len && !s->missing[0])
		gf_snprintf(s->missing, sizeof(s->missing), "the helper %s failed, with status %d",
			    path, status & 0x7f ? 128 + (status & 0x7f) : status >> 8);

	/* Cut into fields; the end of each reply gives the offset. */
	s->replies[len] = 0;
	p = s->replies;
	for (i = 0; i < s->n && *p; i++) {
		s->at[i].reply = p;
		while (*p) {
			char *begin = p;

			while (*p && *p != '\n') {
				if (*p == '\t')
					*p = 0;
				p++;
			}
			if (*p)
				*p++ = 0;
			if (*begin == '.') {
				const char *v = begin + 2;

				if (*v)
					s->at[i].rel = gf_hex(&v);
				break;
			}
		}
	}
	if (*p == '!' && p[1] && !s->missing[0]) {
		for (i = 2; p[i] && p[i] != '\n'; i++)
			;
		p[i] = 0;
		gf_snprintf(s->missing, sizeof(s->missing), "%s", p + 2);
	}
}

struct gf_symbols *gf_symbolize(const uintptr_t *pc, const bool *exact, u32 n)
{
	/* Under gf_report_lock. Not mapped now: there may be no memory. */
	static struct gf_symbols symbols;
	struct gf_symbols *s = &symbols;
	struct find find = { .s = s, .pc = pc, .exact = exact };
	u32 i;

	for (i = 0; i < SYMBOLS_MAX; i++) {
		s->at[i].path = 0;
		s->at[i].reply = NULL;
	}
	s->n = n < SYMBOLS_MAX ? n : SYMBOLS_MAX;
	s->len = 1;
	s->missing[0] = 0;
	if (gf_each_map(find_map, &find, s->replies, 64 << 10)) {
		s->replies[0] = 0;
		ask_helper(s);
		return s;
	}
	s->replies[0] = 0;
	for (i = 0; i < s->n; i++) {
		const char *path = gf_module_at(pc[i] - !exact[i], &s->at[i].rel);
		u32 len = path ? gf_strlen(path) + 1 : 0;

		s->at[i].rel += !exact[i];
		if (!len || s->len + len > sizeof(s->text))
			continue;
		s->at[i].path = s->len;
		s->len += gf_snprintf(s->text + s->len, len, "%s", path) + 1;
	}
	if (gf_opt.symbolize)
		gf_snprintf(s->missing, sizeof(s->missing), gf_sandboxed ?
			    "the program has set a filter of system calls, which may forbid a helper" :
			    "/proc/self/maps cannot be read");
	return s;
}

const char *gf_symbols_missing(const struct gf_symbols *s)
{
	return s->missing;
}

bool gf_symbol(struct gf_symbols *s, u32 i, u32 k, struct gf_frame *f)
{
	static const char *const none = "";
	const char *p;
	u32 at = 0;

	*f = (struct gf_frame){ .function = none, .file = none, .module = none };
	if (!s || i >= s->n)
		return !k;
	if (s->at[i].path)
		f->module = s->text + s->at[i].path;
	f->offset = s->at[i].rel;
	p = s->at[i].reply;
	if (!p || *p != 'f')
		return !k;
	/* f, function, file, line: each ends with a 0 by now */
	for (; *p == 'f' && !p[1]; at++) {
		const char *function = p + 2, *file = function + gf_strlen(function) + 1;
		const char *line = file + gf_strlen(file) + 1;

		p = line + gf_strlen(line) + 1;
		if (at != k)
			continue;
		f->function = function;
		f->file = file;
		for (; *line >= '0' && *line <= '9'; line++)
			f->line = f->line * 10 + (*line - '0');
		f->inlined = *p == 'f' && !p[1];
		return true;
	}
	return false;
}
