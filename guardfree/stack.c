// SPDX-License-Identifier: MIT
/*
 * The stack of a caller, without frame pointers, cheaply enough to be taken at
 * each malloc and free. The call frame information of an address is worked out
 * once, and reduced to what code really does: the frame begins at an offset
 * from the stack or the frame pointer, the caller's frame pointer is kept
 * somewhere or not touched. The return address lies below the frame's begin on
 * x86; on arm64 behind that frame pointer, at a place of its own, or in lr. That
 * is one word, and it is cached by address, without locks.
 *
 * Every word of the stack is read by gf_peek(), which may fail: information
 * that is wrong or outdated costs frames of a report, and never the program.
 */
#include "stack.h"
#include "depot.h"
#include "options.h"
#include <dlfcn.h>
#include <link.h>
#include <signal.h>
#include <string.h>
#include <sys/auxv.h>
#include <ucontext.h>

#define FRAME_MAX	(16UL << 20)	/* bytes; what is further up is no caller */

bool gf_constructed;

/*
 * Loads that may fault: the handler of SIGSEGV goes on at gf_peek_fixup then. The
 * registers are those of a call. gf_same() says whether all of the words from
 * @rdi to @rsi, pairs of address and value, are what they were.
 */
#if defined(__x86_64__)
__asm__(".text\n"
	".globl gf_peek, gf_peek_insn, gf_peek_fixup\n"
	".hidden gf_peek, gf_peek_insn, gf_peek_fixup\n"
	".type gf_peek, @function\n"
	"gf_peek:\n"
	"gf_peek_insn:	mov (%rdi), %rdx\n"
	"	mov %rdx, (%rsi)\n"
	"	mov $1, %eax\n"
	"	ret\n"
	"gf_peek_fixup:\n"
	"	xor %eax, %eax\n"
	"	ret\n"
	".size gf_peek, . - gf_peek\n"
	".globl gf_same, gf_same_insn\n"
	".hidden gf_same, gf_same_insn\n"
	".type gf_same, @function\n"
	"gf_same:\n"
	"1:	mov (%rdi), %rdx\n"
	"gf_same_insn:	mov (%rdx), %rdx\n"
	"	cmp 8(%rdi), %rdx\n"
	"	jne gf_peek_fixup\n"
	"	add $16, %rdi\n"
	"	cmp %rsi, %rdi\n"
	"	jb 1b\n"
	"	mov $1, %eax\n"
	"	ret\n"
	".size gf_same, . - gf_same\n");
#elif defined(__aarch64__)
__asm__(".text\n"
	".globl gf_peek, gf_peek_insn, gf_peek_fixup\n"
	".hidden gf_peek, gf_peek_insn, gf_peek_fixup\n"
	".type gf_peek, @function\n"
	"gf_peek:\n"
	"gf_peek_insn:	ldr x2, [x0]\n"
	"	str x2, [x1]\n"
	"	mov w0, #1\n"
	"	ret\n"
	"gf_peek_fixup:\n"
	"	mov w0, #0\n"
	"	ret\n"
	".size gf_peek, . - gf_peek\n"
	".globl gf_same, gf_same_insn\n"
	".hidden gf_same, gf_same_insn\n"
	".type gf_same, @function\n"
	"gf_same:\n"
	"1:	ldp x2, x3, [x0], #16\n"
	"gf_same_insn:	ldr x2, [x2]\n"
	"	cmp x2, x3\n"
	"	b.ne gf_peek_fixup\n"
	"	cmp x0, x1\n"
	"	b.lo 1b\n"
	"	mov w0, #1\n"
	"	ret\n"
	".size gf_same, . - gf_same\n");
#endif

/* A word of the stack, as it was when the stack was unwound */
struct word {
	uintptr_t addr, value;
};

bool gf_same(const struct word *from, const struct word *to) HIDDEN;

/*
 * What an unwinding depends on, besides the registers that it begins with: as long as
 * these words are the same, so is the stack. Frame pointers are saved by many
 * functions and used by few, so they are not read until a frame is found by one.
 */
#define WORDS_MAX	28

struct trail {
	u32 n;			/* above WORDS_MAX: it cannot be told */
	bool fp_used;		/* the one that it began with */
	bool fp_read;		/* the frame pointer is another by now ... */
	uintptr_t fp_at;	/* ... or will be, from there, if not 0 */
	struct word word[WORDS_MAX];
};

