// SPDX-License-Identifier: MIT
/*
 * SIGSEGV and SIGBUS: is it a guard of ours? And who gets it next.
 */
#include "fault.h"
#include "guard.h"
#include "insn.h"
#include "log.h"
#include "options.h"
#include "report.h"
#include "slots.h"
#include "stack.h"
#include "sys.h"
#include "thread.h"
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>

/* The kernel's own, as libc's sigaction() may be wrapped, by us or by others. */
struct kernel_action {
	void *handler;
	unsigned long flags;
	void (*restorer)(void);
	u64 mask;
};

/* These very bytes are what debuggers and unwinders know a signal frame by. */
#if defined(__x86_64__)
#define RESTORER 0x04000000
#define SIGRETURN "	mov $15, %rax\n	syscall\n"
#else
#define RESTORER 0
#define SIGRETURN "	mov x8, #139\n	svc #0\n"
#endif
__asm__(".text\n"
	"	nop\n"
	".hidden gf_restorer\n"
	".globl gf_restorer\n"
	".type gf_restorer, @function\n"
	"gf_restorer:\n"
	SIGRETURN
	".size gf_restorer, . - gf_restorer\n");
void gf_restorer(void) __attribute__((visibility("hidden")));

/* What the program wants of SIGSEGV, of SIGBUS */
static struct sigaction users[2];
static struct gf_lock user_lock;
static bool installed;

static inline struct sigaction *user_of(int sig)
{
	return &users[sig == SIGBUS];
}

bool gf_fault_installed(void)
{
	return installed;
}

void gf_fault_lock(void)
{
	gf_lock(&user_lock);
}

void gf_fault_unlock(void)
{
	gf_unlock(&user_lock);
}

void gf_user_action(int sig, const struct sigaction *set, struct sigaction *old)
{
	struct sigaction new;
	u64 all = ~0UL, was;

	if (set)
		new = *set;
	/* The handler takes the lock too. */
	gf_sys(SYS_rt_sigprocmask, SIG_BLOCK, &all, &was, 8);
	gf_lock(&user_lock);
	if (old)
		*old = *user_of(sig);
	if (set)
		*user_of(sig) = new;
	gf_unlock(&user_lock);
	gf_sys(SYS_rt_sigprocmask, SIG_SETMASK, &was, NULL, 8);
}

static void default_action(int sig)
{
	struct kernel_action dfl = { .flags = RESTORER, .restorer = gf_restorer };

	/* A filter may forbid it; to return would be to come back for ever. */
	if (gf_sys(SYS_rt_sigaction, sig, &dfl, NULL, 8))
		gf_sys(SYS_exit_group, 128 + sig);
}

static bool within(uintptr_t at, const void *start, size_t size)
{
	return start && at - (uintptr_t)start < size;
}

/*
 * The kernel's frame for a handler holds all that the return from it needs. It can be
 * copied, as long as it knows where it is. enter() goes on in the program's handler,
 * with the registers that the kernel gives it.
 */
#if defined(__x86_64__)

#define STACK(uc)	((uc)->uc_mcontext.gregs[REG_RSP])
#define RED_ZONE	128	/* which the program may use below its stack pointer */

/* return address | ucontext | siginfo | state of the floating point unit */
static uintptr_t frame_of(const siginfo_t *info, const ucontext_t *uc, uintptr_t *end)
{
	const u8 *fp = (const u8 *)uc->uc_mcontext.fpregs;
	u32 magic = 0, size = 512;

	*end = (uintptr_t)(info + 1);
	if (fp) {
		memcpy(&magic, fp + 464, sizeof(magic));
		if (magic == 0x46505853)	/* FP_XSTATE_MAGIC1: its size follows */
			memcpy(&size, fp + 468, sizeof(size));
		*end = (uintptr_t)fp + size;
	}
	return (uintptr_t)uc - 8;
}

static void frame_moved(ucontext_t *uc, uintptr_t by)
{
	if (uc->uc_mcontext.fpregs)
		uc->uc_mcontext.fpregs = (void *)((uintptr_t)uc->uc_mcontext.fpregs + by);
}

