// SPDX-License-Identifier: GPL-2.0
/*
 * watch TIMEOUT TTY RESULT QEMULOG qemu args...
 *
 * Runs qemu for vm/run, passes on the output of the guest's command, and writes
 * a line with the result to the file RESULT:
 *   exit N      the command ended with status N
 *   fail TEXT   the guest could not start the command
 *   early N     qemu ended with status N before the guest's init was up
 *   lost TEXT   the machine went away without a verdict
 *   timeout     it did not end within TIMEOUT seconds (0: no limit)
 *   output TEXT the command ended, but its output could not be written
 *   signal N    this process was told to stop
 * qemu finds the ports vm.out, vm.err and vm.verdict as file descriptors 10, 11
 * and 12. The protocol is described in vm/init.c.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define FIRST_FD 10

/* How long qemu may take to go away after the verdict, in ms. */
#define GRACE 20000
/* How long the guest may take to show what it was stuck in, in ms. */
#define DUMP 2000

struct stream {
	int from, to, error;
	size_t len, off;
	unsigned long long count;
	char buf[65536];
};

static struct stream stream[2];
static int verdict = -1;
static pid_t qemu;
static const char *result_path;
static struct termios saved;
static int raw;
static volatile sig_atomic_t told, child_ended, resized;

static void on_signal(int sig)
{
	if (sig == SIGCHLD)
		child_ended = 1;
	else if (sig == SIGWINCH)
		resized = 1;
	else
		told = sig;
}

static void cooked(void)
{
	if (raw)
		tcsetattr(0, TCSADRAIN, &saved);
	raw = 0;
}

static void stop_qemu(void)
{
	if (qemu > 0) {
		kill(qemu, SIGKILL);
		while (waitpid(qemu, NULL, 0) < 0 && errno == EINTR)
			;
	}
	qemu = 0;
}

static void __attribute__((noreturn, format(printf, 1, 2)))
result(const char *fmt, ...)
{
	va_list ap;
	FILE *f;

	stop_qemu();
	cooked();
	f = fopen(result_path, "w");
	if (!f) {
		fprintf(stderr, "vm/watch: %s: %s\n", result_path,
			strerror(errno));
		exit(1);
	}
	va_start(ap, fmt);
	vfprintf(f, fmt, ap);
	va_end(ap);
	fputc('\n', f);
	exit(fclose(f) ? 1 : 0);
}

static long long now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

static void start(char **argv, const char *qemu_log)
{
	int pair[3][2], i, log;
	sigset_t none;

	for (i = 0; i < 3; i++)
		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair[i]))
			result("fail socketpair: %s", strerror(errno));
	log = open(qemu_log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (log < 0)
		result("fail %s: %s", qemu_log, strerror(errno));
	qemu = fork();
	if (qemu < 0)
		result("fail fork: %s", strerror(errno));
	if (!qemu) {
		int null, high[3];

		/* qemu must not get our Ctrl-C, and must end if we die. */
		setpgid(0, 0);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		for (i = 0; i < 3; i++)
			high[i] = fcntl(pair[i][1], F_DUPFD_CLOEXEC, 20);
		null = open("/dev/null", O_RDWR | O_CLOEXEC);
		dup2(null, 0);
		dup2(log, 1);
		dup2(log, 2);
		/* Last, because one of the others may have such a number. */
		for (i = 0; i < 3; i++)
			dup2(high[i], FIRST_FD + i);
		execvp(argv[0], argv);
		fprintf(stderr, "%s: %s\n", argv[0], strerror(errno));
		_exit(127);
	}
	close(log);
	for (i = 0; i < 3; i++)
		close(pair[i][1]);
	stream[0].from = pair[0][0];
	stream[0].to = 1;
	stream[1].from = pair[1][0];
	stream[1].to = 2;
	verdict = pair[2][0];
}

static void fill(struct stream *s)
{
	ssize_t n = read(s->from, s->buf, sizeof(s->buf));

	if (n > 0) {
		s->len = n;
		s->off = 0;
		s->count += n;
	} else if (n == 0 || (errno != EINTR && errno != EAGAIN)) {
		close(s->from);
		s->from = -1;
	}
}

