// SPDX-License-Identifier: MIT
/*
 * The stack of a caller, without frame pointers, cheaply enough to be taken at
 * each malloc and free. The call frame information of an address is worked out
 * once, and reduced to what x86 code really does: the frame begins at an offset
 * from the stack or the frame pointer, the return address lies below that, the
 * caller's frame pointer is kept somewhere or not touched. That is one word,
 * and it is cached by address, without locks.
 *
 * Every word of the stack is read by gf_peek(), which may fail: information
 * that is wrong or outdated costs frames of a report, and never the program.
 */
#include "stack.h"
#include "depot.h"
#include "options.h"
#include <dlfcn.h>
#include <link.h>
#include <string.h>
#include <sys/auxv.h>
#include <ucontext.h>

#define FRAME_MAX	(16UL << 20)	/* bytes; what is further up is no caller */

bool gf_constructed;

/*
 * One load that may fault: the handler of SIGSEGV goes on at gf_peek_fixup
 * then. The registers are those of a call.
 */
#if defined(__x86_64__)
__asm__(".text\n"
	".globl gf_peek_raw, gf_peek_insn, gf_peek_fixup\n"
	".hidden gf_peek_raw, gf_peek_insn, gf_peek_fixup\n"
	".type gf_peek_raw, @function\n"
	"gf_peek_raw:\n"
	"gf_peek_insn:	mov (%rdi), %rdx\n"
	"	mov %rdx, (%rsi)\n"
	"	mov $1, %eax\n"
	"	ret\n"
	"gf_peek_fixup:\n"
	"	xor %eax, %eax\n"
	"	ret\n"
	".size gf_peek_raw, . - gf_peek_raw\n");
#elif defined(__aarch64__)
__asm__(".text\n"
	".globl gf_peek_raw, gf_peek_insn, gf_peek_fixup\n"
	".hidden gf_peek_raw, gf_peek_insn, gf_peek_fixup\n"
	".type gf_peek_raw, @function\n"
	"gf_peek_raw:\n"
	"gf_peek_insn:	ldr x2, [x0]\n"
	"	str x2, [x1]\n"
	"	mov w0, #1\n"
	"	ret\n"
	"gf_peek_fixup:\n"
	"	mov w0, #0\n"
	"	ret\n"
	".size gf_peek_raw, . - gf_peek_raw\n");
#endif
int gf_peek_raw(uintptr_t addr, uintptr_t *value) __attribute__((visibility("hidden")));

bool gf_peek(uintptr_t addr, uintptr_t *value)
{
	return gf_peek_raw(addr, value);
}

/* A step by frame pointers; false at the end. */
static bool step_fp(struct gf_regs *r, uintptr_t top)
{
	uintptr_t fp = r->fp, next, pc;

	if (fp < r->sp || fp & 7 || fp > top - 16 || fp - r->sp > FRAME_MAX)
		return false;
	if (!gf_peek(fp, &next) || !gf_peek(fp + 8, &pc) || pc < PAGE)
		return false;
	r->pc = pc;
	r->sp = fp + 16;
	r->fp = next;
	return true;
}

#if defined(__x86_64__)

enum { CFA_END, CFA_SP, CFA_FP, CFA_FP_DEREF, CFA_SIGNAL, CFA_UNKNOWN };
enum { FP_SAME, FP_AT_CFA, FP_AT_FP };

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
static u64 generation = 1;

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

static u64 get_uleb(struct reader *r)
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
	return v;
}

static s64 get_sleb(struct reader *r)
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
	if (shift < 64 && b & 0x40)
		v |= -1UL << shift;
	return v;
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

