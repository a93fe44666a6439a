/* SPDX-License-Identifier: GPL-2.0 */
/* TAP for programs, in C or C++, whose tests are functions that each run in a child. */
#ifndef TESTS_CHILDREN_H
#define TESTS_CHILDREN_H

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int count, failed;	/* tests */
static int in_test;		/* has a check of this child failed? */

/* Returns @good. Otherwise prints the text and errno, and the child's test fails. */
__attribute__((format(printf, 2, 3)))
static int check(int good, const char *fmt, ...)
{
	va_list ap;

	if (good)
		return 1;
	printf("# ");
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf(" (errno %d, %s)\n", errno, strerror(errno));
	fflush(stdout);
	in_test = 1;
	return 0;
}

/* A failure prints line and expression. */
#define CHECK(expr)	check(!!(expr), "line %d: %s", __LINE__, #expr)

static void run(const char *name, void (*test)(void))
{
	int status = 0;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		test();
		fflush(stdout);
		_exit(in_test);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		status = 1;
	count++;
	if (status)
		failed++;
	if (WIFSIGNALED(status))
		printf("# signal %d\n", WTERMSIG(status));
	else if (WEXITSTATUS(status) > 1)
		printf("# exit status %d\n", WEXITSTATUS(status));
	printf("%sok %d - %s\n", status ? "not " : "", count, name);
}

#define RUN(test)	run(#test, test)

#endif /* TESTS_CHILDREN_H */
