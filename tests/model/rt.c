// SPDX-License-Identifier: GPL-2.0
/* The operations and the probes; see rt.h. */
#include "rt.h"

#ifndef UFFD_FEATURE_SIGBUS
#define UFFD_FEATURE_SIGBUS (1 << 7)
#endif
#ifndef UFFD_FEATURE_WP_UNPOPULATED
#define UFFD_FEATURE_WP_UNPOPULATED (1 << 13)
#endif
#ifndef UFFD_FEATURE_WP_ASYNC
#define UFFD_FEATURE_WP_ASYNC (1 << 15)
#endif
#ifndef UFFDIO_POISON
struct uffdio_poison {
	struct uffdio_range range;
	__u64 mode;
	__s64 updated;
};
#define UFFDIO_POISON _IOWR(UFFDIO, 0x08, struct uffdio_poison)
#endif
#ifndef UFFDIO_MOVE
struct uffdio_move {
	__u64 dst, src, len, mode;
	__s64 move;
};
#define UFFDIO_MOVE _IOWR(UFFDIO, 0x05, struct uffdio_move)
#define UFFDIO_MOVE_MODE_ALLOW_SRC_HOLES 2
#endif

/* linux/fs.h has this since 6.7 */
struct rt_region {
	uint64_t start, end, categories;
};
struct rt_scan {
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
	uint64_t inverted, mask, anyof, returned;
};
#define RT_PAGEMAP_SCAN	_IOWR('f', 16, struct rt_scan)
#define RT_WRITTEN	2
#define RT_WP_MATCHING	1

#define IO_PAGES 64	/* the most for one read or write */

struct rt_win rt_win[NR_WIN];
size_t rt_psz;
uint32_t rt_ppt;
uintptr_t rt_before;
bool rt_has_mem_force;
uint32_t rt_seen[RT_SEEN][2];
uint64_t rt_scanned[RT_SEEN];
unsigned char rt_core[RT_SEEN];
int rt_node[RT_SEEN];
struct rt_fault rt_fault;

static sigjmp_buf fault_jmp;
static volatile sig_atomic_t fault_armed;
static char *scratch;
static int pipe_fd[2], file_fd[NR_FILES] = { -1, -1 }, uffd[2] = { -1, -1 };
static int pagemap_fd = -1, mem_fd = -1, status_fd = -1;
static int64_t anon_base, tables_base;
static char swap_path[256];

void rt_die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vdprintf(2, fmt, ap);
	va_end(ap);
	dprintf(2, "\n");
	_exit(2);
}

static int64_t result(long r)
{
	return r < 0 ? -errno : r;
}

static void *at(uint32_t pg)
{
	return (void *)rt_addr(pg);
}

static void on_fault(int sig, siginfo_t *info, void *context)
{
	(void)context;
	rt_fault.sig = sig;
	rt_fault.code = info->si_code;
	rt_fault.addr = (uintptr_t)info->si_addr;
	if (fault_armed) {
		fault_armed = 0;
		siglongjmp(fault_jmp, 1);
	}
#ifdef __sparc__
	/* For an access by the kernel, sparc64 sends it besides the error */
	if (sig == SIGBUS)
		return;
#endif
	dprintf(2, "signal %d at %#lx, where none was to be\n", sig, (unsigned long)rt_fault.addr);
	_exit(3);
}

/* A page apart from the windows; static libcs differ */
static void reserve(uintptr_t base, uint32_t pages)
{
	void *p = mmap((void *)base, pages * rt_psz, PROT_NONE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);

	if (p != (void *)base)
		rt_die("the addresses from %#lx are not free", (unsigned long)base);
	munmap(p, pages * rt_psz);
}

static uint64_t number_in(const char *path)
{
	char buf[32] = "";
	int fd = open(path, O_RDONLY);

	if (fd < 0)
		return 0;
	if (read(fd, buf, sizeof(buf) - 1) < 0)
		buf[0] = 0;
	close(fd);
	return strtoull(buf, NULL, 10);
}

static int write_to(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY), r = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		r = -errno;
	close(fd);
	return r;
}

static void find_swap(void)
{
	char buf[4096], *line;
	int fd = open("/proc/swaps", O_RDONLY);
	ssize_t n = fd < 0 ? 0 : read(fd, buf, sizeof(buf) - 1);

	close(fd);
	buf[n > 0 ? n : 0] = 0;
	line = strchr(buf, '\n');
	if (line && sscanf(line + 1, "%255s", swap_path) != 1)
		swap_path[0] = 0;
}