/* breg6 N, or breg6 N deref */
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
	if (get(&e, 1) != 0x76)
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
	if (reg == 6) {
		s->fp = FP_AT_CFA;
		s->fp_off = off;
		s->fp_bad = false;
	} else if (reg == 16) {
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
			if (reg == 6) {
				s->fp = initial->fp;
				s->fp_off = initial->fp_off;
				s->fp_bad = initial->fp_bad;
			} else if (reg == 16) {
				s->ra_off = initial->ra_off;
				s->ra_undefined = initial->ra_undefined;
			}
			break;
		case 0x07:	/* undefined */
			reg = get_uleb(r);
			if (reg == 16)
				s->ra_undefined = true;
			if (reg == 6)
				s->fp_bad = true;
			break;
		case 0x08:	/* same_value */
			if (get_uleb(r) == 6)
				s->fp = FP_SAME;
			break;
		case 0x09:	/* register */
			reg = get_uleb(r);
			get_uleb(r);
			if (reg == 6)
				s->fp_bad = true;
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
			s->cfa_reg = 6;
			s->cfa_off = off;
			s->cfa_deref = true;
			break;
		case 0x10:	/* expression */
			reg = get_uleb(r);
			if (simple_expr(r, &off, &deref) && !deref) {
				if (reg == 6) {
					s->fp = FP_AT_FP;
					s->fp_off = off;
				}
			} else if (reg == 6) {
				s->fp_bad = true;
			}
			if (reg == 16)
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
		case 0x2e:	/* GNU_args_size */
			get_uleb(r);
			break;
		default:
			r->bad = true;
		}
	}
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
	s.ra_off = 1;		/* not set */
	run(&c, &s, &s, 0, UINTPTR_MAX, code_align, data_align, enc);
	initial = s;
	run(&r, &s, &initial, begin, pc, code_align, data_align, enc);
	if (r.bad || c.bad)
		return rule;
	if (s.ra_undefined) {
		rule.cfa = CFA_END;
		return rule;
	}
	if (s.cfa_bad || s.ra_off != -8 || s.cfa_off < -OFF_MAX || s.cfa_off >= OFF_MAX ||
	    s.fp_off < -OFF_MAX || s.fp_off >= OFF_MAX)
		return rule;
	if (s.cfa_reg == 7)
		rule.cfa = CFA_SP;
	else if (s.cfa_reg == 6)
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

/* After dlclose(): another module may come to lie at the same addresses. */
void gf_unwind_forget(void)
{
	fetch_add(&generation, 1);
}

/* @at: an address in the calling instruction */
static bool step_cfi(struct gf_regs *r, uintptr_t at, uintptr_t top, bool *exact)
{
	struct rule rule = rule_of(at);
	uintptr_t cfa, fp = r->fp, pc;

	*exact = false;
	switch (rule.cfa) {
	case CFA_SP:
		cfa = r->sp + rule.cfa_off;
		break;
	case CFA_FP:
		cfa = r->fp + rule.cfa_off;
		break;
	case CFA_FP_DEREF:
		if (!gf_peek(r->fp + rule.cfa_off, &cfa))
			return false;
		break;
	case CFA_SIGNAL: {
		/* The trampoline: the stack pointer is at the ucontext. */
		uintptr_t regs = r->sp + offsetof(ucontext_t, uc_mcontext.gregs);

		*exact = true;
		return gf_peek(regs + REG_RIP * 8, &r->pc) &&
		       gf_peek(regs + REG_RBP * 8, &r->fp) &&
		       gf_peek(regs + REG_RSP * 8, &r->sp);
	}
	case CFA_UNKNOWN:	/* JIT or assembler: it may have a frame pointer */
		return step_fp(r, top);
	default:
		return false;
	}
	if (cfa <= r->sp || cfa - r->sp > FRAME_MAX || cfa > top)
		return false;
	if (!gf_peek(cfa - 8, &pc))
		return false;
	if (rule.fp == FP_AT_CFA) {
		if (!gf_peek(cfa + rule.fp_off, &fp))
			return false;
	} else if (rule.fp == FP_AT_FP) {
		if (!gf_peek(r->fp + rule.fp_off, &fp))
			return false;
	}
	r->pc = pc;
	r->sp = cfa;
	r->fp = fp;
	return true;
}

#else

void gf_unwind_forget(void)
{
}

static bool step_cfi(struct gf_regs *r, uintptr_t at, uintptr_t top, bool *exact)
{
	(void)at;
	*exact = false;
	return step_fp(r, top);
}

#endif

u32 gf_unwind(struct gf_regs r, uintptr_t top, bool exact, uintptr_t *pc, u32 max)
{
	u32 n = 0;

	if (gf_opt.unwind == UNWIND_NONE || !max)
		return 0;
	/* Not this thread's stack: a coroutine's, a signal's */
	if (r.sp >= top)
		top = UINTPTR_MAX;
	pc[n++] = r.pc;
	while (n < max) {
		bool ok = gf_opt.unwind == UNWIND_FP ? step_fp(&r, top) :
			  step_cfi(&r, exact ? r.pc : r.pc - 1, top, &exact);

		if (!ok || r.pc < PAGE)
			break;
		pc[n++] = r.pc;
	}
	return n;
}

u32 gf_stack_here(struct gf_regs caller, uintptr_t top)
{
	uintptr_t pc[GF_DEPTH_MAX];

	return gf_depot_put(pc, gf_unwind(caller, top, false, pc, gf_opt.depth));
}