static void trail_add(struct trail *t, uintptr_t addr, uintptr_t value)
{
	if (t->n < WORDS_MAX)
		t->word[t->n] = (struct word){ addr, value };
	t->n++;
}

static bool trail_peek(struct trail *t, uintptr_t addr, uintptr_t *value)
{
	if (unlikely(!gf_peek(addr, value))) {
		t->n = WORDS_MAX + 1;
		return false;
	}
	trail_add(t, addr, *value);
	return true;
}

/* r->fp is about to be used. */
static bool trail_fp(struct trail *t, struct gf_regs *r)
{
	if (t->fp_at) {
		if (!trail_peek(t, t->fp_at, &r->fp))
			return false;
		t->fp_at = 0;
		t->fp_read = true;
	} else if (!t->fp_read) {
		t->fp_used = true;
	}
	return true;
}

/* A step by frame pointers; false at the end. */
static bool step_fp(struct gf_regs *r, uintptr_t top, struct trail *t)
{
	uintptr_t fp, pc;

	if (!trail_fp(t, r))
		return false;
	fp = r->fp;
	if (fp < r->sp || fp & 7 || fp > top - 16 || fp - r->sp > FRAME_MAX)
		return false;
	if (!trail_peek(t, fp + 8, &pc) || pc < PAGE)
		return false;
	r->pc = pc;
	r->sp = fp + 16;
#if defined(__aarch64__)
	/* The frame goes on above its frame pointer. */
	r->by_fp = true;
	r->lr = 0;
#endif
	t->fp_at = fp;
	return true;
}

static u64 generation = 1;

/* After dlclose(): another module may come to lie at the same addresses. */
void gf_unwind_forget(void)
{
	fetch_add(&generation, 1);
}

/* The numbers of registers in call frame information */
#if defined(__x86_64__)
enum { FP = 6, SP = 7, RA = 16 };
#else
enum { FP = 29, SP = 31, RA = 30 };
#endif
#define RA_NOT_SET	1	/* as an offset */

enum { CFA_END, CFA_SP, CFA_FP, CFA_FP_DEREF, CFA_SIGNAL, CFA_UNKNOWN };
/* On arm64 the return address is in lr with FP_SAME, at fp_off with FP_SAME_RA_AT. */
enum { FP_SAME, FP_AT_CFA, FP_AT_FP, FP_SAME_RA_AT };

#define OFF_MAX	(1 << 27)

struct rule {
	u8 cfa, fp;
	s32 cfa_off, fp_off;	/* within OFF_MAX: 28 bits are kept */
};

static u64 rule_pack(struct rule r)
{
	return (u64)r.cfa | (u64)r.fp << 3 | ((u64)r.cfa_off & 0xfffffff) << 8 |
	       (u64)(s64)r.fp_off << 36;
}

static struct rule rule_unpack(u64 v)
{
	return (struct rule){
		.cfa = v & 7,
		.fp = v >> 3 & 7,
		.cfa_off = (s32)(v >> 8 << 4 & 0xffffffff) >> 4,
		.fp_off = (s64)v >> 36,
	};
}

/* key is pc ^ rule: a half of another pair does not match */
#define CACHE	(1U << 14)
static struct {
	u64 key, rule;
} cache[CACHE];

/* Reading call frame information: it is not trusted, but it is mapped. */

struct reader {
	const u8 *p, *end;
	bool bad;
};

static u64 get(struct reader *r, u32 n)
{
	u64 v = 0;

	if ((size_t)(r->end - r->p) < n) {
		r->bad = true;
		r->p = r->end;
		return 0;
	}
	memcpy(&v, r->p, n);
	r->p += n;
	return v;
}

/* LEB128; @sign for numbers that have one */
static u64 get_leb(struct reader *r, bool sign)
{
	u64 v = 0;
	u32 shift = 0;
	u8 b;

	do {
		b = get(r, 1);
		if (shift < 64)
			v |= (u64)(b & 0x7f) << shift;
		shift += 7;
	} while (b & 0x80);
	if (sign && shift < 64 && b & 0x40)
		v |= -1UL << shift;
	return v;
}