static void set_windows(char *stack)
{
	const uint64_t huge = number_in("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size");
	uint64_t pmd, pud, apart;
	void *volatile heap;	/* volatile, or the compiler drops the malloc() */
	uintptr_t base;

	rt_psz = sysconf(_SC_PAGESIZE);
	rt_ppt = huge ? huge / rt_psz : rt_psz / sizeof(long);
	pmd = (uint64_t)rt_ppt * rt_psz;
	base = sizeof(long) == 8 ? (uintptr_t)1 << (sizeof(long) == 8 ? 36 : 0) : 0x20000000;
	/* A table may have no more than 32 entries */
	apart = (128 * rt_psz + pmd - 1) / pmd * pmd;
	/* At the end of a PMD table, unless that is too far for small address spaces */
	pud = pmd * (rt_psz / 8);
	if (pud > 1ull << 32)
		pud = pmd * 512;
	if (sizeof(long) == 4 || pud > 1ull << 32)
		pud = apart * 8;
	base = (base + pud - 1) / pud * pud;
	rt_win[W_TABLE] = (struct rt_win){ base + apart - 32 * rt_psz, 64 };
	rt_win[W_SMALL] = (struct rt_win){ base + apart + apart / 2, 48 };
	rt_win[W_PMD] = (struct rt_win){ base + 3 * apart - 5 * rt_psz, 3 * rt_ppt + 10 };
	rt_win[W_PUD] = (struct rt_win){ base + pud - 32 * rt_psz, 64 };
	if (sizeof(long) == 8)
		rt_win[W_BIG] = (struct rt_win){ base + pud + ((uintptr_t)4 << 30 << (sizeof(long) == 8 ? 0 : 1)) -
			7 * rt_psz, (17ull << 28) / rt_psz + 3 };
	else
		rt_win[W_BIG] = (struct rt_win){ 0x30000000 - 7 * rt_psz, (128 << 20) / rt_psz + 3 };
	for (int w = 0; w <= W_BIG; w++)
		reserve(rt_win[w].base, rt_win[w].pages);
	/* Keeps the upper tables, so that they are not counted */
	rt_before = base - pmd;
	reserve(rt_before, 1);
	*(volatile char *)mmap((void *)rt_before, rt_psz, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) = 1;

	rt_win[W_STACK] = (struct rt_win){ ((uintptr_t)stack + 8 * rt_psz) & -rt_psz, RT_STACK_PAGES };
	/* The stack grows as it is touched, from the top */
	for (size_t i = RT_STACK * rt_psz; i; i -= rt_psz)
		((volatile char *)stack)[i - 1] = 0;
	/* On mips and others the stack is executable, but memory moved there is not */
	mprotect((void *)rt_win[W_STACK].base, RT_STACK_PAGES * rt_psz, PROT_READ | PROT_WRITE);
	madvise((void *)rt_win[W_STACK].base, RT_STACK_PAGES * rt_psz, MADV_DONTNEED);

	/* From now on malloc() must not move the end of the heap */
	mallopt(M_MMAP_MAX, 0);
	mallopt(M_TRIM_THRESHOLD, 1 << 30);
	heap = malloc(1 << 20);
	free(heap);
	/* Put the boundary of two tables in the middle of the window, if one is near */
	base = ((uintptr_t)sbrk(0) + 16 * rt_psz) & -rt_psz;
	if (pmd <= 16 << 20)
		base = (base + 64 * rt_psz + pmd - 1) / pmd * pmd - 64 * rt_psz;
	rt_win[W_BRK] = (struct rt_win){ base, 128 };
	if (brk((void *)rt_win[W_BRK].base))
		rt_die("brk: %s", strerror(errno));
	/*
	 * Memory between the old end and the window does not belong to the window,
	 * and no VMA with the same flags may end where the window begins.
	 */
}

static void set_handlers(void)
{
	struct sigaction sa = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_NODEFER };

	sigaction(SIGSEGV, &sa, NULL);
	sigaction(SIGBUS, &sa, NULL);
}

static void drop_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* A file in a ramfs that is mounted nowhere */
static int open_ramfs(void)
{
	int fd = -1;
#ifdef SYS_fsopen
	int fs = syscall(SYS_fsopen, "ramfs", 1), mount = -1;

	if (fs >= 0 && !syscall(SYS_fsconfig, fs, 6 /* FSCONFIG_CMD_CREATE */, NULL, NULL, 0))
		mount = syscall(SYS_fsmount, fs, 1, 0);
	if (mount >= 0)
		fd = openat(mount, "model", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	close(mount);
	close(fs);
#endif
	return fd;
}

void rt_files(void)
{
	const char *dir = getenv("TMPDIR");
	char path[256];

	for (int i = 0; i < NR_FILES; i++)
		drop_fd(&file_fd[i]);
	/* MFD_CLOEXEC | MFD_ALLOW_SEALING */
	file_fd[MEMFD] = syscall(SYS_memfd_create, "model", 3);
	snprintf(path, sizeof(path), "%s/model-XXXXXX", dir ? dir : "/tmp");
	if (!dir)
		file_fd[DISK] = open_ramfs();
	if (file_fd[DISK] < 0) {
		file_fd[DISK] = mkostemp(path, O_CLOEXEC);
		if (file_fd[DISK] >= 0)
			unlink(path);
	}
	for (int i = 0; i < NR_FILES; i++)
		if (file_fd[i] >= 0 && ftruncate(file_fd[i], (off_t)FILE_PAGES * rt_psz))
			rt_die("ftruncate: %s", strerror(errno));
}

static void open_pipe(void)
{
	if (pipe2(pipe_fd, O_NONBLOCK | O_CLOEXEC))
		rt_die("pipe: %s", strerror(errno));
	fcntl(pipe_fd[1], F_SETPIPE_SZ, 32 * rt_psz);
}

/* Has the kernel make the page tables of more stack than anything here needs */
static void *have_stack(void *arg)
{
	volatile char room[1 << 16];

	for (size_t i = 0; i < sizeof(room); i += 1024)
		room[i] = 0;
	return arg;
}

/* The first thread is given the stack that later ones use again */
static void have_thread(void)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, have_stack, NULL) || pthread_join(thread, NULL))
		rt_die("no thread could be made");
}

