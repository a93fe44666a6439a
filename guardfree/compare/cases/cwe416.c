// SPDX-License-Identifier: MIT
/* CWE-416: memory is used after it was freed. */
#include "case.h"

#include <setjmp.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <fcntl.h>

/* uaf-read: a byte of a freed object is read */
static NOINLINE void uaf_read(bool bad)
{
	char *p = get(40);

	p[7] = 1;
	if (bad)
		drop(p);	/* FREED */
	RD(p, 7);		/* BUG */
	past(bad);
	if (!bad)
		drop(p);
}

/* uaf-write: a byte of a freed object is written */
static NOINLINE void uaf_write(bool bad)
{
	char *p = get(40);

	if (bad)
		drop(p);	/* FREED */
	WR(p, 0);		/* BUG */
	past(bad);
	if (!bad)
		drop(p);
}

/* uaf-read-middle: in the second page of an object of several */
static NOINLINE void uaf_read_middle(bool bad)
{
	char *p = get_zeroed(1, 20000);

	if (bad)
		drop(p);	/* FREED */
	RD(p, 9000);		/* BUG */
	past(bad);
	if (!bad)
		drop(p);
}

/* uaf-write-last: the last byte */
static NOINLINE void uaf_write_last(bool bad)
{
	char *p = get(5000);

	if (bad)
		drop(p);	/* FREED */
	WR(p, 4999);		/* BUG */
	past(bad);
	if (!bad)
		drop(p);
}

/* uaf-read-callee: by a function that was handed the pointer */
static NOINLINE void uaf_read_callee_reads(const long *p)
{
	sink = *(volatile const long *)p;	/* BUG */
}

static NOINLINE void uaf_read_callee(bool bad)
{
	long *p = get(sizeof(*p) * 4);

	p[2] = 5;
	if (bad)
		drop(p);	/* FREED */
	uaf_read_callee_reads(p + 2);
	past(bad);
	if (!bad)
		drop(p);
}

/* uaf-write-callee: freed by one function, written by another */
static NOINLINE void uaf_write_callee_frees(void *p)
{
	drop(p);		/* FREED */
}

static NOINLINE void uaf_write_callee_writes(int *p, int n)
{
	((volatile int *)p)[n] = n;	/* BUG */
}

static NOINLINE int *uaf_write_callee_allocates(size_t n)
{
	return get(n * sizeof(int));
}

static NOINLINE void uaf_write_callee(bool bad)
{
	int *p = uaf_write_callee_allocates(16);

	if (bad)
		uaf_write_callee_frees(p);
	uaf_write_callee_writes(p, 10);
	past(bad);
	if (!bad)
		uaf_write_callee_frees(p);
}

/* uaf-memcpy-from: libc reads it */
static NOINLINE void uaf_memcpy_from(bool bad)
{
	char into[64];
	char *p = get(64);

	memset(p, 'a', 64);
	if (bad)
		drop(p);	/* FREED */
	memcpy(into, hide(p), hide_size(64));	/* BUG */
	sink = into[5];
	past(bad);
	if (!bad)
		drop(p);
}

/* uaf-memset: libc writes it */
static NOINLINE void uaf_memset(bool bad)
{
	char *p = get(640);

	if (bad)
		drop(p);	/* FREED */
	memset(hide(p), 'a', hide_size(640));	/* BUG */
	past(bad);
	if (!bad)
		drop(p);
}

/* uaf-strlen: a freed string is measured */
static NOINLINE void uaf_strlen(bool bad)
{
	char *p = get(33);

	strcpy(p, "a string that does not stay");
	if (bad)
		drop(p);	/* FREED */
	sink = strlen(hide(p));	/* BUG */
	past(bad);
	if (!bad)
		drop(p);
}

