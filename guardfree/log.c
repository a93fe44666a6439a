// SPDX-License-Identifier: MIT
/*
 * Where reports go: stderr as it was at the start, by a descriptor of our own out
 * of the way of the program's, or a file. Never into what the program has opened
 * since at number 2, or at ours: what a descriptor is of is looked at each time.
 */
#include "log.h"
#include "out.h"
#include "sys.h"
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

bool gf_sandboxed;
const char *gf_log_path = "";
static int kept = -1;
static u64 kept_dev, kept_ino;
static bool kept_pipe;
static int pid;

int gf_pid(void)
{
	/* In a sandbox not even this may be asked. */
	return gf_sandboxed ? pid : (int)gf_sys(SYS_getpid);
}

/* As of now number 2 is the stderr that the program wants. */
void gf_log_follow(void)
{
	struct rlimit max = { 0 };
	struct stat st;
	long fd, from;

	/* A child of vfork() has our memory, but descriptors of its own. */
	if (gf_sandboxed || (pid && pid != gf_sys(SYS_getpid)))
		return;
	pid = gf_sys(SYS_getpid);
	if (kept >= 0)
		gf_sys(SYS_close, kept);
	kept = -1;
	if (gf_sys(SYS_fstat, 2, &st))
		return;
	kept_dev = st.st_dev;
	kept_ino = st.st_ino;
	kept_pipe = S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode);
	gf_sys(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, &max);
	from = max.rlim_cur > 1024 ? 900 : max.rlim_cur > 64 ? (long)max.rlim_cur - 24 : 32;
	fd = gf_sys(SYS_fcntl, 2, F_DUPFD_CLOEXEC, from);
	if (fd >= 0)
		kept = fd;
}

void gf_log_forked(void)
{
	pid = gf_sys(SYS_getpid);
}

bool gf_log_is(int fd)
{
	return fd >= 0 && fd == kept;
}

/* A daemon lets go of stderr: who waits for the end of that pipe must not wait for us. */
void gf_log_let_go(void)
{
	if (kept < 0 || !kept_pipe || gf_sandboxed || pid != gf_sys(SYS_getpid))
		return;
	gf_sys(SYS_close, kept);
	kept = -1;
	kept_ino = 0;
}

static bool is_stderr(int fd)
{
	struct stat st;

	return fd >= 0 && kept_ino && !gf_sys(SYS_fstat, fd, &st) && st.st_dev == kept_dev &&
	       st.st_ino == kept_ino;
}

static int stderr_fd(void)
{
	if (gf_sandboxed)	/* it cannot be looked at */
		return kept;
	return is_stderr(kept) ? kept : is_stderr(2) ? 2 : -1;
}

/* log=FILE, where %p is the process; stderr if that cannot be opened */
void gf_out_log(struct gf_out *o, char *buf, u32 size)
{
	static u32 said;
	char path[300];
	size_t at = 0;
	const char *s;
	long fd;

	gf_out_init(o, stderr_fd(), buf, size);
	if (!gf_log_path[0] || gf_sandboxed)
		return;
	for (s = gf_log_path; *s && at < sizeof(path) - 12; s++) {
		if (s[0] == '%' && s[1] == 'p') {
			at += gf_snprintf(path + at, sizeof(path) - at, "%d", gf_pid());
			s++;
		} else {
			path[at++] = *s;
		}
	}
	path[at] = 0;
	/* Not by way of a link that somebody else may have put there */
	fd = gf_sys(SYS_openat, AT_FDCWD, path,
		    O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK,
		    0600);
	if (fd >= 0) {
		o->fd = fd;
		o->open = true;
	} else if (!__atomic_exchange_n(&said, 1, __ATOMIC_RELAXED)) {
		gf_printf(o, "guardfree: log=%s: %s: reports go to stderr\n", path,
			  fd == -ELOOP ? "it is a symbolic link" : gf_strerror(fd));
	}
}

void gf_say(const char *fmt, ...)
{
	char buf[600];	/* may be on a small stack, and without a lock */
	struct gf_out o;
	va_list ap;

	gf_out_log(&o, buf, sizeof(buf));
	gf_puts(&o, "guardfree: ", 11);
	va_start(ap, fmt);
	gf_vprintf(&o, fmt, ap);
	va_end(ap);
	gf_puts(&o, "\n", 1);
	gf_out_end(&o);
}