void rt_init(char *stack)
{
	set_windows(stack);
	set_handlers();
	scratch = mmap(NULL, IO_PAGES * rt_psz, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (scratch == MAP_FAILED)
		rt_die("no memory: %s", strerror(errno));
	open_pipe();
	rt_files();
	find_swap();

	/* Can a debugger access a PROT_NONE page? It depends on a kernel setting */
	void *p = mmap(NULL, rt_psz, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fd = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);

	rt_has_mem_force = fd >= 0 && pread(fd, scratch, 8, (off_t)(uintptr_t)p) == 8;
	close(fd);
	munmap(p, rt_psz);
	have_thread();
	rt_tables_rebase();
	rt_anon_rebase();
}

void rt_forked(void)
{
	drop_fd(&pagemap_fd);
	drop_fd(&mem_fd);
	drop_fd(&status_fd);
	drop_fd(&uffd[0]);
	drop_fd(&uffd[1]);
	/* The parent uses its pipe at the same time, so open another */
	drop_fd(&pipe_fd[0]);
	drop_fd(&pipe_fd[1]);
	open_pipe();
}

static int self(const char *what, int flags, int *fd)
{
	char path[64];

	if (*fd < 0) {
		snprintf(path, sizeof(path), "/proc/self/%s", what);
		*fd = open(path, flags | O_CLOEXEC);
		if (*fd < 0)
			rt_die("%s: %s", path, strerror(errno));
	}
	return *fd;
}

/* --- Mappings ------------------------------------------------------------ */

int64_t x_mmap(uint32_t pg, uint32_t n, int prot, int how, uint32_t from)
{
	int flags = MAP_NORESERVE | (how & M_SHARED ? MAP_SHARED : MAP_PRIVATE), fd = -1;
	off_t offset = 0;
	void *p;

	flags |= how & M_NOREPLACE ? MAP_FIXED_NOREPLACE : MAP_FIXED;
	if (how & M_FILE) {
		fd = file_fd[how & M_DISK ? DISK : MEMFD];
		offset = (off_t)from * rt_psz;
	} else {
		flags |= MAP_ANONYMOUS;
	}
	if (how & M_POPULATE)
		flags |= MAP_POPULATE;
	if (how & M_LOCKED)
		flags |= MAP_LOCKED;
	p = mmap(at(pg), n * rt_psz, prot, flags, fd, offset);
	if (p == MAP_FAILED)
		return -errno;
	return p == at(pg) ? 0 : -ERANGE;
}

int64_t x_munmap(uint32_t pg, uint32_t n)
{
	return result(munmap(at(pg), n * rt_psz));
}

int64_t x_mprotect(uint32_t pg, uint32_t n, int prot)
{
	return result(mprotect(at(pg), n * rt_psz, prot));
}

int64_t x_mremap(uint32_t src, uint32_t n, uint32_t dst, uint32_t m, int flags)
{
	void *p = mremap(at(src), n * rt_psz, m * rt_psz, flags, at(dst));

	if (p == MAP_FAILED)
		return -errno;
	return p == at(flags & MREMAP_FIXED ? dst : src) ? 0 : -ERANGE;
}

int64_t x_mseal(uint32_t pg, uint32_t n)
{
	return result(syscall(__NR_mseal, at(pg), n * rt_psz, 0));
}

int64_t x_name(uint32_t pg, uint32_t n, int on)
{
	return result(prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, at(pg), n * rt_psz, on ? "model" : NULL));
}

int64_t x_brk(uint32_t pages)
{
	char *old = sbrk(0), *base = (char *)rt_win[W_BRK].base, *now = base + pages * rt_psz;
	int64_t r = result(brk(now));

	/* On m68k and others the heap is executable; make it as mprotect() leaves it */
	if (old < base)
		old = base;
	if (!r && now > old)
		mprotect(old, now - old, PROT_READ | PROT_WRITE);
	return r;
}

int64_t x_msync(uint32_t pg, uint32_t n, int flags)
{
	return result(msync(at(pg), n * rt_psz, flags));
}

/* --- Advice -------------------------------------------------------------- */

int64_t x_madvise(uint32_t pg, uint32_t n, int advice)
{
	return result(madvise(at(pg), n * rt_psz, advice));
}

int64_t x_madvise_odd(uint32_t pg, int64_t offset, int64_t bytes, int advice)
{
	return result(madvise((char *)at(pg) + offset, bytes, advice));
}

int64_t x_process_madvise(uint32_t pg1, uint32_t n1, uint32_t pg2, uint32_t n2, int advice)
{
	const struct iovec vec[2] = { { at(pg1), n1 * rt_psz }, { at(pg2), n2 * rt_psz } };
	int pidfd = syscall(SYS_pidfd_open, getpid(), 0);
	int64_t r;

	if (pidfd < 0)
		return -errno;
	r = result(syscall(__NR_process_madvise, pidfd, vec, 2, advice, 0));
	close(pidfd);
	return r < 0 ? r : r / (int64_t)rt_psz;
}

/* In a child of vfork(), whose memory is the caller's */
static struct {
	uint32_t pg, n;
	int advice;
	int64_t r;
} vfork_arg;