/* uaf-strcpy: a string is copied over freed memory */
static NOINLINE void uaf_strcpy(bool bad)
{
	char *p = get(48);

	if (bad)
		drop(p);	/* FREED */
	strcpy(hide(p), hide("for nobody"));	/* BUG */
	past(bad);
	if (!bad)
		drop(p);
}

/* uaf-printf: a freed string is printed */
static NOINLINE void uaf_printf(bool bad)
{
	char line[100];
	char *p = get(24);

	strcpy(p, "name");
	if (bad)
		drop(p);	/* FREED */
	sink = snprintf(line, sizeof(line), "%s: %d", (char *)hide(p), 5);	/* BUG */
	past(bad);
	if (!bad)
		drop(p);
}

/* uaf-realloc: the old pointer after realloc moved the object */
static NOINLINE void uaf_realloc(bool bad)
{
	char *p = get(100);
	char *old = hide(p);

	p[50] = 1;
	/* Much larger, with another object behind it: it has to move. */
	char *wall = get(100);

	p = regrow(p, 300000);	/* FREED */
	RD(bad ? old : p, 50);	/* BUG */
	past(bad);
	drop(p);
	drop(wall);
}

/* uaf-realloc-zero: realloc(p, 0) frees */
static NOINLINE void uaf_realloc_zero(bool bad)
{
	char *p = get(100);
	char *q = NULL;

	p[1] = 1;
	if (bad)
		q = regrow(p, 0);	/* FREED */
	RD(p, 1);			/* BUG */
	past(bad);
	drop(bad ? q : p);
}

/* uaf-thread-read: freed by main, read by a thread */
static NOINLINE void *uaf_thread_read_in(void *p)
{
	RD(p, 12);		/* BUG */
	return NULL;
}

static NOINLINE void uaf_thread_read(bool bad)
{
	char *p = get_zeroed(1, 32);

	if (bad)
		drop(p);	/* FREED */
	in_thread(uaf_thread_read_in, p);
	past(bad);
	if (!bad)
		drop(p);
}

/* uaf-thread-free: freed by a thread, written by main */
static NOINLINE void *uaf_thread_free_in(void *p)
{
	drop(p);		/* FREED */
	return NULL;
}

static NOINLINE void uaf_thread_free(bool bad)
{
	char *p = get(32);

	if (bad)
		in_thread(uaf_thread_free_in, p);
	WR(p, 12);		/* BUG */
	past(bad);
	if (!bad)
		in_thread(uaf_thread_free_in, p);
}

/* uaf-thread-gone: allocated and freed by threads that are gone */
static NOINLINE void *uaf_thread_gone_allocates(void *into)
{
	*(char **)into = get(72);
	return NULL;
}

static NOINLINE void *uaf_thread_gone_frees(void *p)
{
	drop(p);		/* FREED */
	return NULL;
}

static NOINLINE void uaf_thread_gone(bool bad)
{
	char *p;

	in_thread(uaf_thread_gone_allocates, &p);
	p[71] = 1;
	if (bad)
		in_thread(uaf_thread_gone_frees, p);
	RD(p, 71);		/* BUG */
	past(bad);
	if (!bad)
		in_thread(uaf_thread_gone_frees, p);
}

/* uaf-thread-race: the other thread frees while this one still works on it */
static pthread_barrier_t race;

static NOINLINE void *uaf_thread_race_frees(void *p)
{
	pthread_barrier_wait(&race);
	drop(p);		/* FREED */
	pthread_barrier_wait(&race);
	return NULL;
}

static NOINLINE void uaf_thread_race(bool bad)
{
	pthread_t thread;
	char *p = get(128);

	pthread_barrier_init(&race, NULL, 2);
	if (pthread_create(&thread, NULL, uaf_thread_race_frees, p))
		_exit(3);
	WR(p, 3);
	pthread_barrier_wait(&race);
	pthread_barrier_wait(&race);
	if (bad)
		WR(p, 4);	/* BUG */
	past(bad);
	pthread_join(thread, NULL);
}

