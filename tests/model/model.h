/* SPDX-License-Identifier: GPL-2.0 */
/* The shadow model, and declarations that the parts of the checker share. */
#include "rt.h"

/* The state of a page */
enum state {
	UNMAPPED,
	/*
	 * Nothing that is this mapping's own: reads as 0, or as the file does; with
	 * F_POP something may be there already
	 */
	EMPTY,
	DATA,		/* has contents of its own, here or in swap; of id 0: zeros */
	LAZY,		/* after MADV_FREE: its contents, or 0, until it is written */
	GUARD,
	ERROR,		/* after UFFDIO_POISON or a memory failure: SIGBUS */
};

/* More about a page */
enum {
	F_STEP = 1,	/* DATA and LAZY: each page has the id of the one before + 1 */
	F_POP = 2,
	F_WP = 4,	/* write-protected by userfaultfd */
	F_WPQ = 8,	/* may be write-protected */
	F_SHARED = 16,	/* a child or KSM may have mapped it elsewhere too */
	F_EDGE = 32,	/* a VMA may end in front of the first page of the run */
	F_EOF = 64,	/* beyond the end of the file */
};

/* Attributes of the VMA */
enum {
	AT_R = 1 << 0, AT_W = 1 << 1, AT_LOCKED = 1 << 2, AT_ONFAULT = 1 << 3,
	AT_WIPE = 1 << 4, AT_NOFORK = 1 << 5, AT_SEALED = 1 << 6, AT_HUGE = 1 << 7,
	AT_NOHUGE = 1 << 8, AT_MERGE = 1 << 9, AT_MISS = 1 << 10, AT_WP = 1 << 11,
	AT_ASYNC = 1 << 12, AT_SHM = 1 << 13, AT_FILE = 1 << 14, AT_NODUMP = 1 << 15,
	AT_RANDOM = 1 << 16, AT_SEQ = 1 << 17, AT_NAME = 1 << 18, AT_DISK = 1 << 19,
	AT_NOMAYW = 1 << 20,	/* can never be made writable */
	AT_X = 1 << 21,
	AT_UFFD = AT_MISS | AT_WP | AT_ASYNC,
	AT_NOTANON = AT_SHM | AT_FILE,
};

/*
 * Pages in a row that are alike. A window is a row of runs without gaps. Of files and
 * shared memory, @fp is the number in struct files of what the first page maps.
 */
struct run {
	uint32_t pg, n, id, at, fp;
	uint8_t st, fl;
};

#define MAX_RUNS 8192
extern struct run runs[MAX_RUNS];
extern int nr_runs;
extern uint32_t lock_future;	/* AT_LOCKED | AT_ONFAULT after mlockall(MCL_FUTURE) */
extern uint32_t brk_pages;

void model_reset(void);
int model_find(uint32_t pg);
/* Calls @fn for each run in the range, cut to it; it may change all but pg and n */
void model_change(uint32_t pg, uint32_t n, void (*fn)(struct run *, uint32_t), uint32_t arg);
void model_edges(uint32_t pg, uint32_t n);
void model_set(const struct run *r);
void model_fork(bool child);	/* before it, and in the child once more */

/* for_parts(r, pg, n): struct run r is each run in the range, cut to it */
bool model_part(struct run *r, uint32_t pg, uint32_t n);
#define for_parts(r, from, len) \
	for (struct run r = { 0 }; model_part(&r, from, len); )

/*
 * The contents of files and of shared anonymous memory. All processes of an episode
 * share them, as they share the files: the memfd has the numbers from 0 on, the other
 * file those from FILE_PAGES on, and each mapping of shared memory a piece after them.
 */
#define FP(file, page)	((uint32_t)(file) * FILE_PAGES + (page))
#define SHM_FIRST	FP(NR_FILES, 0)
#define SHM_PAGES	(1u << 18)
#define ALL_PAGES	(SHM_FIRST + SHM_PAGES)
#define FP_CHUNK	1024
struct files {
	uint32_t pages[NR_FILES];	/* the size of each */
	uint32_t seals;			/* of the memfd */
	uint32_t next_shm;
	/* What truncate has cut off, for the other processes: see model_catch_up() */
	int nr_cuts;
	struct {
		uint32_t file, pages;
	} cuts[8192];
	uint8_t used[ALL_PAGES / FP_CHUNK];	/* parts of id[] that are not all 0 */
	uint32_t id[ALL_PAGES];			/* 0: zeros */
};
extern struct files *files;
void files_reset(void);
uint32_t files_shm(uint32_t n);		/* a piece for a mapping, 0 if there is no room */
void files_write(uint32_t fp, uint32_t n, uint32_t id, uint32_t step);
void files_clear(uint32_t fp, uint32_t n);
void files_truncate(int file, uint32_t pages);
/* After a truncate, also one by a child, and after a mapping of a file was made */
void model_catch_up(void);

