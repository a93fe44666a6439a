// SPDX-License-Identifier: MIT
/*
 * What the dynamic linker did: which function an address is of, who defines a
 * name, and libraries that have libc's allocator bound to them.
 */
#include "elf.h"
#include "out.h"
#include "stack.h"
#include "sys.h"
#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#pragma weak dladdr
#pragma weak dladdr1

bool gf_defines(const void *function)
{
#ifdef __GLIBC__
	const ElfW(Sym) *sym = NULL;
	Dl_info info;

	/* A program that takes a function's address has an entry for it, which leads there. */
	if (dladdr1 && dladdr1(function, &info, (void **)&sym, RTLD_DL_SYMENT) && sym)
		return sym->st_shndx != SHN_UNDEF;
#endif
	return function;
}

#ifdef DLFO_STRUCT_HAS_EH_DBASE
#pragma weak _dl_find_object
#endif

const char *gf_module_at(uintptr_t pc, u64 *offset)
{
#ifdef DLFO_STRUCT_HAS_EH_DBASE
	struct dl_find_object o;

	if (!_dl_find_object || _dl_find_object((void *)pc, &o))
		return NULL;
	*offset = pc - o.dlfo_link_map->l_addr;
	return o.dlfo_link_map->l_name[0] ? o.dlfo_link_map->l_name : "the program";
#else
	(void)pc;
	(void)offset;
	return NULL;
#endif
}

const char *gf_function_at(uintptr_t pc)
{
	Dl_info info;

	if (!dladdr || !dladdr((void *)pc, &info) || !info.dli_sname)
		return "";
	return info.dli_sname;
}

static u64 bytes_at(uintptr_t at, u32 n)
{
	u64 v = 0;
	u32 i;

	for (i = 0; i < n; i++)
		v |= (u64)((const u8 *)at)[i] << 8 * i;
	return v;
}

/* The function that the call before this return address was of; "" if that cannot be seen */
#if defined(__x86_64__)

const char *gf_function_called(uintptr_t ret)
{
	uintptr_t to, word;
	Dl_info info;

	/* It is in a module's code, so that its bytes are there. */
	if (!dladdr || !dladdr((void *)(ret - 5), &info) || ret - 5 < (uintptr_t)info.dli_fbase)
		return "";
	if (bytes_at(ret - 5, 1) != 0xe8)
		return "";
	to = ret + (s32)bytes_at(ret - 4, 4);
	if (!gf_peek(to & -8UL, &word) || !gf_peek((to + 16) & -8UL, &word))
		return "";
	/* An entry of the linkage table: endbr64, bnd and what it jumps to */
	if (bytes_at(to, 4) == 0xfa1e0ff3)
		to += 4;
	if (bytes_at(to, 1) == 0xf2)
		to++;
	if (bytes_at(to, 2) == 0x25ff && gf_peek(to + 6 + (s32)bytes_at(to + 2, 4), &word))
		to = word;
	return gf_function_at(to);
}

#else

const char *gf_function_called(uintptr_t ret)
{
	uintptr_t to, page, word;
	Dl_info info;
	u32 insn;

	/* It is in a module's code, so that its bytes are there. */
	if (!dladdr || !dladdr((void *)(ret - 4), &info) || ret - 4 < (uintptr_t)info.dli_fbase)
		return "";
	insn = bytes_at(ret - 4, 4);
	if (insn >> 26 != 0x25)		/* bl */
		return "";
	to = ret - 4 + ((s32)(insn << 6) >> 4);
	if (!gf_peek(to & -8UL, &word) || !gf_peek((to + 8) & -8UL, &word))
		return "";
	/* An entry of the linkage table: bti, adrp x16 and ldr x17 */
	page = to;
	if ((u32)bytes_at(page, 4) == 0xd503245f)
		page += 4;
	insn = bytes_at(page, 4);
	if ((insn & 0x9f00001f) == 0x90000010) {
		s64 pages = (s64)((u64)(insn >> 5) << 45) >> 43 | (insn >> 29 & 3);

		insn = bytes_at(page + 4, 4);
		word = (page & -4096UL) + (pages << 12) + (insn >> 10 & 0xfff) * 8;
		if ((insn & 0xffc003ff) == 0xf9400211 && gf_peek(word, &word))
			to = word;
	}
	return gf_function_at(to);
}