/* uaf-child: freed before fork, read by the child */
static NOINLINE void uaf_child(bool bad)
{
	char *p = get_zeroed(1, 80);
	pid_t pid;

	if (bad)
		drop(p);	/* FREED */
	pid = fork();
	if (!pid) {
		RD(p, 33);	/* BUG */
		past(bad);
		_exit(0);
	}
	child_ended(pid);
	if (!bad)
		drop(p);
}

/* uaf-child-frees: the child frees what it inherited, and writes it */
static NOINLINE void uaf_child_frees(bool bad)
{
	char *p = get_zeroed(1, 80);
	pid_t pid = fork();

	if (!pid) {
		if (bad)
			drop(p);	/* FREED */
		WR(p, 33);		/* BUG */
		past(bad);
		_exit(0);
	}
	child_ended(pid);
	drop(p);
}

/* uaf-child-own: the child's own object */
static NOINLINE void uaf_child_own(bool bad)
{
	pid_t pid = fork();

	if (!pid) {
		char *p = get(48);

		p[5] = 1;
		if (bad)
			drop(p);	/* FREED */
		RD(p, 5);		/* BUG */
		past(bad);
		_exit(0);
	}
	child_ended(pid);
}

/* uaf-parent: the child ended; the parent uses what it freed itself */
static NOINLINE void uaf_parent(bool bad)
{
	char *p = get_zeroed(1, 80);
	pid_t pid = fork();

	if (!pid) {
		/* Its own copy: none of the parent's business. */
		drop(p);
		_exit(0);
	}
	child_ended(pid);
	RD(p, 1);
	if (bad)
		drop(p);	/* FREED */
	RD(p, 1);		/* BUG */
	past(bad);
	if (!bad)
		drop(p);
}

/* uaf-child-thread: a thread of a child */
static NOINLINE void *uaf_child_thread_in(void *p)
{
	WR(p, 0);		/* BUG */
	return NULL;
}

static NOINLINE void uaf_child_thread(bool bad)
{
	char *p = get(16);
	pid_t pid = fork();

	if (!pid) {
		if (bad)
			drop(p);	/* FREED */
		in_thread(uaf_child_thread_in, p);
		past(bad);
		_exit(0);
	}
	child_ended(pid);
	drop(p);
}

/* uaf-kernel-write: write(2) from freed memory */
static NOINLINE void uaf_kernel_write(bool bad)
{
	char *p = get_zeroed(1, 64);
	int fd[2];

	if (pipe(fd))
		_exit(3);
	if (bad)
		drop(p);	/* FREED */
	kernel_said(bad, write(fd[1], p, hide_size(64)), 64);	/* BUG */
	if (!bad)
		drop(p);
}

/* uaf-kernel-read: read(2) into freed memory */
static NOINLINE void uaf_kernel_read(bool bad)
{
	char *p = get(64);
	int fd[2];

	if (pipe(fd) || write(fd[1], "0123456789abcdef", 16) != 16)
		_exit(3);
	if (bad)
		drop(p);	/* FREED */
	kernel_said(bad, read(fd[0], p, hide_size(16)), 16);	/* BUG */
	if (!bad)
		drop(p);
}

/* uaf-kernel-send: send(2) from freed memory */
static NOINLINE void uaf_kernel_send(bool bad)
{
	char *p = get_zeroed(1, 200);
	int fd[2];

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, fd))
		_exit(3);
	if (bad)
		drop(p);	/* FREED */
	kernel_said(bad, send(fd[1], p, hide_size(200), 0), 200);	/* BUG */
	if (!bad)
		drop(p);
}

/* uaf-kernel-recv: recv(2) into freed memory */
static NOINLINE void uaf_kernel_recv(bool bad)
{
	char *p = get(200);
	int fd[2];

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, fd) || send(fd[1], "0123456789", 10, 0) != 10)
		_exit(3);
	if (bad)
		drop(p);	/* FREED */
	kernel_said(bad, recv(fd[0], p, hide_size(10), 0), 10);	/* BUG */
	if (!bad)
		drop(p);
}

