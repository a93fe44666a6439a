// SPDX-License-Identifier: GPL-2.0
/*
 * KSM removes userfaultfd's write-protection: replace_page() in mm/ksm.c makes
 * the new entry from the VMA's protection alone. This needs no guards, and happens
 * without the series too; see docs/testing.md. Run it in a guest, because it leaves
 * KSM running. Status 0: kept, 1: removed, 2: could not be tried.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define KSM "/sys/kernel/mm/ksm/"

static long number(const char *name)
{
	FILE *f = fopen(name, "r");
	long n;

	if (!f || fscanf(f, "%ld", &n) != 1)
		n = -1;
	if (f)
		fclose(f);
	return n;
}

static bool set(const char *name, const char *value)
{
	int fd = open(name, O_WRONLY);
	bool ok = fd >= 0 && write(fd, value, strlen(value)) > 0;

	close(fd);
	return ok;
}

static bool protected(const char *p, size_t page)
{
	uint64_t entry = 0;
	int fd = open("/proc/self/pagemap", O_RDONLY);

	if (fd < 0 || pread(fd, &entry, 8, (uintptr_t)p / page * 8) != 8)
		entry = 0;
	close(fd);
	return entry >> 57 & 1;
}

int main(void)
{
	const size_t page = sysconf(_SC_PAGESIZE), size = 2 * page;
	struct uffdio_api api = { .api = UFFD_API, .features = UFFD_FEATURE_PAGEFAULT_FLAG_WP };
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_WP };
	struct uffdio_writeprotect wp = { .mode = UFFDIO_WRITEPROTECT_MODE_WP };
	int uffd = syscall(SYS_userfaultfd, O_CLOEXEC);
	char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	long scans, merged;

	if (uffd < 0 || p == MAP_FAILED || ioctl(uffd, UFFDIO_API, &api) || madvise(p, size, MADV_MERGEABLE))
		return 2;
	memset(p, 7, size);
	reg.range.start = wp.range.start = (uintptr_t)p;
	reg.range.len = wp.range.len = size;
	if (ioctl(uffd, UFFDIO_REGISTER, &reg) || ioctl(uffd, UFFDIO_WRITEPROTECT, &wp) || !protected(p, page))
		return 2;
	scans = number(KSM "full_scans");
	if (scans < 0 || !set(KSM "sleep_millisecs", "0") || !set(KSM "pages_to_scan", "1000") || !set(KSM "run", "1"))
		return 2;
	while (number(KSM "full_scans") < scans + 4)
		;
	merged = number(KSM "pages_sharing");
	printf("merged %ld, write-protected %d %d\n", merged, protected(p, page), protected(p + page, page));
	if (merged < 1)
		return 2;
	return !protected(p, page) || !protected(p + page, page);
}