static u64 get_uleb(struct reader *r)
{
	return get_leb(r, false);
}

static s64 get_sleb(struct reader *r)
{
	return get_leb(r, true);
}

static u64 get_encoded(struct reader *r, u8 enc, uintptr_t data)
{
	uintptr_t at = (uintptr_t)r->p;
	u64 v;

	if (enc == 0xff)
		return 0;
	switch (enc & 15) {
	case 0: case 4: case 12: v = get(r, 8); break;
	case 1: v = get_uleb(r); break;
	case 2: v = get(r, 2); break;
	case 3: v = get(r, 4); break;
	case 9: v = get_sleb(r); break;
	case 10: v = (s64)(int16_t)get(r, 2); break;
	case 11: v = (s64)(s32)get(r, 4); break;
	default: r->bad = true; return 0;
	}
	if (!v)
		return 0;
	switch (enc & 0x70) {
	case 0: break;
	case 0x10: v += at; break;
	case 0x30: v += data; break;
	default: r->bad = true;
	}
	return v;
}

/* The .eh_frame_hdr of the module, and where the module ends. */
struct module {
	uintptr_t pc;
	const u8 *hdr;
	uintptr_t end;
};

static int module_cb(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct module *m = arg;
	const ElfW(Phdr) *p = info->dlpi_phdr, *end = p + info->dlpi_phnum;
	uintptr_t hdr = 0, top = 0;
	bool here = false;

	(void)size;
	for (; p < end; p++) {
		uintptr_t at = info->dlpi_addr + p->p_vaddr;

		if (p->p_type == PT_GNU_EH_FRAME)
			hdr = at;
		if (p->p_type != PT_LOAD)
			continue;
		if (m->pc - at < p->p_memsz)
			here = true;
		if (at + p->p_memsz > top)
			top = at + p->p_memsz;
	}
	if (!here)
		return 0;
	m->hdr = (const u8 *)hdr;
	m->end = top;
	return 1;
}

#ifdef DLFO_STRUCT_HAS_EH_DBASE
/* glibc 2.35 and later: no lock. The library runs with older ones too. */
#pragma weak _dl_find_object
#endif

static bool module_find(struct module *m)
{
#ifdef DLFO_STRUCT_HAS_EH_DBASE
	if (_dl_find_object) {
		struct dl_find_object o;

		if (_dl_find_object((void *)m->pc, &o))
			return false;
		m->hdr = o.dlfo_eh_frame;
		m->end = (uintptr_t)o.dlfo_map_end;
		return m->hdr;
	}
#endif
	return dl_iterate_phdr(module_cb, m) && m->hdr;
}

static const u8 *fde_find(const struct module *m)
{
	struct reader r = { .p = m->hdr, .end = (u8 *)m->end };
	u8 version = get(&r, 1), ptr_enc = get(&r, 1), count_enc = get(&r, 1);
	u8 table_enc = get(&r, 1);
	uintptr_t data = (uintptr_t)m->hdr;
	u64 n, lo, hi;
	const s32 *table;

	if (version != 1 || table_enc != 0x3b)	/* what every linker writes */
		return NULL;
	get_encoded(&r, ptr_enc, data);
	n = get_encoded(&r, count_enc, data);
	if (r.bad || !n || (size_t)(r.end - r.p) / 8 < n)
		return NULL;
	table = (const s32 *)r.p;
	if (data + table[0] > m->pc)
		return NULL;
	for (lo = 0, hi = n; hi - lo > 1;) {
		u64 mid = (lo + hi) / 2;

		if (data + table[mid * 2] <= m->pc)
			lo = mid;
		else
			hi = mid;
	}
	return m->hdr + table[lo * 2 + 1];
}

struct state {
	u32 cfa_reg;
	s64 cfa_off;
	bool cfa_deref, cfa_bad;
	u8 fp;		/* FP_... */
	s64 fp_off;
	bool fp_bad;
	bool ra_undefined;
	s64 ra_off;
};