/* uaf-kernel-writev: the second of two buffers */
static NOINLINE void uaf_kernel_writev(bool bad)
{
	char *p = get_zeroed(1, 56), *q = get_zeroed(1, 24);
	struct iovec iov[2] = { { q, 24 }, { p, 56 } };
	int fd[2];

	if (socketpair(AF_UNIX, SOCK_DGRAM, 0, fd))
		_exit(3);
	if (bad)
		drop(p);	/* FREED */
	kernel_said(bad, writev(fd[1], iov, 2), 80);	/* BUG */
	drop(q);
	if (!bad)
		drop(p);
}

/* uaf-kernel-sendmsg: the buffer of a message */
static NOINLINE void uaf_kernel_sendmsg(bool bad)
{
	char *p = get_zeroed(1, 56);
	struct iovec iov = { p, 56 };
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };
	int fd[2];

	if (socketpair(AF_UNIX, SOCK_DGRAM, 0, fd))
		_exit(3);
	if (bad)
		drop(p);	/* FREED */
	kernel_said(bad, sendmsg(fd[1], &message, 0), 56);	/* BUG */
	if (!bad)
		drop(p);
}

/* uaf-kernel-pread: pread(2) of a file */
static NOINLINE void uaf_kernel_pread(bool bad)
{
	char *p = get(64);
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		_exit(3);
	if (bad)
		drop(p);	/* FREED */
	kernel_said(bad, pread(fd, p, hide_size(64), 0), 64);	/* BUG */
	if (!bad)
		drop(p);
}

/* uaf-kernel-child: a child's write(2) from what the parent freed */
static NOINLINE void uaf_kernel_child(bool bad)
{
	char *p = get_zeroed(1, 64);
	int fd[2];
	pid_t pid;

	if (pipe(fd))
		_exit(3);
	if (bad)
		drop(p);	/* FREED */
	pid = fork();
	if (!pid) {
		kernel_said(bad, write(fd[1], p, hide_size(64)), 64);	/* BUG */
		_exit(0);
	}
	child_ended(pid);
	if (!bad)
		drop(p);
}

/* uaf-list: each node is freed, then its next is followed */
struct node {
	int value;
	struct node *next;
};

static NOINLINE struct node *uaf_list_make(int n)
{
	struct node *head = NULL;

	while (n--) {
		struct node *one = get(sizeof(*one));

		one->value = n;
		one->next = head;
		head = one;
	}
	return head;
}

static NOINLINE void uaf_list(bool bad)
{
	struct node *one = uaf_list_make(10), *next;

	while (one) {
		if (bad) {
			drop(one);	/* FREED */
			one = *(struct node *volatile *)&one->next;	/* BUG */
			past(bad);
			/* Whatever was there is nothing to follow. */
			_exit(0);
		}
		next = one->next;
		drop(one);
		one = next;
	}
}

/* uaf-tree: a child of a tree outlives it */
struct tree {
	struct tree *kid[2];
	long key;
};

static NOINLINE struct tree *uaf_tree_make(int depth)
{
	struct tree *t = get_zeroed(1, sizeof(*t));

	t->key = depth;
	if (depth) {
		t->kid[0] = uaf_tree_make(depth - 1);
		t->kid[1] = uaf_tree_make(depth - 1);
	}
	return t;
}

static NOINLINE void uaf_tree_drop(struct tree *t)
{
	if (!t)
		return;
	uaf_tree_drop(t->kid[0]);
	uaf_tree_drop(t->kid[1]);
	drop(t);		/* FREED */
}

static NOINLINE void uaf_tree(bool bad)
{
	struct tree *t = uaf_tree_make(5);
	struct tree *leaf = t->kid[0]->kid[1]->kid[0];

	if (bad)
		uaf_tree_drop(t);
	sink = *(volatile long *)&leaf->key;	/* BUG */
	past(bad);
	if (!bad)
		uaf_tree_drop(t);
}

