// SPDX-License-Identifier: MIT
/*
 * Functions of libc that the shared library wraps.
 *
 * An access by the kernel to a guard is no signal: read() and write() return
 * EFAULT, or a short count, which few programs look at. With kernel=1 the
 * buffers of such calls are looked up after the call.
 *
 * And what guardfree has to know of: threads that begin, libraries that go,
 * locked memory.
 */
#include "wrap.h"
#include "area.h"
#include "life.h"
#include "log.h"
#include "options.h"
#include "out.h"
#include "report.h"
#include "slots.h"
#include "stack.h"
#include "sys.h"
#include "thread.h"
/* Their prototypes have attributes and nonnull that are in the way here. */
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <threads.h>
#include <unistd.h>

void gf_wrap_find(const struct wrap *w)
{
	*w->real = dlsym(RTLD_NEXT, w->name);
	if (!*w->real) {
		gf_say("libc has no %s", w->name);
		gf_sys(SYS_exit_group, 125);
	}
}

extern const struct wrap __start_gf_wraps[], __stop_gf_wraps[];

/* The first byte of the buffer that is no object's; 0 if all are one's. */
static uintptr_t first_bad(uintptr_t buf, size_t len)
{
	struct gf_slot slot;
	struct gf_rec *rec;

	if (!len || !gf_ours((void *)buf))
		return 0;
	if (!gf_slot_at(buf, &slot))
		return buf;
	rec = slot.rec;
	if (load(&rec->state) != STATE_LIVE || buf < rec->ptr || buf >= rec->ptr + rec->size)
		return buf;
	return len <= rec->ptr + rec->size - buf ? 0 : rec->ptr + rec->size;
}

static void report(uintptr_t addr, enum gf_access access, size_t len, const char *by,
		   struct gf_regs caller)
{
	char note[80];
	struct gf_report r;

	gf_me();
	gf_fill_report(&r, caller, (void *)addr);
	gf_classify(&r);
	gf_snprintf(note, sizeof(note), "(by the kernel, in a call of %s)", by);
	r.access = access;
	r.size = len < UINT32_MAX ? len : UINT32_MAX;
	r.by = by;
	r.note = note;
	gf_report_error(&r);
}

/*
 * After the call: it returned @ret, and may have touched @len bytes. If it
 * failed for want of a buffer, all of that is looked at, else what was moved.
 */
static void check(const void *buf, size_t len, ssize_t ret, enum gf_access access,
		  const char *by, struct gf_regs caller)
{
	int err = errno;
	uintptr_t bad;

	if (!gf_ours(buf) || (ret < 0 && err != EFAULT))
		return;
	bad = first_bad((uintptr_t)buf, len);
	if (!bad)
		return;
	/* As far as it got; one more byte if that ended at a page's end. */
	if (ret >= 0 && bad >= (uintptr_t)buf + ret &&
	    !((size_t)ret < len && bad <= (uintptr_t)buf + ret + gf_opt.align && ret &&
	      !(((uintptr_t)buf + ret) & (PAGE - 1))))
		return;
	report(bad, access, len, by, caller);
	errno = err;
}

static void check_iov(const struct iovec *iov, int n, ssize_t ret, enum gf_access access,
		      const char *by, struct gf_regs caller)
{
	int i;

	for (i = 0; i < n; i++) {
		ssize_t part = ret;

		if (ret >= 0 && (size_t)ret > iov[i].iov_len)
			part = iov[i].iov_len;
		check(iov[i].iov_base, iov[i].iov_len, part, access, by, caller);
		if (ret < 0)
			continue;
		ret -= part;
		/* It ended with this one: for want of the next? */
		if (!ret) {
			if (part && (size_t)part == iov[i].iov_len && i + 1 < n &&
			    iov[i + 1].iov_len &&
			    first_bad((uintptr_t)iov[i + 1].iov_base, 1))
				report((uintptr_t)iov[i + 1].iov_base, access, iov[i + 1].iov_len,
				       by, caller);
			break;
		}
	}
}

