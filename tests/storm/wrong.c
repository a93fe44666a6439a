// SPDX-License-Identifier: GPL-2.0
/*
 * The calls under test: the kernel's, or a faulty imitation, which the storm must
 * find.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>
#include "storm.h"

const char *wrong;

static const struct {
	const char *name, *what;
} list[] = {
	{ "late", "POISON returns before it is done" },
	{ "half", "POISON returns 0 with the second half not done" },
	{ "skips", "POISON leaves one page out" },
	{ "beyond", "POISON discards one page too many" },
	{ "blinks", "POISON of a guard takes it away for a moment" },
	{ "stays", "UNPOISON leaves the last page" },
	{ "contents", "POISON keeps contents for UNPOISON to bring back" },
	{ "dontneed", "MADV_DONTNEED and MADV_FREE drop guards" },
	{ "fork", "fork() drops guards" },
	{ "copy", "UFFDIO_COPY drops a guard" },
	{ "restarts", "POISON begins anew as long as others bring pages in" },
	{ "eintr", "POISON tells of signals" },
	{ "truncate", "truncate drops guards" },
	{ "punch", "punching a hole drops guards" },
	{ "dirty", "POISON loses what is dirty in a file" },
};

bool wrong_known(const char *name)
{
	for (size_t i = 0; i < sizeof(list) / sizeof(*list); i++)
		if (!strcmp(list[i].name, name))
			return true;
	return false;
}

void wrong_list(void)
{
	for (size_t i = 0; i < sizeof(list) / sizeof(*list); i++)
		printf("%s\t%s\n", list[i].name, list[i].what);
}

static bool is(const char *name)
{
	return wrong && !strcmp(wrong, name);
}

/* Looks at each page in turn, as a walk does. */
static bool populated(char *p, size_t length)
{
	unsigned char core = 0;

	for (size_t at = 0; at < length && !(core & 1); at += PAGE)
		if (mincore(p + at, PAGE, &core))
			return false;
	return core & 1;
}

/* As madvise(); @advice is one of the two. */
int guard_advise(void *addr, size_t length, int advice)
{
	static __thread struct {
		void *addr;
		size_t length;
	} later;
	static __thread unsigned int calls;
	size_t pages = length / PAGE, page;
	char *p = addr;
	const struct arena *a;

	calls++;
	if (!wrong)
		return madvise(p, length, advice);

	a = arena_at(p, &page);
	if (is("late") && later.addr) {
		madvise(later.addr, later.length, ADV_POISON);
		later.addr = NULL;
	}
	if (advice == ADV_UNPOISON) {
		if (is("stays") && pages > 1)
			length -= PAGE;
		if (is("contents"))
			return mprotect(p, length, PROT_READ | PROT_WRITE);
		return madvise(p, length, advice);
	}

	if (is("late") && !(calls % 8)) {
		later.addr = addr;
		later.length = length;
		return 0;
	}
	if (is("half") && pages > 1)
		length = pages / 2 * PAGE;
	if (is("contents"))
		return mprotect(p, length, PROT_NONE);
	if (is("skips") && pages > 2) {
		size_t left_out = random_below(pages) * PAGE;

		if (left_out && madvise(p, left_out, advice))
			return -1;
		p += left_out + PAGE;
		length -= left_out + PAGE;
		return length ? madvise(p, length, advice) : 0;
	}
	if (is("beyond"))
		madvise(p + length, PAGE, MADV_DONTNEED);
	/* It fails if the memory is not shared */
	if (is("dirty"))
		madvise(p, length, MADV_REMOVE);
	if (is("restarts") && (!a || !(a->flags & A_FILE))) {
		int patience = 0;

		/* Give the others time, so that the storm finds this on busy machines too */
		while (patience++ < 100 && !load_acq(&ctl->failed)) {
			if (populated(p, length)) {
				madvise(p, length, MADV_DONTNEED);
				patience = 0;
			}
			sched_yield();
		}
	}
	if (is("eintr") && !(calls % 8)) {
		errno = EINTR;
		return -1;
	}
	if (madvise(p, length, advice))
		return -1;
	if (is("blinks")) {
		madvise(p, length, ADV_UNPOISON);
		return madvise(p, length, advice);
	}
	return 0;
}

/* As process_madvise() of the caller. */
ssize_t guard_advise_vector(void *iov, size_t n, int advice)
{
	static int self = -1;
	static pid_t whose;
	struct iovec *v = iov;
	ssize_t total = 0;

	if (wrong) {
		for (size_t i = 0; i < n; i++) {
			if (guard_advise(v[i].iov_base, v[i].iov_len, advice))
				return -1;
			total += v[i].iov_len;
		}
		return total;
	}
	if (whose != getpid()) {
		self = (int)syscall(SYS_pidfd_open, getpid(), 0);
		whose = getpid();
	}
	return syscall(SYS_process_madvise, self, v, n, advice, 0);
}

/* As madvise(); other advice. */
int other_advise(void *addr, size_t length, int advice)
{
	if (is("dontneed") && (advice == MADV_DONTNEED || advice == MADV_FREE))
		madvise(addr, length, ADV_UNPOISON);
	return madvise(addr, length, advice);
}

pid_t wrong_fork(void)
{
	pid_t pid = fork();

	if (!pid && is("fork"))
		for (size_t n = 0; n < ctl->narenas; n++)
			for (int i = 0; i < 2; i++)
				madvise(ctl->arena[n].home[i], ctl->arena[n].pages * PAGE,
					ADV_UNPOISON);
	return pid;
}

/* Makes the file shorter. */
int wrong_truncate(const struct arena *a, size_t pages)
{
	int r = ftruncate(a->file, (off_t)(pages * PAGE));

	if (is("truncate"))
		madvise(a->base + pages * PAGE, (a->pages - pages) * PAGE, ADV_UNPOISON);
	return r;
}

int wrong_punch(const struct arena *a, size_t first, size_t pages)
{
	char *p = load_acq(&a->base) + first * PAGE;

	if (is("punch"))
		madvise(p, pages * PAGE, ADV_UNPOISON);
	if ((a->flags & A_SHARED) && random_below(2))
		return madvise(a->mirror + first * PAGE, pages * PAGE, MADV_REMOVE);
	return fallocate(a->file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			 (off_t)(first * PAGE), (off_t)(pages * PAGE));
}

bool wrong_copy(void *addr)
{
	return is("copy") && !madvise(addr, PAGE, ADV_UNPOISON);
}
