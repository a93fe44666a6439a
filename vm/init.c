// SPDX-License-Identifier: GPL-2.0
/*
 * The guest's first process. It mounts the host's root read-only under an
 * overlay, runs one command there and tells the host how the command ended.
 *
 * Three virtio-serial ports lead to vm/watch.c on the host:
 *   vm.out, vm.err  the command's output, byte for byte (with a terminal,
 *                   vm.out carries both directions)
 *   vm.verdict      "up", then "exit STATUS OUT ERR" or "fail TEXT"; OUT and ERR
 *                   are the numbers of bytes sent before it. The host answers
 *                   "ack" when it has them all. Only one process can hold a port
 *                   open. This one never closes it, so that no other process in
 *                   the guest can fake a verdict.
 *
 * The job is in the file /job of the initramfs, a list of KEY=VALUE records
 * that each end in a NUL; see vm/run.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/membarrier.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MAX 256
/* The exit of a large process takes seconds under emulation. */
#define UNKILLABLE_MS 120000

static struct {
	char *nonce, *cwd, *swap;
	char *env[MAX], *rw[MAX], *keep[MAX], *arg[MAX];
	int nenv, nrw, nkeep, narg;
	int tty, rows, cols;
} job;

static int kmsg = -1, verdict = -1, out = -1, err = -1;
static int self_pipe[2];

static void log_line(const char *fmt, ...)
{
	char text[512];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text) - 1, fmt, ap);
	va_end(ap);
	if (n >= (int)sizeof(text) - 1)
		n = sizeof(text) - 2;
	/* Without the newline, the kernel waits for the rest of the line. */
	text[n++] = '\n';
	/* /dev/kmsg takes each write as a record. */
	if (kmsg >= 0 && write(kmsg, text, n) != n)
		return;
}

static int write_all(int fd, const void *data, size_t len)
{
	const char *p = data;

	while (len) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -1;
		p += n;
		len -= n;
	}
	return 0;
}

/*
 * 9P2000.L passes the host's error numbers on. Where the guest's differ, it takes
 * "no such attribute" for a failure, so do not use attributes there.
 */
#if EOPNOTSUPP != 95
#define XATTR ",noxattr"
#else
#define XATTR ""
#endif

/*
 * A power-off can hang. qemu runs with -no-reboot, so a reboot ends it. sun4u's
 * firmware knows no reboot.
 */
static void __attribute__((noreturn)) end(void)
{
	sync();
#ifdef __sparc__
	reboot(RB_POWER_OFF);
#endif
	reboot(RB_AUTOBOOT);
	for (;;)
		pause();
}

/* Send the verdict and wait until the host has received it. */
static void __attribute__((noreturn)) say(const char *text)
{
	char c, last[4] = "";

	if (write_all(verdict, text, strlen(text)))
		end();
	/* Size and dump requests may come before the host's "ack\n". */
	while (memcmp(last, "ack\n", 4)) {
		ssize_t n = read(verdict, &c, 1);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		memmove(last, last + 1, 3);
		last[3] = c;
	}
	end();
}

static void __attribute__((noreturn)) fail(const char *fmt, ...)
{
	char text[400], line[420];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	for (char *p = text; *p; p++)
		if (*p == '\n')
			*p = ' ';
	log_line("<3>vm: cannot start: %s", text);
	if (verdict < 0)
		end();
	snprintf(line, sizeof(line), "fail %s\n", text);
	say(line);
}

static void add(char **list, int *n, char *value)
{
	/* exec() needs a NULL at the end. */
	if (*n >= MAX - 1)
		fail("more than %d arguments or settings of one kind", MAX - 1);
	list[(*n)++] = value;
}