int64_t x_vfork(uint32_t pg, uint32_t n, int advice)
{
	pid_t pid;
	int status;

	vfork_arg.pg = pg;
	vfork_arg.n = n;
	vfork_arg.advice = advice;
	pid = vfork();
	if (!pid) {
		vfork_arg.r = x_madvise(vfork_arg.pg, vfork_arg.n, vfork_arg.advice);
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
		return -ECHILD;
	return vfork_arg.r;
}

/* --- Accesses ------------------------------------------------------------ */

static size_t last_word(void)
{
	return rt_psz - sizeof(uint32_t);
}

static void look(const char *p, uint32_t val[2])
{
	val[0] = *(const volatile uint32_t *)p;
	val[1] = *(const volatile uint32_t *)(p + last_word());
}

static void put(char *p, uint32_t first, uint32_t last)
{
	*(volatile uint32_t *)p = first;
	*(volatile uint32_t *)(p + last_word()) = last;
}

int rt_load(uint32_t pg, uint32_t val[2])
{
	if (sigsetjmp(fault_jmp, 0))
		return rt_fault.sig;
	fault_armed = 1;
	look(at(pg), val);
	fault_armed = 0;
	return 0;
}

int rt_store(uint32_t pg, const uint32_t val[2])
{
	if (sigsetjmp(fault_jmp, 0))
		return rt_fault.sig;
	fault_armed = 1;
	put(at(pg), val[0], val[1]);
	fault_armed = 0;
	return 0;
}

int64_t x_read(uint32_t pg, uint32_t n)
{
	static volatile uint32_t i;

	if (sigsetjmp(fault_jmp, 0))
		return i | (int64_t)rt_fault.sig << 32;
	fault_armed = 1;
	for (i = 0; i < n; i++)
		look(at(pg + i), rt_seen[i % RT_SEEN]);
	fault_armed = 0;
	return n;
}

int64_t x_write(uint32_t pg, uint32_t n, uint32_t id, uint32_t step)
{
	static volatile uint32_t i;

	if (sigsetjmp(fault_jmp, 0))
		return i | (int64_t)rt_fault.sig << 32;
	fault_armed = 1;
	for (i = 0; i < n; i++)
		put(at(pg + i), id + i * step, ~(id + i * step));
	fault_armed = 0;
	return n;
}

/* Copies the scratch buffer to rt_seen; returns the number of pages */
static int64_t seen(int64_t bytes)
{
	if (bytes < 0)
		return -errno;
	for (int64_t i = 0; i < bytes / (int64_t)rt_psz; i++)
		look(scratch + i * rt_psz, rt_seen[i]);
	return bytes % (int64_t)rt_psz ? -ERANGE : bytes / (int64_t)rt_psz;
}

static void fill(uint32_t n, uint32_t id, uint32_t step)
{
	for (uint32_t i = 0; i < n; i++)
		put(scratch + i * rt_psz, id + i * step, ~(id + i * step));
}

static int64_t done(int64_t bytes)
{
	if (bytes < 0)
		return -errno;
	return bytes % (int64_t)rt_psz ? -ERANGE : bytes / (int64_t)rt_psz;
}

static void drain(void)
{
	while (read(pipe_fd[0], scratch, IO_PAGES * rt_psz) > 0)
		;
}

int64_t x_pipe_from(uint32_t pg, uint32_t n)
{
	int64_t r = write(pipe_fd[1], at(pg), n * rt_psz), in;

	if (r < 0)
		return -errno;
	in = read(pipe_fd[0], scratch, IO_PAGES * rt_psz);
	if (in != r)
		return -ERANGE;
	return seen(in);
}

int64_t x_pipe_to(uint32_t pg, uint32_t n, uint32_t id, uint32_t step)
{
	int64_t r;

	fill(n, id, step);
	if (write(pipe_fd[1], scratch, n * rt_psz) != (ssize_t)(n * rt_psz))
		return -ERANGE;
	r = done(read(pipe_fd[0], at(pg), n * rt_psz));
	drain();
	return r;
}

int64_t x_vm_readv(uint32_t pg, uint32_t n)
{
	const struct iovec local = { scratch, n * rt_psz }, remote = { at(pg), n * rt_psz };

	return seen(process_vm_readv(getpid(), &local, 1, &remote, 1, 0));
}

int64_t x_vm_writev(uint32_t pg, uint32_t n, uint32_t id, uint32_t step)
{
	const struct iovec local = { scratch, n * rt_psz }, remote = { at(pg), n * rt_psz };

	fill(n, id, step);
	return done(process_vm_writev(getpid(), &local, 1, &remote, 1, 0));
}

int64_t x_mem_read(uint32_t pg, uint32_t n)
{
	return seen(pread(self("mem", O_RDWR, &mem_fd), scratch, n * rt_psz, rt_addr(pg)));
}

int64_t x_mem_write(uint32_t pg, uint32_t n, uint32_t id, uint32_t step)
{
	fill(n, id, step);
	return done(pwrite(self("mem", O_RDWR, &mem_fd), scratch, n * rt_psz, rt_addr(pg)));
}

int64_t x_futex(uint32_t pg)
{
	static const struct timespec now;

	/* x_write() never writes this value, so the call does not wait */
	return result(syscall(SYS_futex, at(pg), FUTEX_WAIT_PRIVATE, 0xffffffffu, &now, NULL, 0));
}

/* --- Files --------------------------------------------------------------- */

int64_t x_truncate(int file, uint32_t pages)
{
	return result(ftruncate(file_fd[file], (off_t)pages * rt_psz));
}

int64_t x_punch(int file, uint32_t page, uint32_t n)
{
	return result(fallocate(file_fd[file], FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				(off_t)page * rt_psz, (off_t)n * rt_psz));
}

int64_t x_file_read(int file, uint32_t page, uint32_t n)
{
	return seen(pread(file_fd[file], scratch, n * rt_psz, (off_t)page * rt_psz));
}

int64_t x_file_write(int file, uint32_t page, uint32_t n, uint32_t id, uint32_t step)
{
	fill(n, id, step);
	return done(pwrite(file_fd[file], scratch, n * rt_psz, (off_t)page * rt_psz));
}

int64_t x_fadvise(int file, uint32_t page, uint32_t n)
{
	return -posix_fadvise(file_fd[file], (off_t)page * rt_psz, (off_t)n * rt_psz, POSIX_FADV_DONTNEED);
}

int64_t x_seal(int seals)
{
	return result(fcntl(file_fd[MEMFD], F_ADD_SEALS, seals));
}

int rt_file_peek(int file, uint32_t page, uint32_t val[2])
{
	const off_t offset = (off_t)page * rt_psz;

	if (pread(file_fd[file], &val[0], 4, offset) != 4 ||
	    pread(file_fd[file], &val[1], 4, offset + last_word()) != 4)
		return errno ? -errno : -EIO;
	return 0;
}

bool rt_kernel_reads(uint32_t pg)
{
	/* The kernel copies the set before it finds that there is nothing to do */
	return !(syscall(SYS_rt_sigprocmask, 99, at(pg), NULL, _NSIG / 8) < 0 && errno == EFAULT);
}

bool rt_kernel_writes(uint32_t pg)
{
	return !(syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, at(pg), _NSIG / 8) < 0 && errno == EFAULT);
}