/* uaf-call: a function is called through a freed object */
struct ops {
	char name[16];
	int (*run)(int);
};

static NOINLINE int uaf_call_target(int n)
{
	return n + 1;
}

static NOINLINE void uaf_call(bool bad)
{
	struct ops *ops = get(sizeof(*ops));

	ops->run = uaf_call_target;
	if (bad)
		drop(ops);	/* FREED */
	sink = (*(int (*volatile *)(int))&ops->run)(3);	/* BUG */
	past(bad);
	if (!bad)
		drop(ops);
}

/* uaf-calloc: memory of calloc, element by element */
static NOINLINE void uaf_calloc(bool bad)
{
	int *p = get_zeroed(30, sizeof(*p));

	if (bad)
		drop(p);	/* FREED */
	((volatile int *)p)[29] = 5;	/* BUG */
	past(bad);
	if (!bad)
		drop(p);
}

/* uaf-aligned: memory of aligned_alloc */
static NOINLINE void uaf_aligned(bool bad)
{
	char *p = aligned_alloc(64, hide_size(128));

	p[64] = 1;
	if (bad)
		drop(p);	/* FREED */
	RD(p, 64);		/* BUG */
	past(bad);
	if (!bad)
		drop(p);
}

/* uaf-memalign-page: memory of posix_memalign, larger than a page */
static NOINLINE void uaf_memalign_page(bool bad)
{
	void *p;

	if (posix_memalign(&p, 8192, hide_size(10000)))
		_exit(3);
	if (bad)
		drop(p);	/* FREED */
	WR(p, 8192);		/* BUG */
	past(bad);
	if (!bad)
		drop(p);
}

/* uaf-large: a megabyte */
static NOINLINE void uaf_large(bool bad)
{
	char *p = get_zeroed(1, 1 << 20);

	if (bad)
		drop(p);	/* FREED */
	RD(p, 777777);		/* BUG */
	past(bad);
	if (!bad)
		drop(p);
}

/* uaf-huge: 64 megabytes, as glibc would map by themselves */
static NOINLINE void uaf_huge(bool bad)
{
	char *p = get(64 << 20);

	p[40 << 20] = 1;
	if (bad)
		drop(p);	/* FREED */
	RD(p, 40 << 20);	/* BUG */
	past(bad);
	if (!bad)
		drop(p);
}

/* uaf-tiny: one byte */
static NOINLINE void uaf_tiny(bool bad)
{
	char *p = get(1);

	*p = 1;
	if (bad)
		drop(p);	/* FREED */
	RD(p, 0);		/* BUG */
	past(bad);
	if (!bad)
		drop(p);
}

/* uaf-reused: the same size is allocated again before the stale pointer is used */
static NOINLINE void uaf_reused(bool bad)
{
	char *p = get(96), *q;

	if (bad)
		drop(p);	/* FREED */
	q = get(96);
	q[20] = 1;
	RD(p, 20);		/* BUG */
	past(bad);
	drop(q);
	if (!bad)
		drop(p);
}

/* uaf-later: 2,000 others come and go first */
static NOINLINE void uaf_later(bool bad)
{
	char *p = get(96);
	int i;

	p[20] = 1;
	if (bad)
		drop(p);	/* FREED */
	for (i = 0; i < 2000; i++) {
		char *q = get(16 + i % 128);

		q[0] = 1;
		drop(q);
	}
	RD(p, 20);		/* BUG */
	past(bad);
	if (!bad)
		drop(p);
}

/* uaf-qsort: a comparison meets a freed element */
static NOINLINE int uaf_qsort_compares(const void *a, const void *b)
{
	const volatile int *const *x = a, *const *y = b;

	return **x - **y;	/* BUG */
}

