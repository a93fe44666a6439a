// SPDX-License-Identifier: MIT
/*
 * Every entry point of the allocator, and the places it may be called from. It
 * checks itself: what is wrong is printed, and the status is 1. Runs guarded,
 * sampled, with other guards and alignments, and with glibc alone as well.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static int failures;
static int rounds = 3, part = 1;	/* 1 with the argument small; tiny: a tenth of that */

static void check(bool ok, int line, const char *fmt, ...)
{
	va_list ap;

	if (ok)
		return;
	failures++;
	printf("api.c:%d: ", line);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
}

#define CHECK(x) check(x, __LINE__, "%s", #x)
#define CHECKF(x, ...) check(x, __LINE__, #x ": " __VA_ARGS__)

/* Some are newer than the headers, or not in musl's. */
void free_sized(void *p, size_t size) __attribute__((weak));
void free_aligned_sized(void *p, size_t align, size_t size) __attribute__((weak));
void *pvalloc(size_t size) __attribute__((weak));
void *__libc_malloc(size_t size) __attribute__((weak));

/* Values that the compiler does not know, so that it keeps the calls */
static volatile size_t zero, huge = SIZE_MAX - 4000;

static bool is_zero(const char *p, size_t n)
{
	while (n--)
		if (*p++)
			return false;
	return true;
}

static void sizes(void)
{
	size_t n, i;

	for (n = 0; n < 70000; n = n < 40 ? n + 1 : n + n / (rounds > 1 ? 50 : 7)) {
		char *p = malloc(n), *q;

		CHECKF(p, "%zu", n);
		if (!p)
			continue;
		CHECKF(!((uintptr_t)p & 15) || getenv("ALIGN"), "%zu at %p", n, p);
		memset(p, 0xaa, n);
		CHECKF(malloc_usable_size(p) >= n, "%zu", n);
		q = calloc(1, n);
		CHECK(q && is_zero(q, n));
		memset(q, 0x55, n);
		CHECK(!n || (p[0] == (char)0xaa && p[n - 1] == (char)0xaa));
		free(p);
		free(q);
		/* Used again and again: zero each time */
		q = calloc(n, 1);
		CHECK(q && is_zero(q, n));
		if (q)
			memset(q, 1, n);
		free(q);
	}
	CHECK(malloc(zero) != malloc(zero));
	/* Larger than slots, and one after the other where the last one was */
	for (i = 0; i < 6; i++) {
		char *p;

		n = i % 3 == 0 ? 530000 : i % 3 == 1 ? 1040000 : 2300000;
		p = calloc(1, n);
		CHECKF(p && is_zero(p, n), "%zu", n);
		if (p)
			memset(p, 0x77, n);
		free(p);
	}
}

static void overflows(void)
{
	void *p;

	errno = 0;
	CHECK(!malloc(huge) && errno == ENOMEM);
	errno = 0;
	CHECK(!calloc(huge, 2) && errno == ENOMEM);
	errno = 0;
	CHECK(!calloc(huge / 2, 3) && errno == ENOMEM);
	errno = 0;
	CHECK(!calloc((size_t)1 << 32, (size_t)1 << 32) && errno == ENOMEM);
	p = malloc(8);
	errno = 0;
	CHECK(!realloc(p, huge) && errno == ENOMEM);
	errno = 0;
	CHECK(!reallocarray(p, huge, 16) && errno == ENOMEM);
	errno = 0;
	CHECK(!aligned_alloc(64, huge) && errno == ENOMEM);
	CHECK(!memalign(4096, huge));
	free(p);
	/* more than a process has address space for */
	errno = 0;
	CHECK(!malloc((size_t)1 << 47) && errno == ENOMEM);
}

