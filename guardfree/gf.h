/* SPDX-License-Identifier: MIT */
/*
 * guardfree: what the parts of the library share. Nothing here is for the
 * programs that use it: to them it is malloc.
 *
 *   options.c   GUARDFREE_OPTIONS
 *   sys.c       system calls, locks
 *   out.c       printing
 *   area.c      areas of the address space, which grow
 *   guard.c     guards
 *   memcg.c     the limit of the memory cgroup
 *   slots.c     where objects lie: chunks, slots, quarantine
 *   log.c       where reports go
 *   exec.c      programs that this one executes
 *   target.c    what would become of a program
 *   sandbox.c   filters of system calls
 *   depot.c     stacks, each kept once
 *   stack.c     the caller's stack, by call frame information
 *   thread.c    what is known of a thread
 *   life.c      the process: its start, forks
 *   malloc.c    the allocator's entry points
 *   next.c      pointers that were not allocated here
 *   cxx.c       C++'s operators
 *   mismatch.c  new and free, malloc and delete
 *   elf.c       who defines a function
 *   altstack.c  signal stacks
 *   insn.c      the size of an access
 *   fault.c     SIGSEGV and SIGBUS, and who gets them next
 *   signals.c   what the program does about signals
 *   report.c    what is said of a hit
 *   symbol.c    names for addresses, from a helper process
 *   suppress.c  reports that nobody wants to see
 *   leak.c      objects that nothing leads to, at exit
 *   wrap.c      functions of libc that are wrapped: calls that pass a buffer, and others
 */
#ifndef GF_H
#define GF_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if !defined(__LP64__) || !defined(__linux__)
#error "guardfree wants a 64-bit Linux"
#endif

#define GF_VERSION	"1.0"

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int32_t s32;
typedef int64_t s64;

#define PAGE_SHIFT	12
#define PAGE		(1UL << PAGE_SHIFT)
#define UNIT_SHIFT	20
#define UNIT		(1UL << UNIT_SHIFT)
#define UNIT_PAGES	(UNIT >> PAGE_SHIFT)

#define likely(x)	__builtin_expect(!!(x), 1)
#define unlikely(x)	__builtin_expect(!!(x), 0)
#define EXPORT		__attribute__((visibility("default")))
/* A variable that is declared so is read without a detour by way of a table. */
#define HIDDEN		__attribute__((visibility("hidden")))
#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

static inline u64 round_up(u64 x, u64 to)
{
	return (x + to - 1) & ~(to - 1);
}

#define load(p)		__atomic_load_n(p, __ATOMIC_ACQUIRE)
#define load_relaxed(p)	__atomic_load_n(p, __ATOMIC_RELAXED)
#define store(p, v)	__atomic_store_n(p, v, __ATOMIC_RELEASE)
#define fetch_add(p, v)	__atomic_fetch_add(p, v, __ATOMIC_RELAXED)

/* options.c */

enum { GUARD_AFTER, GUARD_BEFORE };
enum { METHOD_AUTO, METHOD_GUARD, METHOD_MPROTECT };
enum { UNWIND_CFI, UNWIND_FP, UNWIND_NONE };
enum { FRESH_ALL, FRESH_TRAILING };
enum { FORMAT_TEXT, FORMAT_JSON };
enum { COLOR_AUTO, COLOR_ALWAYS, COLOR_NEVER };

struct gf_options {
	u64 quarantine;
	u64 quarantine_objects;
	u64 seed;
	u64 sample;
	u32 guard;
	u32 align;
	u32 batch;
	u32 open;
	u32 populate;
	u32 fresh;
	u32 method;
	u32 arenas;
	u32 check;
	s32 fill;
	u32 depth;
	u32 unwind;
	u32 mismatch;
	u32 foreign;
	u32 halt;
	u32 kernel;
	u32 handler;
	u32 segv;
	u32 symbolize;
	u32 symbolizer_seconds;
	u32 format;
	u32 color;
	u32 stats;
	u32 leaks;
	s32 exitcode;
	u64 first;
	u32 memcg;
	u32 verbose;
	u32 quiet;
	u32 help;
	char name[32];
	char log[256];
	char suppressions[256];
	char children[256];
	char skip[256];
	char symbolizer[256];
};