static inline uint32_t run_id(const struct run *r, uint32_t i)
{
	return r->fl & F_STEP ? r->id + i : r->id;
}

static inline bool is_anon(const struct run *r)
{
	return !(r->at & AT_NOTANON);
}

static inline int run_file(const struct run *r)
{
	return r->at & AT_DISK ? DISK : MEMFD;
}

/* The id of what a page of the run reads as */
static inline uint32_t page_id(const struct run *r, uint32_t i)
{
	if (r->st == DATA || r->st == LAZY)
		return run_id(r, i);
	return r->st == EMPTY && !is_anon(r) && !(r->fl & F_EOF) ? files->id[r->fp + i] : 0;
}

/* The last word of a page of which the first is the id */
static inline uint32_t last_of(uint32_t id)
{
	return id ? ~id : 0;
}

/* Do the runs, one after the other in a window, lie in one VMA, but for F_EDGE? */
static inline bool same_vma(const struct run *a, const struct run *b)
{
	return a->st != UNMAPPED && b->st != UNMAPPED && a->at == b->at &&
	       (is_anon(a) || a->fp + a->n == b->fp);
}

/*
 * The result of an access to a page of the run: 0, a signal, or -1 if the model
 * cannot tell. With @force, as for a debugger, protections do not count.
 */
int model_access(const struct run *r, bool write, bool force);
/* May a store that is refused have filled the page? */
bool store_fills(const struct run *r);

/* --- Operations ---------------------------------------------------------- */

struct op {
	uint16_t code;
	uint16_t sub;		/* the variant, for the table at the end */
	uint32_t check;		/* the seed of the checks after it */
	int64_t a[6];
};

enum outcome { SUCCESS, FAILURE, SKIPPED };

#define MAX_SUB 32
struct opdef {
	const char *name;
	/* p: page; n: pages from there; a: advice; f: file; d: others */
	const char *args;
	int weight;		/* how often, of 1000 or so; 0: not by itself */
	void (*gen)(struct op *o);
	enum outcome (*run)(const struct op *o);
	const char *const *subs;
	uint64_t needs;		/* features that the kernel must have */
	int tables;		/* what it may need them for: T_... */
};

extern const struct opdef opdefs[];
extern const int nr_opdefs;
enum { OP_FORK, OP_END, OP_MADVISE };

/* Features of the kernel */
enum {
	HAS_UFFD = 1, HAS_WP = 2, HAS_ASYNC = 4, HAS_MOVE = 8, HAS_UPOISON = 16,
	HAS_SEAL = 32, HAS_SCAN = 64, HAS_THP = 128, HAS_KSM = 256, HAS_SWAP = 512,
	HAS_SOFTDIRTY = 1 << 10, HAS_PMADVISE = 1 << 11, HAS_NAME = 1 << 12, HAS_SYSTEM = 1 << 13,
	HAS_FORCE = 1 << 14, HAS_MCE = 1 << 15, HAS_MOVEPAGES = 1 << 16, HAS_VMRW = 1 << 17,
	HAS_SMAPS = 1 << 18, HAS_COLLAPSE = 1 << 19, HAS_POPULATE = 1 << 20, HAS_DLOCKED = 1 << 21,
	HAS_LRU = 1 << 22, HAS_FILE = 1 << 23, HAS_WIPE = 1 << 24,
	HAS_GUARDBIT = 1 << 25, HAS_WRAP = 1 << 26, HAS_READAHEAD = 1 << 27,
	HAS_DISK = 1 << 28, HAS_PUNCH = 1 << 29, HAS_LOCKED = 1 << 30,
	HAS_HUGEGUARD = 1u << 31,
	SHM_ALIGN = 32,		/* from this bit on, the alignment of shared memory: 2^n pages */
};
extern uint64_t has;
static inline uintptr_t shm_pages(void)
{
	return (uintptr_t)1 << (has >> SHM_ALIGN);
}

