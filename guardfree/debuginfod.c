// SPDX-License-Identifier: MIT
/*
 * guardfree-debuginfod FILE: fetches the debug information of a program or library
 * from the servers of DEBUGINFOD_URLS, by its build ID, and prints the path that it
 * has then, in the cache that gdb and others have as well.
 *
 * A program of its own, because the guardfree command is static and can open no
 * library.
 *
 * Exit status: 0 there it is, 1 there is none, 2 libdebuginfod.so.1 is not there.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ALIGN4(n)	(((n) + 3UL) & ~3UL)

struct debuginfod_client;

/* Returns its length in bytes; 0 if it has none. */
static size_t build_id(const char *path, unsigned char id[64])
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	unsigned char note[4096];
	Elf64_Ehdr ehdr;
	Elf64_Phdr phdr;
	size_t size, at;

	if (fd < 0 || pread(fd, &ehdr, sizeof(ehdr), 0) != sizeof(ehdr) ||
	    memcmp(ehdr.e_ident, ELFMAG, SELFMAG) || ehdr.e_ident[EI_CLASS] != ELFCLASS64 ||
	    ehdr.e_phentsize != sizeof(phdr))
		return 0;
	for (int i = 0; i < ehdr.e_phnum; i++) {
		if (pread(fd, &phdr, sizeof(phdr), ehdr.e_phoff + i * sizeof(phdr)) != sizeof(phdr))
			return 0;
		if (phdr.p_type != PT_NOTE)
			continue;
		size = phdr.p_filesz < sizeof(note) ? phdr.p_filesz : sizeof(note);
		if (pread(fd, note, size, phdr.p_offset) != (ssize_t)size)
			return 0;
		for (at = 0; at + sizeof(Elf64_Nhdr) <= size;) {
			Elf64_Nhdr n;
			size_t desc;

			memcpy(&n, note + at, sizeof(n));
			desc = at + sizeof(n) + ALIGN4(n.n_namesz);
			if (desc + n.n_descsz > size)
				break;
			if (n.n_type == NT_GNU_BUILD_ID && n.n_namesz == 4 && n.n_descsz <= 64 &&
			    !memcmp(note + at + sizeof(n), "GNU", 4)) {
				memcpy(id, note + desc, n.n_descsz);
				return n.n_descsz;
			}
			at = desc + ALIGN4(n.n_descsz);
		}
	}
	return 0;
}

int main(int argc, char **argv)
{
	int (*find)(struct debuginfod_client *c, const unsigned char *id, int len, char **path);
	struct debuginfod_client *(*begin)(void), *client;
	unsigned char id[64];
	char *path = NULL;
	void *lib;
	size_t len;

	if (argc != 2) {
		fputs("Usage: guardfree-debuginfod FILE\n", stderr);
		return 1;
	}
	/* A report must not wait for a server for long. */
	setenv("DEBUGINFOD_TIMEOUT", "10", 0);
	setenv("DEBUGINFOD_MAXTIME", "60", 0);
	lib = dlopen("libdebuginfod.so.1", RTLD_NOW);
	begin = lib ? dlsym(lib, "debuginfod_begin") : NULL;
	find = lib ? dlsym(lib, "debuginfod_find_debuginfo") : NULL;
	if (!begin || !find)
		return 2;
	len = build_id(argv[1], id);
	client = len ? begin() : NULL;
	if (!client || find(client, id, len, &path) < 0 || !path)
		return 1;
	return puts(path) < 0 || fflush(stdout) ? 1 : 0;
}