__attribute__((noreturn))
static void enter(void *handler, int sig, siginfo_t *info, ucontext_t *uc, uintptr_t frame)
{
	register long rdi __asm__("rdi") = sig;
	register long rsi __asm__("rsi") = (long)info;
	register long rdx __asm__("rdx") = (long)uc;
	register long r10 __asm__("r10") = (long)frame;
	register long r11 __asm__("r11") = (long)handler;
	register long rax __asm__("rax") = uc->uc_mcontext.gregs[REG_RBP];

	__asm__ volatile("mov %%r10, %%rsp\n\t"
			 "mov %%rax, %%rbp\n\t"
			 "xor %%eax, %%eax\n\t"
			 "jmp *%%r11"
			 : : "r"(rdi), "r"(rsi), "r"(rdx), "r"(r10), "r"(r11), "r"(rax) : "memory");
	__builtin_unreachable();
}

#else

#define STACK(uc)	((uc)->uc_mcontext.sp)
#define RED_ZONE	0

/* The record of the ucontext that begins with @magic, or NULL */
static void *record(const ucontext_t *uc, u32 magic)
{
	u8 *at = (u8 *)uc->uc_mcontext.__reserved, *end = at + sizeof(uc->uc_mcontext.__reserved);
	struct _aarch64_ctx *head;

	for (; at + sizeof(*head) <= end; at += head->size) {
		head = (void *)at;
		if (head->magic == magic)
			return head;
		if (!head->size)
			break;
	}
	return NULL;
}

/* siginfo | ucontext | what has no room in there */
static uintptr_t frame_of(const siginfo_t *info, const ucontext_t *uc, uintptr_t *end)
{
	const struct extra_context *extra = record(uc, EXTRA_MAGIC);

	*end = extra ? extra->datap + extra->size : (uintptr_t)(uc + 1);
	return (uintptr_t)info;
}

static void frame_moved(ucontext_t *uc, uintptr_t by)
{
	struct extra_context *extra = record(uc, EXTRA_MAGIC);

	if (extra)
		extra->datap += by;
}

__attribute__((noreturn))
static void enter(void *handler, int sig, siginfo_t *info, ucontext_t *uc, uintptr_t frame)
{
	register long x0 __asm__("x0") = sig;
	register long x1 __asm__("x1") = (long)info;
	register long x2 __asm__("x2") = (long)uc;
	register long x9 __asm__("x9") = (long)frame;
	register long x10 __asm__("x10") = uc->uc_mcontext.regs[29];
	register long x11 __asm__("x11") = (long)gf_restorer;
	register long x16 __asm__("x16") = (long)handler;

	__asm__ volatile("mov sp, x9\n\t"
			 "mov x29, x10\n\t"
			 "mov x30, x11\n\t"
			 "br x16"
			 : : "r"(x0), "r"(x1), "r"(x2), "r"(x9), "r"(x10), "r"(x11), "r"(x16) : "memory");
	__builtin_unreachable();
}

#endif

/*
 * Calls the handler on the stack on which it would run without us: its own signal
 * stack if it wants that, else below where the program was. The kernel's frame is
 * there already, or is copied.
 */
static void call_user(const struct sigaction *act, int sig, siginfo_t *info, ucontext_t *uc)
{
	struct gf_tls *t = &gf_tls;
	uintptr_t end, frame = frame_of(info, uc, &end), sp = STACK(uc), top, to;
	void *handler = act->sa_flags & SA_SIGINFO ? (void *)act->sa_sigaction :
						     (void *)act->sa_handler;

	if (within(sp, uc->uc_stack.ss_sp, uc->uc_stack.ss_size))
		enter(handler, sig, info, uc, frame);
	if (act->sa_flags & SA_ONSTACK && t->user_alt &&
	    !within(sp, t->user_alt, t->user_alt_size)) {
		if (uc->uc_stack.ss_sp == t->user_alt)
			enter(handler, sig, info, uc, frame);
		top = (uintptr_t)t->user_alt + t->user_alt_size;
	} else if (!(uc->uc_stack.ss_flags & SS_DISABLE) &&
		   within(frame, uc->uc_stack.ss_sp, uc->uc_stack.ss_size)) {
		top = sp - RED_ZONE;
	} else {
		enter(handler, sig, info, uc, frame);
	}
	to = top - (end - frame);
	to -= (to - frame) % 64;
	/* If there is no room for it, there would have been none without us. */
	t->moving = true;
	memcpy((void *)to, (void *)frame, end - frame);
	t->moving = false;
	info = (siginfo_t *)((uintptr_t)info - frame + to);
	uc = (ucontext_t *)((uintptr_t)uc - frame + to);
	frame_moved(uc, to - frame);
	enter(handler, sig, info, uc, to);
}

