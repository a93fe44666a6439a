// SPDX-License-Identifier: GPL-2.0
/*
 * Imitates faulty kernels, as far as a library can that is preloaded before libc
 * (LD_PRELOAD). BROKEN is the name of the fault. The model checker must find each
 * of them; see tests/model.t.
 */
#include "rt.h"
#include <dlfcn.h>
#include <sys/stat.h>

static int broken(const char *name)
{
	static const char *which;

	if (!which)
		which = getenv("BROKEN") ? getenv("BROKEN") : "";
	return !strcmp(which, name);
}

static int real_madvise(void *addr, size_t len, int advice)
{
	return syscall(SYS_madvise, addr, len, advice);
}

static size_t page_size(void)
{
	static size_t size;

	if (!size)
		size = sysconf(_SC_PAGESIZE);
	return size;
}

static uint64_t pagemap(const void *addr)
{
	uint64_t entry = 0;
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);

	if (pread(fd, &entry, 8, (uintptr_t)addr / page_size() * 8) != 8)
		entry = 0;
	close(fd);
	return entry;
}

static int is_populated(const void *addr)
{
	return pagemap(addr) >> 62 != 0;
}

/* Is it a guard? Then no page is there, and the kernel cannot read it */
static int is_guard(const void *addr)
{
	return syscall(SYS_rt_sigprocmask, 99, addr, NULL, _NSIG / 8) < 0 && errno == EFAULT;
}

/* Imitate the fault only for ranges up to this many pages */
static size_t at_most(size_t len)
{
	return len > 4096 * page_size() ? 4096 * page_size() : len;
}

/* The guards that a right kernel would have kept */
static void drop(void *addr, size_t len)
{
	real_madvise(addr, len, MADV_GUARD_UNPOISON);
}

/* What a page table maps */
static size_t table_size(void)
{
	return page_size() / sizeof(long) * page_size();
}

/* Leaves a page table where one entry was enough: to remove one of its guards takes a table */
static void make_tables(char *p, size_t len)
{
	const size_t table = table_size();

	for (char *q = p + -(uintptr_t)p % table; q + table <= p + len; q += table) {
		/* To look otherwise fills the page */
		if (!(pagemap(q) & PM_GUARD))
			continue;
		real_madvise(q, page_size(), MADV_GUARD_UNPOISON);
		real_madvise(q, page_size(), MADV_GUARD_POISON);
	}
}

/* --- Mappings of files ----------------------------------------------------- */

struct map {
	char *from, *to;
	unsigned long long offset, inode;
	char perms[5], dev[16];
};

/* Calls @fn for each mapping of the program */
static void each_map(void (*fn)(const struct map *, const void *), const void *arg)
{
	char buf[1 << 14], *line, *next;
	int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	size_t have = 0;
	ssize_t n;

	while ((n = read(fd, buf + have, sizeof(buf) - 1 - have)) > 0) {
		have += n;
		buf[have] = 0;
		for (line = buf; (next = strchr(line, '\n')); line = next + 1) {
			unsigned long long from, to;
			struct map m;

			if (sscanf(line, "%llx-%llx %4s %llx %15s %llu", &from, &to, m.perms, &m.offset, m.dev,
				   &m.inode) != 6)
				continue;
			m.from = (char *)(uintptr_t)from;
			m.to = (char *)(uintptr_t)to;
			fn(&m, arg);
		}
		have -= line - buf;
		memmove(buf, line, have);
	}
	close(fd);
}

static struct map found;

static void find(const struct map *m, const void *addr)
{
	if (m->from <= (const char *)addr && (const char *)addr < m->to)
		found = *m;
}

static const struct map *map_of(const void *addr)
{
	found.inode = 0;
	each_map(find, addr);
	return &found;
}

/* Part of a file, and the advice for its mappings outside of a range of addresses */
struct part {
	unsigned long long from, to, inode;
	const char *but, *but_end;
	int advice;
};

static void advise_part(const struct map *m, const void *arg)
{
	const struct part *part = arg;
	unsigned long long from = m->offset, to = m->offset + (m->to - m->from);

	if (m->inode != part->inode || (m->from < part->but_end && part->but < m->to))
		return;
	if (from < part->from)
		from = part->from;
	if (to > part->to)
		to = part->to;
	if (from < to)
		real_madvise(m->from + (from - m->offset), to - from, part->advice);
}

/* What is mapped there, in its other mappings */
static void advise_others(const char *addr, size_t len, int advice)
{
	const struct map *m = map_of(addr);
	const unsigned long long from = m->offset + (addr - m->from);
	const struct part part = { from, from + len, m->inode, addr, addr + len, advice };

	if (part.inode)
		each_map(advise_part, &part);
}

static void drop_of_file(int fd, unsigned long long from, unsigned long long to)
{
	struct stat st;

	if (!fstat(fd, &st)) {
		const struct part part = { from, to, st.st_ino, NULL, NULL, MADV_GUARD_UNPOISON };

		each_map(advise_part, &part);
	}
}