static void read_job(void)
{
	int fd = open("/job", O_RDONLY | O_CLOEXEC);
	struct stat st;
	char *data, *p;
	int ended = 0;

	if (fd < 0 || fstat(fd, &st))
		fail("no /job in the initramfs");
	data = malloc(st.st_size + 1);
	if (!data || read(fd, data, st.st_size) != st.st_size)
		fail("cannot read /job");
	close(fd);
	unlink("/job");
	data[st.st_size] = 0;
	for (p = data; p < data + st.st_size; p += strlen(p) + 1) {
		char *v = strchr(p, '=');

		if (!v || ended)
			fail("malformed job");
		*v++ = 0;
		if (!strcmp(p, "nonce"))
			job.nonce = v;
		else if (!strcmp(p, "cwd"))
			job.cwd = v;
		else if (!strcmp(p, "swap"))
			job.swap = v;
		else if (!strcmp(p, "env"))
			add(job.env, &job.nenv, v);
		else if (!strcmp(p, "rw"))
			add(job.rw, &job.nrw, v);
		else if (!strcmp(p, "keep"))
			add(job.keep, &job.nkeep, v);
		else if (!strcmp(p, "arg"))
			add(job.arg, &job.narg, v);
		else if (!strcmp(p, "tty"))
			job.tty = sscanf(v, "%d %d", &job.rows, &job.cols) == 2;
		else if (!strcmp(p, "end"))
			ended = 1;
		else
			fail("malformed job: unknown key %s", p);
		p = v;
	}
	if (!ended || !job.nonce || !job.cwd || !job.narg)
		fail("incomplete job");
}

/* --- ports ---------------------------------------------------------------- */

static int open_port(const char *want)
{
	DIR *d = opendir("/sys/class/virtio-ports");
	struct dirent *e;
	int found = -1;

	while (d && found < 0 && (e = readdir(d))) {
		char path[PATH_MAX], name[64];
		ssize_t n;
		int fd;

		snprintf(path, sizeof(path), "/sys/class/virtio-ports/%s/name",
			 e->d_name);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			continue;
		n = read(fd, name, sizeof(name) - 1);
		close(fd);
		if (n <= 0)
			continue;
		name[n] = 0;
		name[strcspn(name, "\n")] = 0;
		if (strcmp(name, want))
			continue;
		snprintf(path, sizeof(path), "/dev/%s", e->d_name);
		found = open(path, O_RDWR | O_CLOEXEC);
	}
	if (d)
		closedir(d);
	return found;
}

/* The ports appear one after another. Wait for the event of each. */
static void open_ports(void)
{
	struct sockaddr_nl addr = { .nl_family = AF_NETLINK, .nl_groups = 1 };
	int s = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC,
		       NETLINK_KOBJECT_UEVENT);

	if (s < 0 || bind(s, (struct sockaddr *)&addr, sizeof(addr)))
		fail("no netlink events: CONFIG_NET?");
	for (;;) {
		struct pollfd p = { .fd = s, .events = POLLIN };
		char event[4096];

		if (verdict < 0)
			verdict = open_port("vm.verdict");
		if (out < 0)
			out = open_port("vm.out");
		if (err < 0)
			err = open_port("vm.err");
		if (verdict >= 0 && out >= 0 && err >= 0)
			break;
		if (poll(&p, 1, 60000) <= 0)
			fail("virtio-serial ports are missing: CONFIG_VIRTIO_CONSOLE?");
		/* ENOBUFS: events were lost, so look at the ports again. */
		if (recv(s, event, sizeof(event), 0) < 0 && errno != ENOBUFS &&
		    errno != EINTR)
			fail("netlink: %s", strerror(errno));
	}
	close(s);
	if (write_all(verdict, "up\n", 3))
		end();
}

/* --- file systems ---------------------------------------------------------- */

static void need_mount(const char *src, const char *dir, const char *type,
		       unsigned long flags, const char *data, const char *hint)
{
	if (mount(src, dir, type, flags, data))
		fail("mount %s on %s: %s%s", type ? type : src, dir,
		     strerror(errno), hint);
}

/* For file systems that some kernels lack. */
static void try_mount(const char *dir, const char *type, const char *data)
{
	mkdir(dir, 0755);
	mount(type, dir, type, 0, data);
}

