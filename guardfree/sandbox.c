// SPDX-License-Identifier: MIT
/*
 * A filter of system calls that the program sets may kill for any call but those
 * that it makes itself. So it is noticed, and reports do without. syscall() is
 * jumped to (see the Makefile), as it may be one that returns twice.
 * Shared library only.
 */
#include "log.h"
#include <dlfcn.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

typedef long call_fn(long nr, long a, long b, long c, long d, long e, long f);
typedef int prctl_fn(int op, long a, long b, long c, long d);

EXPORT long any_call(long nr, long a, long b, long c, long d, long e, long f) __asm__("syscall");
EXPORT int any_prctl(int op, long a, long b, long c, long d) __asm__("prctl");

static void *next(void **at, const char *name)
{
	if (unlikely(!load_relaxed(at)))
		store(at, dlsym(RTLD_NEXT, name));
	return *at;
}

EXPORT long any_call(long nr, long a, long b, long c, long d, long e, long f)
{
	static void *to;

	/* Without a program it only asks whether there are filters. */
	if ((nr == SYS_seccomp && a == 1 && c) || (nr == SYS_prctl && a == PR_SET_SECCOMP && c))
		store(&gf_sandboxed, true);
	return ((call_fn *)next(&to, "syscall"))(nr, a, b, c, d, e, f);
}

EXPORT int any_prctl(int op, long a, long b, long c, long d)
{
	static void *to;

	if (op == PR_SET_SECCOMP && b)
		store(&gf_sandboxed, true);
	return ((prctl_fn *)next(&to, "prctl"))(op, a, b, c, d);
}