int ftruncate(int fd, off_t size)
{
	int (*real)(int, off_t) = (int (*)(int, off_t))(uintptr_t)dlsym(RTLD_NEXT, "ftruncate64");
	int r = real(fd, size);

	if (!r && broken("truncate-drops"))
		drop_of_file(fd, size, ~0ull);
	return r;
}

int fallocate(int fd, int mode, off_t from, off_t len)
{
	int (*real)(int, int, off_t, off_t) = (int (*)(int, int, off_t, off_t))(uintptr_t)dlsym(RTLD_NEXT, "fallocate64");
	int r = real(fd, mode, from, len);

	if (!r && broken("punch-drops"))
		drop_of_file(fd, from, from + len);
	return r;
}

int msync(void *addr, size_t len, int flags)
{
	int r = syscall(SYS_msync, addr, len, flags);

	if (!r && broken("msync-drops"))
		drop(addr, len);
	return r;
}

int mincore(void *addr, size_t len, unsigned char *core)
{
	int r = syscall(SYS_mincore, addr, len, core);

	/* As if only the page cache were asked */
	if (!r && broken("mincore-cached") && map_of(addr)->inode && is_guard(addr))
		core[0] = 1;
	return r;
}

/* A private copy of a page that outlives its guard */
static struct {
	const char *addr;
	uint32_t val[2];
} kept;

static bool is_copy(const char *p)
{
	const struct map *m = map_of(p);

	return m->inode && !strncmp(m->perms, "rw-p", 4);
}

/* --- The calls -------------------------------------------------------------- */

int madvise(void *addr, size_t len, int advice)
{
	char *p = addr;
	int r;

	switch (advice) {
	case MADV_FREE:
		if (broken("free-clears"))
			real_madvise(addr, len, MADV_GUARD_UNPOISON);
		break;
	case MADV_DONTNEED:
		if (broken("dontneed-clears"))
			real_madvise(addr, len, MADV_GUARD_UNPOISON);
		break;
	case MADV_PAGEOUT:
		if (broken("pageout-clears"))
			real_madvise(addr, len, MADV_GUARD_UNPOISON);
		break;
	case MADV_COLLAPSE:
		if (broken("collapse-clears"))
			real_madvise(addr, len, MADV_GUARD_UNPOISON);
		if (broken("collapse-drops-others"))
			advise_others(addr, len, MADV_GUARD_UNPOISON);
		break;
	case MADV_REMOVE:
		r = real_madvise(addr, len, advice);
		if (!r && broken("remove-drops"))
			drop(addr, len);
		return r;
	case MADV_WILLNEED:
		if (broken("willneed-clears"))
			real_madvise(addr, len, MADV_GUARD_UNPOISON);
		break;
	case MADV_GUARD_POISON:
		if (broken("skips-last") && len > page_size())
			return real_madvise(addr, len - page_size(), advice);
		if (broken("skips-populated") && len == page_size() && is_populated(addr))
			return real_madvise(addr, len, MADV_DONTNEED);
		if (broken("is-mprotect")) {
			r = real_madvise(addr, len, advice);
			if (!r && len == page_size())
				r = mprotect(addr, len, PROT_NONE);
			return r;
		}
		if (broken("leaks-memory")) {
			/*
			 * A few calls leak more than the kernel's counters may be off by. The page
			 * tables are there from the beginning, so that these do not give it away.
			 */
			static volatile char leaked[1 << 25];
			static size_t used;

			for (int i = 0; i < 64 && used < sizeof(leaked); i++, used += page_size())
				leaked[used] = 1;
		}
		if (broken("table-boundary")) {
			const size_t table = table_size();
			char *boundary = (char *)(((uintptr_t)p + table - 1) / table * table);

			r = real_madvise(addr, len, advice);
			if (boundary > p && boundary < p + len)
				real_madvise(boundary, page_size(), MADV_GUARD_UNPOISON);
			return r;
		}
		/* As if what comes behind a part of a table needed one as well */
		if (broken("poison-fills-tables") && (uintptr_t)p % table_size()) {
			r = real_madvise(addr, len, advice);
			make_tables(p, at_most(len));
			return r;
		}
		if (broken("hole-is-success")) {
			r = real_madvise(addr, len, advice);
			return r && errno == ENOMEM ? 0 : r;
		}
		if (broken("stops-at-hole")) {
			for (size_t i = 0; i < len && i < at_most(len); i += page_size())
				if (real_madvise(p + i, page_size(), advice))
					return -1;
			return len > at_most(len) ? real_madvise(p + at_most(len), len - at_most(len), advice) : 0;
		}
		if (broken("locked-accepted")) {
			r = real_madvise(addr, len, advice);
			return r && errno == EINVAL && !((uintptr_t)addr % page_size()) ? 0 : r;
		}
		if (broken("again-is-error") && is_guard(addr)) {
			real_madvise(addr, len, advice);
			errno = EEXIST;
			return -1;
		}
		/* As if pages were dropped before they are found to be dirty */
		if (broken("loses-dirty") && len == page_size())
			real_madvise(addr, len, MADV_REMOVE);
		if (broken("hits-others") || broken("drops-others")) {
			r = real_madvise(addr, len, advice);
			if (!r && len <= at_most(len))
				advise_others(addr, len, broken("hits-others") ? advice : MADV_GUARD_UNPOISON);
			return r;
		}
		if (broken("keeps-copies") && len == page_size() && is_copy(p) && !is_guard(p)) {
			kept.addr = p;
			kept.val[0] = *(volatile uint32_t *)p;
			kept.val[1] = *(volatile uint32_t *)(p + len - sizeof(uint32_t));
		}
		if (broken("read-only-refused") && !((uintptr_t)p % page_size()) && len && map_of(p)->inode &&
		    found.perms[1] == '-') {
			errno = EINVAL;
			return -1;
		}
		if (broken("sealed-accepted")) {
			r = real_madvise(addr, len, advice);
			return r && errno == EPERM ? 0 : r;
		}
		/* Page by page, so that it refuses after it has begun */
		if (broken("locked-in-part")) {
			r = real_madvise(addr, len, advice);
			if (!r || errno != EINVAL || (uintptr_t)p % page_size())
				return r;
			for (size_t i = 0; i < at_most(len); i += page_size())
				if (real_madvise(p + i, page_size(), advice))
					break;
			errno = EINVAL;
			return -1;
		}
		if (broken("toggles") && len == page_size() && is_guard(addr) &&
		    !real_madvise(addr, len, MADV_GUARD_UNPOISON))
			return 0;
		break;
	case MADV_GUARD_UNPOISON:
		if (broken("keeps-copies") && p == kept.addr && len == page_size() && is_guard(p)) {
			r = real_madvise(addr, len, advice);
			if (!r && is_copy(p)) {
				*(volatile uint32_t *)p = kept.val[0];
				*(volatile uint32_t *)(p + len - sizeof(uint32_t)) = kept.val[1];
			}
			return r;
		}
		if (broken("unpoison-zaps")) {
			r = real_madvise(addr, len, advice);
			real_madvise(addr, len, MADV_DONTNEED);
			return r;
		}
		if (broken("unpoison-skips-first") && len > page_size())
			return real_madvise(p + page_size(), len - page_size(), advice);
		break;
	}
	return real_madvise(addr, len, advice);
}