/* The frame pointer and N, as an address or what is there */
static bool simple_expr(struct reader *r, s64 *off, bool *deref)
{
	u64 len = get_uleb(r);
	struct reader e;

	if (len > (size_t)(r->end - r->p)) {
		r->bad = true;
		return false;
	}
	e = (struct reader){ .p = r->p, .end = r->p + len };
	r->p += len;
	*deref = false;
	if (get(&e, 1) != 0x70 + FP)	/* DW_OP_breg */
		return false;
	*off = get_sleb(&e);
	if (e.p < e.end && *e.p == 0x06) {
		*deref = true;
		e.p++;
	}
	return !e.bad && e.p == e.end;
}

static void offset_rule(struct state *s, u64 reg, s64 off)
{
	if (reg == FP) {
		s->fp = FP_AT_CFA;
		s->fp_off = off;
		s->fp_bad = false;
	} else if (reg == RA) {
		s->ra_off = off;
		s->ra_undefined = false;
	}
}

/* Runs the instructions until the location is past @pc. */
static void run(struct reader *r, struct state *s, const struct state *initial, uintptr_t loc,
		uintptr_t pc, u64 code_align, s64 data_align, u8 enc)
{
	struct state kept[8];
	u32 nkept = 0;
	bool deref;
	s64 off;
	u64 reg;

	while (r->p < r->end && !r->bad) {
		u8 op = get(r, 1), low = op & 0x3f;

		switch (op & 0xc0) {
		case 0x40:
			loc += low * code_align;
			if (loc > pc)
				return;
			continue;
		case 0x80:
			offset_rule(s, low, (s64)get_uleb(r) * data_align);
			continue;
		case 0xc0:
			reg = low;
			goto restore;
		}
		switch (op) {
		case 0x00:
			break;
		case 0x01:
			loc = get_encoded(r, enc, 0);
			if (loc > pc)
				return;
			break;
		case 0x02: case 0x03: case 0x04:
			loc += get(r, 1 << (op - 2)) * code_align;
			if (loc > pc)
				return;
			break;
		case 0x05:	/* offset_extended */
			reg = get_uleb(r);
			offset_rule(s, reg, (s64)get_uleb(r) * data_align);
			break;
		case 0x11:
			reg = get_uleb(r);
			offset_rule(s, reg, get_sleb(r) * data_align);
			break;
		case 0x06:	/* restore_extended */
			reg = get_uleb(r);
restore:
			if (reg == FP) {
				s->fp = initial->fp;
				s->fp_off = initial->fp_off;
				s->fp_bad = initial->fp_bad;
			} else if (reg == RA) {
				s->ra_off = initial->ra_off;
				s->ra_undefined = initial->ra_undefined;
			}
			break;
		case 0x07:	/* undefined */
			reg = get_uleb(r);
			if (reg == RA)
				s->ra_undefined = true;
			if (reg == FP)
				s->fp_bad = true;
			break;
		case 0x08:	/* same_value */
			reg = get_uleb(r);
			if (reg == FP)
				s->fp = FP_SAME;
			else if (reg == RA)
				s->ra_off = RA_NOT_SET;
			break;
		case 0x09:	/* register */
			reg = get_uleb(r);
			get_uleb(r);
			if (reg == FP)
				s->fp_bad = true;
			else if (reg == RA)
				s->cfa_bad = true;
			break;
		case 0x0a:
			if (nkept < ARRAY_SIZE(kept))
				kept[nkept] = *s;
			nkept++;
			break;
		case 0x0b:
			if (!nkept || --nkept >= ARRAY_SIZE(kept)) {
				r->bad = true;
				break;
			}
			*s = kept[nkept];
			break;
		case 0x0c: case 0x12:	/* def_cfa */
			s->cfa_reg = get_uleb(r);
			s->cfa_off = op == 0x0c ? (s64)get_uleb(r) : get_sleb(r) * data_align;
			s->cfa_deref = s->cfa_bad = false;
			break;
		case 0x0d:
			s->cfa_reg = get_uleb(r);
			s->cfa_bad = false;
			break;
		case 0x0e:
			s->cfa_off = get_uleb(r);
			break;
		case 0x13:
			s->cfa_off = get_sleb(r) * data_align;
			break;
		case 0x0f:	/* def_cfa_expression */
			s->cfa_bad = !simple_expr(r, &off, &deref) || !deref;
			s->cfa_reg = FP;
			s->cfa_off = off;
			s->cfa_deref = true;
			break;
		case 0x10:	/* expression */
			reg = get_uleb(r);
			if (simple_expr(r, &off, &deref) && !deref) {
				if (reg == FP) {
					s->fp = FP_AT_FP;
					s->fp_off = off;
				}
			} else if (reg == FP) {
				s->fp_bad = true;
			}
			if (reg == RA)
				s->cfa_bad = true;
			break;
		case 0x14: case 0x15: case 0x16:	/* val_offset, val_expression */
			get_uleb(r);
			if (op == 0x15)
				get_sleb(r);
			else if (op == 0x14)
				get_uleb(r);
			else
				simple_expr(r, &off, &deref);
			break;
		case 0x2d:	/* arm64: the return address is signed, or is no longer */
			break;
		case 0x2e:	/* GNU_args_size */
			get_uleb(r);
			break;
		default:
			r->bad = true;
		}
	}
}