int rt_peek(uint32_t pg, uint32_t val[2])
{
	int fd = self("mem", O_RDWR, &mem_fd);

	if (pread(fd, &val[0], 4, rt_addr(pg)) != 4 ||
	    pread(fd, &val[1], 4, rt_addr(pg) + last_word()) != 4)
		return -errno;
	return 0;
}

int64_t x_look(uint32_t pg, uint32_t n)
{
	uint32_t val[2];

	for (uint32_t i = 0; i < n; i++)
		if (rt_load(pg + i, val) == SIGSEGV)
			rt_peek(pg + i, val);
	return n;
}

/* --- Processes, locks ---------------------------------------------------- */

int64_t x_fork(void)
{
	int64_t pid = result(fork());

	if (!pid)
		rt_forked();
	return pid;
}

int64_t x_wait(int64_t child)
{
	int status;

	if (child < 0)
		return child;
	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int64_t x_mlock(uint32_t pg, uint32_t n, int flags)
{
	return result(flags ? syscall(SYS_mlock2, at(pg), n * rt_psz, flags) :
			      mlock(at(pg), n * rt_psz));
}

int64_t x_munlock(uint32_t pg, uint32_t n)
{
	return result(munlock(at(pg), n * rt_psz));
}

int64_t x_mlockall(int flags)
{
	return result(mlockall(flags));
}

int64_t x_munlockall(void)
{
	return result(munlockall());
}

/* --- userfaultfd --------------------------------------------------------- */

static int uffd_open(uint64_t features)
{
	struct uffdio_api api = { .api = UFFD_API, .features = features };
	int fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);

	if (fd >= 0 && ioctl(fd, UFFDIO_API, &api)) {
		close(fd);
		fd = -1;
	}
	return fd;
}

/*
 * Faults in memory of uffd[0] are a SIGBUS, not an event that needs an answer.
 * uffd[1] only write-protects, and has the kernel resolve it (asynchronous mode).
 */
static int uffd_get(int async)
{
	if (uffd[async] < 0)
		uffd[async] = uffd_open(UFFD_FEATURE_WP_UNPOPULATED |
					(async ? UFFD_FEATURE_WP_ASYNC : UFFD_FEATURE_SIGBUS));
	/* Before 6.4, and where there is no write-protection */
	if (uffd[async] < 0 && !async)
		uffd[async] = uffd_open(UFFD_FEATURE_SIGBUS);
	return uffd[async];
}

int64_t x_uffd_register(uint32_t pg, uint32_t n, int mode)
{
	struct uffdio_register reg = {
		.range = { rt_addr(pg), n * rt_psz },
		.mode = (mode & U_MISSING ? UFFDIO_REGISTER_MODE_MISSING : 0) |
			(mode & (U_WP | U_ASYNC) ? UFFDIO_REGISTER_MODE_WP : 0),
	};

	return result(ioctl(uffd_get(!!(mode & U_ASYNC)), UFFDIO_REGISTER, &reg));
}

int64_t x_uffd_unregister(uint32_t pg, uint32_t n, int async)
{
	struct uffdio_range range = { rt_addr(pg), n * rt_psz };

	return result(ioctl(uffd_get(async), UFFDIO_UNREGISTER, &range));
}

/* The ioctls return their progress, or a negative error, in a field */
static int64_t far(unsigned long request, void *arg, const __s64 *field)
{
	int r = ioctl(uffd_get(0), request, arg);

	if (r && errno != EAGAIN && *field >= 0)
		return -errno;
	return *field < 0 ? *field : *field / (int64_t)rt_psz;
}

int64_t x_uffd_copy(uint32_t pg, uint32_t n, uint32_t id, uint32_t step, int wp)
{
	struct uffdio_copy copy = {
		.dst = rt_addr(pg), .src = (uintptr_t)scratch, .len = n * rt_psz,
		.mode = wp ? UFFDIO_COPY_MODE_WP : 0,
	};

	fill(n, id, step);
	return far(UFFDIO_COPY, &copy, &copy.copy);
}

int64_t x_uffd_zeropage(uint32_t pg, uint32_t n)
{
	struct uffdio_zeropage zero = { .range = { rt_addr(pg), n * rt_psz } };

	return far(UFFDIO_ZEROPAGE, &zero, &zero.zeropage);
}

int64_t x_uffd_poison(uint32_t pg, uint32_t n)
{
	struct uffdio_poison poison = { .range = { rt_addr(pg), n * rt_psz } };

	return far(UFFDIO_POISON, &poison, &poison.updated);
}

int64_t x_uffd_wp(uint32_t pg, uint32_t n, int on)
{
	struct uffdio_writeprotect wp = {
		.range = { rt_addr(pg), n * rt_psz },
		.mode = on ? UFFDIO_WRITEPROTECT_MODE_WP : 0,
	};

	return result(ioctl(uffd_get(0), UFFDIO_WRITEPROTECT, &wp));
}

int64_t x_uffd_move(uint32_t dst, uint32_t src, uint32_t n, int holes)
{
	struct uffdio_move move = {
		.dst = rt_addr(dst), .src = rt_addr(src), .len = n * rt_psz,
		.mode = holes ? UFFDIO_MOVE_MODE_ALLOW_SRC_HOLES : 0,
	};

	return far(UFFDIO_MOVE, &move, &move.move);
}

