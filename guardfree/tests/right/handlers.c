// SPDX-License-Identifier: MIT
/*
 * Handlers of SIGSEGV and SIGBUS run where they would without anybody in
 * between, with all that their frames hold; and what was set is read back.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <ucontext.h>
#include <unistd.h>

static sigjmp_buf env;
static char *alt;
static size_t alt_size;
static char *main_top;
static char *page;
static int times;

static const char *where(void *p)
{
	char *at = p;

	if (alt && at >= alt && at < alt + alt_size)
		return "on its own signal stack";
	return at < main_top && main_top - at < 4000000 ? "on the thread's stack" : "elsewhere";
}

static void out(int sig)
{
	char big[200000];

	memset(big, 1, sizeof(big));
	printf("signal %d, %s\n", sig, where(big + 199000));
	siglongjmp(env, big[77777]);
}

static const char *last = "nowhere";

static void out_small(int sig)	/* there may be no room to print */
{
	char small[100];

	last = where(small);
	siglongjmp(env, sig);
}

/* Mends what is wrong, and returns to it */
static void mend(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;
	stack_t now;
	sigset_t mask;

	(void)uc;
	sigaltstack(NULL, &now);
	pthread_sigmask(SIG_BLOCK, NULL, &mask);
	times++;
	printf("signal %d at page %d, %s, stack flags %d, SIGUSR2 %d\n", sig,
	       (int)((char *)info->si_addr - page), where(&now), now.ss_flags,
	       sigismember(&mask, SIGUSR2));
	mprotect(page, 4096, PROT_READ | PROT_WRITE);
}

static double sum(double a, double b)
{
	volatile double x = a * 3, y = b / 7;

	*(volatile char *)page = 1;	/* faults with live registers */
	return x + y + a + b;
}

static void mended(int flags)
{
	struct sigaction a = { .sa_sigaction = mend, .sa_flags = SA_SIGINFO | flags };

	sigaddset(&a.sa_mask, SIGUSR2);
	sigaction(SIGSEGV, &a, NULL);
	mprotect(page, 4096, PROT_NONE);
	printf("%f\n", sum(1.5, 2.25));
}

static void caught(void (*handler)(int), int flags)
{
	struct sigaction a = { .sa_handler = handler, .sa_flags = flags };
	volatile int i;

	sigaction(SIGSEGV, &a, NULL);
	for (i = 0; i < 3; i++)
		if (!sigsetjmp(env, 1))
			*(volatile int *)8 = 1;
}

static void stack(size_t size)
{
	stack_t ss = { .ss_flags = SS_DISABLE }, old;

	alt = NULL;
	if (size) {
		alt_size = size;
		alt = ss.ss_sp = mmap(NULL, size, PROT_READ | PROT_WRITE,
				      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		ss.ss_size = size;
		ss.ss_flags = 0;
	}
	printf("sigaltstack %d, ", sigaltstack(&ss, &old));
	printf("had %zu %d\n", old.ss_size, old.ss_flags);
	sigaltstack(NULL, &old);
	printf("now %d %zu %d\n", old.ss_sp == alt, old.ss_size, old.ss_flags);
}

static void all(void)
{
	caught(out, 0);
	caught(out, SA_ONSTACK | (alt ? SA_RESETHAND * 0 : 0));
	mended(0);
	mended(SA_ONSTACK);
	mended(SA_NODEFER);
}

static void *thread(void *arg)
{
	sigset_t set;

	main_top = (char *)&set;
	stack(0);
	if (!arg) {
		caught(out, 0);
		mended(SA_ONSTACK);
	}
	pthread_sigmask(SIG_BLOCK, NULL, &set);
	printf("in a thread: SIGSEGV %d SIGBUS %d\n", sigismember(&set, SIGSEGV),
	       sigismember(&set, SIGBUS));
	return arg;
}

static void masks(void)
{
	struct sigaction a = { .sa_handler = out_small }, old;
	sigset_t set, was;
	pthread_t t;

	pthread_create(&t, NULL, thread, NULL);
	pthread_join(t, NULL);

	sigfillset(&a.sa_mask);
	sigaction(SIGUSR1, &a, NULL);
	sigaction(SIGUSR1, NULL, &old);
	printf("action's mask: SEGV %d BUS %d TERM %d\n", sigismember(&old.sa_mask, SIGSEGV),
	       sigismember(&old.sa_mask, SIGBUS), sigismember(&old.sa_mask, SIGTERM));
	sigaction(SIGSEGV, &a, NULL);
	sigaction(SIGSEGV, NULL, &old);
	printf("%d %x\n", old.sa_handler == out_small, old.sa_flags & ~0x04000000);
	sigemptyset(&set);
	sigaddset(&set, SIGSEGV);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, &was);
	printf("was %d %d\n", sigismember(&was, SIGSEGV), sigismember(&was, SIGUSR1));
	pthread_sigmask(SIG_BLOCK, NULL, &was);
	printf("blocked %d %d\n", sigismember(&was, SIGSEGV), sigismember(&was, SIGUSR1));
	pthread_create(&t, NULL, thread, &old);
	pthread_join(t, NULL);
	main_top = (char *)__builtin_frame_address(0) + 4096;
	signal(SIGSEGV, out_small);
	if (!sigsetjmp(env, 0)) {
		kill(getpid(), SIGSEGV);
		printf("it waits\n");
		sigprocmask(SIG_UNBLOCK, &set, NULL);
		printf("it does not come\n");
	}
	sigprocmask(SIG_SETMASK, NULL, &was);
	printf("signal(): %d\n", signal(SIGSEGV, SIG_DFL) == out_small);
	sigset(SIGBUS, out_small);
	printf("sigset: %d\n", sigset(SIGBUS, SIG_HOLD) == out_small);
	printf("sigset: %d\n", sigset(SIGBUS, SIG_DFL) == SIG_HOLD);
	printf("SIG_ERR: %d\n", signal(SIGKILL, out_small) == SIG_ERR);
}

int main(void)
{
	setvbuf(stdout, NULL, _IONBF, 0);
	main_top = (char *)__builtin_frame_address(0) + 4096;
	page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	free(malloc(1));
	stack(0);
	all();
	stack(300000);
	all();
	stack(8192);
	caught(out, 0);
	caught(out_small, SA_ONSTACK);
	puts(last);
	stack(0);
	mended(SA_ONSTACK);
	masks();
	printf("%d\n", times);
	return 0;
}