static void flush(struct stream *s)
{
	/* If a pipe polls as writable, a write of this size does not block. */
	size_t want = s->len - s->off > 4096 ? 4096 : s->len - s->off;
	ssize_t n = want;

	/* After an error, read and drop the rest, so that the guest goes on. */
	if (!s->error) {
		n = write(s->to, s->buf + s->off, want);
		if (n < 0) {
			if (errno == EINTR || errno == EAGAIN)
				return;
			s->error = errno;
			n = want;
		}
	}
	s->off += n;
	if (s->off == s->len)
		s->len = 0;
}

/* Keys for the guest. As in qemu, Ctrl-A x ends it and Ctrl-A Ctrl-A sends Ctrl-A. */
static int type(void)
{
	static int prefix;
	char in[256], send[512];
	ssize_t n = read(0, in, sizeof(in));
	size_t len = 0;

	if (n <= 0) {
		/* At the end of our stdin, send Ctrl-D. */
		send[len++] = 4;
		if (write(stream[0].from, send, len) < 0)
			return 0;
		return 0;
	}
	for (ssize_t i = 0; i < n; i++) {
		if (raw && !prefix && in[i] == 1) {
			prefix = 1;
			continue;
		}
		if (prefix && in[i] == 'x')
			result("signal %d", SIGINT);
		if (prefix && in[i] != 1)
			send[len++] = 1;
		prefix = 0;
		send[len++] = in[i];
	}
	for (size_t off = 0; off < len;) {
		n = write(stream[0].from, send + off, len - off);
		if (n < 0 && errno != EINTR)
			return 1;
		off += n > 0 ? n : 0;
	}
	return 1;
}

