// SPDX-License-Identifier: MIT
/*
 * storm SECONDS THREADS SEED: threads that allocate, resize, pass on and free
 * at random, start and end, and fork; each object carries a pattern that its
 * last owner checks. With the same seed each thread draws the same numbers.
 * Prints what it did; status 1 if a pattern was wrong or memory was not zero.
 */
#define _GNU_SOURCE
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SHARED 512
#define OWN 200

struct object {
	unsigned char *p;
	size_t n;
	unsigned char mark;
};

static struct object *shared[SHARED];
static unsigned long objects, bytes, forks, threads, failures;
static double deadline;
static unsigned long seed;

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static unsigned long draw(unsigned long *s)
{
	unsigned long z = *s += 0x9e3779b97f4a7c15UL;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9UL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebUL;
	return z ^ z >> 31;
}

static void wrong(const char *what, const struct object *o)
{
	__atomic_add_fetch(&failures, 1, __ATOMIC_RELAXED);
	fprintf(stderr, "storm: %s: %zu bytes at %p\n", what, o->n, (void *)o->p);
}

static size_t draw_size(unsigned long *s)
{
	unsigned long r = draw(s);

	switch (r % 100) {
	case 0 ... 79: return r >> 8 & 1023;
	case 80 ... 94: return (r >> 8) % 20000;
	case 95 ... 98: return (r >> 8) % 600000;
	default: return (r >> 8) % 4000000;
	}
}

static void put_marks(struct object *o)
{
	size_t i;

	for (i = 0; i < o->n; i += 509)
		o->p[i] = o->mark;
	if (o->n)
		o->p[o->n - 1] = o->mark;
}

static void check_marks(const struct object *o, size_t n)
{
	size_t i;

	for (i = 0; i < n; i += 509)
		if (o->p[i] != o->mark)
			break;
	if (i < n)
		wrong("another's bytes", o);
}

static struct object *make(unsigned long *s)
{
	struct object *o = malloc(sizeof(*o));
	unsigned long r = draw(s);
	size_t i;

	o->n = draw_size(s);
	o->mark = r >> 32;
	if (r % 4 == 0) {
		o->p = calloc(1, o->n);
		for (i = 0; o->p && i < o->n; i += 61)
			if (o->p[i]) {
				wrong("calloc gave what is not zero", o);
				break;
			}
	} else if (r % 4 == 1) {
		size_t align = (size_t)16 << (r >> 8) % 12;

		o->p = memalign(align, o->n);
		if ((uintptr_t)o->p & (align - 1))
			wrong("not aligned", o);
	} else {
		o->p = malloc(o->n);
	}
	if (!o->p) {
		o->n = 0;
	} else {
		put_marks(o);
		__atomic_add_fetch(&objects, 1, __ATOMIC_RELAXED);
		__atomic_add_fetch(&bytes, o->n, __ATOMIC_RELAXED);
	}
	return o;
}

static void drop(struct object *o)
{
	if (!o)
		return;
	check_marks(o, o->n);
	if (o->n && o->p[o->n - 1] != o->mark)
		wrong("another's last byte", o);
	free(o->p);
	free(o);
}

static void resize(struct object *o, unsigned long *s)
{
	size_t n = draw_size(s) + 1, least = o->n < n ? o->n : n;
	unsigned char *p = realloc(o->p, n);

	if (!p)
		return;
	o->p = p;
	o->n = n;
	/* the last mark may have been cut off, or be in the middle now */
	check_marks(o, least);
	put_marks(o);
}

static void *thread(void *arg)
{
	unsigned long s = seed * 1000003 + (uintptr_t)arg, steps;
	struct object *own[OWN] = { NULL };
	int i;

	__atomic_add_fetch(&threads, 1, __ATOMIC_RELAXED);
	/* A life of some thousand steps; the time is looked at now and then. */
	for (steps = 2000 + draw(&s) % 8000; steps && (steps % 64 || now() < deadline); steps--) {
		unsigned long r = draw(&s), at = (r >> 16) % OWN;

		switch (r % 16) {
		case 0 ... 9:
			drop(own[at]);
			own[at] = make(&s);
			break;
		case 10 ... 12:
			own[at] = __atomic_exchange_n(&shared[(r >> 32) % SHARED], own[at],
						      __ATOMIC_ACQ_REL);
			break;
		case 13:
			if (own[at])
				resize(own[at], &s);
			break;
		case 14:
			drop(own[at]);
			own[at] = NULL;
			break;
		default:
			if ((r >> 40) % 400)
				break;
			__atomic_add_fetch(&forks, 1, __ATOMIC_RELAXED);
			pid_t pid = fork();

			if (!pid) {
				for (i = 0; i < OWN; i++)
					drop(own[i]);
				for (i = 0; i < 50; i++)
					drop(make(&s));
				_exit(__atomic_load_n(&failures, __ATOMIC_RELAXED) ? 1 : 0);
			}
			if (pid > 0) {
				int status;

				if (waitpid(pid, &status, 0) != pid || status) {
					__atomic_add_fetch(&failures, 1, __ATOMIC_RELAXED);
					fprintf(stderr, "storm: a child ended with 0x%x\n", status);
				}
			}
		}
	}
	for (i = 0; i < OWN; i++)
		drop(own[i]);
	return NULL;
}

int main(int argc, char **argv)
{
	double seconds = argc > 1 ? atof(argv[1]) : 10;
	int n = argc > 2 ? atoi(argv[2]) : 4, i;
	unsigned long born = 0;
	pthread_t *t;

	seed = argc > 3 ? strtoul(argv[3], NULL, 0) : (unsigned long)time(NULL);
	if (seconds <= 0 || n < 1 || n > 1000) {
		fprintf(stderr, "Usage: storm SECONDS THREADS SEED\n");
		return 2;
	}
	printf("storm: %g seconds, %d threads, seed %lu\n", seconds, n, seed);
	fflush(stdout);
	deadline = now() + seconds;
	t = calloc(n, sizeof(*t));
	for (i = 0; i < n; i++)
		pthread_create(&t[i], NULL, thread, (void *)(uintptr_t)born++);
	for (i = 0; now() < deadline; i = (i + 1) % n) {
		pthread_join(t[i], NULL);
		pthread_create(&t[i], NULL, thread, (void *)(uintptr_t)born++);
	}
	for (i = 0; i < n; i++)
		pthread_join(t[i], NULL);
	for (i = 0; i < SHARED; i++)
		drop(shared[i]);
	free(t);
	printf("storm: %lu objects, %lu MiB, %lu threads, %lu forks, %lu failures\n", objects,
	       bytes >> 20, threads, forks, failures);
	return failures ? 1 : 0;
}
