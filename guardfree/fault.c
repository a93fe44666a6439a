// SPDX-License-Identifier: MIT
/*
 * SIGSEGV: is it a guard of ours? And who gets it next.
 */
#include "gf.h"
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>

#define ALT_SIZE	(64UL << 10)

/* The kernel's own, as libc's sigaction() may be wrapped, by us or by others. */
struct kernel_action {
	void *handler;
	unsigned long flags;
	void (*restorer)(void);
	u64 mask;
};

#if defined(__x86_64__)
#define RESTORER 0x04000000
/* These very bytes are what debuggers and unwinders know a signal frame by. */
__asm__(".text\n"
	"	nop\n"
	".hidden gf_restorer\n"
	".globl gf_restorer\n"
	".type gf_restorer, @function\n"
	"gf_restorer:\n"
	"	mov $15, %rax\n"
	"	syscall\n"
	".size gf_restorer, . - gf_restorer\n");
void gf_restorer(void) __attribute__((visibility("hidden")));
#else
#define RESTORER 0
#define gf_restorer NULL
#endif

static struct sigaction user;	/* what the program wants of SIGSEGV */
static struct gf_lock user_lock;
static bool installed;
bool gf_went_on;

bool gf_fault_installed(void)
{
	return installed;
}

void gf_user_action(const struct sigaction *set, struct sigaction *old)
{
	struct sigaction new;
	u64 all = ~0UL, was;

	if (set)
		new = *set;
	/* The handler takes the lock too. */
	gf_sys(SYS_rt_sigprocmask, SIG_BLOCK, &all, &was, 8);
	gf_lock(&user_lock);
	if (old)
		*old = user;
	if (set)
		user = new;
	gf_unlock(&user_lock);
	gf_sys(SYS_rt_sigprocmask, SIG_SETMASK, &was, NULL, 8);
}

static void default_action(void)
{
	struct kernel_action dfl = { .flags = RESTORER, .restorer = gf_restorer };

	gf_sys(SYS_rt_sigaction, SIGSEGV, &dfl, NULL, 8);
}

/* The previous handler, or the default action: at the same instruction. */
static void pass_to_user(int sig, siginfo_t *info, void *context)
{
	struct sigaction act;
	u64 mask;

	gf_lock(&user_lock);
	act = user;
	if (act.sa_flags & SA_RESETHAND)
		user.sa_handler = SIG_DFL;
	gf_unlock(&user_lock);

	if (act.sa_handler == SIG_IGN && info->si_code <= 0)
		return;
	if (act.sa_handler == SIG_DFL || act.sa_handler == SIG_IGN) {
		default_action();
		/* It was sent: it does not happen again by itself. */
		if (info->si_code <= 0)
			gf_sys(SYS_tgkill, gf_sys(SYS_getpid), gf_sys(SYS_gettid), sig);
		return;
	}
	memcpy(&mask, &act.sa_mask, sizeof(mask));
	if (!(act.sa_flags & SA_NODEFER))
		mask |= 1UL << (SIGSEGV - 1);
	gf_sys(SYS_rt_sigprocmask, SIG_BLOCK, &mask, NULL, 8);
	if (act.sa_flags & SA_SIGINFO)
		act.sa_sigaction(sig, info, context);
	else
		act.sa_handler(sig);
}

static void registers(const ucontext_t *uc, struct gf_regs *r)
{
#if defined(__x86_64__)
	r->pc = uc->uc_mcontext.gregs[REG_RIP];
	r->sp = uc->uc_mcontext.gregs[REG_RSP];
	r->fp = uc->uc_mcontext.gregs[REG_RBP];
#else
	r->pc = uc->uc_mcontext.pc;
	r->sp = uc->uc_mcontext.sp;
	r->fp = uc->uc_mcontext.regs[29];
#endif
}

static void describe_access(struct gf_report *r, const ucontext_t *uc)
{
	enum gf_access how = ACCESS_NONE;
	uintptr_t words[3] = { 0 };
	u32 i, len = 0;

	r->access = ACCESS_READ;
#if defined(__x86_64__)
	if (uc->uc_mcontext.gregs[REG_ERR] & 2)
		r->access = ACCESS_WRITE;
	if (uc->uc_mcontext.gregs[REG_ERR] & 16 || r->regs.pc == r->addr) {
		r->access = ACCESS_EXEC;
		return;
	}
#else
	(void)uc;
#endif
	for (i = 0; i < 2; i++) {
		if (!gf_peek(r->regs.pc + i * 8, &words[i]))
			break;
		len += 8;
	}
	r->size = gf_access_size((u8 *)words, len, &how);
}