#endif

#if defined(__GLIBC__) && (defined(__x86_64__) || defined(__aarch64__))

#if defined(__x86_64__)
#define IS_FUNCTION(type) ((type) == R_X86_64_JUMP_SLOT || (type) == R_X86_64_GLOB_DAT)
#else
#define IS_FUNCTION(type) ((type) == R_AARCH64_JUMP_SLOT || (type) == R_AARCH64_GLOB_DAT)
#endif

struct relocations {
	const ElfW(Rela) *rel;
	size_t size;
};

struct module {
	uintptr_t base, lo, hi;		/* as it is mapped */
	uintptr_t relro, relro_end;
	const ElfW(Sym) *syms;
	const char *names;
	struct relocations all[2];
};

/* Of a module whose base and lo are known; false if it has no symbols */
static bool read_dynamic(struct module *m, const ElfW(Dyn) *d)
{
	for (; d->d_tag != DT_NULL; d++) {
		/* glibc has made addresses of them, except of the kernel's own object. */
		uintptr_t at = d->d_un.d_ptr < m->lo ? m->base + d->d_un.d_ptr : d->d_un.d_ptr;

		switch (d->d_tag) {
		case DT_SYMTAB: m->syms = (const ElfW(Sym) *)at; break;
		case DT_STRTAB: m->names = (const char *)at; break;
		case DT_RELA: m->all[0].rel = (const ElfW(Rela) *)at; break;
		case DT_RELASZ: m->all[0].size = d->d_un.d_val; break;
		case DT_JMPREL: m->all[1].rel = (const ElfW(Rela) *)at; break;
		case DT_PLTRELSZ: m->all[1].size = d->d_un.d_val; break;
		}
	}
	return m->syms && m->names;
}

/* Calls @each with each entry that is for the address of a function by its name. */
static void for_functions(const struct module *m, void *arg,
			  void (*each)(const struct module *m, const char *name, bool here,
				       uintptr_t *slot, void *arg))
{
	u32 i;

	for (i = 0; i < 2; i++) {
		const ElfW(Rela) *rel = m->all[i].rel, *end = rel + m->all[i].size / sizeof(*rel);

		for (; rel && rel < end; rel++) {
			const ElfW(Sym) *sym = &m->syms[ELF64_R_SYM(rel->r_info)];

			if (IS_FUNCTION(ELF64_R_TYPE(rel->r_info)))
				each(m, m->names + sym->st_name, sym->st_shndx != SHN_UNDEF,
				     (uintptr_t *)(m->base + rel->r_offset), arg);
		}
	}
}

#ifdef DLFO_STRUCT_HAS_EH_DBASE

static void look_for_runtime(const struct module *m, const char *name, bool here,
			     uintptr_t *slot, void *arg)
{
	u32 *found = arg;

	(void)m, (void)here, (void)slot;
	if (gf_prefix(name, "_Znw") || gf_prefix(name, "_Zna") ||
	    gf_prefix(name, "_Zdl") || gf_prefix(name, "_Zda"))
		*found |= 1;
	/* The unwinder of exceptions, in libgcc_s, or what it needs if it is inside */
	if (!gf_strcmp(name, "_Unwind_RaiseException") || !gf_strcmp(name, "_dl_find_object") ||
	    !gf_strcmp(name, "dl_iterate_phdr"))
		*found |= 2;
}