/* A thread that answers the faults of others */
struct monitor {
	int fd, stop[2];
	uint32_t pg, n, id;
	char *page;
	int faults;
	uint64_t removed_start, removed_end;
	int removes;
};

static void *monitor(void *arg)
{
	struct monitor *m = arg;
	struct pollfd p[2] = { { .fd = m->fd, .events = POLLIN }, { .fd = m->stop[0], .events = POLLIN } };
	struct uffd_msg msg;

	while (poll(p, 2, -1) >= 0 && !p[1].revents) {
		if (read(m->fd, &msg, sizeof(msg)) != sizeof(msg))
			continue;
		if (msg.event == UFFD_EVENT_PAGEFAULT) {
			uintptr_t addr = msg.arg.pagefault.address & -(uintptr_t)rt_psz;
			uint32_t id = m->id + (addr - rt_addr(m->pg)) / rt_psz;
			struct uffdio_copy copy = {
				.dst = addr, .src = (uintptr_t)m->page, .len = rt_psz,
			};

			m->faults++;
			put(m->page, id, ~id);
			if (ioctl(m->fd, UFFDIO_COPY, &copy)) {
				/* Wake the thread, or it would wait for ever */
				struct uffdio_range range = { addr, rt_psz };

				m->faults = -1000000;
				ioctl(m->fd, UFFDIO_UNREGISTER, &range);
				ioctl(m->fd, UFFDIO_WAKE, &range);
			}
		} else if (msg.event == UFFD_EVENT_REMOVE) {
			m->removes++;
			m->removed_start = msg.arg.remove.start;
			m->removed_end = msg.arg.remove.end;
		}
	}
	return NULL;
}

static int monitor_start(struct monitor *m, pthread_t *thread, uint64_t features)
{
	struct uffdio_register reg = {
		.range = { rt_addr(m->pg), m->n * rt_psz }, .mode = UFFDIO_REGISTER_MODE_MISSING,
	};

	m->page = scratch;
	m->fd = uffd_open(features);
	if (m->fd < 0 || pipe2(m->stop, O_CLOEXEC) || ioctl(m->fd, UFFDIO_REGISTER, &reg) ||
	    pthread_create(thread, NULL, monitor, m))
		return -errno;
	return 0;
}

static void monitor_end(struct monitor *m, pthread_t thread)
{
	struct uffdio_range range = { rt_addr(m->pg), m->n * rt_psz };

	ioctl(m->fd, UFFDIO_UNREGISTER, &range);
	if (write(m->stop[1], "", 1) != 1)
		rt_die("a pipe of 1 byte is full");
	pthread_join(thread, NULL);
	close(m->fd);
	close(m->stop[0]);
	close(m->stop[1]);
}

/* Reads each page of the range; returns the number of answered faults */
int64_t x_uffd_fault(uint32_t pg, uint32_t n, uint32_t id)
{
	struct monitor m = { .pg = pg, .n = n, .id = id };
	pthread_t thread;
	uint32_t val[2];
	int r = monitor_start(&m, &thread, 0);

	if (r)
		return r;
	for (uint32_t i = 0; i < n; i++)
		rt_load(pg + i, val);
	monitor_end(&m, thread);
	return m.faults;
}

/* POISON of watched memory; returns the pages that the monitor was told of in one event */
int64_t x_uffd_event(uint32_t pg, uint32_t n)
{
	struct monitor m = { .pg = pg, .n = n };
	pthread_t thread;
	int64_t r = monitor_start(&m, &thread, UFFD_FEATURE_EVENT_REMOVE);

	if (r)
		return r;
	r = x_madvise(pg, n, MADV_GUARD_POISON);
	monitor_end(&m, thread);
	if (r)
		return r;
	if (m.removes != 1 || m.faults || m.removed_start != rt_addr(pg))
		return -ERANGE;
	return (m.removed_end - m.removed_start) / rt_psz;
}

/* --- /proc and others ---------------------------------------------------- */

int rt_pagemap(uint32_t pg, uint32_t n, uint64_t *entries)
{
	int fd = self("pagemap", O_RDONLY, &pagemap_fd);
	ssize_t r = pread(fd, entries, n * 8, (off_t)(rt_addr(pg) / rt_psz * 8));

	return r == (ssize_t)n * 8 ? 0 : -EIO;
}

int64_t x_scan(uint32_t pg, uint32_t n, int wp)
{
	static struct rt_region region[RT_SEEN];
	struct rt_scan scan = {
		.size = sizeof(scan), .flags = wp ? RT_WP_MATCHING : 0,
		.start = rt_addr(pg), .end = rt_addr(pg + n),
		.vec = (uintptr_t)region, .vec_len = RT_SEEN,
		.mask = wp == 1 ? RT_WRITTEN : 0, .returned = 0x1ff,
	};
	const int fd = self("pagemap", O_RDONLY, &pagemap_fd);
	long r = ioctl(fd, RT_PAGEMAP_SCAN, &scan);
	int64_t pages = 0;

	/* Older kernels do not have the category of guards */
	if (r < 0 && errno == EINVAL) {
		scan.returned = 0xff;
		r = ioctl(fd, RT_PAGEMAP_SCAN, &scan);
	}
	if (r < 0)
		return -errno;
	memset(rt_scanned, 0, sizeof(rt_scanned));
	for (long i = 0; i < r; i++)
		for (uint64_t a = region[i].start; a < region[i].end; a += rt_psz) {
			rt_scanned[(a - rt_addr(pg)) / rt_psz] = region[i].categories;
			pages++;
		}
	return pages;
}