static void reallocs(void)
{
	size_t n, i, last = 0;
	unsigned char *p = NULL;

	for (n = 1; n < 3000000; n = n * 3 / 2 + 1) {
		p = realloc(p, n);
		CHECK(p);
		for (i = 0; i < last; i += 997)
			CHECKF(p[i] == (unsigned char)(i * 7), "%zu of %zu", i, n);
		for (i = 0; i < n; i++)
			p[i] = i * 7;
		last = n;
	}
	for (; n > 10; n /= 3) {
		p = realloc(p, n);
		CHECK(p);
		for (i = 0; i < n && i < last; i += 101)
			CHECK(p[i] == (unsigned char)(i * 7));
	}
	p = reallocarray(p, 10, 10);
	CHECK(p && p[3] == 21);
	CHECK(!realloc(p, zero) || true);	/* freed; what it returns varies */
}

static void alignments(void)
{
	size_t align, sizes[] = { 0, 1, 24, 4096, 5000, 100000 }, i;
	void *p;

	for (align = 1; align <= (size_t)1 << 30; align *= 2) {
		for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
			p = memalign(align, sizes[i]);
			CHECKF(p && !((uintptr_t)p & (align - 1)), "%zu %zu: %p", align, sizes[i], p);
			if (p)
				memset(p, 1, sizes[i]);
			free(p);
			p = aligned_alloc(align, sizes[i]);
			CHECKF(p && !((uintptr_t)p & (align - 1)), "%zu %zu: %p", align, sizes[i], p);
			if (p)
				memset(p, 1, sizes[i]);
			if (free_aligned_sized)
				free_aligned_sized(p, align, sizes[i]);
			else
				free(p);
			if (align < sizeof(void *))
				continue;
			p = NULL;
			CHECK(!posix_memalign(&p, align, sizes[i]));
			CHECKF(p && !((uintptr_t)p & (align - 1)), "%zu %zu: %p", align, sizes[i], p);
			free(p);
		}
	}
	p = &align;
	CHECK(posix_memalign(&p, 3 * sizeof(void *), 8) == EINVAL && p == &align);
	CHECK(posix_memalign(&p, 2, 8) == EINVAL);
	errno = 17;
	CHECK(posix_memalign(&p, 64, huge) == ENOMEM && errno == 17);
	p = valloc(100);
	CHECK(p && !((uintptr_t)p & 4095));
	free(p);
	if (pvalloc) {
		p = pvalloc(100);
		CHECK(p && !((uintptr_t)p & 4095) && malloc_usable_size(p) >= 4096);
		if (p)
			memset(p, 1, 4096);
		free(p);
	}
}

static void others(void)
{
	void *p = malloc(33);

	errno = 71;
	free(p);
	CHECK(errno == 71);
	free(NULL);
	CHECK(malloc_usable_size(NULL) == 0);
	if (free_sized) {
		free_sized(malloc(33), 33);
		free_sized(NULL, 3);
	}
#ifdef __GLIBC__
	{
		struct mallinfo2 m = mallinfo2();
		char *text = NULL;
		size_t len = 0;
		FILE *f = open_memstream(&text, &len);

		CHECK(m.uordblks < (size_t)1 << 40);
		mallopt(M_MMAP_THRESHOLD, 100000);
		malloc_trim(0);
		CHECK(!malloc_info(0, f));
		fclose(f);
		CHECK(strstr(text, "malloc"));
		free(text);
	}
	/* not ours: the next allocator gets it */
	if (__libc_malloc) {
		free(__libc_malloc(100));
		p = realloc(__libc_malloc(100), 200);
		CHECK(p);
		free(p);
	}
#endif
}

static void large(void)
{
	size_t n = (size_t)3 << 30;
	char *p = malloc(n), *q;

	if (!p)		/* a small machine */
		return;
	p[0] = p[n / 2] = p[n - 1] = 1;
	free(p);
	q = calloc(1, n);
	CHECK(q);
	if (q)
		CHECK(!q[0] && !q[n / 2] && !q[n - 1]);
	free(q);
	/* in and out, at sizes around a unit of the heap's */
	for (n = 900000; n < 5000000; n += 133333) {
		p = calloc(1, n);
		CHECK(p && is_zero(p, n));
		if (p)
			memset(p, 3, n);
		free(p);
	}
}

/* Threads. */

#define RING 64
static void *ring[RING];
static pthread_key_t key;

static void in_destructor(void *p)
{
	void *q = malloc(77);

	free(p);
	memset(q, 2, 77);
	free(q);
}