static void mkdirs(const char *path)
{
	char part[PATH_MAX];
	size_t i, n = strlen(path);

	if (n >= sizeof(part))
		return;
	for (i = 1; i <= n; i++)
		if (path[i] == '/' || !path[i]) {
			memcpy(part, path, i);
			part[i] = 0;
			mkdir(part, 0755);
		}
}

static int below(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	return !strncmp(path, dir, n) && path[n] == '/';
}

static void setup_root(void)
{
	static const char * const fresh[] = { "/tmp", "/run" };
	char path[PATH_MAX + 8], from[64];
	int fds[MAX], i;
	unsigned int j;

	need_mount("root", "/ro", "9p", MS_RDONLY,
		   "trans=virtio,version=9p2000.L,msize=262144,cache=loose" XATTR,
		   " (CONFIG_9P_FS, CONFIG_NET_9P_VIRTIO?)");
	need_mount("tmpfs", "/rw", "tmpfs", 0, "mode=0755", "");
	mkdir("/rw/upper", 0755);
	mkdir("/rw/work", 0755);
	need_mount("overlay", "/new", "overlay", 0,
		   "lowerdir=/ro,upperdir=/rw/upper,workdir=/rw/work",
		   " (CONFIG_OVERLAY_FS?)");

	/* The guest's own /tmp must not hide a tree that lies in the host's. */
	for (i = 0; i < job.nkeep; i++) {
		fds[i] = -1;
		for (j = 0; j < sizeof(fresh) / sizeof(*fresh); j++)
			if (below(job.keep[i], fresh[j])) {
				snprintf(path, sizeof(path), "/new%s", job.keep[i]);
				fds[i] = open(path, O_PATH | O_CLOEXEC);
			}
	}
	for (j = 0; j < sizeof(fresh) / sizeof(*fresh); j++) {
		snprintf(path, sizeof(path), "/new%s", fresh[j]);
		mkdir(path, 0755);
		need_mount("tmpfs", path, "tmpfs", MS_NOSUID | MS_NODEV,
			   j ? "mode=0755" : "mode=1777", "");
	}
	for (i = 0; i < job.nkeep; i++) {
		if (fds[i] < 0)
			continue;
		snprintf(path, sizeof(path), "/new%s", job.keep[i]);
		snprintf(from, sizeof(from), "/proc/self/fd/%d", fds[i]);
		mkdirs(path);
		need_mount(from, path, NULL, MS_BIND, NULL, "");
		close(fds[i]);
	}
	for (i = 0; i < job.nrw; i++) {
		char tag[16];

		snprintf(tag, sizeof(tag), "rw%d", i);
		snprintf(path, sizeof(path), "/new%s", job.rw[i]);
		mkdirs(path);
		/* With a cache, what is read while it is written may be lost. */
		need_mount(tag, path, "9p", 0,
			   "trans=virtio,version=9p2000.L,msize=262144,cache=none" XATTR,
			   "");
	}

	mkdir("/new/dev", 0755);
	mkdir("/new/proc", 0555);
	mkdir("/new/sys", 0555);
	need_mount("/dev", "/new/dev", NULL, MS_MOVE, NULL, "");
	need_mount("/proc", "/new/proc", NULL, MS_MOVE, NULL, "");
	need_mount("/sys", "/new/sys", NULL, MS_MOVE, NULL, "");
	if (chdir("/new"))
		fail("/new: %s", strerror(errno));
	need_mount(".", "/", NULL, MS_MOVE, NULL, "");
	if (chroot(".") || chdir("/"))
		fail("chroot: %s", strerror(errno));

	mkdir("/dev/pts", 0755);
	need_mount("devpts", "/dev/pts", "devpts", 0, "mode=0620,ptmxmode=0666",
		   " (CONFIG_UNIX98_PTYS?)");
	mkdir("/dev/shm", 0755);
	need_mount("tmpfs", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV,
		   "mode=1777", "");
	try_mount("/dev/hugepages", "hugetlbfs", NULL);
	try_mount("/dev/mqueue", "mqueue", NULL);
	try_mount("/sys/kernel/debug", "debugfs", NULL);
	try_mount("/sys/fs/cgroup", "cgroup2", NULL);
	/* devtmpfs makes devices only. */
	if (symlink("/proc/self/fd", "/dev/fd") ||
	    symlink("/proc/self/fd/0", "/dev/stdin") ||
	    symlink("/proc/self/fd/1", "/dev/stdout") ||
	    symlink("/proc/self/fd/2", "/dev/stderr"))
		fail("/dev/fd: %s", strerror(errno));
}