/* A string or a structure: only a failure says something. */
static void check_arg(const void *p, size_t len, long ret, enum gf_access access, const char *by,
		      struct gf_regs caller)
{
	if (ret < 0 && errno == EFAULT)
		check(p, len, -1, access, by, caller);
}

#undef fread_unlocked
#undef fwrite_unlocked

#define ON(what) do { if (unlikely(gf_opt.kernel)) what; } while (0)

#define BUFFER(name, access, buf, len, params, args)			\
	WRAP(ssize_t, name, PARAMS params)				\
	{								\
		ssize_t ret = REAL(name)(PARAMS args);			\
									\
		ON(check(buf, len, ret, access, #name, GF_CALLER()));	\
		return ret;						\
	}
#define PARAMS(...) __VA_ARGS__

#define R ACCESS_WRITE	/* a read writes to the buffer */
#define W ACCESS_READ

BUFFER(read, R, buf, len, (int fd, void *buf, size_t len), (fd, buf, len))
BUFFER(write, W, buf, len, (int fd, const void *buf, size_t len), (fd, buf, len))
BUFFER(pread, R, buf, len, (int fd, void *buf, size_t len, off_t at), (fd, buf, len, at))
BUFFER(pwrite, W, buf, len, (int fd, const void *buf, size_t len, off_t at), (fd, buf, len, at))
BUFFER(pread64, R, buf, len, (int fd, void *buf, size_t len, off64_t at), (fd, buf, len, at))
BUFFER(pwrite64, W, buf, len, (int fd, const void *buf, size_t len, off64_t at),
       (fd, buf, len, at))
BUFFER(recv, R, buf, len, (int fd, void *buf, size_t len, int flags), (fd, buf, len, flags))
BUFFER(send, W, buf, len, (int fd, const void *buf, size_t len, int flags), (fd, buf, len, flags))
BUFFER(recvfrom, R, buf, len,
       (int fd, void *buf, size_t len, int flags, struct sockaddr *addr, socklen_t *alen),
       (fd, buf, len, flags, addr, alen))
BUFFER(sendto, W, buf, len,
       (int fd, const void *buf, size_t len, int flags, const struct sockaddr *addr,
	socklen_t alen), (fd, buf, len, flags, addr, alen))
BUFFER(getrandom, R, buf, len, (void *buf, size_t len, unsigned int flags), (buf, len, flags))
BUFFER(readlink, R, buf, len, (const char *path, char *buf, size_t len), (path, buf, len))
BUFFER(readlinkat, R, buf, len, (int fd, const char *path, char *buf, size_t len),
       (fd, path, buf, len))

/* The same as programs call them that were built with _FORTIFY_SOURCE */
BUFFER(__read_chk, R, buf, len, (int fd, void *buf, size_t len, size_t size), (fd, buf, len, size))
BUFFER(__pread_chk, R, buf, len, (int fd, void *buf, size_t len, off_t at, size_t size),
       (fd, buf, len, at, size))
BUFFER(__pread64_chk, R, buf, len, (int fd, void *buf, size_t len, off64_t at, size_t size),
       (fd, buf, len, at, size))
BUFFER(__recv_chk, R, buf, len, (int fd, void *buf, size_t len, size_t size, int flags),
       (fd, buf, len, size, flags))
BUFFER(__recvfrom_chk, R, buf, len,
       (int fd, void *buf, size_t len, size_t size, int flags, struct sockaddr *addr,
	socklen_t *alen), (fd, buf, len, size, flags, addr, alen))
BUFFER(__readlink_chk, R, buf, len, (const char *path, char *buf, size_t len, size_t size),
       (path, buf, len, size))

#define VECTOR(name, access, params, args)				\
	WRAP(ssize_t, name, PARAMS params)				\
	{								\
		ssize_t ret = REAL(name)(PARAMS args);			\
									\
		ON(check_iov(iov, n, ret, access, #name, GF_CALLER()));	\
		return ret;						\
	}

VECTOR(readv, R, (int fd, const struct iovec *iov, int n), (fd, iov, n))
VECTOR(writev, W, (int fd, const struct iovec *iov, int n), (fd, iov, n))
VECTOR(preadv, R, (int fd, const struct iovec *iov, int n, off_t at), (fd, iov, n, at))
VECTOR(pwritev, W, (int fd, const struct iovec *iov, int n, off_t at), (fd, iov, n, at))
VECTOR(preadv64, R, (int fd, const struct iovec *iov, int n, off64_t at), (fd, iov, n, at))
VECTOR(pwritev64, W, (int fd, const struct iovec *iov, int n, off64_t at), (fd, iov, n, at))
VECTOR(preadv2, R, (int fd, const struct iovec *iov, int n, off_t at, int flags),
       (fd, iov, n, at, flags))
VECTOR(pwritev2, W, (int fd, const struct iovec *iov, int n, off_t at, int flags),
       (fd, iov, n, at, flags))

WRAP(ssize_t, recvmsg, int fd, struct msghdr *msg, int flags)
{
	ssize_t ret = REAL(recvmsg)(fd, msg, flags);

	if (unlikely(gf_opt.kernel)) {
		check_arg(msg, sizeof(*msg), ret, W, "recvmsg", GF_CALLER());
		if (!first_bad((uintptr_t)msg, sizeof(*msg)))
			check_iov(msg->msg_iov, msg->msg_iovlen, ret, R, "recvmsg", GF_CALLER());
	}
	return ret;
}

WRAP(ssize_t, sendmsg, int fd, const struct msghdr *msg, int flags)
{
	ssize_t ret = REAL(sendmsg)(fd, msg, flags);

	if (unlikely(gf_opt.kernel)) {
		check_arg(msg, sizeof(*msg), ret, W, "sendmsg", GF_CALLER());
		if (!first_bad((uintptr_t)msg, sizeof(*msg)))
			check_iov(msg->msg_iov, msg->msg_iovlen, ret, W, "sendmsg", GF_CALLER());
	}
	return ret;
}

/* Large ones go straight from or to the caller's memory. */
#define STREAM(name, access, params, args)				\
	WRAP(size_t, name, PARAMS params)				\
	{								\
		int err = errno;					\
		size_t ret;						\
									\
		if (likely(!gf_opt.kernel))				\
			return REAL(name)(PARAMS args);			\
		errno = 0;						\
		ret = REAL(name)(PARAMS args);				\
		if (ret < n && errno == EFAULT)				\
			check(p, size * n, -1, access, #name, GF_CALLER()); \
		if (!errno)						\
			errno = err;					\
		return ret;						\
	}

STREAM(fread, R, (void *p, size_t size, size_t n, FILE *f), (p, size, n, f))
STREAM(fwrite, W, (const void *p, size_t size, size_t n, FILE *f), (p, size, n, f))
STREAM(fread_unlocked, R, (void *p, size_t size, size_t n, FILE *f), (p, size, n, f))
STREAM(fwrite_unlocked, W, (const void *p, size_t size, size_t n, FILE *f), (p, size, n, f))
STREAM(__fread_chk, R, (void *p, size_t room, size_t size, size_t n, FILE *f),
       (p, room, size, n, f))

#define ARG(ret_type, name, access, p, size, params, args)		\
	WRAP(ret_type, name, PARAMS params)				\
	{								\
		ret_type ret = REAL(name)(PARAMS args);			\
									\
		ON(check_arg(p, size, ret, access, #name, GF_CALLER())); \
		return ret;						\
	}

ARG(int, access, W, path, 1, (const char *path, int mode), (path, mode))
ARG(int, unlink, W, path, 1, (const char *path), (path))
ARG(int, rmdir, W, path, 1, (const char *path), (path))
ARG(int, chdir, W, path, 1, (const char *path), (path))
ARG(int, mkdir, W, path, 1, (const char *path, mode_t mode), (path, mode))
ARG(int, fstat, R, st, sizeof(*st), (int fd, struct stat *st), (fd, st))
ARG(int, fstat64, R, st, sizeof(*st), (int fd, struct stat64 *st), (fd, st))
ARG(int, poll, R, fds, n * sizeof(*fds), (struct pollfd *fds, nfds_t n, int timeout),
    (fds, n, timeout))
ARG(int, epoll_wait, R, ev, n * sizeof(*ev),
    (int fd, struct epoll_event *ev, int n, int timeout), (fd, ev, n, timeout))
ARG(int, epoll_ctl, W, ev, sizeof(*ev), (int fd, int op, int of, struct epoll_event *ev),
    (fd, op, of, ev))
ARG(int, connect, W, addr, len, (int fd, const struct sockaddr *addr, socklen_t len),
    (fd, addr, len))
ARG(int, bind, W, addr, len, (int fd, const struct sockaddr *addr, socklen_t len),
    (fd, addr, len))
ARG(int, setsockopt, W, value, len,
    (int fd, int level, int name, const void *value, socklen_t len),
    (fd, level, name, value, len))

#define STAT(name, type)						\
	WRAP(int, name, const char *path, type *st)			\
	{								\
		int ret = REAL(name)(path, st);				\
									\
		ON(check_arg(path, 1, ret, W, #name, GF_CALLER()));	\
		ON(check_arg(st, sizeof(*st), ret, R, #name, GF_CALLER())); \
		return ret;						\
	}

STAT(stat, struct stat)
STAT(lstat, struct stat)
STAT(stat64, struct stat64)
STAT(lstat64, struct stat64)

#define OPEN_MODE(flags) ({						\
	mode_t mode_ = 0;						\
	if ((flags) & (O_CREAT | O_TMPFILE)) {				\
		va_list ap_;						\
		va_start(ap_, flags);					\
		mode_ = va_arg(ap_, mode_t);				\
		va_end(ap_);						\
	}								\
	mode_; })

#define OPEN(name)							\
	WRAP(int, name, const char *path, int flags, ...)		\
	{								\
		int ret = REAL(name)(path, flags, OPEN_MODE(flags));	\
									\
		ON(check_arg(path, 1, ret, W, #name, GF_CALLER()));	\
		return ret;						\
	}
#define OPENAT(name)							\
	WRAP(int, name, int fd, const char *path, int flags, ...)	\
	{								\
		int ret = REAL(name)(fd, path, flags, OPEN_MODE(flags)); \
									\
		ON(check_arg(path, 1, ret, W, #name, GF_CALLER()));	\
		return ret;						\
	}

OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)

/* Threads. */

static struct gf_thread *thread_is_made(struct gf_regs caller, u32 *no)
{
	struct gf_thread *t;

	if (gf_ready != 1)
		return NULL;
	*no = gf_thread_new(gf_me()->no, gf_stack_here(caller, gf_me()->stack_top));
	t = (struct gf_thread *)gf_thread_get(*no);
	if (t)
		t->blocked = gf_me()->blocked;
	return t;
}

static void *thread_starts(void *arg)
{
	u32 no = (uintptr_t)arg;
	struct gf_thread *t = (struct gf_thread *)gf_thread_get(no);

	gf_thread_begin(no);
	return t->start(t->arg);
}

WRAP(int, pthread_create, pthread_t *thread, const pthread_attr_t *attr,
     void *(*start)(void *), void *arg)
{
	u32 no;
	struct gf_thread *t = thread_is_made(GF_CALLER(), &no);

	if (!t)
		return REAL(pthread_create)(thread, attr, start, arg);
	t->start = start;
	t->arg = arg;
	return REAL(pthread_create)(thread, attr, thread_starts, (void *)(uintptr_t)no);
}

static int c11_thread_starts(void *arg)
{
	u32 no = (uintptr_t)arg;
	struct gf_thread *t = (struct gf_thread *)gf_thread_get(no);

	gf_thread_begin(no);
	return ((thrd_start_t)(uintptr_t)t->start)(t->arg);
}

WRAP(int, thrd_create, thrd_t *thread, thrd_start_t start, void *arg)
{
	u32 no;
	struct gf_thread *t = thread_is_made(GF_CALLER(), &no);

	if (!t)
		return REAL(thrd_create)(thread, start, arg);
	t->start = (void *(*)(void *))(uintptr_t)start;
	t->arg = arg;
	return REAL(thrd_create)(thread, c11_thread_starts, (void *)(uintptr_t)no);
}

WRAP(int, dlclose, void *handle)
{
	int ret = REAL(dlclose)(handle);

	gf_unwind_forget();
	return ret;
}

/* pthread_atfork() is a part of each program and library, which calls this. */
WRAP(int, __register_atfork, void (*prepare)(void), void (*parent)(void), void (*child)(void),
     void *dso)
{
	gf_fork_handlers();
	return REAL(__register_atfork)(prepare, parent, child, dso);
}

/* Our own descriptor is not there for the program, and stderr may become another one. */

static bool is_daemon;

WRAP(int, close, int fd)
{
	if (gf_log_is(fd)) {
		errno = EBADF;
		return -1;
	}
	if (fd == 2 && is_daemon)
		gf_log_let_go();
	return REAL(close)(fd);
}

WRAP(int, close_range, unsigned int from, unsigned int to, int flags)
{
	unsigned int at;
	int ret = 0;

	if (is_daemon && from <= 2 && to >= 2)
		gf_log_let_go();
	for (at = from; at <= to && at < 1100 && !gf_log_is(at); at++)
		;
	if (at > to || at >= 1100 || flags & CLOSE_RANGE_CLOEXEC)
		return REAL(close_range)(from, to, flags);
	if (at > from)
		ret = REAL(close_range)(from, at - 1, flags);
	return !ret && at < to ? REAL(close_range)(at + 1, to, flags) : ret;
}

WRAP(void, closefrom, int from)
{
	if (close_range(from < 0 ? 0 : from, ~0U, 0))
		REAL(closefrom)(from);
}

WRAP(int, dup2, int from, int to)
{
	int ret;

	if (gf_log_is(to) && from != to)
		gf_log_follow();	/* to another number */
	ret = REAL(dup2)(from, to);
	if (ret == 2 && from != to)
		gf_log_follow();
	return ret;
}

WRAP(int, dup3, int from, int to, int flags)
{
	int ret;

	if (gf_log_is(to) && from != to)
		gf_log_follow();
	ret = REAL(dup3)(from, to, flags);
	if (ret == 2)
		gf_log_follow();
	return ret;
}

WRAP(pid_t, setsid, void)
{
	pid_t ret = REAL(setsid)();

	if (ret >= 0)
		is_daemon = true;
	return ret;
}

WRAP(int, daemon, int nochdir, int noclose)
{
	int ret = REAL(daemon)(nochdir, noclose);

	if (!ret)
		is_daemon = true;
	if (!ret && !noclose)
		gf_log_follow();
	return ret;
}

/* Memory. */

WRAP(int, mlockall, int flags)
{
	int ret = REAL(mlockall)(flags);

	if (!ret && gf_ready == 1)
		gf_unlock_memory();
	return ret;
}

__attribute__((constructor(103)))
static void find_all(void)
{
	const struct wrap *w;

	for (w = __start_gf_wraps; w < __stop_gf_wraps; w++)
		*w->real = dlsym(RTLD_NEXT, w->name);
}