static NOINLINE void uaf_qsort(bool bad)
{
	int *all[8];
	int i;

	for (i = 0; i < 8; i++) {
		all[i] = get(sizeof(int));
		*all[i] = i * 5 % 8;
	}
	if (bad)
		drop(all[3]);	/* FREED */
	qsort(all, 8, sizeof(*all), uaf_qsort_compares);
	past(bad);
	if (bad)
		_exit(0);
	for (i = 0; i < 8; i++)
		drop(all[i]);
}

/* uaf-strdup: what libc allocated */
static NOINLINE void uaf_strdup(bool bad)
{
	char *p = strdup(hide("a text of libc's"));

	if (bad)
		drop(p);	/* FREED */
	RD(p, 2);		/* BUG */
	past(bad);
	if (!bad)
		drop(p);
}

/* uaf-getline: the buffer moved, the old one is read */
static NOINLINE void uaf_getline(bool bad)
{
	static char text[20000];
	size_t room = 0;
	char *line = NULL, *old;
	FILE *f;

	memset(text, 'x', sizeof(text));
	text[9] = '\n';
	text[sizeof(text) - 1] = '\n';
	f = fmemopen(text, sizeof(text), "r");
	if (!f || getline(&line, &room, f) < 0)
		_exit(3);
	old = hide(line);
	if (getline(&line, &room, f) < 0)	/* FREED */
		_exit(3);
	/* Where it can grow in place there is no error in it. */
	RD(bad ? old : line, 3);	/* BUG */
	past(bad);
	fclose(f);
	drop(line);
}

/* uaf-fclose: a stream is written to after it was closed */
static NOINLINE void uaf_fclose(bool bad)
{
	FILE *f = fopen("/dev/null", "w"), *same = hide(f);

	if (!f)
		_exit(3);
	if (bad)
		fclose(f);	/* FREED */
	sink = fileno_unlocked(same);	/* BUG */
	past(bad);
	if (!bad)
		fclose(f);
}

/* uaf-atexit: freed by one exit handler, read by the next */
static char *at_exit;
static bool at_exit_bad;

static NOINLINE void uaf_atexit_frees(void)
{
	if (at_exit_bad)
		drop(at_exit);	/* FREED */
}

static NOINLINE void uaf_atexit_reads(void)
{
	RD(at_exit, 4);		/* BUG */
	past(at_exit_bad);
	if (!at_exit_bad)
		drop(at_exit);
}

static NOINLINE void uaf_atexit(bool bad)
{
	at_exit = get_zeroed(1, 64);
	at_exit_bad = bad;
	atexit(uaf_atexit_reads);
	atexit(uaf_atexit_frees);
}

/* uaf-thread-key: freed by a destructor of thread-specific data */
static NOINLINE void uaf_thread_key_frees(void *p)
{
	drop(p);		/* FREED */
}

static pthread_key_t key;

static NOINLINE void *uaf_thread_key_in(void *p)
{
	pthread_setspecific(key, p);
	return NULL;
}

static NOINLINE void uaf_thread_key(bool bad)
{
	char *p = get_zeroed(1, 40);

	pthread_key_create(&key, bad ? uaf_thread_key_frees : NULL);
	in_thread(uaf_thread_key_in, p);
	RD(p, 39);		/* BUG */
	past(bad);
	if (!bad)
		drop(p);
}

/* uaf-longjmp: an error path frees, and jumps to who goes on */
static jmp_buf out;

static NOINLINE void uaf_longjmp_fails(char *p, bool bad)
{
	if (bad)
		drop(p);	/* FREED */
	longjmp(out, 1);
}

static NOINLINE void uaf_longjmp(bool bad)
{
	char *volatile p = get(88);

	if (!setjmp(out))
		uaf_longjmp_fails(p, bad);
	WR(p, 8);		/* BUG */
	past(bad);
	if (!bad)
		drop(p);
}