static void put(const char *path, const char *value, const char *hint)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write_all(fd, value, strlen(value)))
		fail("%s: %s%s", path, strerror(errno), hint);
	close(fd);
}

/* Make a swap device in memory, with the header that mkswap(8) writes. */
static void setup_swap(void)
{
	long page = sysconf(_SC_PAGESIZE);
	unsigned long long size;
	unsigned int *head;
	char *buf;
	int fd;

	put("/sys/block/zram0/disksize", job.swap, " (CONFIG_ZRAM?)");
	fd = open("/dev/zram0", O_RDWR | O_CLOEXEC);
	size = fd < 0 ? 0 : (unsigned long long)lseek(fd, 0, SEEK_END);
	if (size / page < 10)
		fail("--swap %s is too small", job.swap);
	buf = calloc(1, page);
	if (!buf)
		fail("no memory");
	head = (unsigned int *)(buf + 1024);
	head[0] = 1;				/* version */
	head[1] = size / page - 1;		/* last page */
	memcpy(buf + page - 10, "SWAPSPACE2", 10);
	if (pwrite(fd, buf, page, 0) != page || fsync(fd))
		fail("/dev/zram0: %s", strerror(errno));
	close(fd);
	free(buf);
	if (swapon("/dev/zram0", 0))
		fail("swapon /dev/zram0: %s", strerror(errno));
}

static void setup_system(void)
{
	struct rlimit core = { 0, RLIM_INFINITY }, files = { 1024, 1048576 };
	struct ifreq ifr = { .ifr_name = "lo" };
	int s = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	sethostname("guest", 5);
	if (s >= 0) {
		ifr.ifr_flags = IFF_UP;
		ioctl(s, SIOCSIFFLAGS, &ifr);
		close(s);
	}
	setrlimit(RLIMIT_CORE, &core);
	setrlimit(RLIMIT_NOFILE, &files);
	if (job.swap)
		setup_swap();
}

/* --- the command ------------------------------------------------------------ */

static void on_child(int sig)
{
	int saved = errno;

	(void)sig;
	if (write(self_pipe[1], "", 1) < 0) {
		/* If the pipe is full, a wake-up is waiting already. */
	}
	errno = saved;
}

static void __attribute__((noreturn)) child(int o, int e, int tty)
{
	int in, i;

	setsid();
	signal(SIGCHLD, SIG_DFL);
	signal(SIGPIPE, SIG_DFL);
	if (tty >= 0) {
		ioctl(tty, TIOCSCTTY, 0);
		in = o = e = tty;
	} else {
		in = open("/dev/null", O_RDONLY | O_CLOEXEC);
	}
	/* All are above 2, because main() opens the first three. */
	if (dup2(in, 0) < 0 || dup2(o, 1) < 0 || dup2(e, 2) < 0)
		_exit(125);
	clearenv();
	for (i = 0; i < job.nenv; i++)
		putenv(job.env[i]);
	execvp(job.arg[0], job.arg);
	fprintf(stderr, "vm: %s: %s\n", job.arg[0], strerror(errno));
	_exit(errno == ENOENT || errno == ENOTDIR ? 127 : 126);
}