extern struct gf_options gf_opt;
extern bool gf_secure;		/* setuid or the like: no files, no programs */
/* Reads @text into gf_opt, over what is there; says what it does not know. */
void gf_options_parse(const char *text);
/* ASAN_OPTIONS: what has the same name there; the rest is not for us. */
void gf_options_asan(const char *text);
void gf_options_help(void);
/* children=, skip=: is a program of this path to be guarded? */
bool gf_wants(const char *path);

/* os.c: system calls; these return -errno and leave errno alone */

long gf_syscall(long nr, long a, long b, long c, long d, long e, long f);
#define gf_sys(...)		gf_sys_(__VA_ARGS__, 0, 0, 0, 0, 0, 0)
#define gf_sys_(nr, a, b, c, d, e, f, ...) \
	gf_syscall(nr, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))

struct gf_lock {
	u32 word;
};

void gf_lock_slow(struct gf_lock *lock);
void gf_wake(struct gf_lock *lock);

static inline void gf_lock(struct gf_lock *lock)
{
	u32 was = 0;

	if (unlikely(!__atomic_compare_exchange_n(&lock->word, &was, 1, false,
						  __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)))
		gf_lock_slow(lock);
}

static inline void gf_unlock(struct gf_lock *lock)
{
	if (unlikely(__atomic_exchange_n(&lock->word, 0, __ATOMIC_RELEASE) == 2))
		gf_wake(lock);
}

/*
 * An area is a range of the address space of our own choice, of which the
 * first @mapped bytes are mapped. It is one VMA however it grew.
 */
struct gf_area {
	uintptr_t base;
	u64 max;
	u64 mapped;
	u64 step;
	const char *what;
};

extern struct gf_area gf_heap, gf_meta, gf_units, gf_depot, gf_threads, gf_alts;
extern struct gf_lock gf_grow_lock;

/*
 * Finds a place for all the areas; false if the address space has none. @small for
 * valgrind, which notes the state of each page: of terabytes without end.
 */
bool gf_place(bool small);
/* Maps the area's first @need bytes; 0 or -errno. The lock is held. */
int gf_area_grow(struct gf_area *area, u64 need);

static inline int gf_area_need(struct gf_area *area, u64 need)
{
	int err;

	if (likely(need <= load(&area->mapped)))
		return 0;
	gf_lock(&gf_grow_lock);
	err = gf_area_grow(area, need);
	gf_unlock(&gf_grow_lock);
	return err;
}

/* Guards. What fails is said, and counted in gf_unguarded. */
struct gf_range {
	void *addr;
	size_t len;
};

enum { METHOD_IS_GUARD, METHOD_IS_MPROTECT };
extern u32 gf_method;
extern bool gf_locked;		/* the program has locked its memory */
extern u64 gf_unguarded;
extern u32 gf_full;		/* PROT_NONE's end is reached */
void gf_probe(void);
bool gf_poison(uintptr_t addr, size_t len);
bool gf_unpoison(uintptr_t addr, size_t len);
/* Pages that are about to be used: spares them the faults. */
void gf_populate_many(const struct gf_range *r, size_t n);
/* Many at a time; the number that was done, counted from the first. */
size_t gf_poison_many(const struct gf_range *r, size_t n);
/* All of them but those that fail, which has been said */
void gf_poison_all(const struct gf_range *r, size_t n);
size_t gf_unpoison_many(const struct gf_range *r, size_t n);
/* A mapping of [addr, +len) as new: no contents, no guards. 0 or -errno */
int gf_remap(uintptr_t addr, size_t len, int prot);
/* Does the system let a program map so much? */
bool gf_would_map(size_t len);
/* Is this much more memory within the cgroup's limit? Says so if not. */
bool gf_memcg_allows(size_t more);
void gf_memcg_init(void);
/* What is locked in memory cannot be poisoned. */
void gf_unlock_memory(void);