/* halt=0: the page is there from now on. */
static bool go_on(uintptr_t page)
{
	store(&gf_went_on, true);
	/* What was large enough is PROT_NONE, and a guard as well if this is the method. */
	return gf_unpoison(page, PAGE) &&
	       !gf_sys(SYS_mprotect, page, PAGE, PROT_READ | PROT_WRITE);
}

static void on_segv(int sig, siginfo_t *info, void *context)
{
	static uintptr_t last_addr, last_pc;
	ucontext_t *uc = context;
	struct gf_report r;
	uintptr_t addr = (uintptr_t)info->si_addr;
	int err = errno;

	memset(&r, 0, offsetof(struct gf_report, pc));
	registers(uc, &r.regs);
	if (r.regs.pc == (uintptr_t)gf_peek_insn) {
#if defined(__x86_64__)
		uc->uc_mcontext.gregs[REG_RIP] = (uintptr_t)gf_peek_fixup;
#else
		uc->uc_mcontext.pc = (uintptr_t)gf_peek_fixup;
#endif
		return;
	}
	if (gf_tls.in_report) {
		gf_say("a fault at 0x%012lx, pc 0x%012lx, while a report is made: no more of it",
		       (unsigned long)addr, (unsigned long)r.regs.pc);
		default_action();
		return;
	}
	if (info->si_code > 0 && info->si_code != SI_KERNEL && gf_ours((void *)addr) &&
	    /* not anew each time that a handler returns */
	    !(addr == load_relaxed(&last_addr) && r.regs.pc == load_relaxed(&last_pc) &&
	      gf_opt.halt)) {
		store(&last_addr, addr);
		store(&last_pc, r.regs.pc);
		gf_tls.in_report = true;
		r.addr = addr;
		r.exact = true;
		r.thread = gf_tls.no;
		describe_access(&r, uc);
		if (r.access == ACCESS_EXEC) {
			/* There is no code to unwind: who called it? */
			struct gf_regs at = r.regs;

			r.pc[0] = r.regs.pc;
			if (gf_peek(at.sp, &at.pc)) {
				at.sp += 8;
				r.n = 1 + gf_unwind(at, false, r.pc + 1, GF_DEPTH_MAX - 1);
			}
		} else {
			r.n = gf_unwind(r.regs, true, r.pc, GF_DEPTH_MAX);
		}
		gf_classify(&r);
		gf_report(&r);
		gf_tls.in_report = false;
		/* What cannot be executed would come here for ever. */
		if (!gf_opt.halt && r.access != ACCESS_EXEC && go_on(addr & -PAGE)) {
			errno = err;
			return;
		}
	}
	pass_to_user(sig, info, context);
	errno = err;
}

void gf_fault_init(void)
{
	struct kernel_action act = {
		.handler = on_segv,
		/* Not deferred: gf_peek() may fault in here. */
		.flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER | RESTORER,
		.restorer = gf_restorer,
	}, old;

	if (gf_sys(SYS_rt_sigaction, SIGSEGV, &act, &old, 8))
		return;
	user.sa_handler = old.handler;
	user.sa_flags = old.flags & ~RESTORER;
	memcpy(&user.sa_mask, &old.mask, sizeof(old.mask));
	installed = true;
}

/*
 * The handler's own stacks, as a stack that overflowed is no place for it. What
 * the program has set for itself is left. The first page of each is a guard.
 */

static struct gf_lock alt_lock;
static u32 alt_free, alts;	/* number + 1; how many there are */

static inline u32 *alt_link(u32 no)
{
	return (u32 *)(gf_alts.base + no * ALT_SIZE + PAGE);
}

void gf_fault_lock(void)
{
	gf_lock(&user_lock);
	gf_lock(&alt_lock);
}

void gf_fault_unlock(void)
{
	gf_unlock(&alt_lock);
	gf_unlock(&user_lock);
}

void gf_altstack_start(struct gf_tls *t)
{
	stack_t ss, old = { 0 };
	u32 no;

	if (!installed || gf_sys(SYS_sigaltstack, NULL, &old) || !(old.ss_flags & SS_DISABLE))
		return;
	gf_lock(&alt_lock);
	no = alt_free;
	if (no) {
		no--;
		alt_free = *alt_link(no);
	} else {
		no = alts;
		if (gf_area_need(&gf_alts, (no + 1) * ALT_SIZE)) {
			gf_unlock(&alt_lock);
			return;
		}
		alts++;
		gf_poison(gf_alts.base + no * ALT_SIZE, PAGE);
	}
	gf_unlock(&alt_lock);
	memset(&ss, 0, sizeof(ss));
	ss.ss_sp = (void *)(gf_alts.base + no * ALT_SIZE + PAGE);
	ss.ss_size = ALT_SIZE - PAGE;
	if (!gf_sys(SYS_sigaltstack, &ss, NULL))
		t->altstack = ss.ss_sp;
}