/* Is the return address where step_return() looks? On arm64, s->fp comes to say where. */
static bool return_address_known(struct state *s)
{
#if defined(__x86_64__)
	return s->ra_off == -8;
#else
	if (s->fp_bad)
		s->fp = FP_SAME;
	if (s->fp == FP_AT_CFA)
		return s->ra_off == s->fp_off + 8;
	if (s->fp != FP_SAME)
		return false;
	if (s->ra_off != RA_NOT_SET) {
		s->fp = FP_SAME_RA_AT;
		s->fp_bad = false;
		s->fp_off = s->ra_off;
	}
	return true;
#endif
}

static struct rule rule_find(uintptr_t pc)
{
	struct rule rule = { .cfa = CFA_UNKNOWN };
	struct module m = { .pc = pc };
	struct state s = { 0 }, initial;
	struct reader r, c;
	const u8 *fde, *cie;
	u64 len, code_align, aug_len = 0;
	s64 data_align;
	u8 enc = 0, lsda = 0xff, version;
	const char *aug;
	uintptr_t begin;
	bool is_signal = false;

	if (!module_find(&m))
		return rule;
	fde = fde_find(&m);
	if (!fde)
		return rule;
	r = (struct reader){ .p = fde, .end = (u8 *)m.end };
	len = get(&r, 4);
	if (len == 0xffffffff || len > (size_t)(r.end - r.p))
		return rule;
	r.end = r.p + len;
	cie = r.p;
	cie -= get(&r, 4);
	if (cie == r.p - 4)
		return rule;

	c = (struct reader){ .p = cie, .end = (u8 *)m.end };
	len = get(&c, 4);
	if (len == 0xffffffff || len > (size_t)(c.end - c.p))
		return rule;
	c.end = c.p + len;
	get(&c, 4);
	version = get(&c, 1);
	aug = (const char *)c.p;
	while (get(&c, 1))
		;
	if (aug[0] == 'e' && aug[1] == 'h')
		return rule;
	code_align = get_uleb(&c);
	data_align = get_sleb(&c);
	if (version == 1)
		get(&c, 1);
	else
		get_uleb(&c);
	if (*aug == 'z') {
		aug_len = get_uleb(&c);
		for (aug++; *aug; aug++) {
			switch (*aug) {
			case 'R': enc = get(&c, 1); break;
			case 'L': lsda = get(&c, 1); break;
			case 'P': {
				u8 p = get(&c, 1);

				get_encoded(&c, p, 0);
				break;
			}
			case 'S': is_signal = true; break;
			default: c.bad = true;
			}
		}
	}
	begin = get_encoded(&r, enc, 0);
	len = get_encoded(&r, enc & 15, 0);
	if (r.bad || c.bad || pc - begin >= len)
		return rule;
	if (is_signal) {
		rule.cfa = CFA_SIGNAL;
		return rule;
	}
	if (aug_len || lsda != 0xff || enc) {
		aug_len = get_uleb(&r);
		if (aug_len > (size_t)(r.end - r.p))
			return rule;
		r.p += aug_len;
	}
	s.ra_off = RA_NOT_SET;
	run(&c, &s, &s, 0, UINTPTR_MAX, code_align, data_align, enc);
	initial = s;
	run(&r, &s, &initial, begin, pc, code_align, data_align, enc);
	if (r.bad || c.bad)
		return rule;
	if (s.ra_undefined) {
		rule.cfa = CFA_END;
		return rule;
	}
	if (s.cfa_bad || !return_address_known(&s) || s.cfa_off < -OFF_MAX || s.cfa_off >= OFF_MAX ||
	    s.fp_off < -OFF_MAX || s.fp_off >= OFF_MAX)
		return rule;
	if (s.cfa_reg == SP)
		rule.cfa = CFA_SP;
	else if (s.cfa_reg == FP)
		rule.cfa = s.cfa_deref ? CFA_FP_DEREF : CFA_FP;
	else
		return rule;
	rule.cfa_off = s.cfa_off;
	rule.fp = s.fp_bad ? FP_SAME : s.fp;
	rule.fp_off = s.fp_off;
	return rule;
}