/* What it cost; written without atomicity where a lost count is no harm. */
struct gf_counts {
	u64 poison, unpoison, vector, map, other;
};

extern struct gf_counts gf_calls;

/* Printing, by write(2) alone. %s %c %d %u %x %%, l, width, 0 and - */
struct gf_out {
	int fd;
	u32 len, size;
	bool open;		/* fd is to be closed */
	char *buf;
};

void gf_out_init(struct gf_out *o, int fd, char *buf, u32 size);
void gf_out_flush(struct gf_out *o);
void gf_out_end(struct gf_out *o);
void gf_puts(struct gf_out *o, const char *s, size_t len);
void gf_vprintf(struct gf_out *o, const char *fmt, __builtin_va_list ap);
__attribute__((format(printf, 2, 3)))
void gf_printf(struct gf_out *o, const char *fmt, ...);
/* One line, "guardfree: ..." */
__attribute__((format(printf, 1, 2)))
void gf_say(const char *fmt, ...);
size_t gf_snprintf(char *buf, size_t size, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
const char *gf_strerror(int err);
size_t gf_strlen(const char *s);
int gf_strcmp(const char *a, const char *b);
bool gf_prefix(const char *s, const char *prefix);
/* All of a small file, as a string; -errno or the length */
long gf_read_file(const char *path, char *buf, size_t size);

/* log.c */

extern const char *gf_log_path;	/* log=, once it is known */
extern bool gf_sandboxed;	/* the program has set a filter of system calls */
void gf_out_log(struct gf_out *o, char *buf, u32 size);	/* where reports go */
void gf_log_follow(void);
void gf_log_forked(void);
void gf_log_let_go(void);
/* Is this descriptor ours? */
bool gf_log_is(int fd);
int gf_pid(void);

/* depot.c */

#define GF_DEPTH_MAX	64
/* Keeps the stack; 0 if there is no room, or @n is 0. */
u32 gf_depot_put(const uintptr_t *pc, u32 n);
/* Its frames; @n is 0 for what is not there. */
const uintptr_t *gf_depot_get(u32 id, u32 *n);
u64 gf_depot_stacks(void);
bool gf_depot_init(void);

/* unwind.c */

struct gf_regs {
	uintptr_t pc, sp, fp;
};

/*
 * The return addresses from @regs on; the first is @regs->pc. With @exact it
 * is the address of an instruction rather than a return address. @top is where
 * the thread's stack ends.
 */
u32 gf_unwind(struct gf_regs regs, uintptr_t top, bool exact, uintptr_t *pc, u32 max);
/* Reads a word that may not be there. */
bool gf_peek(uintptr_t addr, uintptr_t *value);
extern const char gf_peek_insn[], gf_peek_fixup[];
void gf_unwind_forget(void);
/* The same, kept in the depot */
u32 gf_stack_here(struct gf_regs caller, uintptr_t top);
extern bool gf_constructed;	/* libc is set up */

/* The registers of the caller of the function that this is used in */
#define GF_CALLER() ({							\
	uintptr_t *fa_ = __builtin_frame_address(0);			\
	(struct gf_regs){ .pc = fa_[1], .sp = (uintptr_t)(fa_ + 2), .fp = fa_[0] }; })

/* thread.c */

struct gf_arena;

struct gf_thread {		/* what a report says of it; never freed */
	u32 tid;
	u32 creator;
	u32 create_stack;
	char name[19];
	bool ended;
	u8 blocked;		/* when it starts */
	uintptr_t stack_top;	/* once it has ended */
	void *(*start)(void *);	/* until it runs */
	void *arg;
};