/* The program's handler, or the default action: at the same instruction. */
static void pass_to_user(int sig, siginfo_t *info, ucontext_t *uc, int err)
{
	struct sigaction act;
	u8 bit = sig == SIGBUS ? 2 : 1;
	u64 mask;

	/* It was sent, and the program blocks it: it waits. */
	if (info->si_code <= 0 && gf_tls.blocked & bit) {
		gf_tls.held |= bit;
		return;
	}
	gf_lock(&user_lock);
	act = *user_of(sig);
	if (act.sa_flags & SA_RESETHAND)
		user_of(sig)->sa_handler = SIG_DFL;
	gf_unlock(&user_lock);

	if (act.sa_handler == SIG_IGN && info->si_code <= 0)
		return;
	if (act.sa_handler == SIG_DFL || act.sa_handler == SIG_IGN) {
		default_action(sig);
		/* It was sent: it does not happen again by itself. */
		if (info->si_code <= 0)
			gf_sys(SYS_tgkill, gf_sys(SYS_getpid), gf_sys(SYS_gettid), sig);
		return;
	}
	memcpy(&mask, &act.sa_mask, sizeof(mask));
	if (!(act.sa_flags & SA_NODEFER))
		mask |= 1UL << (sig - 1);
	gf_sys(SYS_rt_sigprocmask, SIG_BLOCK, &mask, NULL, 8);
	errno = err;
	call_user(&act, sig, info, uc);
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
	r->lr = uc->uc_mcontext.regs[30];
	r->by_fp = false;
#endif
}

/* As if what was called, and did not come to anything, returned */
static bool return_from(struct gf_regs *r)
{
#if defined(__x86_64__)
	if (!gf_peek(r->sp, &r->pc))
		return false;
	r->sp += 8;
#else
	r->pc = r->lr;
	r->lr = 0;
#endif
	return true;
}

static void describe_access(struct gf_report *r, const ucontext_t *uc)
{
#if !defined(__x86_64__)
	const struct esr_context *esr = record(uc, ESR_MAGIC);
#endif
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
	/* Bits of ESR_EL1: 31-26 the class, an instruction abort or not; 6 a write */
	if (esr && esr->esr >> 27 == 0x20 >> 1) {
		r->access = ACCESS_EXEC;
		return;
	}
	if (esr && esr->esr & 1 << 6)
		r->access = ACCESS_WRITE;
#endif
	for (i = 0; i < 2; i++) {
		if (!gf_peek(r->regs.pc + i * 8, &words[i]))
			break;
		len += 8;
	}
	r->size = gf_access_size((u8 *)words, len);
}

/* halt=0: the page is there from now on. */
static bool go_on(uintptr_t page)
{
	store(&gf_went_on, true);
	/* What was large enough is PROT_NONE, and a guard as well if this is the method. */
	return gf_unpoison(page, PAGE) &&
	       !gf_sys(SYS_mprotect, page, PAGE, PROT_READ | PROT_WRITE);
}

static bool has_handler(int sig)
{
	sighandler_t handler = load_relaxed(&user_of(sig)->sa_handler);

	return handler != SIG_DFL && handler != SIG_IGN;
}