/*
 * In a static program libc's list of modules is set up late, and with memory
 * from malloc(): not to be asked before the constructors run.
 */
static bool modules_known(void)
{
	static bool known;

	if (!known)
		known = gf_constructed || getauxval(AT_BASE);
	return known;
}

static struct rule rule_of(uintptr_t pc)
{
	u64 key = pc ^ load_relaxed(&generation) << 48;
	u32 slot = (key * 0x9e3779b97f4a7c15UL) >> 50;
	u64 packed = load_relaxed(&cache[slot].rule);
	struct rule rule;

	if (likely((load_relaxed(&cache[slot].key) ^ packed) == key))
		return rule_unpack(packed);
	if (unlikely(!modules_known()))
		return (struct rule){ .cfa = CFA_UNKNOWN };
	rule = rule_find(pc);
	packed = rule_pack(rule);
	__atomic_store_n(&cache[slot].rule, packed, __ATOMIC_RELAXED);
	__atomic_store_n(&cache[slot].key, packed ^ key, __ATOMIC_RELAXED);
	return rule;
}

/* Out of a signal handler: @uc is the ucontext. */
static bool step_signal(struct gf_regs *r, uintptr_t uc, bool *exact, struct trail *t)
{
	uintptr_t regs = uc + offsetof(ucontext_t, uc_mcontext);

	*exact = true;
	t->n = WORDS_MAX + 1;
	t->fp_at = 0;
#if defined(__x86_64__)
	regs += offsetof(mcontext_t, gregs);
	return gf_peek(regs + REG_RIP * 8, &r->pc) &&
	       gf_peek(regs + REG_RBP * 8, &r->fp) &&
	       gf_peek(regs + REG_RSP * 8, &r->sp);
#else
	r->by_fp = false;
	return gf_peek(regs + offsetof(mcontext_t, pc), &r->pc) &&
	       gf_peek(regs + offsetof(mcontext_t, regs[29]), &r->fp) &&
	       gf_peek(regs + offsetof(mcontext_t, regs[30]), &r->lr) &&
	       gf_peek(regs + offsetof(mcontext_t, sp), &r->sp);
#endif
}

static inline bool sp_known(const struct gf_regs *r)
{
#if defined(__x86_64__)
	(void)r;
	return true;
#else
	return !r->by_fp;
#endif
}

#if defined(__x86_64__)

/* Where the return address is, from @cfa on, and the frame pointer is to be */
static bool step_return(struct gf_regs *r, uintptr_t cfa, const struct rule *rule,
			struct trail *t, uintptr_t *pc)
{
	if (cfa <= r->sp || !trail_peek(t, cfa - 8, pc))
		return false;
	if (rule->fp == FP_AT_CFA) {
		t->fp_at = cfa + rule->fp_off;
	} else if (rule->fp == FP_AT_FP) {
		if (!trail_fp(t, r))
			return false;
		t->fp_at = r->fp + rule->fp_off;
	}
	return true;
}

/* The trampoline has information of its own. */
static bool is_trampoline(uintptr_t pc)
{
	(void)pc;
	return false;
}

#else

/* Without the signature that it may have */
static uintptr_t plain(uintptr_t ra)
{
	register uintptr_t lr __asm__("x30") = ra;

	__asm__("hint #7" : "+r"(lr));	/* xpaclri */
	return lr;
}