struct gf_tls {
	struct gf_arena *arena;
	uintptr_t stack_top;
	uintptr_t tid_address;
	void *altstack;
	u64 random;
	u64 until_sample;	/* above 1: so many allocations go by */
	u32 no;			/* T0 is the first thread */
	void *user_alt;		/* the signal stack that the program has set */
	size_t user_alt_size;
	u8 blocked, held;	/* SIGSEGV 1, SIGBUS 2: in the program's mask; sent meanwhile */
	bool moving;		/* a signal's frame */
	u8 ends;		/* how often its end was announced */
	bool known;
	bool inside;		/* the allocator: a signal may come */
	bool in_report;
};

extern __thread struct gf_tls gf_tls __attribute__((tls_model("initial-exec")));
void gf_thread_init(void);
const struct gf_thread *gf_thread_get(u32 no);
u32 gf_thread_new(u32 creator, u32 create_stack);
u64 gf_random(void);
/* In a fork's child */
void gf_thread_forked(void);
/* It runs, under the number that it has; it ends */
void gf_thread_known(struct gf_tls *t);
void gf_thread_ended(const struct gf_tls *t);

/* slots.c */

enum {
	STATE_NEVER,		/* the slot was not used yet, or is open for use */
	STATE_LIVE,
	STATE_FREED,		/* in the quarantine, or free */
};

enum { KIND_MALLOC, KIND_NEW, KIND_NEW_ARRAY };

/*
 * A slot's record. There is room for one every second page of the heap, and
 * no slot is shorter than two pages: the slot's first page tells which.
 */
struct gf_rec {
	u32 state;
	u32 next;		/* in a list */
	uintptr_t ptr;
	u64 size;
	u32 page;		/* of the heap: the slot's first */
	u32 first, pages;	/* of the slot: open to the program */
	u32 alloc_stack, free_stack;
	u32 alloc_thread, free_thread;
	u8 kind;
	u8 align_log;
	u8 flags;
	u8 fresh;		/* the pages are open already */
};

#define REC_SHIFT	6

struct gf_slot {
	struct gf_rec *rec;
	uintptr_t start;	/* of the first page for data */
	u32 pages;		/* for data; a guard follows */
};

enum gf_verdict { FREE_OK, FREE_DOUBLE, FREE_INSIDE, FREE_WILD };

static inline bool gf_ours(const void *p)
{
	return (uintptr_t)p - gf_heap.base < load_relaxed(&gf_heap.mapped);
}

/*
 * NULL, and errno is not set, if there is no memory: *@err is why, and left alone if
 * no system has so much. @align is a power of 2.
 */
void *gf_alloc(const struct gf_tls *me, size_t size, size_t align, u8 kind, u32 stack, int *err);
/* The live object that begins at p; NULL, and why, if none does. */
struct gf_rec *gf_find(const void *p, enum gf_verdict *why);
/* True for the one caller that frees it. */
bool gf_claim(struct gf_rec *rec);
/* After gf_claim(). */
void gf_release(const struct gf_tls *me, struct gf_rec *rec, u32 stack);
/* The slot that an address lies in, its guard and the one before included. */
bool gf_slot_at(uintptr_t addr, struct gf_slot *slot);
bool gf_slot_before(const struct gf_slot *slot, struct gf_slot *prev);
bool gf_slot_after(const struct gf_slot *slot, struct gf_slot *next);
bool gf_slots_init(void);
/* All arenas' locks, for fork. */
void gf_slots_lock(void);
void gf_slots_unlock(void);
struct gf_arena *gf_arena_enter(void);
void gf_arena_leave(struct gf_arena *arena);
/* The child has one thread. */
void gf_arenas_forked(struct gf_arena *mine);
/* The bytes around an object that nobody may write: 0 or the address of one that was */
uintptr_t gf_check(const struct gf_rec *rec);
/* The same where others may free it meanwhile: what cannot be read is not looked at */
uintptr_t gf_check_live(const struct gf_rec *rec);
/* Calls @fn for every object that is live. */
void gf_each_live(void (*fn)(struct gf_rec *rec));