static void tell(const char *line)
{
	if (send(verdict, line, strlen(line), MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
		/* The guest is gone or stuck; the main loop will notice. */
	}
}

static void tell_size(void)
{
	struct winsize w;
	char line[64];

	if (ioctl(0, TIOCGWINSZ, &w))
		return;
	snprintf(line, sizeof(line), "size %d %d\n", w.ws_row, w.ws_col);
	tell(line);
}

/* How qemu ended, so that a run that cannot be repeated says it. */
static const char *ended_how(int code)
{
	static char text[64];

	if (WIFSIGNALED(code))
		snprintf(text, sizeof(text), "qemu was killed by signal %d",
			 WTERMSIG(code));
	else
		snprintf(text, sizeof(text), "qemu ended with status %d",
			 WEXITSTATUS(code));
	return text;
}

/* Accepts only "exit N OUT ERR". */
static int parse(const char *line, int *status, unsigned long long *out,
		 unsigned long long *err)
{
	char again[128];

	if (sscanf(line, "exit %d %llu %llu", status, out, err) != 3)
		return 0;
	snprintf(again, sizeof(again), "exit %d %llu %llu", *status, *out, *err);
	return !strcmp(line, again) && *status >= 0 && *status <= 255;
}

int main(int argc, char **argv)
{
	static const int sigs[] = { SIGCHLD, SIGWINCH, SIGINT, SIGTERM, SIGHUP,
				    SIGQUIT };
	long long deadline = 0, dump_end = 0, gone_by = 0;
	int tty, up = 0, ended = 0, typing, status = 0, code = 0, i;
	unsigned long long want[2];
	char line[512], failed[512] = "";
	struct sigaction sa = { .sa_handler = on_signal };
	pid_t parent = getppid();
	sigset_t block, open_mask;
	size_t len = 0;

	if (argc < 6) {
		fputs("this is a part of vm/run\n", stderr);
		return 1;
	}
	if (atoi(argv[1]) > 0)
		deadline = now() + atoi(argv[1]) * 1000LL;
	tty = atoi(argv[2]);
	result_path = argv[3];
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		return 1;

	sigemptyset(&block);
	for (i = 0; i < (int)(sizeof(sigs) / sizeof(*sigs)); i++) {
		sigaddset(&block, sigs[i]);
		sigaction(sigs[i], &sa, NULL);
	}
	sigprocmask(SIG_BLOCK, &block, NULL);
	sigemptyset(&open_mask);
	signal(SIGPIPE, SIG_IGN);
	start(argv + 5, argv[4]);

	typing = tty;
	if (tty && !tcgetattr(0, &saved)) {
		struct termios t = saved;

		cfmakeraw(&t);
		raw = !tcsetattr(0, TCSADRAIN, &t);
	}

	for (;;) {
		struct pollfd p[4];
		long long left = -1, t = now();
		struct timespec ts;

		if (told)
			result("signal %d", (int)told);
		if (resized && up)
			tell_size();
		resized = 0;
		if (child_ended && qemu > 0 &&
		    waitpid(qemu, &code, WNOHANG) == qemu)
			qemu = 0;

		/* The caller's limit until the verdict, then our own. */
		if (gone_by) {
			left = gone_by - t;
			if (left <= 0)
				stop_qemu();
		} else if (dump_end) {
			left = dump_end - t;
			if (left <= 0)
				result("timeout");
		} else if (deadline) {
			left = deadline - t;
			if (left <= 0) {
				if (!up)
					result("timeout");
				tell("dump\n");
				dump_end = t + DUMP;
				continue;
			}
		}

		/* All output has arrived, so let the guest end. */
		if (ended && !gone_by && !stream[0].len && !stream[1].len &&
		    (*failed || (stream[0].count >= want[0] &&
				 stream[1].count >= want[1]))) {
			if (dump_end)
				result("timeout");
			tell("ack\n");
			gone_by = t + GRACE;
			continue;
		}

		if (!qemu && stream[0].from < 0 && stream[1].from < 0 &&
		    verdict < 0 && !stream[0].len && !stream[1].len)
			break;

		for (i = 0; i < 2; i++) {
			struct stream *s = &stream[i];

			p[i].fd = s->len ? s->to : s->from;
			p[i].events = s->len ? POLLOUT : POLLIN;
			/* The reader is gone; drop the rest. */
			if (s->len && s->error)
				flush(s), left = 0, p[i].fd = -1;
		}
		p[2].fd = verdict;
		p[2].events = POLLIN;
		p[3].fd = typing && up ? 0 : -1;
		p[3].events = POLLIN;
		ts.tv_sec = left / 1000;
		ts.tv_nsec = left % 1000 * 1000000;
		if (ppoll(p, 4, left < 0 ? NULL : &ts, &open_mask) < 0)
			continue;

		for (i = 0; i < 2; i++) {
			if (p[i].fd < 0 || !p[i].revents)
				continue;
			if (stream[i].len)
				flush(&stream[i]);
			else
				fill(&stream[i]);
		}
		if (p[3].revents)
			typing = type();
		if (p[2].revents) {
			char c;
			ssize_t n = read(verdict, &c, 1);

			if (n < 0 && (errno == EINTR || errno == EAGAIN))
				continue;
			if (n <= 0) {
				close(verdict);
				verdict = -1;
				continue;
			}
			if (ended || len >= sizeof(line) - 1)
				result("lost malformed verdict");
			if (c != '\n') {
				line[len++] = c;
				continue;
			}
			line[len] = 0;
			len = 0;
			if (!up && !strcmp(line, "up")) {
				up = 1;
				if (tty)
					tell_size();
			} else if (up && !strncmp(line, "fail ", 5)) {
				ended = 1;
				strcpy(failed, line + 5);
			} else if (up && parse(line, &status, &want[0], &want[1])) {
				ended = 1;
			} else {
				result("lost malformed verdict");
			}
		}
	}

	if (*failed)
		result("fail %s", failed);
	if (!up && WIFEXITED(code) && WEXITSTATUS(code))
		result("early %d", WEXITSTATUS(code));
	if (!up)
		result("lost the guest ended before its init was up: %s",
		       ended_how(code));
	if (!ended)
		result("lost the guest ended before the command did: %s",
		       ended_how(code));
	if (stream[0].count != want[0] || stream[1].count != want[1])
		result("lost some of the command's output: %llu of %llu bytes of stdout, %llu of %llu of stderr",
		       stream[0].count, want[0], stream[1].count, want[1]);
	for (i = 0; i < 2; i++)
		/* As in any pipe, it is no error if the reader closes it. */
		if (stream[i].error && stream[i].error != EPIPE)
			result("output %s: %s", i ? "stderr" : "stdout",
			       strerror(stream[i].error));
	result("exit %d", status);
}