static bool step_return(struct gf_regs *r, uintptr_t cfa, const struct rule *rule,
			struct trail *t, uintptr_t *pc)
{
	r->by_fp = false;
	if (rule->fp == FP_SAME) {
		*pc = plain(r->lr);
		r->lr = 0;
		return cfa >= r->sp && *pc;
	}
	r->lr = 0;
	if (cfa <= r->sp || !trail_peek(t, cfa + rule->fp_off + (rule->fp == FP_AT_CFA ? 8 : 0), pc))
		return false;
	if (rule->fp == FP_AT_CFA)
		t->fp_at = cfa + rule->fp_off;
	*pc = plain(*pc);
	return true;
}

/* mov x8, #139 (rt_sigreturn); svc #0: the vDSO's, which has no information */
static bool is_trampoline(uintptr_t pc)
{
	uintptr_t insns;

	return gf_peek(pc, &insns) && insns == 0xd4000001d2801168;
}

#endif

/* @at: an address in the calling instruction */
static bool step_cfi(struct gf_regs *r, uintptr_t at, uintptr_t top, bool *exact, struct trail *t)
{
	struct rule rule = rule_of(at);
	uintptr_t cfa, pc;

	*exact = false;
	switch (__builtin_expect(rule.cfa, CFA_SP)) {
	case CFA_SP:
		if (!sp_known(r))
			return step_fp(r, top, t);
		cfa = r->sp + rule.cfa_off;
		break;
	case CFA_FP:
		if (!trail_fp(t, r))
			return false;
		cfa = r->fp + rule.cfa_off;
		break;
	case CFA_FP_DEREF:
		if (!trail_fp(t, r) || !trail_peek(t, r->fp + rule.cfa_off, &cfa))
			return false;
		break;
	case CFA_SIGNAL:
		/* The stack pointer is at the ucontext. */
		return step_signal(r, r->sp, exact, t);
	case CFA_UNKNOWN:	/* JIT or assembler: it may have a frame pointer */
		/* The siginfo comes first. */
		if (is_trampoline(r->pc))
			return step_signal(r, r->sp + sizeof(siginfo_t), exact, t);
		return step_fp(r, top, t);
	default:
		return false;
	}
	if (cfa - r->sp > FRAME_MAX || cfa > top || !step_return(r, cfa, &rule, t, &pc))
		return false;
	r->pc = pc;
	r->sp = cfa;
	return true;
}

/* Goes on with @n frames. *@exact as in gf_unwind(), of the next one */
static u32 unwind(struct gf_regs *r, uintptr_t top, bool *exact, uintptr_t *pc, u32 n, u32 max,
		  struct trail *t)
{
	/* Not this thread's stack: a coroutine's, a signal's */
	if (r->sp >= top)
		top = UINTPTR_MAX;
	while (n < max) {
		bool ok = gf_opt.unwind == UNWIND_FP ? step_fp(r, top, t) :
			  step_cfi(r, *exact ? r->pc : r->pc - 1, top, exact, t);

		if (!ok || r->pc < PAGE)
			break;
		pc[n++] = r->pc;
	}
	return n;
}

u32 gf_unwind(struct gf_regs regs, uintptr_t top, bool exact, uintptr_t *pc, u32 max)
{
	struct trail t = { .n = WORDS_MAX + 1 };

	if (gf_opt.unwind == UNWIND_NONE || !max)
		return 0;
	pc[0] = regs.pc;
	return unwind(&regs, top, &exact, pc, 1, max, &t);
}

/*
 * Stacks that were unwound, and the words that they were found by: while these are the
 * same, so is the stack, and to see that takes a few instructions each. They are looked
 * for by where the caller is and its stack pointer; if another stack is there, as where
 * a function that allocates is called from many places, by the first three frames and
 * the words further up. Without locks: @version is odd while one is written.
 */
#define KNOWN_BITS	9
#define FIRST		3U

struct key {
	uintptr_t pc[FIRST], sp, fp, top;
	u64 generation;
};

static struct known {
	u32 version;
	u32 id, n;
	bool fp_used;
	struct key key;
	struct word word[WORDS_MAX];
} known[1 << KNOWN_BITS];

void gf_stack_clear(void)
{
	memset(known, 0, sizeof(known));
}

static struct known *place_of(const struct key *key)
{
	const u64 prime = 0x9e3779b97f4a7c15UL;