int mprotect(void *addr, size_t len, int prot)
{
	int r = syscall(SYS_mprotect, addr, len, prot);

	if (!r && broken("mprotect-clears"))
		drop(addr, len);
	return r;
}

int munlock(const void *addr, size_t len)
{
	int r = syscall(SYS_munlock, addr, len);

	if (broken("munlock-clears"))
		drop((void *)addr, len);
	return r;
}

void *mremap(void *old, size_t old_len, size_t new_len, int flags, ...)
{
	va_list ap;
	void *new, *r;

	va_start(ap, flags);
	new = va_arg(ap, void *);
	va_end(ap);
	r = (void *)syscall(SYS_mremap, old, old_len, new_len, flags, new);
	if (r != MAP_FAILED && (flags & MREMAP_FIXED) && broken("mremap-drops"))
		drop(r, new_len);
	if (r != MAP_FAILED && (flags & MREMAP_FIXED) && broken("mremap-splits"))
		make_tables(r, new_len);
	return r;
}

static void drop_all(const struct map *m, const void *only_files)
{
	if (!only_files || m->inode)
		drop(m->from, m->to - m->from);
}

pid_t fork(void)
{
	pid_t (*real)(void) = (pid_t (*)(void))(uintptr_t)dlsym(RTLD_NEXT, "fork");
	pid_t pid = real();

	if (!pid && broken("fork-drops"))
		each_map(drop_all, NULL);
	if (!pid && broken("fork-drops-files"))
		each_map(drop_all, "");
	return pid;
}

int ioctl(int fd, unsigned long request, ...)
{
	va_list ap;
	void *arg;

	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);
	if (request == UFFDIO_COPY && broken("copy-overwrites")) {
		struct uffdio_copy *copy = arg;

		drop((void *)(uintptr_t)copy->dst, copy->len);
	}
	if (request == UFFDIO_UNREGISTER && broken("unregister-clears")) {
		struct uffdio_range *range = arg;

		drop((void *)(uintptr_t)range->start, range->len);
	}
	if (request == UFFDIO_WRITEPROTECT && broken("wp-clears")) {
		struct uffdio_writeprotect *wp = arg;

		drop((void *)(uintptr_t)wp->range.start, wp->range.len);
	}
	return syscall(SYS_ioctl, fd, request, arg);
}