/* uaf-return: a function returns what it freed */
static NOINLINE char *uaf_return_name(bool bad)
{
	char *p = get(20);

	strcpy(p, "name");
	if (bad)
		drop(p);	/* FREED */
	return hide(p);
}

static NOINLINE void uaf_return(bool bad)
{
	char *p = uaf_return_name(bad);

	RD(p, 0);		/* BUG */
	past(bad);
	if (!bad)
		drop(p);
}

/* uaf-atomic: a reference count in a freed object */
static NOINLINE void uaf_atomic(bool bad)
{
	int *count = get_zeroed(4, sizeof(int));

	if (bad)
		drop(count);	/* FREED */
	__atomic_fetch_add(count + 1, 1, __ATOMIC_SEQ_CST);	/* BUG */
	past(bad);
	if (!bad)
		drop(count);
}

/* uaf-mutex: a lock is tried in a freed object */
static NOINLINE void uaf_mutex(bool bad)
{
	pthread_mutex_t *lock = get(sizeof(*lock));

	pthread_mutex_init(lock, NULL);
	if (bad)
		drop(lock);	/* FREED */
	sink = pthread_mutex_trylock(hide(lock));	/* BUG */
	past(bad);
	pthread_mutex_unlock(lock);
	if (!bad)
		drop(lock);
}