bool gf_own_operators(uintptr_t pc)
{
	/* Where modules are that were asked for, and the answer in bit 0 */
	static uintptr_t known[16];
	static u32 next;
	struct dl_find_object o;
	struct module m = { };
	u32 i, found = 0;

	if (!_dl_find_object || _dl_find_object((void *)pc, &o))
		return false;
	m.lo = (uintptr_t)o.dlfo_map_start;
	for (i = 0; i < ARRAY_SIZE(known); i++) {
		uintptr_t was = load(&known[i]);

		if ((was & -2UL) == m.lo)
			return was & 1;
	}
	m.base = o.dlfo_link_map->l_addr;
	if (read_dynamic(&m, o.dlfo_link_map->l_ld))
		for_functions(&m, &found, look_for_runtime);
	i = __atomic_fetch_add(&next, 1, __ATOMIC_RELAXED) % ARRAY_SIZE(known);
	store(&known[i], m.lo | (found == 2));
	return found == 2;
}

#endif

/*
 * Libraries opened with RTLD_DEEPBIND have libc's allocator bound to them. What
 * they got from there we recognise (next.c), but libc would not know what we
 * made: so their entries for these functions get ours.
 */
struct bind {
	const struct gf_binding *b;
	u32 n;
};

static void bind_slot(const struct module *m, uintptr_t *slot, const struct gf_binding *b)
{
	uintptr_t at = (uintptr_t)slot & -PAGE;
	bool relro = (uintptr_t)slot >= m->relro && (uintptr_t)slot < m->relro_end;

	/* Bound to libc, or not bound yet */
	if (*slot != (uintptr_t)b->libc && *slot - m->lo >= m->hi - m->lo)
		return;
	if (relro && gf_sys(SYS_mprotect, at, PAGE, PROT_READ | PROT_WRITE))
		return;
	store(slot, (uintptr_t)b->ours);
	if (relro)
		gf_sys(SYS_mprotect, at, PAGE, PROT_READ);
}

static void bind_function(const struct module *m, const char *name, bool here, uintptr_t *slot,
			  void *arg)
{
	const struct bind *bind = arg;
	u32 i;

	for (i = 0; i < bind->n && !here; i++)
		if (bind->b[i].libc && !gf_strcmp(name, bind->b[i].name))
			bind_slot(m, slot, &bind->b[i]);
}

static int bind_module(struct dl_phdr_info *info, size_t size, void *arg)
{
	const ElfW(Phdr) *p = info->dlpi_phdr, *end = p + info->dlpi_phnum;
	struct module m = { .base = info->dlpi_addr, .lo = UINTPTR_MAX };
	const ElfW(Dyn) *d = NULL;
	uintptr_t me = (uintptr_t)bind_module;

	(void)size;
	for (; p < end; p++) {
		uintptr_t at = m.base + p->p_vaddr;

		if (p->p_type == PT_DYNAMIC)
			d = (const ElfW(Dyn) *)at;
		if (p->p_type == PT_GNU_RELRO) {
			m.relro = at & -PAGE;
			m.relro_end = (at + p->p_memsz) & -PAGE;
		}
		if (p->p_type != PT_LOAD)
			continue;
		m.lo = at < m.lo ? at : m.lo;
		m.hi = at + p->p_memsz > m.hi ? at + p->p_memsz : m.hi;
	}
	if (!d || (me >= m.lo && me < m.hi))
		return 0;
	if (read_dynamic(&m, d))
		for_functions(&m, arg, bind_function);
	return 0;
}

void gf_bind_all(const struct gf_binding *b, u32 n)
{
	struct bind bind = { b, n };

	dl_iterate_phdr(bind_module, &bind);
}

#else

void gf_bind_all(const struct gf_binding *b, u32 n)
{
	(void)b;
	(void)n;
}

#endif

#if !defined(DLFO_STRUCT_HAS_EH_DBASE) || !(defined(__x86_64__) || defined(__aarch64__))

bool gf_own_operators(uintptr_t pc)
{
	(void)pc;
	return false;
}

#endif