static void *worker(void *arg)
{
	unsigned int seed = (uintptr_t)arg, i;

	pthread_setspecific(key, malloc(50));
	for (i = 0; i < 500 * (unsigned int)rounds / part; i++) {
		unsigned int at = rand_r(&seed) % RING, n = rand_r(&seed) % 9000;
		void *p = malloc(n);

		if (n)
			memset(p, i, n);
		free(__atomic_exchange_n(&ring[at], p, __ATOMIC_ACQ_REL));
	}
	return malloc(10);
}

static void threads(void)
{
	pthread_t t[6];
	void *p;
	int i, round;

	pthread_key_create(&key, in_destructor);
	for (round = 0; round < rounds; round++) {
		for (i = 0; i < 6; i++)
			if (pthread_create(&t[i], NULL, worker, (void *)(uintptr_t)(i + 1))) {
				CHECK(!"a thread");
				break;
			}
		while (i--) {
			pthread_join(t[i], &p);
			free(p);
		}
	}
	for (i = 0; i < RING; i++)
		free(ring[i]);
	memset(ring, 0, sizeof(ring));
}

/* fork, with threads that allocate meanwhile */

static int stop;

static void *noise(void *arg)
{
	int i;

	for (i = 0; i < 3000 * rounds / part && !__atomic_load_n(&stop, __ATOMIC_RELAXED); i++)
		free(malloc((uintptr_t)arg));
	return NULL;
}

static void forks(void)
{
	pthread_t t[3];
	char *before = malloc(40);
	int i, n, status;
	pid_t pid;

	strcpy(before, "from before");
	for (n = 0; n < 3; n++)
		if (pthread_create(&t[n], NULL, noise, (void *)(uintptr_t)(n * 100 + 30)))
			break;
	CHECK(n);
	for (i = 0; i < (part > 1 ? 4 : 10) * rounds; i++) {
		pid = fork();
		if (!pid) {
			char *p = malloc(100);
			pthread_t u;

			memset(p, 1, 100);
			alarm(60);
			if (strcmp(before, "from before"))
				_exit(2);
			free(before);
			free(p);
			/* a child that has threads and children of its own */
			if (i % 10 == 0) {
				stop = 0;
				if (pthread_create(&u, NULL, worker, (void *)9))
					_exit(3);
				pthread_join(u, NULL);
				pid = fork();
				if (!pid) {
					free(malloc(5));
					_exit(0);
				}
				if (waitpid(pid, &status, 0) != pid || status)
					_exit(4);
			}
			_exit(0);
		}
		CHECK(waitpid(pid, &status, 0) == pid);
		CHECKF(!status, "0x%x", status);
		free(malloc(300));
	}
	pid = vfork();
	if (!pid)
		_exit(7);
	CHECK(waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 7);
	pid = vfork();
	if (!pid) {
		execl("/bin/true", "true", (char *)NULL);
		_exit(127);
	}
	CHECK(waitpid(pid, &status, 0) == pid && !status);
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	while (n--)
		pthread_join(t[n], NULL);
	CHECK(!strcmp(before, "from before"));
	free(before);
}

/* Before main, and after it */

static char *early;

static void at_preinit(void)
{
	early = malloc(30);
	strcpy(early, "early");
}

__attribute__((constructor(101))) static void first(void)
{
	if (!early)
		at_preinit();
	early = realloc(early, 3000);
}

static char *late;

static void at_exit_1(void)
{
	free(late);
	late = malloc(12);
}

__attribute__((destructor)) static void last(void)
{
	free(late);
	free(malloc(1000));
	free(early);
}

int main(int argc, char **argv)
{
	if (argc > 1)
		rounds = 1;
	if (argc > 1 && !strcmp(argv[1], "tiny"))
		part = 10;
	CHECK(!strcmp(early, "early"));
	late = malloc(100);
	atexit(at_exit_1);
	sizes();
	overflows();
	reallocs();
	alignments();
	others();
	if (rounds > 1)
		large();
	threads();
	forks();
	printf(failures ? "%d checks failed\n" : "api: all is well\n", failures);
	return failures ? 1 : 0;
}