static const struct tcase cases[] = {
	CASE("uaf-read", uaf_read, UAF, 'R', "inside", 7, 40),
	CASE("uaf-write", uaf_write, UAF, 'W', "inside", 0, 40),
	CASE("uaf-read-middle", uaf_read_middle, UAF, 'R', "inside", 9000, 20000),
	CASE("uaf-write-last", uaf_write_last, UAF, 'W', "inside", 4999, 5000),
	CASE("uaf-read-callee", uaf_read_callee, UAF, 'R', "inside", 16, 32,
	     .at = "uaf_read_callee_reads"),
	CASE("uaf-write-callee", uaf_write_callee, UAF, 'W', "inside", 40, 64,
	     .at = "uaf_write_callee_writes", .freed_at = "uaf_write_callee_frees",
	     .alloc_at = "uaf_write_callee_allocates"),
	CASE("uaf-memcpy-from", uaf_memcpy_from, UAF, 'R', "inside", -1, 64),
	CASE("uaf-memset", uaf_memset, UAF, 'W', "inside", -1, 640),
	CASE("uaf-strlen", uaf_strlen, UAF, 'R', "inside", -1, 33),
	CASE("uaf-strcpy", uaf_strcpy, UAF, 'W', "inside", -1, 48),
	CASE("uaf-printf", uaf_printf, UAF, 'R', "inside", -1, 24),
	CASE("uaf-realloc", uaf_realloc, UAF, 'R', "inside", 50, 100),
	CASE("uaf-realloc-zero", uaf_realloc_zero, UAF, 'R', "inside", 1, 100),
	CASE("uaf-thread-read", uaf_thread_read, UAF, 'R', "inside", 12, 32,
	     .at = "uaf_thread_read_in"),
	CASE("uaf-thread-free", uaf_thread_free, UAF, 'W', "inside", 12, 32,
	     .freed_at = "uaf_thread_free_in"),
	CASE("uaf-thread-gone", uaf_thread_gone, UAF, 'R', "inside", 71, 72,
	     .freed_at = "uaf_thread_gone_frees", .alloc_at = "uaf_thread_gone_allocates"),
	CASE("uaf-thread-race", uaf_thread_race, UAF, 'W', "inside", 4, 128,
	     .freed_at = "uaf_thread_race_frees"),
	CASE("uaf-child", uaf_child, UAF, 'R', "inside", 33, 80),
	CASE("uaf-child-frees", uaf_child_frees, UAF, 'W', "inside", 33, 80),
	CASE("uaf-child-own", uaf_child_own, UAF, 'R', "inside", 5, 48),
	CASE("uaf-parent", uaf_parent, UAF, 'R', "inside", 1, 80),
	CASE("uaf-child-thread", uaf_child_thread, UAF, 'W', "inside", 0, 16,
	     .at = "uaf_child_thread_in"),
	CASE("uaf-kernel-write", uaf_kernel_write, UAF, 'R', "inside", 0, 64),
	CASE("uaf-kernel-read", uaf_kernel_read, UAF, 'W', "inside", 0, 64),
	CASE("uaf-kernel-send", uaf_kernel_send, UAF, 'R', "inside", 0, 200),
	CASE("uaf-kernel-recv", uaf_kernel_recv, UAF, 'W', "inside", 0, 200),
	CASE("uaf-kernel-writev", uaf_kernel_writev, UAF, 'R', "inside", 0, 56),
	CASE("uaf-kernel-sendmsg", uaf_kernel_sendmsg, UAF, 'R', "inside", 0, 56),
	CASE("uaf-kernel-pread", uaf_kernel_pread, UAF, 'W', "inside", 0, 64),
	CASE("uaf-kernel-child", uaf_kernel_child, UAF, 'R', "inside", 0, 64),
	CASE("uaf-list", uaf_list, UAF, 'R', "inside", 8, 16, .alloc_at = "uaf_list_make"),
	CASE("uaf-tree", uaf_tree, UAF, 'R', "inside", 16, 24,
	     .freed_at = "uaf_tree_drop", .alloc_at = "uaf_tree_make"),
	CASE("uaf-call", uaf_call, UAF, 'R', "inside", 16, 24),
	CASE("uaf-calloc", uaf_calloc, UAF, 'W', "inside", 116, 120),
	CASE("uaf-aligned", uaf_aligned, UAF, 'R', "inside", 64, 128),
	CASE("uaf-memalign-page", uaf_memalign_page, UAF, 'W', "inside", 8192, 10000),
	CASE("uaf-large", uaf_large, UAF, 'R', "inside", 777777, 1 << 20),
	CASE("uaf-huge", uaf_huge, UAF, 'R', "inside", 40 << 20, 64 << 20),
	CASE("uaf-tiny", uaf_tiny, UAF, 'R', "inside", 0, 1),
	CASE("uaf-reused", uaf_reused, UAF, 'R', "inside", 20, 96),
	CASE("uaf-later", uaf_later, UAF, 'R', "inside", 20, 96),
	CASE("uaf-qsort", uaf_qsort, UAF, 'R', "inside", 0, 4, .at = "uaf_qsort_compares"),
	CASE("uaf-strdup", uaf_strdup, UAF, 'R', "inside", 2, 17),
	CASE("uaf-getline", uaf_getline, UAF, 'R', "inside", 3, -1),
	CASE("uaf-fclose", uaf_fclose, UAF, 'R', "inside", -1, -1),
	CASE("uaf-atexit", uaf_atexit, UAF, 'R', "inside", 4, 64, .at = "uaf_atexit_reads",
	     .freed_at = "uaf_atexit_frees"),
	CASE("uaf-thread-key", uaf_thread_key, UAF, 'R', "inside", 39, 40,
	     .freed_at = "uaf_thread_key_frees"),
	CASE("uaf-longjmp", uaf_longjmp, UAF, 'W', "inside", 8, 88,
	     .freed_at = "uaf_longjmp_fails"),
	CASE("uaf-return", uaf_return, UAF, 'R', "inside", 0, 20,
	     .freed_at = "uaf_return_name", .alloc_at = "uaf_return_name"),
	CASE("uaf-atomic", uaf_atomic, UAF, 'W', "inside", 4, 16),
	CASE("uaf-mutex", uaf_mutex, UAF, '-', "inside", -1, 40),
};

int main(int argc, char **argv)
{
	return run_case("416", cases, sizeof(cases) / sizeof(*cases), argc, argv);
}
