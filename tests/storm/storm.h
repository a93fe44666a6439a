/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The race storm: declarations that its parts share. See docs/testing.md for the
 * rules.
 *
 * Memory is a few arenas, each cut into slots of whole pages. A slot has a word
 * with its state, a sequence number that every change of state raises, and the
 * number of calls that are under way in it. A checker reads the word, tries an
 * access, and reads the word again: if it is the same, the slot was in that state
 * all the time, and the result can be judged. All of this is shared memory, so
 * that children of fork() and the supervisor see it.
 */
#ifndef STORM_H
#define STORM_H

#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "../../include/guard_pages.h"

/* The C library's headers may lack these. */
#define ADV_COLD		20
#define ADV_PAGEOUT		21
#define ADV_POPULATE_READ	22
#define ADV_POPULATE_WRITE	23
#define ADV_DONTNEED_LOCKED	24
#define ADV_COLLAPSE		25
#define ADV_POISON		MADV_GUARD_POISON
#define ADV_UNPOISON		MADV_GUARD_UNPOISON

#define PAGE		4096UL
#define HUGE		(2UL << 20)
#define MAX_SLOTS	96
#define MAX_PAGES	8192
#define MAX_WORKERS	32
#define MAX_SPAN	8
#define MAX_ARENAS	10

/*
 * A POISON fails the run if other threads fault in more pages of its range during
 * the call: FEW, and MANY for each page. It would be one for each page if nobody
 * discarded pages meanwhile. op_hammer() does not, but other threads do now and
 * then, while the call waits for a CPU.
 */
#define POPULATED_FEW	100UL
#define POPULATED_MANY	16UL
#define POPULATED_BOUND(pages) (POPULATED_FEW + POPULATED_MANY * (pages))

enum state {
	OPEN,		/* no guard; loads succeed */
	BUSY,		/* one thread has it for itself; others know nothing of it */
	POISONING,	/* POISON is under way, in one thread or more */
	GUARD,		/* POISON returned 0, no UNPOISON has begun */
	CHAOS,		/* POISON and UNPOISON at the same time */
	KEEP,		/* contents that must never change */
};

enum kind {
	PUBLIC,		/* written by anyone, always the same values */
	PRIVATE,	/* written by the thread that has it BUSY, with new values */
	KEEPER,
};

/*
 * slot.word: calls under way (8 bits), state (4), how often protected or back
 * (12; odd while accesses may fail for want of permission), sequence
 */
#define W_PINS(w)	((unsigned int)((w) & 0xff))
#define W_STATE(w)	((enum state)((w) >> 8 & 0xf))
#define W_PROT		(1UL << 12)
#define W_PROTS		(0xfffUL << 12)
#define W_SEQ(w)	((w) >> 24)
#define W_WHAT(w)	((w) >> 8)	/* what a checker compares */
#define W_MAKE(seq, state) ((uint64_t)(seq) << 24 | (uint64_t)(state) << 8)

struct slot {
	uint64_t word;
	size_t first, pages;		/* in the arena */
	enum kind kind;
	uint64_t populated;		/* pages, by others, during this POISON */
	uint64_t accesses;		/* likewise, accesses that succeeded */
};

/* Properties of an arena */
#define A_HUGE		1U
#define A_KSM		2U
#define A_UFFD		4U
#define A_MOVE		8U
#define A_EXEC		16U
#define A_BIG		32U
#define A_FILE		64U	/* of a memfd, the end of which comes and goes */
#define A_SHARED	128U	/* the file's own pages, not private copies */

struct arena {
	const char *name;
	unsigned int flags;
	size_t pages, nslots;
	char *home[2], *park;		/* each with room for all pages */
	char *base;			/* one of home[] */
	int file;
	char *mirror;			/* another mapping of the file, without guards */
	size_t tail;			/* where the part that truncate takes begins */
	char *room[4];			/* the mappings around the three, and the mirror's */
	size_t roomy, mirror_room;	/* bytes of each; of the last */
	uint64_t seq;			/* odd while base changes */
	uint64_t readonly;		/* odd while not writable */
	int geometry;			/* a lock for changes of mappings */
	int prot;
	struct slot slot[MAX_SLOTS];
	uint16_t slot_of[MAX_PAGES];
	/* The POISON with this sequence number has been seen to get here */
	uint64_t seen[MAX_PAGES];
};

enum op {
	OP_POISON, OP_POISON_VECTOR, OP_JOIN, OP_REPOISON, OP_UNPOISON, OP_CHAOS,
	OP_LOAD, OP_STORE, OP_FETCH, OP_KERNEL_LOAD, OP_KERNEL_STORE,
	OP_GUARD_HIT, OP_KEEP_CHECK, OP_EMPTY_CHECK, OP_HAMMER,
	OP_DONTNEED, OP_FREE, OP_COLD, OP_PAGEOUT, OP_WILLNEED, OP_POPULATE,
	OP_COLLAPSE, OP_HUGE_ADVICE, OP_KSM_ADVICE,
	OP_MPROTECT, OP_MPROTECT_ALL, OP_MOVE, OP_MOVE_PIECE, OP_MAP_OVER,
	OP_TRUNCATE, OP_PUNCH, OP_COLLAPSE_FILE, OP_MIRROR,
	OP_MLOCK, OP_SIGNAL, OP_CLEAR_REFS, OP_PAGEMAP, OP_MINCORE, OP_MIGRATE,
	OP_FORK, OP_FORK_CHECK, OP_VFORK,
	OP_UFFD_REGISTER, OP_UFFD_UNREGISTER, OP_UFFD_COPY, OP_UFFD_ZERO,
	OP_UFFD_MOVE, OP_UFFD_WP, OP_UFFD_REFUSED, OP_UFFD_FAULT, OP_UFFD_WPFAULT,
	OP_UFFD_REMOVE,
	OP_END_EXIT, OP_END_GROUP, OP_END_KILL, OP_END_EXEC,
	/* The operations from here on are the weather's, another process */
	OP_W_COMPACT, OP_W_KSM, OP_W_KSM_UNMERGE, OP_W_KHUGEPAGED, OP_W_SWAPOFF,
	OP_W_RECLAIM, OP_W_SPLIT, OP_W_SMAPS, OP_W_PAGEMAP, OP_W_PAGEOUT,
	OP_W_READ, OP_W_MIGRATE,
	NR_OPS
};