void gf_altstack_end(struct gf_tls *t)
{
	stack_t ss = { .ss_flags = SS_DISABLE }, old = { 0 };
	u32 no;

	if (!t->altstack)
		return;
	if (!gf_sys(SYS_sigaltstack, NULL, &old) && old.ss_sp == t->altstack)
		gf_sys(SYS_sigaltstack, &ss, NULL);
	no = ((uintptr_t)t->altstack - gf_alts.base) / ALT_SIZE;
	t->altstack = NULL;
	gf_lock(&alt_lock);
	*alt_link(no) = alt_free;
	alt_free = no + 1;
	gf_unlock(&alt_lock);
}

/*
 * How many bytes an instruction moves. Not a disassembler: the opcode and its
 * prefixes say it. 0 if they don't.
 */
#if defined(__x86_64__)

static u32 size_0f(u8 op, u8 pp, bool w, u32 vec, u32 opsize, u8 modrm)
{
	u32 scalar = pp == 0xf3 ? 4 : pp == 0xf2 ? 8 : vec;

	switch (op) {
	case 0x10: case 0x11: case 0x51: case 0x52: case 0x53: case 0x58: case 0x59:
	case 0x5c: case 0x5d: case 0x5e: case 0x5f: case 0xc2:
		return scalar;
	case 0x12: case 0x13: case 0x16: case 0x17: case 0xd6:
		return pp == 0xf3 ? vec : 8;
	case 0x14: case 0x15: case 0x28: case 0x29: case 0x2b: case 0x54 ... 0x57: case 0xc6:
	case 0x5b: case 0xe7: case 0xf0:
		return vec;
	case 0x2a:
		return pp ? (w ? 8 : 4) : 8;
	case 0x2c: case 0x2d:
		return pp == 0xf3 ? 4 : 8;
	case 0x2e: case 0x2f:
		return pp == 0x66 ? 8 : 4;
	case 0x5a:
		return pp == 0xf3 ? 4 : pp == 0xf2 ? 8 : pp ? vec : vec / 2;
	case 0x6e:
		return w ? 8 : 4;
	case 0x7e:
		return pp == 0xf3 || w ? 8 : 4;
	case 0x6f: case 0x7f:
		return pp ? vec : 8;
	case 0xe6:
		return pp == 0xf3 ? 8 : vec;
	case 0x60 ... 0x6d: case 0x70 ... 0x76: case 0xd0 ... 0xd5: case 0xd8 ... 0xe5:
	case 0xe8 ... 0xef: case 0xf1 ... 0xfe:
		return pp == 0x66 ? vec : 8;
	case 0x40 ... 0x4f: case 0xa3: case 0xa4: case 0xa5: case 0xab: case 0xac: case 0xad:
	case 0xaf: case 0xb1: case 0xb3: case 0xb8: case 0xba: case 0xbb: case 0xbc: case 0xbd:
	case 0xc1: case 0xc3:
		return opsize;
	case 0x90 ... 0x9f: case 0xb0: case 0xb6: case 0xbe: case 0xc0:
		return 1;
	case 0xb7: case 0xbf:
		return 2;
	case 0xc7:
		return (modrm >> 3 & 7) == 1 ? (w ? 16 : 8) : 0;
	}
	return 0;
}

static u32 size_0f38(u8 op, u8 pp, u32 vec, u32 opsize)
{
	switch (op) {
	case 0xf0: case 0xf1:
		return pp == 0xf2 ? (op == 0xf0 ? 1 : opsize) : opsize;
	case 0x18: case 0x58:
		return 4;
	case 0x19: case 0x59:
		return 8;
	case 0x1a: case 0x5a:
		return 16;
	case 0x78:
		return 1;
	case 0x79:
		return 2;
	case 0x20: case 0x23: case 0x25: case 0x30: case 0x33: case 0x35:
		return vec / 2;
	case 0x21: case 0x24: case 0x31: case 0x34:
		return vec / 4;
	case 0x22: case 0x32:
		return vec / 8;
	case 0xf2: case 0xf3: case 0xf5: case 0xf6: case 0xf7:
		return opsize;
	}
	return vec;
}

