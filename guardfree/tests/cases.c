// SPDX-License-Identifier: MIT
/*
 * cases NAME: one bug, or what looks like one; tests/run knows what has to be
 * said of each. Each object comes from make(), and is freed in drop(), unless
 * that is what the case is about.
 */
#define _GNU_SOURCE
#ifdef DEEP
#include <dlfcn.h>
#endif
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <stddef.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <threads.h>
#include <unistd.h>
#ifdef __GLIBC__
#include <linux/filter.h>
#include <linux/seccomp.h>
#endif

#define NOINLINE __attribute__((noinline, noclone))

static volatile int sink;
static char *shared;

NOINLINE char *make(size_t n)
{
	char *p = malloc(n);

	if (p)
		memset(p, 'x', n);
	return p;
}

NOINLINE void drop(void *p)
{
	free(p);
}

NOINLINE int look(const char *p)
{
	return *p;
}

static void *in_thread_drop(void *p)
{
	pthread_setname_np(pthread_self(), "dropper");
	drop(p);
	return NULL;
}

static void *in_thread_look(void *p)
{
	pthread_setname_np(pthread_self(), "looker");
	sink = look(p);
	return NULL;
}

static unsigned long churned;

static void *in_thread_churn(void *arg)
{
	char *p[2048] = { arg };
	unsigned long i;

	for (i = 0;; i++) {
		drop(p[i % 2048]);
		p[i % 2048] = make(1 + i * 97 % 9000);
		__atomic_add_fetch(&churned, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

static void in_thread(void *(*fn)(void *), void *p)
{
	pthread_t t;

	pthread_create(&t, NULL, fn, p);
	pthread_join(t, NULL);
}

static void on_segv(int sig, siginfo_t *info, void *context)
{
	(void)context;
	printf("handler %d %d\n", sig, info->si_addr == shared + 1);
	fflush(stdout);
	_exit(3);
}

static sigjmp_buf jump;

static void on_jump(int sig)
{
	(void)sig;
	siglongjmp(jump, 1);
}

static void on_usr1(int sig)
{
	(void)sig;
	sink = look(shared);
}

static volatile int never;

NOINLINE static void on_alarm(int sig)
{
	char *p = malloc(sig);

	if (!p)
		never = 1;
	free(p);
}

static int recursion(int n)
{
	volatile char big[1000];

	big[n % 1000] = 1;
	return recursion(n + 1) + big[(n + 1) % 1000];
}

static void *in_thread_recursion(void *arg)
{
	sink = recursion(arg != NULL);
	return NULL;
}

static int in_c11_thread(void *p)
{
	drop(p);
	return 0;
}

static void on_segv_exit(int sig)
{
	_exit(sig == SIGSEGV ? 3 : 4);
}

static long smallest_stack(void)
{
#ifdef _SC_MINSIGSTKSZ
	return sysconf(_SC_MINSIGSTKSZ);
#else
	return getauxval(51);	/* AT_MINSIGSTKSZ */
#endif
}

static void write_pid(const char *path)
{
	FILE *f = fopen(path, "w");

	fprintf(f, "%d\n", getpid());
	fclose(f);
}

static void enter_sandbox(void)
{
#ifdef __GLIBC__
#define ALLOW(name) \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##name, 0, 1), \
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		ALLOW(read), ALLOW(write), ALLOW(exit), ALLOW(exit_group), ALLOW(madvise),
		ALLOW(process_madvise), ALLOW(mmap), ALLOW(munmap), ALLOW(mprotect), ALLOW(brk),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
	};
	struct sock_fprog prog = { sizeof(code) / sizeof(code[0]), code };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog))
#endif
		_exit(9);
}

static void say(const char *what, long ret)
{
	printf("%s: %ld %s\n", what, ret, ret < 0 ? strerror(errno) : "");
	fflush(stdout);
}

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "";
	char *p = make(100), *q;
	int status, i;

	shared = p;