struct count {
	uint64_t tried, done;
};

struct worker {
	int id, tid;
	uint64_t random;
	const char *doing;
	/* For the userfaultfd monitor: the guard that the thread is hitting now */
	struct arena *volatile probe_arena;
	uint64_t probe;			/* number of this access, from 1 on */
	uint64_t probe_seq, probe_what;
	size_t probe_slot;
	char *scratch;			/* two pages of its own */
	struct count count[NR_OPS];
};

enum ending { END_EXIT, END_GROUP, END_KILL, END_EXEC, NR_ENDINGS };

struct control {
	uint64_t seed, round;
	uint64_t poisons, limit;	/* done in this round, and when it ends */
	int stop;
	int weather_stop;
	enum ending ending;
	int failed;
	char why[1024];
	pid_t pid;			/* of the stormy process, 0 if there is none */
	int nworkers;
	unsigned int without;		/* bits WITHOUT_ */
	int nodes;
	uint64_t most_share, most_accesses, most_ns, most_switches;
	uint64_t wrong_calls;
	size_t narenas;
	struct arena arena[MAX_ARENAS];
	struct worker worker[MAX_WORKERS];
};

#define WITHOUT_UFFD	1U
#define WITHOUT_PAGEMAP	2U
#define WITHOUT_NUMA	4U
#define WITHOUT_WEATHER	8U

extern struct control *ctl;
extern const char *const op_names[NR_OPS];
extern __thread struct worker *me;

#define load_acq(p)	__atomic_load_n(p, __ATOMIC_SEQ_CST)
#define store_rel(p, v)	__atomic_store_n(p, v, __ATOMIC_SEQ_CST)
#define add(p, n)	__atomic_add_fetch(p, n, __ATOMIC_SEQ_CST)

static inline void tried(enum op op)
{
	me->count[op].tried++;
}

static inline bool did(enum op op, bool done)
{
	me->count[op].tried++;
	me->count[op].done += done;
	return done;
}

static inline uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15UL;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9UL;
	x = (x ^ x >> 27) * 0x94d049bb133111ebUL;
	return x ^ x >> 31;
}

static inline uint64_t random_below(uint64_t n)
{
	me->random = mix(me->random);
	return me->random % n;
}

/* storm.c */
void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* arena.c */
extern const size_t positions[4];
void arenas_describe(void);
void arenas_map(void);
char *slot_map(const struct arena *a, size_t first, size_t pages, char *at);
bool in_tail(const struct arena *a, const struct slot *s);
bool slot_take(struct slot *s, uint64_t *old, unsigned int states);
void slot_put(struct slot *s, enum state state);
void slot_poisoning(struct slot *s);
void slot_guarded(struct slot *s);
bool slot_join(struct slot *s, enum state state);
unsigned int slot_leave(struct slot *s);
bool slot_protect(struct slot *s);
void slot_unprotect(struct slot *s);
uint64_t value(const struct arena *a, size_t page, size_t position);
uint64_t private_value(const struct arena *a, size_t page, uint64_t seq);
bool geometry_trylock(struct arena *a);
void geometry_unlock(struct arena *a);
/* Those that fail set got_sigbus if that was why */
extern __thread bool got_sigbus;
bool try_load(const volatile void *p, uint64_t *v);
bool try_store(volatile void *p, uint64_t v);
bool try_fetch(const volatile void *p);
void handlers(void);
struct arena *arena_at(const char *addr, size_t *page);
const char *state_name(enum state state);

/* ops.c */
bool ops_open(void);
void *work(void *arg);
void *forks(void *arg);
void audit(void);
int advise_stable(struct arena *a, size_t first, size_t pages, int advice);

/* uffd.c */
bool uffd_open(void);
void *uffd_monitor(void *arg);
void uffd_register(void);
void uffd_unregister(void);
void uffd_fill(void);
void uffd_protect(void);

/* weather.c */
int weather(const char *cgroup, const char *swap, unsigned int seed);

/* wrong.c */
extern const char *wrong;
bool wrong_known(const char *name);
void wrong_list(void);
int guard_advise(void *addr, size_t length, int advice);
ssize_t guard_advise_vector(void *iov, size_t n, int advice);
int other_advise(void *addr, size_t length, int advice);
pid_t wrong_fork(void);
bool wrong_copy(void *addr);
int wrong_truncate(const struct arena *a, size_t pages);
int wrong_punch(const struct arena *a, size_t first, size_t pages);

#endif