extern bool mainline;
extern int depth;		/* of forks */
uint64_t probe_kernel(void);
bool op_available(int code, int sub);
const char *sub_name(int code, int sub);
void gen_op(struct op *o);
bool advice_name(int64_t value, const char **name);
/* The ranges of an operation, to check */
int op_ranges(const struct op *o, uint32_t range[2][2]);
/* Is all of it mapped, with the same attributes, and in one VMA for sure? */
bool one_vma(uint32_t pg, uint32_t n);

/* --- Page tables ---------------------------------------------------------- */

/* What an operation may need page tables for, in all of its ranges */
enum {
	T_NONE,
	T_FILL = 1,	/* what is no guard may be filled */
	T_ENDS = 2,	/* the ends of a range may split a huge guard */
	T_POISON = 4, T_UNPOISON = 8, T_MMAP = 16, T_UNMAP = 32, T_MOVE = 64, T_BRK = 128,
	T_ANY = T_FILL | T_ENDS,
};
int op_tables(const struct op *o);

void tables_reset(void);
void tables_before(const struct op *o);
void tables_after(const struct op *o);		/* if it succeeded */
void tables_fill(uint32_t pg, uint32_t n);	/* a check may do so */
bool tables_concerned(const struct op *o);
void tables_check(uint32_t pg);

/* --- The run ------------------------------------------------------------- */

enum wrong { W_NONE, W_RESULT, W_ACCESS, W_CONTENTS, W_ZERO_OR, W_FILE, W_PAGEMAP, W_MINCORE,
	     W_BOUNDARIES, W_ANON, W_TABLES, W_OTHER };

struct divergence {
	int kind;
	int at;			/* index of the operation */
	uint32_t pg;
	int64_t a, b, c;	/* the model's values, by kind */
	char text[400];
};

enum seen { SEEN_SWAPPED, SEEN_HUGE, SEEN_KSM, SEEN_WRITTEN, SEEN_READ_SEGV, SEEN_WRITE_SEGV, SEEN_EFAULT,
	    SEEN_PAGES, SEEN_FULL, SEEN_BEYOND, SEEN_CUT, SEEN_LOCKED_EMPTY, SEEN_LOCKED_DROPPED,
	    SEEN_LOCKED_REFUSED, SEEN_TABLES, SEEN_WHOLE, NR_SEEN };

enum phase { PH_ALL, PH_DRAW, PH_FINAL, NR_PHASES };

#define MAX_LOG 8192
#define MAX_OPS 128
/* Shared by the processes of a run */
struct shared {
	uint64_t rng;
	uint32_t next_id;
	uint32_t enabled[MAX_OPS];	/* in this episode: mask of subs */
	bool generate;			/* write the log instead of following it */
	struct op queue[8];		/* the next operations */
	int queued;
	int limit, pos;
	struct op log[MAX_LOG];
	struct divergence div;
	/* The table at the end */
	uint64_t tried[MAX_OPS][MAX_SUB], succeeded[MAX_OPS][MAX_SUB], skipped[MAX_OPS][MAX_SUB];
	uint64_t seen[NR_SEEN];
	/* With --profile: ns of each, and of the checks after it */
	uint64_t ns[MAX_OPS][MAX_SUB], check_ns[MAX_OPS][MAX_SUB];
	uint64_t phase_ns[NR_PHASES];
	uint64_t total;
	/* From the first worker, for all */
	volatile bool stop;
	int printing;
};
extern struct shared *sh;

uint64_t rnd(uint64_t n);	/* 0 to n - 1, from the seed */
uint64_t mix(uint64_t *state);
extern bool profile;
uint64_t now_ns(void);
__attribute__((noreturn, format(printf, 6, 7)))
void diverge(int kind, uint32_t pg, int64_t a, int64_t b, int64_t c, const char *fmt, ...);

void check_after(const struct op *o);
void check_everything(uint64_t seed);	/* changes nothing */
void check_final(bool thorough);	/* reads and writes */

/*
 * Follow a sequence with the original checks after each operation, or only with
 * the checks of the operations themselves and of everything at the end. Only the
 * latter can be printed as C.
 */
enum checks { CHECK_AS_FOUND, CHECK_AT_END };
/* Follows sh->log in a child; true if a check fails, with the reason in sh->div */
bool replay(enum checks checks);
/* Shrinks sh->log to the operations that are needed */
extern unsigned int shrink_seconds;
enum checks shrink(struct op *list, int *n, struct divergence *d);
void emit(int fd, uint64_t seed, const struct op *list, int n, const struct divergence *d,
	  enum checks checks);
void describe(int fd, const struct op *o);
