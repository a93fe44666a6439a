// SPDX-License-Identifier: MIT
/* leak NAME: objects that are lost, or reached in one way only, at exit */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define NOINLINE __attribute__((noinline, noclone))

struct node {
	struct node *next;
	char more[40];
};

static void *volatile global;
static _Thread_local void *volatile local;
static atomic_int ready;

/* The caller's frame must not have it afterwards. */
static NOINLINE void wipe(void)
{
	volatile char stack[16384];

	memset((void *)stack, 0, sizeof(stack));
	__asm__ volatile("" : : "r"(stack) : "memory");	/* or nothing is left of it */
}

static NOINLINE void *get(size_t n)
{
	void *p = malloc(n);

	memset(p, 0, n);
	return p;
}

static NOINLINE void lose(size_t n)
{
	volatile char *p = get(n);

	p[0] = 1;
}

/* The frame pointer has it while another object is allocated. */
static NOINLINE void lose_in_register(void)
{
	void *p __attribute__((unused)) = get(90);

#if defined(__x86_64__)
	__asm__ volatile("push %%rbp\n\tpush %%rbp\n\tmov %0, %%rbp\n\tmov $64, %%edi\n\t"
			 "call malloc@PLT\n\tpop %%rbp\n\tpop %%rbp\n\t"
			 "mov %%rax, %%rdi\n\tcall free@PLT"
			 : "+r"(p) : : "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11",
			   "xmm0", "xmm1", "xmm2", "xmm3", "memory", "cc");
#endif
	p = NULL;
}

static NOINLINE void lose_chain(void)
{
	struct node *p = get(sizeof(*p));

	p->next = get(sizeof(*p));
	p->next->next = get(sizeof(*p));
}

static NOINLINE void keep_chain(void)
{
	struct node *p = get(sizeof(*p));

	p->next = get(sizeof(*p));
	p->next->next = get(300000);
	global = p;
}

static void *waits(void *arg)
{
	(void)arg;
	ready++;
	while (ready)
		pause();
	return NULL;
}

static NOINLINE void *on_stack(void *arg)
{
	void *volatile p = get(200);

	(void)p;
	return waits(arg);
}

static NOINLINE void *in_tls(void *arg)
{
	local = get(200);
	wipe();
	return waits(arg);
}

/* In no memory at all */
static void *in_register(void *arg)
{
	void *p = get(200);

	(void)arg;
	wipe();
	ready++;
#if defined(__x86_64__)
	/* What a callee saved is still there, within the red zone. */
	__asm__ volatile("mov %0, %%r13\n xor %%eax, %%eax\n lea -128(%%rsp), %%rdi\n"
			 "mov $16, %%ecx\n rep stosq\n xor %%ebx, %%ebx\n 1: pause\n jmp 1b"
			 : : "a"(p) : "rbx", "rcx", "rdi", "r13", "memory");
#else
	__asm__ volatile("mov x23, %0\n mov x0, 0\n 1: yield\n b 1b" : : "r"(p) : "x23", "x0");
#endif
	return NULL;
}

static void *ends(void *arg)
{
	void *volatile p = get(200);

	(void)arg;
	(void)p;
	return NULL;
}

static void start(void *(*f)(void *), int wait)
{
	pthread_t t;

	pthread_create(&t, NULL, f, NULL);
	if (!wait)
		pthread_join(t, NULL);
	while (wait && !ready)
		sched_yield();
}

#define CASE(x) if (!strcmp(name, x))

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "";
	void **map;
	volatile int i;

	printf("ran %s\n", name);	/* not to a terminal: in libc's buffer */
	CASE("register") {
		lose_in_register();
		wipe();
	}
	CASE("lost") {
		for (i = 0; i < 3; i++)
			lose(100);
	}
	CASE("chain")
		lose_chain();
	CASE("kept")
		keep_chain();
	CASE("inside") {
		global = (char *)get(100) + 50;
	}
	CASE("hidden") {	/* in a word that is no address */
		global = (void *)~(unsigned long)get(100);
	}
	CASE("tls")
		local = get(100);
	CASE("mapped") {
		map = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		map[70000] = get(100);
	}
	CASE("freed") {		/* what was freed leads nowhere */
		void **p = get(100);

		p[3] = get(50);
		free(p);
	}
	CASE("thread-stack")
		start(on_stack, 1);
	CASE("thread-tls")
		start(in_tls, 1);
	CASE("thread-register")
		start(in_register, 1);
	CASE("thread-dead")
		start(ends, 0);
	CASE("thread-lost") {
		start(on_stack, 1);
		lose(70);
	}
	CASE("sparse") {	/* 1 TiB that nobody touched is not read */
		global = mmap(NULL, 1UL << 40, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		lose(100);
	}
	CASE("_exit") {
		lose(100);
		fflush(stdout);
		_exit(4);
	}
	wipe();
	exit(5);
}
