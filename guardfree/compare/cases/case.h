/* SPDX-License-Identifier: MIT */
/*
 * What the programs of the detection matrix have in common.
 *
 * A source holds one class of errors, each case as a function run(bad): with
 * bad it makes the error, without it the same code is correct. The function has
 * the case's name with underscores. A comment that starts a line as
 * "name: text" opens the case, and the line of the error is marked BUG, that
 * of the free FREED: a report has to name these lines.
 *
 * The program is the case of its argv[0], and takes "bad" or "good"; --list
 * prints the table, one case a line, fields between tabs:
 *   name cwe kind access where offset size mode at freed_at alloc_at when
 */
#ifndef PROOF_CASE_H
#define PROOF_CASE_H

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/types.h>
#include <sys/wait.h>

#define NOINLINE __attribute__((noinline))
#define UNUSED __attribute__((unused))

/* The compiler shall not know what these return and do: it would warn of the
 * errors, or remove them.
 */
static void *(*volatile get)(size_t) UNUSED = malloc;
static void *(*volatile get_zeroed)(size_t, size_t) UNUSED = calloc;
static void *(*volatile regrow)(void *, size_t) UNUSED = realloc;
static void (*volatile drop)(void *) UNUSED = free;

static inline UNUSED void *hide(const void *p)
{
	__asm__ volatile("" : "+r"(p) : : "memory");
	return (void *)(uintptr_t)p;
}

static inline UNUSED size_t hide_size(size_t n)
{
	__asm__ volatile("" : "+r"(n));
	return n;
}

/* Where what was read goes. */
static volatile unsigned long sink UNUSED;
#define RD(p, i) (sink = ((volatile unsigned char *)(p))[i])
#define WR(p, i) (((volatile unsigned char *)(p))[i] = 0x77)

/* On stdout, at once, with no allocation. */
static inline UNUSED void say(const char *text)
{
	if (write(1, text, strlen(text)) < 0)
		_exit(3);
}

/* Called after the error: who gets here was not stopped by it. */
static inline UNUSED void past(bool bad)
{
	if (bad)
		say("past\n");
}

/* A system call that was given bad memory: what did the kernel say? */
static inline UNUSED void kernel_said(bool bad, ssize_t done, size_t asked)
{
	if (done < 0 && errno == EFAULT)
		say("EFAULT\n");
	else if (done < 0 || (size_t)done != asked)
		say("short\n");
	past(bad);
}

/* Runs it in a thread, to its end. */
static inline UNUSED void in_thread(void *(*run)(void *), void *arg)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, run, arg))
		_exit(3);
	pthread_join(thread, NULL);
}

/* Passes on how a child ended. */
static inline UNUSED void child_ended(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid)
		_exit(3);
	if (WIFSIGNALED(status))
		_exit(128 + WTERMSIG(status));
	if (WEXITSTATUS(status))
		_exit(WEXITSTATUS(status));
}

/* How the memory is laid out, for the tools that can choose. */
enum mode {
	AFTER,		/* the default: objects end at the guard, aligned to 16 */
	BYTE,		/* they end at the guard to the byte */
	BELOW,		/* they begin at the guard */
	PAIRS,		/* new, new[] and malloc are told apart */
};

enum when {
	AT_ONCE,	/* the report comes before the next instruction */
	AT_FREE,	/* the page has room there: found when it is freed */
};

struct tcase {
	const char *name;
	void (*run)(bool bad);
	/* What the report says; NULL and 0 where any will do. */
	const char *kind;
	char access;			/* R, W or - */
	const char *where;		/* inside, after or before ... */
	long offset;			/* so many bytes ... */
	long size;			/* an object of that size; -1: any */
	enum mode mode;
	const char *at;			/* in that function: default the case's */
	const char *freed_at;		/* - if not freed */
	const char *alloc_at;
	enum when when;
};

/* A line of a table: what is left out is the default. */
#define CASE(n, r, k, a, w, o, s, ...) \
	{ .name = n, .run = r, .kind = k, .access = a, .where = w, .offset = o, .size = s, __VA_ARGS__ }

#define UAF "use-after-free"
#define OVERFLOW "overflow"
#define UNDERFLOW "underflow"
#define DOUBLE_FREE "double-free"
#define BAD_FREE "bad-free"
#define MISMATCH "mismatch"

static inline UNUSED void print_case(const char *cwe, const struct tcase *c)
{
	static const char *const modes[] = { "after", "byte", "below", "pairs" };
	char own[64];
	size_t i;

	for (i = 0; c->name[i] && i < sizeof(own) - 1; i++)
		own[i] = c->name[i] == '-' ? '_' : c->name[i];
	own[i] = 0;
	printf("%s\t%s\t%s\t%c\t%s\t%ld\t%ld\t%s\t%s\t%s\t%s\t%s\n", c->name, cwe,
	       c->kind, c->access ? c->access : '-', c->where ? c->where : "-",
	       c->offset, c->size, modes[c->mode], c->at ? c->at : own,
	       c->freed_at ? c->freed_at : own, c->alloc_at ? c->alloc_at : own,
	       c->when == AT_FREE ? "free" : "once");
}

static inline UNUSED int run_case(const char *cwe, const struct tcase *cases, size_t n,
				  int argc, char **argv)
{
	const char *name = strrchr(argv[0], '/');
	size_t i;

	if (argc == 2 && !strcmp(argv[1], "--list")) {
		for (i = 0; i < n; i++)
			print_case(cwe, &cases[i]);
		return 0;
	}
	name = name ? name + 1 : argv[0];
	if (argc != 2 || (strcmp(argv[1], "bad") && strcmp(argv[1], "good"))) {
		fprintf(stderr, "usage: CASE bad|good, or --list\n");
		return 3;
	}
	for (i = 0; i < n; i++) {
		if (!strcmp(cases[i].name, name)) {
			cases[i].run(!strcmp(argv[1], "bad"));
			say("end\n");
			return 0;
		}
	}
	fprintf(stderr, "%s: no such case; --list names them\n", name);
	return 3;
}

#endif
