// SPDX-License-Identifier: MIT
/*
 * SIGSEGV and SIGBUS come to us first: their handlers stay ours, they are not
 * blocked, and a thread has a signal stack. The program is told what it set, and
 * gets what it would get without us. Shared library only.
 */
#include "altstack.h"
#include "fault.h"
#include "sys.h"
#include "thread.h"
#include "wrap.h"
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/syscall.h>

static const int ours[] = { SIGSEGV, SIGBUS };

static inline bool is_ours(int sig)
{
	return (sig == SIGSEGV || sig == SIGBUS) && gf_fault_installed();
}

/* Which of ours are in a set, by bits */
static u8 ours_in(const sigset_t *set)
{
	u32 i;
	u8 bits = 0;

	for (i = 0; i < ARRAY_SIZE(ours); i++)
		if (sigismember(set, ours[i]) == 1)
			bits |= 1 << i;
	return bits;
}

static void ours_add(sigset_t *set, u8 bits)
{
	u32 i;

	for (i = 0; i < ARRAY_SIZE(ours); i++)
		if (bits & 1 << i)
			sigaddset(set, ours[i]);
}

/* The set without ours, in @copy if that is another one */
static const sigset_t *without(const sigset_t *set, sigset_t *copy)
{
	u32 i;

	if (!set || !gf_fault_installed() || !ours_in(set))
		return set;
	*copy = *set;
	for (i = 0; i < ARRAY_SIZE(ours); i++)
		sigdelset(copy, ours[i]);
	return copy;
}

/* Actions. Blocked while a handler runs, a fault would kill without a word. */

static u8 in_mask[_NSIG + 1];	/* which of ours the program has in an action's mask */

WRAP(int, sigaction, int sig, const struct sigaction *act, struct sigaction *old)
{
	struct sigaction open;
	u8 bits, had;
	int ret;

	if (is_ours(sig)) {
		gf_user_action(sig, act, old);
		return 0;
	}
	if (!gf_fault_installed() || sig < 1 || sig > _NSIG)
		return REAL(sigaction)(sig, act, old);
	had = load_relaxed(&in_mask[sig]);
	bits = act ? ours_in(&act->sa_mask) : had;
	if (act) {
		open = *act;
		without(&act->sa_mask, &open.sa_mask);
		act = &open;
	}
	ret = REAL(sigaction)(sig, act, old);
	if (!ret && act)
		in_mask[sig] = bits;
	if (!ret && old)
		ours_add(&old->sa_mask, had);
	return ret;
}

#define SIGNAL(name, flags)						\
	WRAP(__sighandler_t, name, int sig, __sighandler_t handler)	\
	{								\
		struct sigaction act = { .sa_flags = flags }, old;	\
									\
		if (!is_ours(sig))					\
			return REAL(name)(sig, handler);		\
		if (handler == SIG_ERR) {				\
			errno = EINVAL;					\
			return SIG_ERR;					\
		}							\
		act.sa_handler = handler;				\
		gf_user_action(sig, &act, &old);			\
		return old.sa_handler;					\
	}

SIGNAL(signal, SA_RESTART)
SIGNAL(bsd_signal, SA_RESTART)
SIGNAL(ssignal, SA_RESTART)
SIGNAL(sysv_signal, SA_RESETHAND | SA_NODEFER)
SIGNAL(__sysv_signal, SA_RESETHAND | SA_NODEFER)

/* Masks. */

/* What comes of it for the program's view of the mask; @set is what it gave. */
static void mask_changed(int how, const sigset_t *set)
{
	struct gf_tls *t = &gf_tls;
	u8 bits = ours_in(set), held;
	u32 i;

	t->blocked = how == SIG_BLOCK ? t->blocked | bits :
		     how == SIG_UNBLOCK ? t->blocked & ~bits : bits;
	/* What was sent meanwhile comes now. */
	held = t->held & ~t->blocked;
	t->held &= t->blocked;
	for (i = 0; held && i < ARRAY_SIZE(ours); i++)
		if (held & 1 << i)
			gf_sys(SYS_tgkill, gf_sys(SYS_getpid), gf_sys(SYS_gettid), ours[i]);
}

#define MASK(name)							\
	WRAP(int, name, int how, const sigset_t *set, sigset_t *old)	\
	{								\
		u8 was = gf_tls.blocked;				\
		sigset_t copy, given;					\
		int ret;						\
									\
		if (!gf_fault_installed())				\
			return REAL(name)(how, set, old);		\
		if (set)		/* it may be where old goes */	\
			given = *set;					\
		ret = REAL(name)(how, set ? without(&given, &copy) : NULL, old); \
		if (!ret && set)					\
			mask_changed(how, &given);			\
		if (!ret && old)					\
			ours_add(old, was);				\
		return ret;						\
	}

MASK(sigprocmask)
MASK(pthread_sigmask)

/* System V's and BSD's, as far as they are about ours */

static int mask_one(int how, int sig)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, sig);
	mask_changed(how, &set);
	return 0;
}

#define ONE(name, how)							\
	WRAP(int, name, int sig)					\
	{								\
		return is_ours(sig) ? mask_one(how, sig) : REAL(name)(sig); \
	}

ONE(sighold, SIG_BLOCK)
ONE(sigrelse, SIG_UNBLOCK)

WRAP(int, sigignore, int sig)
{
	struct sigaction act = { .sa_handler = SIG_IGN };

	if (!is_ours(sig))
		return REAL(sigignore)(sig);
	gf_user_action(sig, &act, NULL);
	return 0;
}

WRAP(__sighandler_t, sigset, int sig, __sighandler_t handler)
{
	struct sigaction act = { .sa_handler = handler }, old;
	bool held;

	if (!is_ours(sig))
		return REAL(sigset)(sig, handler);
	held = gf_tls.blocked & (sig == SIGSEGV ? 1 : 2);
	gf_user_action(sig, handler == SIG_HOLD ? NULL : &act, &old);
	mask_one(handler == SIG_HOLD ? SIG_BLOCK : SIG_UNBLOCK, sig);
	return held ? SIG_HOLD : old.sa_handler;
}

/* For the time of a call */

WRAP(int, sigsuspend, const sigset_t *set)
{
	sigset_t copy;

	return REAL(sigsuspend)(without(set, &copy));
}

WRAP(int, ppoll, struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *set)
{
	sigset_t copy;

	return REAL(ppoll)(fds, n, timeout, without(set, &copy));
}

WRAP(int, pselect, int n, fd_set *in, fd_set *out, fd_set *ex, const struct timespec *timeout,
     const sigset_t *set)
{
	sigset_t copy;

	return REAL(pselect)(n, in, out, ex, timeout, without(set, &copy));
}

WRAP(int, epoll_pwait, int fd, struct epoll_event *ev, int n, int timeout, const sigset_t *set)
{
	sigset_t copy;

	return REAL(epoll_pwait)(fd, ev, n, timeout, without(set, &copy));
}

/* The signal stack */

WRAP(int, sigaltstack, const stack_t *set, stack_t *old)
{
	return gf_altstack_user(set, old);
}