int64_t x_clear_refs(int what)
{
	return write_to("/proc/self/clear_refs", what == 4 ? "4" : "1");
}

/* Bit 0: soft-dirty after it was cleared; bit 1: after a write */
int64_t x_soft_dirty(uint32_t pg, uint32_t id)
{
	const uint32_t val[2] = { id, ~id };
	uint64_t before, after;

	if (x_clear_refs(4) || rt_pagemap(pg, 1, &before) || rt_store(pg, val) || rt_pagemap(pg, 1, &after))
		return -EIO;
	return !!(before & PM_SOFT) + 2 * !!(after & PM_SOFT);
}

int64_t x_mincore(uint32_t pg, uint32_t n)
{
	return result(mincore(at(pg), n * rt_psz, rt_core));
}

int64_t x_move_pages(uint32_t pg, uint32_t n)
{
	static void *page[RT_SEEN];

	for (uint32_t i = 0; i < n; i++)
		page[i] = at(pg + i);
	return result(syscall(SYS_move_pages, 0, (unsigned long)n, page, NULL, rt_node, 0));
}

/* The page at the address, UINT32_MAX if it is not inside a window */
static uint32_t inside(uintptr_t addr)
{
	for (int w = 0; w < NR_WIN; w++)
		if (addr > rt_win[w].base && addr < rt_win[w].base + rt_win[w].pages * rt_psz)
			return PG(w, (addr - rt_win[w].base) / rt_psz);
	return UINT32_MAX;
}

static uintptr_t hex(const char **p)
{
	uintptr_t n = 0;

	for (;; ++*p) {
		const char c = **p;

		if (c >= '0' && c <= '9')
			n = n * 16 + c - '0';
		else if (c >= 'a' && c <= 'f')
			n = n * 16 + c - 'a' + 10;
		else
			return n;
	}
}

/* Calls @fn for each VMA; -1 if they could not be read */
static int each_vma(void (*fn)(uintptr_t from, uintptr_t to))
{
	static char buf[1 << 14];
	int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	size_t have = 0;
	ssize_t r;

	if (fd < 0)
		return -1;
	while ((r = read(fd, buf + have, sizeof(buf) - 1 - have)) > 0) {
		char *line = buf, *next;

		have += r;
		buf[have] = 0;
		for (; (next = memchr(line, '\n', buf + have - line)); line = next + 1) {
			const char *p = line;
			uintptr_t from = hex(&p);

			p++;
			fn(from, hex(&p));
		}
		have -= line - buf;
		memmove(buf, line, have);
	}
	close(fd);
	return 0;
}

static struct {
	uint32_t *at;
	int found, max;
	uintptr_t previous;
} boundaries;

static void add_boundary(uintptr_t addr)
{
	const uint32_t pg = inside(addr);

	if (pg != UINT32_MAX && boundaries.found < boundaries.max)
		boundaries.at[boundaries.found++] = pg;
}

static void add_boundaries(uintptr_t from, uintptr_t to)
{
	if (from != boundaries.previous)
		add_boundary(from);
	add_boundary(to);
	boundaries.previous = to;
}

int rt_vma_boundaries(uint32_t *boundary, int max)
{
	boundaries.at = boundary;
	boundaries.max = max;
	boundaries.found = 0;
	boundaries.previous = 0;
	return each_vma(add_boundaries) ? -1 : boundaries.found;
}

/* The number behind a word in /proc/self/status, which is read again if @again */
static int64_t status(const char *word, bool again)
{
	static char buf[4096];
	const char *p;

	if (again) {
		ssize_t n = pread(self("status", O_RDONLY, &status_fd), buf, sizeof(buf) - 1, 0);

		buf[n > 0 ? n : 0] = 0;
	}
	p = strstr(buf, word);
	return p ? strtoll(p + strlen(word), NULL, 10) : 0;
}

int64_t rt_anon_pages(void)
{
	int64_t kb = status("RssAnon:", true) + status("VmSwap:", false);

	return kb * 1024 / (int64_t)rt_psz - anon_base;
}

void rt_anon_rebase(void)
{
	anon_base = 0;
	anon_base = rt_anon_pages();
}

int64_t rt_tables(void)
{
	return status("VmPTE:", true) * 1024 - tables_base;
}

/* Has the kernel make the page tables of the program itself, by a load for each */
static void have_tables(uintptr_t from, uintptr_t to)
{
	const uintptr_t table = rt_ppt * rt_psz;

	for (uintptr_t p = from; p >= from && p < to; p = (p & -table) + table)
		if (inside(p + 1) == UINT32_MAX)
			syscall(SYS_rt_sigprocmask, 99, p, NULL, _NSIG / 8);
}

void rt_tables_rebase(void)
{
	have_stack(NULL);
	each_vma(have_tables);
	tables_base = 0;
	tables_base = rt_tables();
}

/* --- The rest of the system ---------------------------------------------- */

static void wait_scans(const char *path, unsigned int scans)
{
	const uint64_t start = number_in(path);
	const struct timespec ms = { 0, 1000000 };

	/* There is no event at the end of a scan, so poll, but not for long */
	for (int i = 0; i < 200 && number_in(path) < start + scans; i++)
		nanosleep(&ms, NULL);
}