/* What is not about our memory: the program's own matter if it has a handler. */
static bool is_reported(int sig, const siginfo_t *info)
{
	if (info->si_code <= 0)
		return false;
	if (sig == SIGSEGV && info->si_code != SI_KERNEL && gf_ours(info->si_addr))
		return true;
	return gf_opt.segv == 2 || (gf_opt.segv == 1 && !has_handler(sig));
}

/* Near the stack pointer, where a stack that has room left has memory */
static bool is_overflow(const struct gf_regs *r, uintptr_t addr)
{
	return addr + (64UL << 10) > r->sp && addr < r->sp + (64UL << 10);
}

static void classify(struct gf_report *r, int sig, const siginfo_t *info)
{
	if (sig == SIGSEGV && info->si_code != SI_KERNEL && gf_ours(info->si_addr)) {
		gf_classify(r);
		return;
	}
	r->signal = true;
	r->kind = sig == SIGBUS ? "BUS" : "SEGV";
	if (sig == SIGBUS)
		return;
	if (info->si_code == SI_KERNEL)
		r->note = "the address is not known, as it is none that the processor has";
	else if (r->access != ACCESS_EXEC && is_overflow(&r->regs, r->addr))
		r->kind = "stack-overflow";
	else if (r->access == ACCESS_EXEC)
		r->note = "what was jumped to is no code";
	else if (r->addr < PAGE)
		r->note = "address points to the zero page.";
}

static void on_fault(int sig, siginfo_t *info, void *context)
{
	static uintptr_t last_addr, last_pc;
	ucontext_t *uc = context;
	struct gf_report r;
	uintptr_t addr = (uintptr_t)info->si_addr;
	int err = errno;
	bool said;

	memset(&r, 0, offsetof(struct gf_report, pc));
	registers(uc, &r.regs);
	if (r.regs.pc == (uintptr_t)gf_peek_insn || r.regs.pc == (uintptr_t)gf_same_insn) {
#if defined(__x86_64__)
		uc->uc_mcontext.gregs[REG_RIP] = (uintptr_t)gf_peek_fixup;
#else
		uc->uc_mcontext.pc = (uintptr_t)gf_peek_fixup;
#endif
		return;
	}
	if (gf_tls.moving) {
		default_action(sig);
		return;
	}
	if (gf_tls.in_report) {
		gf_say("a fault at 0x%012lx, pc 0x%012lx, while a report is made: no more of it",
		       (unsigned long)addr, (unsigned long)r.regs.pc);
		default_action(sig);
		return;
	}
	if (is_reported(sig, info) &&
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
			r.n = 1;
			if (return_from(&at)) {
				r.n = 1 + gf_unwind(at, gf_tls.stack_top, false, r.pc + 1,
						    GF_DEPTH_MAX - 1);
			}
		} else {
			r.n = gf_unwind(r.regs, gf_tls.stack_top, true, r.pc, GF_DEPTH_MAX);
		}
		classify(&r, sig, info);
		said = gf_report(&r);
		gf_tls.in_report = false;
		/* What cannot be executed would come here for ever. */
		if (!r.signal && (!gf_opt.halt || !said) && r.access != ACCESS_EXEC && go_on(addr & -PAGE)) {
			errno = err;
			return;
		}
		if (said && gf_opt.halt && gf_opt.exitcode >= 0)
			gf_sys(SYS_exit_group, gf_opt.exitcode);
	}
	pass_to_user(sig, info, uc, err);
	errno = err;
}

void gf_fault_init(void)
{
	struct kernel_action act = {
		.handler = on_fault,
		/* Not deferred: gf_peek() may fault in here. */
		.flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER | RESTORER,
		.restorer = gf_restorer,
	}, old;
	static const int signals[] = { SIGSEGV, SIGBUS };
	u32 i;

	for (i = 0; i < ARRAY_SIZE(signals); i++) {
		struct sigaction *user = user_of(signals[i]);

		if (gf_sys(SYS_rt_sigaction, signals[i], &act, &old, 8))
			return;
		user->sa_handler = old.handler;
		user->sa_flags = old.flags & ~RESTORER;
		memcpy(&user->sa_mask, &old.mask, sizeof(old.mask));
	}
	installed = true;
}