	return &known[(((key->pc[0] * prime ^ key->pc[1]) * prime ^ key->pc[2]) * prime ^
		       key->sp) * prime >> (64 - KNOWN_BITS)];
}

static inline __attribute__((always_inline))
bool is_known(const struct known *k, const struct key *key, u32 *id)
{
	u32 version = load(&k->version), n = load_relaxed(&k->n);

	*id = load_relaxed(&k->id);
	if (version & 1 || load_relaxed(&k->key.pc[0]) != key->pc[0] ||
	    load_relaxed(&k->key.pc[1]) != key->pc[1] ||
	    load_relaxed(&k->key.pc[2]) != key->pc[2] ||
	    load_relaxed(&k->key.sp) != key->sp || load_relaxed(&k->key.top) != key->top ||
	    load_relaxed(&k->key.generation) != key->generation ||
	    (load_relaxed(&k->fp_used) && load_relaxed(&k->key.fp) != key->fp))
		return false;
	if (n && !gf_same(k->word, k->word + n))
		return false;
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return load_relaxed(&k->version) == version;
}

static void know(const struct key *key, u32 id, const struct trail *t)
{
	struct known *k = place_of(key);
	u32 version = load_relaxed(&k->version);

	/*
	 * To compare words reads what unwinding would. But while this one is replaced,
	 * they may be of a thread that has gone: that wants the handler.
	 */
	if (!id || t->n > WORDS_MAX || !gf_opt.handler || !modules_known() || version & 1 ||
	    !__atomic_compare_exchange_n(&k->version, &version, version + 1, false,
					 __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
		return;
	__atomic_thread_fence(__ATOMIC_RELEASE);
	k->id = id;
	k->n = t->n;
	k->fp_used = t->fp_used;
	k->key = *key;
	memcpy(k->word, t->word, t->n * sizeof(t->word[0]));
	store(&k->version, version + 2);
}

static void trail_begin(struct trail *t)
{
	t->n = 0;
	t->fp_used = t->fp_read = false;
	t->fp_at = 0;
}

static __attribute__((noinline)) u32 stack_of(const struct key *key, struct gf_regs r)
{
	static u32 turn;
	uintptr_t pc[GF_DEPTH_MAX];
	struct trail first, rest;
	struct key frames = *key;
	bool exact = false;
	u32 n, id, i;

	if (gf_opt.unwind == UNWIND_NONE || !gf_opt.depth)
		return 0;
	trail_begin(&first);
	pc[0] = r.pc;
	n = unwind(&r, key->top, &exact, pc, 1, gf_opt.depth < FIRST ? gf_opt.depth : FIRST,
		   &first);
	if (n < FIRST || exact || (first.fp_at && !gf_peek(first.fp_at, &r.fp))) {
		n = unwind(&r, key->top, &exact, pc, n, n < FIRST ? n : gf_opt.depth, &first);
		id = gf_depot_put(pc, n);
		know(key, id, &first);
		return id;
	}
	memcpy(frames.pc, pc, sizeof(frames.pc));
	frames.sp = r.sp;
	frames.fp = r.fp;
	/* Now and then the one before may have become more frequent. */
	store(&turn, load_relaxed(&turn) + 1);
	if (is_known(place_of(&frames), &frames, &id) && turn % 16)
		return id;
	trail_begin(&rest);
	id = gf_depot_put(pc, unwind(&r, key->top, &exact, pc, FIRST, gf_opt.depth, &rest));
	know(&frames, id, &rest);
	if (rest.fp_used && first.fp_at)
		trail_add(&first, first.fp_at, frames.fp);
	else if (rest.fp_used && !first.fp_read)
		first.fp_used = true;
	for (i = 0; i < rest.n && i < WORDS_MAX; i++)
		trail_add(&first, rest.word[i].addr, rest.word[i].value);
	if (rest.n > WORDS_MAX)
		first.n = rest.n;
	know(key, id, &first);
	return id;
}

u32 gf_stack_here(struct gf_regs caller, uintptr_t top)
{
	struct key key = {
		.pc = { caller.pc }, .sp = caller.sp, .fp = caller.fp, .top = top,
		.generation = load_relaxed(&generation),
	};
	u32 id;

	return likely(is_known(place_of(&key), &key, &id)) ? id : stack_of(&key, caller);
}
