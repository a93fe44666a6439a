// SPDX-License-Identifier: GPL-2.0
/*
 * Runs the programs of a kselftest one after the other, each of them to its end
 * whatever became of those before, and prints their TAP as that of one program: numbers
 * that go on, and the plan at the end. A C program, because a guest of another
 * architecture has no shell.
 *
 * usage: each LIST [ARGUMENT...]
 *   LIST  a file with the names of the programs, one a line; they are beside it
 *   ARGUMENT...  for each program, such as "-r TEST"
 *
 * A program that dies, prints no plan, runs another number of tests than it has
 * planned, or fails without a test that has failed, is one more test, which fails. A
 * program that skips all it has is one that is skipped. With arguments, a program may
 * have nothing to run, but not all of them.
 *
 * Exit status: 0 if all passed or were skipped, 1 if a test failed, 2 if there was
 * nothing to run, or LIST cannot be read.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define KSFT_SKIP	4

static int count, failed;

/* The output of the program that runs now */
static int planned, seen, bad;
static bool skips_all;
static char reason[256];
static char line[8192];
static size_t len;

static void take_line(void)
{
	char *p = line;
	bool not;

	if (!strncmp(p, "TAP version", 11))
		return;
	if (!strncmp(p, "1..", 3) && isdigit((unsigned char)p[3])) {
		planned = strtol(p + 3, &p, 10);
		p = strcasestr(p, "skip");
		if (p && !planned) {
			skips_all = true;
			snprintf(reason, sizeof(reason), "%s", p + 4 + strspn(p + 4, ": "));
		}
		return;
	}
	not = !strncmp(p, "not ", 4);
	p += not ? 4 : 0;
	if (strncmp(p, "ok", 2) || (p[2] && p[2] != ' ')) {
		puts(line);
		return;
	}
	p += 2;
	p += strspn(p, " ");
	p += strspn(p, "0123456789");
	seen++;
	bad += not;
	failed += not;
	printf("%sok %d%s\n", not ? "not " : "", ++count, p);
}

static void take(const char *text, ssize_t n)
{
	for (; n > 0; n--, text++) {
		/* A line that is too long is several. */
		if (*text != '\n' && len < sizeof(line) - 1) {
			line[len++] = *text;
			continue;
		}
		line[len] = '\0';
		len = 0;
		take_line();
		if (*text != '\n')
			line[len++] = *text;
	}
}

static void on_child(int sig)
{
	(void)sig;
}

/*
 * Take what the program prints until it ends: what it has started may live on, with the
 * pipe open.
 */
static int read_until_end(pid_t pid, int fd, const sigset_t *unblocked)
{
	struct pollfd from = { .fd = fd, .events = POLLIN };
	bool ended = false;
	int status = 0;
	char text[4096];
	ssize_t n;

	fcntl(fd, F_SETFL, O_NONBLOCK);
	for (;;) {
		if (!ended)
			ended = waitpid(pid, &status, WNOHANG) == pid;
		n = read(fd, text, sizeof(text));
		if (n > 0) {
			take(text, n);
			continue;
		}
		if (ended)
			break;
		/* Closed: only the end is left to wait for */
		if (!n)
			from.fd = -1;
		/* SIGCHLD can come only here */
		ppoll(&from, 1, NULL, unblocked);
	}
	if (len)
		take("\n", 1);
	return status;
}

static void run(const char *path, const char *name, char *const argv[], bool may_be_empty,
		const sigset_t *unblocked)
{
	char why[256] = "";
	int to[2], status;
	pid_t pid;

	planned = -1;
	seen = bad = 0;
	skips_all = false;
	if (pipe2(to, O_CLOEXEC)) {
		perror("each: pipe2");
		exit(2);
	}
	pid = fork();
	if (pid < 0) {
		perror("each: fork");
		exit(2);
	}
	if (!pid) {
		sigprocmask(SIG_SETMASK, unblocked, NULL);
		dup2(to[1], STDOUT_FILENO);
		execv(path, argv);
		fprintf(stderr, "each: %s: %s\n", path, strerror(errno));
		_exit(127);
	}
	close(to[1]);
	status = read_until_end(pid, to[0], unblocked);
	close(to[0]);

	if (WIFSIGNALED(status))
		snprintf(why, sizeof(why), "ended by signal %d, after %d tests", WTERMSIG(status), seen);
	else if (planned < 0)
		snprintf(why, sizeof(why), "printed no plan, status %d", WEXITSTATUS(status));
	else if (seen != planned)
		snprintf(why, sizeof(why), "ran %d of %d tests, status %d", seen, planned,
			 WEXITSTATUS(status));
	else if (WEXITSTATUS(status) && WEXITSTATUS(status) != KSFT_SKIP && !bad)
		snprintf(why, sizeof(why), "ended with status %d, but no test failed",
			 WEXITSTATUS(status));
	else if (!planned && !skips_all && !may_be_empty)
		snprintf(why, sizeof(why), "has no test");
	if (why[0]) {
		failed++;
		printf("not ok %d %s %s\n", ++count, name, why);
	} else if (skips_all) {
		printf("ok %d %s # SKIP %s\n", ++count, name, reason);
	}
}

int main(int argc, char **argv)
{
	const struct sigaction action = { .sa_handler = on_child };
	sigset_t child, unblocked;
	char name[256], path[4096];
	const char *beside;
	int dir_len = 0;
	FILE *list;

	setvbuf(stdout, NULL, _IOLBF, 0);
	list = argc > 1 ? fopen(argv[1], "re") : NULL;
	if (!list) {
		fprintf(stderr, "usage: each LIST [ARGUMENT...]\n");
		return 2;
	}
	beside = argv[1];
	if (strrchr(beside, '/'))
		dir_len = strrchr(beside, '/') + 1 - beside;
	argc--;
	argv++;
	argv[0] = path;
	sigaction(SIGCHLD, &action, NULL);
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, &unblocked);

	while (fscanf(list, "%255s", name) == 1) {
		snprintf(path, sizeof(path), "%s%.*s%s", dir_len ? "" : "./", dir_len, beside, name);
		printf("# %s\n", name);
		run(path, name, argv, argc > 1, &unblocked);
	}
	printf("1..%d\n", count);
	return failed ? 1 : count ? 0 : 2;
}