int64_t x_global(int what)
{
	int r;

	switch (what) {
	case G_SWAPOFF:
		if (!swap_path[0])
			return -ENODEV;
		r = result(swapoff(swap_path));
		/* Other runs may do the same at the same time */
		if (swapon(swap_path, 0) && errno != EBUSY)
			return -errno;
		return r == -EINVAL ? 0 : r;
	case G_KSM:
		write_to("/sys/kernel/mm/ksm/sleep_millisecs", "0");
		write_to("/sys/kernel/mm/ksm/pages_to_scan", "10000");
		r = write_to("/sys/kernel/mm/ksm/run", "1");
		if (r)
			return r;
		wait_scans("/sys/kernel/mm/ksm/full_scans", 2);
		return write_to("/sys/kernel/mm/ksm/run", "0");
	case G_KHUGEPAGED:
		write_to("/sys/kernel/mm/transparent_hugepage/khugepaged/pages_to_scan", "65536");
		r = write_to("/sys/kernel/mm/transparent_hugepage/khugepaged/scan_sleep_millisecs", "0");
		if (r)
			return r;
		wait_scans("/sys/kernel/mm/transparent_hugepage/khugepaged/full_scans", 1);
		return write_to("/sys/kernel/mm/transparent_hugepage/khugepaged/scan_sleep_millisecs", "10000");
	case G_COMPACT:
		return write_to("/proc/sys/vm/compact_memory", "1");
	}
	return -EINVAL;
}

int64_t x_hwpoison(uint32_t pg)
{
	/* The kernel sends us a SIGBUS */
	if (sigsetjmp(fault_jmp, 0))
		return 0;
	fault_armed = 1;
	int64_t r = result(madvise(at(pg), rt_psz, 100 /* MADV_HWPOISON */));

	fault_armed = 0;
	return r;
}

int64_t x_offline(uint32_t pg)
{
	return result(madvise(at(pg), rt_psz, 101 /* MADV_SOFT_OFFLINE */));
}

/* --- For the printed programs -------------------------------------------- */

static void wrong(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	dprintf(1, "wrong: ");
	vdprintf(1, fmt, ap);
	dprintf(1, "\n");
	va_end(ap);
	_exit(1);
}

void rt_want(const char *what, int64_t got, int64_t value)
{
	if (got != value)
		wrong("%s is %lld, not %lld", what, (long long)got, (long long)value);
}

static void want_signal(uint32_t pg, int write, int sig)
{
	static const uint32_t some[2] = { 1, ~1u };
	uint32_t val[2];
	int got = write ? rt_store(pg, some) : rt_load(pg, val);

	if (got != sig)
		wrong("page %#x: a %s gives signal %d, not %d", pg, write ? "write" : "read", got, sig);
}

void want_segv(uint32_t pg, int write)
{
	want_signal(pg, write, SIGSEGV);
}

void want_guard(uint32_t pg)
{
	uint32_t val[2];
	int r;

	want_segv(pg, 0);
	r = rt_peek(pg, val);
	if (rt_has_mem_force && r != -EIO)
		wrong("page %#x: /proc/self/mem gives %d, not EIO", pg, r);
}

void want_sigbus(uint32_t pg, int write)
{
	want_signal(pg, write, SIGBUS);
}

static int contents(uint32_t pg, uint32_t val[2])
{
	int r = rt_load(pg, val);

	/* The protection may forbid it; a debugger does not need it */
	return r == SIGSEGV && rt_peek(pg, val) == 0 ? 0 : r;
}

void want_contents(uint32_t pg, uint32_t first, uint32_t last)
{
	uint32_t val[2] = { 0, 0 };
	int r = contents(pg, val);

	if (r || val[0] != first || val[1] != last)
		wrong("page %#x: signal %d, reads %#x %#x, not %#x %#x", pg, r, val[0], val[1], first, last);
}

void want_zero_or(uint32_t pg, uint32_t first, uint32_t last)
{
	uint32_t val[2] = { 0, 0 };
	int r = contents(pg, val);

	if (r || ((val[0] || val[1]) && (val[0] != first || val[1] != last)))
		wrong("page %#x: signal %d, reads %#x %#x, not %#x %#x or 0", pg, r, val[0], val[1],
		      first, last);
}

void want_file(int file, uint32_t page, uint32_t first, uint32_t last)
{
	uint32_t val[2] = { 0, 0 };
	int r = rt_file_peek(file, page, val);

	if (r || val[0] != first || val[1] != last)
		wrong("page %u of file %d: %d, has %#x %#x, not %#x %#x", page, file, r, val[0], val[1], first, last);
}

void want_pagemap(uint32_t pg, uint64_t mask, uint64_t value)
{
	uint64_t entry = 0;

	if (rt_pagemap(pg, 1, &entry) || (value ? !(entry & mask) : !!(entry & mask)))
		wrong("page %#x: pagemap says %#llx; bits %#llx were to be %s", pg, (unsigned long long)entry,
		      (unsigned long long)mask, value ? "set" : "clear");
}

void want_boundaries(int win, int min, int max)
{
	static uint32_t boundary[4096];
	int all = rt_vma_boundaries(boundary, 4096), n = 0;

	for (int i = 0; i < all; i++)
		n += WIN(boundary[i]) == (uint32_t)win;
	if (n < min || n > max)
		wrong("window %d: %d boundaries of VMAs, not %d to %d", win, n, min, max);
}

void want_anon(int64_t min, int64_t max)
{
	int64_t n = rt_anon_pages();

	if (n < min || n > max)
		wrong("%lld pages of anonymous memory, not %lld to %lld", (long long)n, (long long)min,
		      (long long)max);
}

void want_tables(int64_t max)
{
	int64_t n = rt_tables();

	if (n > max)
		wrong("%lld bytes of page tables, not %lld at most", (long long)n, (long long)max);
}

void want_mincore(uint32_t pg, int value)
{
	int64_t r = x_mincore(pg, 1);

	if (r || (rt_core[0] & 1) != value)
		wrong("page %#x: mincore says %lld, %d", pg, (long long)r, rt_core[0] & 1);
}