u32 gf_access_size(const u8 *insn, u32 len, enum gf_access *access)
{
	static const u8 vex_pp[] = { 0, 0x66, 0xf3, 0xf2 };
	u8 pp = 0, rep = 0, op, modrm, map = 0;
	bool w = false, o66 = false, is_vex = false;
	u32 i = 0, opsize, vec = 16;

#define NEXT() (i < len ? insn[i++] : 0)
	(void)access;
	for (; i < len; i++) {
		u8 b = insn[i];

		if (b == 0x66)
			o66 = true;
		else if (b == 0xf2 || b == 0xf3)
			rep = b;
		else if (b != 0xf0 && b != 0x67 && b != 0x64 && b != 0x65 && b != 0x2e &&
			 b != 0x36 && b != 0x3e && b != 0x26)
			break;
	}
	if (i >= len)
		return 0;
	op = NEXT();
	if ((op & 0xf0) == 0x40) {
		w = op & 8;
		op = NEXT();
	}
	pp = rep ? rep : o66 ? 0x66 : 0;
	if (op == 0xc5) {
		u8 b = NEXT();

		is_vex = true;
		map = 1;
		pp = vex_pp[b & 3];
		vec = b & 4 ? 32 : 16;
		op = NEXT();
	} else if (op == 0xc4) {
		u8 b1 = NEXT(), b2 = NEXT();

		is_vex = true;
		map = b1 & 31;
		pp = vex_pp[b2 & 3];
		w = b2 & 0x80;
		vec = b2 & 4 ? 32 : 16;
		op = NEXT();
	} else if (op == 0x62) {
		u8 b1 = NEXT(), b2 = NEXT(), b3 = NEXT();

		is_vex = true;
		map = b1 & 7;
		pp = vex_pp[b2 & 3];
		w = b2 & 0x80;
		vec = 16 << (b3 >> 5 & 3);
		op = NEXT();
	} else if (op == 0x0f) {
		map = 1;
		op = NEXT();
		if (op == 0x38 || op == 0x3a) {
			map = op == 0x38 ? 2 : 3;
			op = NEXT();
		}
	}
	modrm = i < len ? insn[i] : 0;
	opsize = w ? 8 : o66 && !is_vex ? 2 : 4;
#undef NEXT
	if (map == 1)
		return size_0f(op, pp, w, vec, opsize, modrm);
	if (map == 2)
		return size_0f38(op, pp, vec, opsize);
	if (map == 3)
		return vec;
	if (map)
		return 0;
	if (op < 0x40)
		return (op & 7) < 4 ? (op & 1 ? opsize : 1) : 0;
	switch (op) {
	case 0x50 ... 0x5f: case 0x68: case 0x6a: case 0x8f: case 0xc3: case 0xe8:
		return 8;
	case 0x63:
		return 4;
	case 0x69: case 0x6b: case 0x81: case 0x83: case 0x85: case 0x87: case 0x89: case 0x8b:
	case 0xa1: case 0xa3: case 0xa5: case 0xa7: case 0xab: case 0xad: case 0xaf:
	case 0xc1: case 0xc7: case 0xd1: case 0xd3: case 0xf7:
		return opsize;
	case 0x80: case 0x84: case 0x86: case 0x88: case 0x8a: case 0xa0: case 0xa2: case 0xa4:
	case 0xa6: case 0xaa: case 0xac: case 0xae: case 0xc0: case 0xc6: case 0xd0: case 0xd2:
	case 0xd7: case 0xf6: case 0xfe:
		return 1;
	case 0x8c: case 0x8e:
		return 2;
	case 0xff:
		return (modrm >> 3 & 7) < 2 ? opsize : 8;
	case 0xd8: case 0xda:
		return 4;
	case 0xdc:
		return 8;
	case 0xde:
		return 2;
	case 0xd9:
		return (modrm >> 3 & 7) < 4 ? 4 : (modrm >> 3 & 1) ? 2 : 28;
	case 0xdb:
		return (modrm >> 3 & 7) < 4 ? 4 : 10;
	case 0xdd:
		return (modrm >> 3 & 7) < 4 ? 8 : (modrm >> 3 & 7) == 7 ? 2 : 0;
	case 0xdf:
		return (modrm >> 3 & 7) < 4 ? 2 : (modrm >> 3 & 1) ? 8 : 10;
	}
	return 0;
}

#else

u32 gf_access_size(const u8 *insn, u32 len, enum gf_access *access)
{
	(void)insn;
	(void)len;
	(void)access;
	return 0;
}

#endif