/* Pass the available output on; returns 0 at the end of the file. */
static int pass(int from, int to, unsigned long long *count)
{
	char buf[32768];
	ssize_t n = read(from, buf, sizeof(buf));

	if (n < 0)
		return errno == EINTR || errno == EAGAIN;
	if (n == 0)
		return 0;
	if (write_all(to, buf, n))
		fail("virtio-serial: %s", strerror(errno));
	*count += n;
	return 1;
}

static void sysrq(const char *keys)
{
	int fd = open("/proc/sysrq-trigger", O_WRONLY | O_CLOEXEC);

	for (; fd >= 0 && *keys; keys++)
		if (write(fd, keys, 1) < 0)
			break;
	if (fd >= 0)
		close(fd);
}

/* Lines that the host sends while the command runs. */
static void heed(int pty)
{
	static char line[64];
	static size_t len;
	struct winsize w = { 0 };
	char c;

	if (read(verdict, &c, 1) != 1)
		return;
	if (c != '\n') {
		if (len < sizeof(line) - 1)
			line[len++] = c;
		return;
	}
	line[len] = 0;
	len = 0;
	if (sscanf(line, "size %hu %hu", &w.ws_row, &w.ws_col) == 2 && pty >= 0)
		ioctl(pty, TIOCSWINSZ, &w);
	else if (!strcmp(line, "dump"))
		/* The time is up: show blocked tasks and all CPUs. */
		sysrq("wl");
}

/* Wait for all that was killed; a process that does not die fails the run. */
static void reap(void)
{
	struct pollfd p = { .fd = self_pipe[0], .events = POLLIN };
	char drop[64];

	for (;;) {
		pid_t w;

		while (read(self_pipe[0], drop, sizeof(drop)) > 0)
			;
		while ((w = waitpid(-1, NULL, WNOHANG)) > 0)
			;
		if (w < 0)
			return;
		if (!poll(&p, 1, UNKILLABLE_MS)) {
			log_line("<4>vm: BUG: a process lives on %d s after SIGKILL",
				 UNKILLABLE_MS / 1000);
			sysrq("wl");
			return;
		}
	}
}

static int open_pty(int *slave)
{
	struct winsize w = { .ws_row = job.rows, .ws_col = job.cols };
	int m = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);

	if (m < 0 || grantpt(m) || unlockpt(m))
		fail("/dev/ptmx: %s", strerror(errno));
	*slave = open(ptsname(m), O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (*slave < 0)
		fail("%s: %s", ptsname(m), strerror(errno));
	ioctl(m, TIOCSWINSZ, &w);
	return m;
}