#define CASE(x) if (!strcmp(name, x))
	CASE("good") {
		drop(p);
		puts("good");
		return 0;
	}
	CASE("uaf-read") {
		drop(p);
		sink = look(p + 7);
	}
	CASE("uaf-write") {
		drop(p);
		*(int *)(p + 8) = 1;
	}
	CASE("uaf-long") {
		drop(p);
		sink = *(long *)(p + 16);
	}
	CASE("uaf-memcpy") {
		char to[200];

		drop(p);
		memcpy(to, p, argc > 2 ? atoi(argv[2]) : 100);
		sink = to[9];
	}
	CASE("uaf-exec") {
		q = (char *)((unsigned long)p & -4096);
		mprotect(q, 4096, PROT_READ | PROT_WRITE | PROT_EXEC);
		drop(p);
		((void (*)(void))p)();
	}
	CASE("uaf-realloc") {
		q = realloc(p, 50);
		sink = look(p);
		drop(q);
	}
	CASE("uaf-thread-free") {
		in_thread(in_thread_drop, p);
		sink = look(p);
	}
	CASE("uaf-thread-use") {
		drop(p);
		in_thread(in_thread_look, p);
	}
	CASE("uaf-child") {
		if (!fork()) {
			drop(p);
			sink = look(p);
			_exit(0);
		}
		wait(&status);
		printf("child 0x%x, parent has %c\n", status, *p);
		return 0;
	}
	CASE("uaf-signal") {
		signal(SIGUSR1, on_usr1);
		drop(p);
		raise(SIGUSR1);
	}
	CASE("uaf-large") {
		drop(p);
		p = make(3000000);
		drop(p);
		sink = look(p + 2000000);
	}
	CASE("uaf-old") {	/* within the quarantine, many frees later */
		drop(p);
		for (i = 0; i < 1000; i++)
			drop(make(90));
		sink = look(p + 99);
	}
	CASE("over-write") {
		p = make(4096);
		p[4096] = 1;
	}
	CASE("over-read") {
		sink = p[112];
	}
	CASE("over-far") {
		sink = p[30000];
	}
	CASE("over-slack") {	/* within the alignment: seen by free */
		p[100] = 0;
		drop(p);
	}
	CASE("over-exit") {	/* nobody frees it */
		p[101] = 0;
		return 0;
	}
	CASE("over-align1") {
		sink = p[100];
	}
	CASE("under-write") {
		p[-1] = 1;
		drop(p);
	}
	CASE("under-read") {
		sink = p[-1];
	}
	CASE("under-far") {
		sink = p[-getpagesize() - 904];
	}
	CASE("zero") {
		p = malloc(0);
		sink = *p;
	}
	CASE("double") {
		drop(p);
		drop(p);
	}
	CASE("double-realloc") {
		drop(p);
		p = realloc(p, 10);
	}
	CASE("inside") {
		drop(p + 16);
	}
	CASE("stack-free") {
		char here[100];

		drop(here + (name[0] == 'x'));
	}
	CASE("global-free") {
		drop((void *)(size_t)&shared);
	}
	CASE("wild-free") {
		drop((void *)0x12340);
	}
	CASE("wild-realloc") {
		p = realloc((void *)0x5a5a5a5a5a50, 10);
	}
	CASE("wild-usable") {
		sink = malloc_usable_size((void *)0x12340);
	}
	CASE("map-free") {
		q = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		drop(q + 8208);
	}
#ifdef DEEP
	CASE("deepbind") {	/* a library that has libc's own malloc */
		void *deep = dlopen(DEEP, RTLD_NOW | RTLD_DEEPBIND);
		char *(*get)(size_t, int) = deep ? (char *(*)(size_t, int))dlsym(deep, "deep_get") : NULL;

		for (i = 0; get && i < 2; i++) {	/* the second from a thread's arena */
			drop(get(100, i));
			drop(get(1 << 20, i));
			q = realloc(get(100, i), 5000);
			sink = malloc_usable_size(q);
			drop(q);
		}
		if (get)
			puts("taken");
		return 0;
	}
