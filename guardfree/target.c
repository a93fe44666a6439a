// SPDX-License-Identifier: MIT
/*
 * See target.h. Nothing of the file is trusted: all offsets are checked.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "target.h"
#include <elf.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#if defined(__x86_64__)
#define MACHINE EM_X86_64
#elif defined(__aarch64__)
#define MACHINE EM_AARCH64
#endif

struct file {
	const char *at;
	size_t size;
};

/* The bytes at an offset; NULL if they are not all there */
static const void *part(const struct file *f, uint64_t off, uint64_t len)
{
	return off <= f->size && len <= f->size - off ? f->at + off : NULL;
}

/* A string that ends within the file */
static const char *string(const struct file *f, uint64_t off)
{
	return off < f->size && memchr(f->at + off, 0, f->size - off) ? f->at + off : "";
}

static bool is_dynamic_linker(const char *path)
{
	const char *base = strrchr(path, '/');

	base = base ? base + 1 : path;
	return !strncmp(base, "ld-linux", 8) || !strncmp(base, "ld.so", 5) ||
	       !strncmp(base, "ld-2.", 5);
}

static void look_at_symbols(const struct file *f, const Elf64_Ehdr *e, struct gf_target *t)
{
	static const struct {
		const char *name, *why;
	} inits[] = {
		{ "__asan_init", "it is built with AddressSanitizer, which has an allocator of its own" },
		{ "__tsan_init", "it is built with ThreadSanitizer, which has an allocator of its own" },
		{ "__msan_init", "it is built with MemorySanitizer, which has an allocator of its own" },
		{ "__hwasan_init", "it is built with HWAddressSanitizer, which has an allocator of its own" },
		{ "__lsan_init", "it is built with LeakSanitizer, which has an allocator of its own" },
	};
	const Elf64_Shdr *sections = part(f, e->e_shoff, (uint64_t)e->e_shnum * sizeof(*sections));
	bool has_malloc = false, has_free = false;
	size_t i, k, n;

	for (i = 0; sections && e->e_shentsize == sizeof(*sections) && i < e->e_shnum; i++) {
		const Elf64_Shdr *s = &sections[i];
		const Elf64_Sym *sym = part(f, s->sh_offset, s->sh_size);
		uint64_t names;

		if (s->sh_type != SHT_DYNSYM || !sym || s->sh_link >= e->e_shnum)
			continue;
		names = sections[s->sh_link].sh_offset;
		for (n = s->sh_size / sizeof(*sym); n; n--, sym++) {
			const char *name = string(f, names + sym->st_name);

			if (sym->st_shndx != SHN_UNDEF && !strcmp(name, "malloc"))
				has_malloc = true;
			if (sym->st_shndx != SHN_UNDEF && !strcmp(name, "free"))
				has_free = true;
			for (k = 0; name[0] == '_' && k < sizeof(inits) / sizeof(inits[0]); k++) {
				if (!strcmp(name, inits[k].name)) {
					t->why = inits[k].why;
					t->drop = true;
					return;
				}
			}
		}
	}
	if (has_malloc && has_free) {
		t->why = "it has an allocator of its own";
		t->late = true;
	}
}

static bool has_our_note(const struct file *f, const Elf64_Phdr *p)
{
	const char *note = part(f, p->p_offset, p->p_filesz);

	return note && memmem(note, p->p_filesz, "guardfree", 10);
}

static void look_at_elf(const struct file *f, const char *path, struct gf_target *t)
{
	const Elf64_Ehdr *e = part(f, 0, sizeof(*e));
	const char *interp = NULL;
	const Elf64_Phdr *p;
	bool note = false;
	size_t i;

	if (!e)
		return;
	if (e->e_ident[EI_CLASS] != ELFCLASS64) {
		t->why = "it is a 32-bit program, and the library is not";
		t->drop = true;
		return;
	}
#ifdef MACHINE
	if (e->e_machine != MACHINE) {
		t->why = "it is of another architecture than the library";
		t->drop = true;
		return;
	}
#endif
	p = part(f, e->e_phoff, (uint64_t)e->e_phnum * sizeof(*p));
	for (i = 0; p && e->e_phentsize == sizeof(*p) && i < e->e_phnum; i++) {
		if (p[i].p_type == PT_INTERP)
			interp = string(f, p[i].p_offset);
		if (p[i].p_type == PT_NOTE && has_our_note(f, &p[i]))
			note = true;
	}
	if (note || (!interp && is_dynamic_linker(path)))
		return;
	if (!interp) {
		/* What valgrind runs says it once more. */
		t->late = strstr(path, "/valgrind");
		t->why = "it is linked statically; link it with libguardfree.a";
	} else if (strstr(interp, "ld-musl")) {
		t->why = "it uses musl, and the library is for glibc; link it statically with musl's libguardfree.a";
		t->drop = true;
	} else {
		look_at_symbols(f, e, t);
	}
}

static bool look(const char *path, struct gf_target *t, int depth)
{
	struct file f = { 0 };
	struct stat st;
	char line[256];
	void *map;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	if (fd < 0)	/* it may be one that can be executed and not read */
		return access(path, F_OK) == 0;
	if (fstat(fd, &st) || !S_ISREG(st.st_mode)) {
		close(fd);
		return true;
	}
	f.size = st.st_size;
	map = f.size ? mmap(NULL, f.size, PROT_READ, MAP_PRIVATE, fd, 0) : MAP_FAILED;
	if (map == MAP_FAILED) {
		close(fd);
		return true;
	}
	f.at = map;
	if (part(&f, 0, SELFMAG) && !memcmp(f.at, ELFMAG, SELFMAG)) {
		if ((st.st_mode & S_ISUID && st.st_uid != getuid()) ||
		    ((st.st_mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP) &&
		     st.st_gid != getgid()))
			t->why = "it is setuid or setgid, and the dynamic linker preloads nothing there";
		else if (getuid() && fgetxattr(fd, "security.capability", NULL, 0) > 0)
			t->why = "it has capabilities, and the dynamic linker preloads nothing there";
		else
			look_at_elf(&f, path, t);
	} else if (part(&f, 0, 3) && f.at[0] == '#' && f.at[1] == '!' && depth < 4) {
		size_t n = f.size - 2 < sizeof(line) - 1 ? f.size - 2 : sizeof(line) - 1;
		char *start = line;

		memcpy(line, f.at + 2, n);
		line[n] = 0;
		line[strcspn(line, "\n")] = 0;
		start += strspn(start, " \t");
		start[strcspn(start, " \t")] = 0;
		look(start, t, depth + 1);
	}
	munmap(map, f.size);
	close(fd);
	return true;
}

bool gf_target_look(const char *path, struct gf_target *t)
{
	memset(t, 0, sizeof(*t));
	return look(path, t, 0);
}