struct gf_heap_stats {
	u64 allocs, frees, live, live_bytes, peak;
	u64 quarantined, quarantined_bytes, chunks;
};

void gf_slots_stats(struct gf_heap_stats *s);

/* report.c */

enum gf_access { ACCESS_NONE, ACCESS_READ, ACCESS_WRITE, ACCESS_EXEC };

struct gf_symbols;

struct gf_report {
	const char *kind;
	enum gf_access access;
	u32 size;		/* of the access; 0: not known */
	uintptr_t addr;
	struct gf_regs regs;
	bool exact;		/* regs.pc is an instruction */
	bool freed_by_this;	/* the object is being freed right now */
	bool signal;		/* not about our memory */
	bool warning;		/* said, and the program runs on */
	u32 thread;
	const char *by;		/* the function that did it, "free", "read", ... */
	struct gf_rec *rec;	/* the object it is about, or NULL */
	const char *note;
	u32 n;
	uintptr_t pc[GF_DEPTH_MAX];
};

/*
 * Says it; false if it is suppressed. Two threads at once: the second waits for ever,
 * or for its turn.
 */
bool gf_report(struct gf_report *r);
/* By this thread, in a call of @caller's, about @p */
void gf_fill_report(struct gf_report *r, struct gf_regs caller, const void *p);
/* For what is no fault: says it, and ends the process unless halt=0. */
void gf_report_error(struct gf_report *r);
/* A hit of @addr: which object, what kind */
void gf_classify(struct gf_report *r);
/* At exit: what was written beside objects that nobody freed; what was counted */
void gf_report_live(void);
void gf_report_counts(void);
/* One stack of leaks, and their sum. Under gf_report_lock */
void gf_leak_text(struct gf_out *o, bool direct, u64 bytes, u64 objects,
		  struct gf_symbols *symbols, const uintptr_t *pc, u32 from, u32 n, bool first);
void gf_leak_summary(struct gf_out *o, u64 bytes, u64 objects);
void gf_stats(void);
extern struct gf_lock gf_report_lock;

/* symbol.c */
/* The number in small hexadecimal digits at *@s, which is moved behind it */
u64 gf_hex(const char **s);

struct gf_frame {
	const char *function;	/* "" if not known */
	const char *file;
	const char *module;
	u64 offset;
	u32 line;
	u32 column;
	bool inlined;		/* into the next one */
};

struct gf_symbols;
/* Calls @fn with each line of /proc/self/maps. */
bool gf_each_map(void (*fn)(char *line, void *arg), void *arg, char *buf, u32 size);
/* Names for the addresses; what @exact[i] is not, is a return address. */
struct gf_symbols *gf_symbolize(const uintptr_t *pc, const bool *exact, u32 n);
/* Why there are no names; "" if there are, or none were wanted */
const char *gf_symbols_missing(const struct gf_symbols *s);
/* The @k-th frame (inlined ones first) of pc[@i]; false if there is none. */
bool gf_symbol(struct gf_symbols *s, u32 i, u32 k, struct gf_frame *f);
void gf_self_path(char *buf, size_t size);

/* suppress.c */

extern bool gf_have_suppressions;
void gf_suppressions_read(void);
bool gf_matches(const char *s, const char *pattern);
/* Is one of these frames' functions or files in a line that suppresses @kind? */
bool gf_suppressed(const char *kind, struct gf_symbols *symbols, u32 from, u32 frames);

/* leak.c: leaks=1, at exit; true if there are some */

#define GF_LEAK_STATUS	23	/* LeakSanitizer's */
bool gf_leaks(void);

/* fault.c */