#endif
	CASE("usable") {
		drop(p);
		sink = malloc_usable_size(p);
	}
	CASE("handler") {
		struct sigaction act = { .sa_sigaction = on_segv, .sa_flags = SA_SIGINFO };

		sigaction(SIGSEGV, &act, NULL);
		drop(p);
		sink = look(p + 1);
	}
	CASE("handler-null") {	/* not ours to report */
		signal(SIGSEGV, on_jump);
		if (!sigsetjmp(jump, 1))
			sink = *(volatile int *)8;
		puts("came back");
		return 0;
	}
	CASE("null") {
		sink = *(volatile int *)8;
	}
	CASE("wild") {
		*(volatile int *)0xdead000 = 1;
	}
	CASE("non-canonical") {
		sink = *(volatile int *)0xdead000000000000;
	}
	CASE("jump") {
		((void (*)(void))0xdead000)();
		sink = 1;
	}
	CASE("bus") {
		q = mmap(NULL, 4096, PROT_READ, MAP_SHARED, open("/tmp", O_TMPFILE | O_RDWR, 0600), 0);
		sink = *(volatile char *)q;
	}
	CASE("sent") {
		raise(SIGSEGV);
	}
	CASE("overflow-thread") {
		in_thread(in_thread_recursion, NULL);
	}
	CASE("overflow-stack") {
		return recursion(0);
	}
	CASE("blocked") {
		sigset_t all;

		sigfillset(&all);
		pthread_sigmask(SIG_BLOCK, &all, NULL);
		drop(p);
		sink = look(p);
	}
	CASE("twice") {		/* halt=0 */
		drop(p);
		sink = look(p);
		drop(p);
		puts("still here");
		return 0;
	}
	CASE("twice-large") {		/* halt=0; freeing it took the memory away */
		q = malloc(2UL << 30);
		*q = 1;
		drop(q);
		sink = look(q);
		puts("still here");
		return 0;
	}
	CASE("exec-nx") {		/* halt=0: there is no way to go on */
		drop(p);
		((void (*)(void))p)();
	}
	CASE("calloc-after-write") {	/* halt=0, and reused at once */
		drop(p);
		memset(p, 1, 100);
		for (i = 0; i < 3000; i++) {
			q = calloc(1, 100);
			for (status = 0; status < 100; status++)
				if (q[status])
					return puts("dirty"), 1;
		}
		puts("clean");
		return 0;
	}
	CASE("masked-handler") {
		struct sigaction act = { .sa_handler = on_usr1 };

		sigfillset(&act.sa_mask);
		sigaction(SIGUSR1, &act, NULL);
		drop(p);
		raise(SIGUSR1);
	}
	CASE("small-altstack") {	/* as small as programs have them */
		stack_t ss = { .ss_size = 8192 };

		q = mmap(NULL, 16384, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		mprotect(q + 8192, 8192, PROT_READ | PROT_WRITE);
		ss.ss_sp = q + 8192;
		sigaltstack(&ss, NULL);
		drop(p);
		sink = look(p);
	}
	CASE("under-100") {		/* further out than what is filled in */
		p[-100] = 1;
		drop(p);
	}
	CASE("uaf-gone") {		/* the memory was taken away, and others were freed since */
		q = make(10);
		p = malloc(2UL << 30);
		*p = 1;
		drop(p);
		drop(q);
		for (i = 0; i < 100; i++)
			drop(make(100000));
		sink = look(p + 5);
	}
	CASE("loop") {		/* halt=0: the same bug again and again, and another */
		for (i = 0; i < 20; i++) {
			q = make(10);
			drop(q);
			sink = look(q);
		}
		drop(q);
		puts("looped");
		return 0;
	}
	CASE("closed-stderr") {		/* and its number is another file's */
		close(2);
		i = open(argv[2], O_RDWR | O_CREAT, 0600);
		say("opened", i);
		drop(p);
		sink = look(p);
	}
	CASE("close-everything") {
		for (i = 0; i < 2000; i++)
			if (i != 1)
				close(i);
		syscall(SYS_close_range, 3, 899, 0);
#ifdef __GLIBC__
		closefrom(3);
#endif
		drop(p);
		sink = look(p);
	}
	CASE("redirected") {		/* stderr is this file from now on */
		i = open(argv[2], O_RDWR | O_CREAT, 0600);
		dup2(i, 2);
		close(i);
		drop(p);
		sink = look(p);
	}
	CASE("daemon") {		/* what waits for the end of this stderr must not wait */
		if (fork())
			return 0;
		setsid();
		write_pid(argv[2]);
		for (i = 0; i < 3; i++)
			close(i);
		pause();
	}
	CASE("daemon-3") {
		if (daemon(0, 0))
			return 1;
		write_pid(argv[2]);
		pause();
	}
	CASE("chroot") {
		drop(p);
		if (mkdir(argv[2], 0700) || chroot(argv[2]) || chdir("/"))
			return say("chroot", -1), 1;
		sink = look(p);
	}
	CASE("sandbox") {		/* allows what it needs itself, kills for all else */
		enter_sandbox();
		drop(p);
		q = make(200);
		drop(q);
		sink = look(p);
	}
	CASE("c11-thread") {
		thrd_t t;

		thrd_create(&t, in_c11_thread, p);
		thrd_join(t, NULL);
		sink = look(p);
	}
	CASE("sigset") {
		sigset(SIGSEGV, on_segv_exit);
		drop(p);
		sink = look(p);
	}
	CASE("bsd-signal") {
		sighandler_t bsd_signal(int sig, sighandler_t handler);

		bsd_signal(SIGSEGV, on_segv_exit);
		drop(p);
		sink = look(p);
	}
	CASE("minimal-stack") {		/* of the smallest size; the fault is in a handler on it */
		struct sigaction act = { .sa_handler = on_usr1, .sa_flags = SA_ONSTACK };
		stack_t ss = { .ss_size = smallest_stack() };

		ss.ss_sp = valloc(ss.ss_size);
		sigaltstack(&ss, NULL);
		sigaction(SIGUSR1, &act, NULL);
		drop(p);
		if (argc > 2)
			sink = look(p);
		raise(SIGUSR1);
	}
	CASE("freed-stack") {		/* a signal stack that was freed while it was set */
		struct sigaction act = { .sa_handler = on_usr1, .sa_flags = SA_ONSTACK };
		stack_t ss = { .ss_size = 65536 };

		ss.ss_sp = q = make(65536);
		sigaltstack(&ss, NULL);
		sigaction(SIGUSR1, &act, NULL);
		drop(q);
		drop(p);
		if (argc > 2)
			sink = look(p);
		raise(SIGUSR1);
	}
	CASE("signal-malloc") {	/* a handler that interrupts malloc, and allocates */
		struct itimerval often = { { 0, 500 }, { 0, 500 } };

		signal(SIGALRM, on_alarm);
		setitimer(ITIMER_REAL, &often, NULL);
		while (!never)
			drop(make(100));
		puts("came back");
		return 0;
	}
	CASE("exit-threads") {		/* others go on while the process ends */
		pthread_t t;

		for (i = 0; i < 4; i++)
			pthread_create(&t, NULL, in_thread_churn, NULL);
		while (__atomic_load_n(&churned, __ATOMIC_RELAXED) < 10000)
			sched_yield();
		return 0;
	}
	CASE("k-write") {
		drop(p);
		say("write", write(open("/dev/null", O_WRONLY), p, 100));
		say("write", write(open("/tmp", O_TMPFILE | O_WRONLY, 0600), p, 100));
	}
	CASE("k-read") {
		drop(p);
		say("read", read(open("/dev/zero", O_RDONLY), p, 100));
	}
	CASE("k-read-over") {
		say("read", read(open("/dev/zero", O_RDONLY), p, 101));
	}
	CASE("k-readv") {
		struct iovec v[2] = { { make(10), 10 }, { p, 100 } };

		drop(p);
		say("readv", readv(open("/dev/zero", O_RDONLY), v, 2));
	}
	CASE("k-send") {
		int fd[2];

		socketpair(AF_UNIX, SOCK_STREAM, 0, fd);
		drop(p);
		say("send", send(fd[0], p, 100, 0));
	}
	CASE("k-recvmsg") {
		int fd[2];
		struct iovec v = { p, 100 };
		struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1 };

		socketpair(AF_UNIX, SOCK_STREAM, 0, fd);
		sink = write(fd[0], "hello", 5);
		drop(p);
		say("recvmsg", recvmsg(fd[1], &m, 0));
	}
	CASE("k-open") {
		strcpy(p, "/dev/null");
		drop(p);
		say("open", open(p, O_RDONLY));
	}
	CASE("k-good") {
		int fd[2];

		socketpair(AF_UNIX, SOCK_STREAM, 0, fd);
		say("write", write(fd[0], p, 100));
		/* room for more than there is: nothing is written beyond it */
		say("read", read(fd[1], p, 100));
		say("write", write(-1, p, 100));
		return 0;
	}
	CASE("mlockall") {
		say("mlockall", mlockall(MCL_CURRENT | MCL_FUTURE));
		for (i = 0; i < 300; i++)
			p = make(5000);
		drop(p);
		sink = look(p);
	}
	CASE("mlockall-raw") {	/* not by way of libc */
		say("mlockall", syscall(SYS_mlockall, MCL_CURRENT | MCL_FUTURE));
		for (i = 0; i < 300; i++)
			p = make(5000);
		drop(p);
		sink = look(p);
	}
	CASE("rlimit") {
		struct rlimit r = { 300 << 20, 300 << 20 };
		long n = 0;

		setrlimit(RLIMIT_AS, &r);
		while ((q = malloc(1000)) && n < 1000000) {
			*(char **)q = p;
			p = q;
			n++;
		}
		printf("%s after %s objects\n", strerror(errno), n > 1000 ? "thousands of" : "few");
		for (i = 0; i < 1000; i++) {
			q = *(char **)p;
			free(p);
			p = q;
		}
		puts((q = malloc(1000)) ? "again" : "none");
		return 0;
	}
	CASE("eat") {		/* a limit set from outside */
		long n = 0;

		while (n < 4000000 && (q = malloc(4000))) {
			memset(q, 1, 4000);
			n++;
		}
		printf("%s after %ld MiB\n", q ? "no end" : strerror(errno), n / 256);
		return 0;
	}
	CASE("spans") {		/* what they leave behind in memory that could be written to */
		char line[300];
		unsigned long lo, hi, all = 0;
		char perms[5];
		FILE *f;

		for (i = 0; i < 40; i++)
			free(memalign((size_t)1 << 30, 100));
		f = fopen("/proc/self/maps", "r");
		while (f && fgets(line, sizeof(line), f))
			if (sscanf(line, "%lx-%lx %4s", &lo, &hi, perms) == 3 && perms[1] == 'w' &&
			    perms[3] == 'p')
				all += hi - lo;
		printf("writable: %s\n", all < 100UL << 20 ? "below 100 MiB" : "more");
		return 0;
	}
	CASE("closeall") {
		for (i = 3; i < 2000; i++)
			close(i);
		for (i = 0; i < 100; i++)
			drop(make(50));
		if (!fork()) {
			for (i = 0; i < 100; i++)
				drop(make(50));
			sink = look(p);
			drop(p);
			_exit(0);
		}
		wait(&status);
		printf("child 0x%x, parent has %c\n", status, *p);
		fflush(stdout);
		drop(p);
		for (i = 0; i < 20; i++)	/* some may wait to be poisoned together */
			drop(make(50));
		sink = look(p);
	}
	CASE("sample") {	/* how many of 100,000 are guarded: see stats */
		for (i = 0; i < 100000; i++) {
			p = make(40);
			if (i % 3)
				p = realloc(p, 100);
			drop(p);
		}
		puts("sampled");
		return 0;
	}
	fflush(stdout);
	return 0;
}