static int run(unsigned long long *nout, unsigned long long *nerr)
{
	int o[2] = { -1, -1 }, e[2] = { -1, -1 }, pty = -1, slave = -1;
	int status = 0, done = 0, i;
	pid_t pid;

	if (chdir(job.cwd))
		fail("cannot enter %s: %s", job.cwd, strerror(errno));
	/* execvp() and "#!/usr/bin/env" look for programs in the job's PATH. */
	for (i = 0; i < job.nenv; i++)
		putenv(job.env[i]);
	if (job.tty)
		pty = open_pty(&slave);
	else if (pipe2(o, O_CLOEXEC) || pipe2(e, O_CLOEXEC))
		fail("pipe: %s", strerror(errno));
	if (pipe2(self_pipe, O_CLOEXEC | O_NONBLOCK))
		fail("pipe: %s", strerror(errno));
	signal(SIGPIPE, SIG_IGN);
	signal(SIGCHLD, on_child);

	pid = fork();
	if (pid < 0)
		fail("fork: %s", strerror(errno));
	if (!pid)
		child(o[1], e[1], slave);
	close(o[1]);
	close(e[1]);
	close(slave);

	while (!done) {
		struct pollfd p[] = {
			{ .fd = self_pipe[0], .events = POLLIN },
			{ .fd = job.tty ? pty : o[0], .events = POLLIN },
			{ .fd = e[0], .events = POLLIN },
			{ .fd = verdict, .events = POLLIN },
			{ .fd = job.tty ? out : -1, .events = POLLIN },
		};
		char drop[64], key[1024];
		ssize_t n;
		pid_t w;
		int st;

		if (poll(p, 5, -1) < 0)
			continue;
		if (p[1].revents && !pass(p[1].fd, out, nout) && !job.tty) {
			close(o[0]);
			o[0] = -1;
		}
		if (p[2].revents && !pass(e[0], err, nerr)) {
			close(e[0]);
			e[0] = -1;
		}
		if (p[3].revents & POLLIN)
			heed(pty);
		if (p[4].revents & POLLIN) {
			n = read(out, key, sizeof(key));
			if (n > 0 && write_all(pty, key, n))
				fail("pty: %s", strerror(errno));
		}
		if (p[0].revents) {
			while (read(self_pipe[0], drop, sizeof(drop)) > 0)
				;
			while ((w = waitpid(-1, &st, WNOHANG)) > 0)
				if (w == pid) {
					status = st;
					done = 1;
				}
		}
	}

	/*
	 * Kill what the command left running, so that the log also has the
	 * complaints of its exit.
	 */
	kill(-1, SIGKILL);
	reap();
	for (i = 0; i < 2; i++) {
		int fd = i ? e[0] : job.tty ? pty : o[0];

		if (fd < 0)
			continue;
		fcntl(fd, F_SETFL, O_NONBLOCK);
		for (;;) {
			struct pollfd p = { .fd = fd, .events = POLLIN };

			if (poll(&p, 1, 0) <= 0 ||
			    !pass(fd, i ? err : out, i ? nerr : nout))
				break;
		}
	}
	if (WIFSIGNALED(status))
		return 128 + WTERMSIG(status);
	return WEXITSTATUS(status);
}

/* With kmemleak=on, print leaks to the log, where the scan finds them. */
static void leaks(void)
{
	static const char path[] = "/sys/kernel/debug/kmemleak";
	int fd = open(path, O_RDWR | O_CLOEXEC);
	struct timespec age = { .tv_sec = 6 };
	char line[400];
	FILE *f;

	if (fd < 0)
		return;
	if (write(fd, "scan", 4) == 4) {
		/* It reports objects only when they are 5 s old. */
		nanosleep(&age, NULL);
		if (write(fd, "scan", 4) != 4)
			log_line("<4>vm: BUG: kmemleak cannot scan");
		f = fdopen(fd, "r");
		while (f && fgets(line, sizeof(line), f))
			log_line("<4>kmemleak: %s", line);
		if (f)
			fclose(f);
		return;
	}
	close(fd);
}

int main(void)
{
	unsigned long long nout = 0, nerr = 0;
	char line[128];
	int status, i;

	if (getpid() != 1) {
		fputs("this is the first process of vm/run's guest\n", stderr);
		return 125;
	}
	umask(022);
	mount("devtmpfs", "/dev", "devtmpfs", 0, "mode=0755");
	/* Without a console, the first three descriptors are not open. */
	do
		i = open("/dev/null", O_RDWR);
	while (i >= 0 && i < 2);
	if (i > 2)
		close(i);
	kmsg = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
	if (mount("proc", "/proc", "proc", 0, NULL) ||
	    mount("sysfs", "/sys", "sysfs", 0, NULL))
		fail("proc, sysfs: %s", strerror(errno));
	open_ports();
	read_job();
	setup_root();
	setup_system();
	status = run(&nout, &nerr);

	/* Wait for RCU, so that frees and the complaints about them come now. */
	syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0);
	if (chdir("/"))
		fail("/: %s", strerror(errno));
	leaks();
	sync();
	for (i = job.nrw - 1; i >= 0; i--)
		if (umount2(job.rw[i], 0))
			fail("cannot unmount %s: %s", job.rw[i], strerror(errno));
	/* From this line vm/run knows that the log is complete. */
	log_line("<4>vm: end %s", job.nonce);
	snprintf(line, sizeof(line), "exit %d %llu %llu\n", status, nout, nerr);
	say(line);
}