void gf_fault_init(void);
/* What the program set for SIGSEGV or SIGBUS; the handler here stays. */
struct sigaction;
void gf_user_action(int sig, const struct sigaction *set, struct sigaction *old);
bool gf_fault_installed(void);
extern bool gf_went_on;		/* halt=0: a guard was taken away */
/* For fork. */
void gf_fault_lock(void);
void gf_fault_unlock(void);

/* altstack.c */

void gf_altstack_start(struct gf_tls *t);
void gf_altstack_end(struct gf_tls *t);
/* sigaltstack(), as the program sees it */
int gf_altstack_user(const stack_t *set, stack_t *old);
/* The memory of its own was freed: it goes on with ours. */
void gf_altstack_freed(struct gf_tls *t);
void gf_altstack_lock(void);
void gf_altstack_unlock(void);

/* insn.c: what an instruction does to memory; 0 if not known */
u32 gf_access_size(const u8 *insn, u32 len);

/* malloc.c */

extern bool gf_passing;		/* sampling: most are passed on */

/* Is this one of those that go by? Nearly always so, when sampling. */
static inline bool gf_counted(void)
{
	struct gf_tls *t = &gf_tls;

	if (likely(t->until_sample > 1)) {
		t->until_sample--;
		return true;
	}
	return false;
}
/* Sampling: should this one come from the next allocator? */
bool gf_pass_on(void);
void *gf_malloc_at(size_t size, size_t align, u8 kind, struct gf_regs caller);
void gf_free_at(void *p, u8 kind, size_t size, size_t align, const char *by,
		struct gf_regs caller);

/* The next allocator in line. */
struct gf_next {
	void *(*malloc)(size_t size);
	void *(*calloc)(size_t n, size_t size);
	void *(*realloc)(void *p, size_t size);
	void *(*memalign)(size_t align, size_t size);
	void (*free)(void *p);
	size_t (*usable_size)(void *p);
};

extern struct gf_next gf_next HIDDEN;
/* Of a static program, if it was linked for that: see next-musl.c */
extern const struct gf_next gf_static_next __attribute__((weak));
void gf_next_init(void);
void gf_next_find(void);
extern bool gf_passed;		/* allocations that could not be guarded went on */
/* Can it be that the next allocator made this? The thread's stack ends at @stack_top. */
bool gf_next_has(const void *p, uintptr_t stack_top);

/* mismatch.c: says so, unless there is an explanation. After gf_claim(). */
void gf_mismatch(struct gf_rec *rec, void *p, u8 kind, size_t size, size_t align, const char *by,
		 struct gf_regs caller);

/* life.c */

extern u32 gf_ready HIDDEN;	/* 1: yes; 2: cannot be, all goes to the next allocator */
extern bool gf_unwanted;	/* by children= or skip= */
extern bool gf_pass_all HIDDEN;	/* nothing is guarded */
void gf_init(void);
void gf_thread_start(void);
/* The thread runs: it is number @no. */
void gf_thread_begin(u32 no);

static inline struct gf_tls *gf_me(void)
{
	if (unlikely(!gf_tls.known))
		gf_thread_start();
	return &gf_tls;
}

/* Registers them, once: before anybody else's */
void gf_fork_handlers(void);

/* elf.c */

/* Is this a function's definition, not an entry of some program's linkage table? */
bool gf_defines(const void *function);
/* The module of an address, and where in it, without a system call or a lock */
const char *gf_module_at(uintptr_t pc, u64 *offset);
/* The name of the function at an address, "" if not known */
const char *gf_function_at(uintptr_t pc);
/* ... of that which the call before this return address was of */
const char *gf_function_called(uintptr_t ret);

struct gf_binding {
	const char *name;
	void *ours, *libc;
};

/* Modules that have libc's functions bound to them get ours. */
void gf_bind_all(const struct gf_binding *b, u32 n);

#endif
