// SPDX-License-Identifier: MIT
/*
 * Programs that this one executes. Is the library loaded there, and does it do
 * anything? If not, that is said here, as nobody else can; and where a program
 * does not even start with it, the library leaves its environment. All of this
 * may be in the child of a vfork(): nothing is allocated.
 * Shared library only.
 */
#include "life.h"
#include "log.h"
#include "options.h"
#include "out.h"
#include "target.h"
#include "wrap.h"
#include <errno.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LIBRARY	"libguardfree.so"

static size_t count(char *const *v)
{
	size_t n = 0;

	while (v && v[n])
		n++;
	return n;
}

/* Where the environment preloads us; n if it does not */
static size_t preloads(char *const *envp, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (gf_prefix(envp[i], "LD_PRELOAD=") && strstr(envp[i], LIBRARY))
			return i;
	return n;
}

/* Says what there is to say; true if the library has to go. */
static bool must_go(const char *path)
{
	struct gf_target t;
	int err = errno;

	if (!gf_target_look(path, &t))
		t.why = NULL;
	errno = err;
	if (t.why && !t.late && !gf_opt.quiet && gf_wants(path))
		gf_say("%s runs unguarded: %s", path, t.why);
	return t.why && t.drop;
}

/* @from, a list of libraries, without ours; @to may be the same */
static void without_library(char *to, const char *from)
{
	char *start = to;

	while (*from) {
		size_t len = strcspn(from, ": "), base;

		for (base = len; base && from[base - 1] != '/'; base--)
			;
		if (len - base != sizeof(LIBRARY) - 1 ||
		    memcmp(from + base, LIBRARY, sizeof(LIBRARY) - 1)) {
			if (to > start)
				*to++ = ':';
			memmove(to, from, len);
			to += len;
		}
		from += len + (from[len] != 0);
	}
	*to = 0;
}

/* As execvp() finds it; false if it does not */
static bool search(char *path, size_t size, const char *file)
{
	const char *dirs = getenv("PATH"), *end;

	if (strchr(file, '/'))
		return gf_snprintf(path, size, "%s", file);
	for (dirs = dirs ? dirs : "/bin:/usr/bin"; *dirs; dirs = *end ? end + 1 : end) {
		size_t len;

		end = dirs + strcspn(dirs, ":");
		len = end - dirs;
		if (len + strlen(file) + 2 > size)
			continue;
		memcpy(path, dirs, len);
		gf_snprintf(path + len, size - len, "%s%s", len ? "/" : "", file);
		if (!access(path, X_OK))
			return true;
	}
	return false;
}

/* Calls @call with env, which is @envp or one without the library. */
#define WITH_ENVIRONMENT(path, searched, envp, call) ({			\
	char *const *env = (char *const *)(envp);			\
	size_t n_ = count(env), at_ = preloads(env, n_);		\
	bool go_ = false;						\
	int ret_;							\
									\
	if (at_ < n_ && (gf_ready == 1 || gf_unwanted)) {		\
		if (searched) {						\
			char found_[1024];				\
									\
			go_ = search(found_, sizeof(found_), path) && must_go(found_); \
		} else {						\
			go_ = must_go(path);				\
		}							\
	}								\
	{								\
		char *changed_[go_ ? n_ + 1 : 1];			\
		char list_[go_ ? strlen(env[at_]) + 1 : 1];		\
									\
		if (go_) {						\
			memcpy(changed_, env, (n_ + 1) * sizeof(*env));	\
			memcpy(list_, "LD_PRELOAD=", 11);		\
			without_library(list_ + 11, env[at_] + 11);	\
			changed_[at_] = list_;				\
			env = changed_;					\
		}							\
		ret_ = call;						\
	}								\
	ret_; })

WRAP(int, execve, const char *path, char *const argv[], char *const envp[])
{
	return WITH_ENVIRONMENT(path, false, envp, REAL(execve)(path, argv, env));
}

WRAP(int, execvpe, const char *file, char *const argv[], char *const envp[])
{
	return WITH_ENVIRONMENT(file, true, envp, REAL(execvpe)(file, argv, env));
}

EXPORT int execv(const char *path, char *const argv[])
{
	return execve(path, argv, environ);
}

EXPORT int execvp(const char *file, char *const argv[])
{
	return execvpe(file, argv, environ);
}

/* The arguments after the first, with the NULL */
#define COLLECT(argv, first, ap)					\
	va_list ap;							\
	size_t n_args = 1, i_arg;					\
	char *arg0;							\
									\
	/* It is declared never to be NULL, and may be. */		\
	__asm__("" : "=r"(arg0) : "0"(first));				\
	va_start(ap, first);						\
	while (va_arg(ap, char *))					\
		n_args++;						\
	va_end(ap);							\
	if (!arg0)							\
		n_args = 0;						\
	char *argv[n_args + 1];						\
	argv[0] = arg0;							\
	va_start(ap, first);						\
	for (i_arg = 1; i_arg <= n_args; i_arg++)			\
		argv[i_arg] = va_arg(ap, char *)

EXPORT int execl(const char *path, const char *arg, ...)
{
	COLLECT(argv, arg, ap);
	va_end(ap);
	return execve(path, argv, environ);
}

EXPORT int execlp(const char *file, const char *arg, ...)
{
	COLLECT(argv, arg, ap);
	va_end(ap);
	return execvpe(file, argv, environ);
}

EXPORT int execle(const char *path, const char *arg, ...)
{
	char *const *envp;

	COLLECT(argv, arg, ap);
	envp = va_arg(ap, char *const *);
	va_end(ap);
	return execve(path, argv, envp);
}

WRAP(int, posix_spawn, pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
     const posix_spawnattr_t *attr, char *const argv[], char *const envp[])
{
	return WITH_ENVIRONMENT(path, false, envp,
				REAL(posix_spawn)(pid, path, actions, attr, argv, env));
}

WRAP(int, posix_spawnp, pid_t *pid, const char *file, const posix_spawn_file_actions_t *actions,
     const posix_spawnattr_t *attr, char *const argv[], char *const envp[])
{
	return WITH_ENVIRONMENT(file, true, envp,
				REAL(posix_spawnp)(pid, file, actions, attr, argv, env));
}

/* children=0: the library leaves LD_PRELOAD, whose other entries stay. */
__attribute__((constructor(103)))
static void leave_environment(void)
{
	char **e;

	if (gf_opt.children[0] != '0' || gf_opt.children[1])
		return;
	for (e = environ; e && *e; e++)
		if (gf_prefix(*e, "LD_PRELOAD="))
			without_library(*e + 11, *e + 11);
}
