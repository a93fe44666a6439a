// SPDX-License-Identifier: MIT
/*
 * The parts of the library by themselves: options, printing, the depot of
 * stacks, the slots, the sizes of accesses, the unwinder. Built with the undefined-behaviour
 * sanitizer; the entry points (malloc.c) are not linked, so that what the
 * library does with memory of its own and what cmocka does stay apart.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unwind.h>
#include "../area.h"
#include "../depot.h"
#include "../fault.h"
#include "../guard.h"
#include "../insn.h"
#include "../log.h"
#include "../options.h"
#include "../out.h"
#include "../slots.h"
#include "../stack.h"
#include "../sys.h"
#include "../thread.h"

/* No end of the stack: unwinding ends where the call frame information says so. */
#define TOP	UINTPTR_MAX

static void options(void **state)
{
	struct gf_options was = gf_opt;

	(void)state;
	gf_options_parse("depth=7:guard=before:quarantine=3m:name=Somebody:fill=171:sample=5000");
	assert_int_equal(gf_opt.depth, 7);
	assert_int_equal(gf_opt.guard, GUARD_BEFORE);
	assert_int_equal(gf_opt.quarantine, 3 << 20);
	assert_int_equal(gf_opt.fill, 171);
	assert_int_equal(gf_opt.sample, 5000);
	assert_string_equal(gf_opt.name, "Somebody");
	gf_options_parse("fill=-1::depth=0x10:quarantine=1T");
	assert_int_equal(gf_opt.fill, -1);
	assert_int_equal(gf_opt.depth, 16);
	assert_int_equal(gf_opt.quarantine, 1UL << 40);
	/* What is wrong changes nothing (and is said, which tests/run looks at). */
	gf_options_parse("log=/dev/null");
	gf_options_parse("depth=65:depth=-1:depth=:depth:depth=7x:align=2:align=17:guard=both:nope=1");
	gf_options_parse("quarantine=99999999999999999999:quarantine=5q:sample=0:guard=:guard=after|before");
	gf_options_parse("name=123456789012345678901234567890123456789012345678901234567890");
	assert_int_equal(gf_opt.depth, 16);
	assert_int_equal(gf_opt.align, 16);
	assert_int_equal(gf_opt.guard, GUARD_BEFORE);
	assert_int_equal(gf_opt.quarantine, 1UL << 40);
	assert_int_equal(gf_opt.sample, 5000);
	assert_string_equal(gf_opt.name, "Somebody");
	gf_options_parse(NULL);
	gf_options_parse("");
	gf_options_parse(":::=:=5:");
	gf_opt = was;
}

static void printing(void **state)
{
	char buf[64];

	(void)state;
	assert_int_equal(gf_snprintf(buf, sizeof(buf), "%d %u %lx %5d|%-5u|%05x %s%c%%", -7, 8u,
				     0xabcUL, 42, 42u, 0xbeu, "str", 'c'), 32);
	assert_string_equal(buf, "-7 8 abc    42|42   |000be strc%");
	gf_snprintf(buf, sizeof(buf), "%ld %lu", LONG_MIN, ULONG_MAX);
	assert_string_equal(buf, "-9223372036854775808 18446744073709551615");
	assert_int_equal(gf_snprintf(buf, 5, "%s", "too long"), 4);
	assert_string_equal(buf, "too ");
}

static void *put_stacks(void *arg)
{
	uintptr_t pc[GF_DEPTH_MAX];
	u32 *ids = arg, i, k;

	for (i = 0; i < 3000; i++) {
		u32 n = 1 + i % 40;

		for (k = 0; k < n; k++)
			pc[k] = i * 1000 + k;
		ids[i] = gf_depot_put(pc, n);
	}
	return NULL;
}

static void depot(void **state)
{
	static u32 ids[4][3000];
	const uintptr_t *pc;
	pthread_t t[4];
	u32 i, k, n;

	(void)state;
	assert_int_equal(gf_depot_put(NULL, 0), 0);
	assert_null(gf_depot_get(0, &n));
	for (i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, put_stacks, ids[i]);
	for (i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	/* Each once, whoever came first */
	assert_int_equal(gf_depot_stacks(), 3000);
	for (i = 0; i < 3000; i++) {
		for (k = 1; k < 4; k++)
			assert_int_equal(ids[k][i], ids[0][i]);
		pc = gf_depot_get(ids[0][i], &n);
		assert_int_equal(n, 1 + i % 40);
		for (k = 0; k < n; k++)
			assert_int_equal(pc[k], i * 1000 + k);
	}
}

static bool bites(const void *p)
{
	return gf_sys(SYS_getrandom, p, 1, 1) == -14;
}

static void *take(size_t size)
{
	int err;
	char *p = gf_alloc(&gf_tls, size, 0, KIND_MALLOC, 0, &err);
	size_t i;

	assert_non_null(p);
	for (i = 0; i < size; i += 251)
		assert_int_equal(p[i], 0);
	if (size)
		memset(p, 1, size);
	assert_true(bites(p + round_up(size, 16)));
	return p;
}

static void give(void *p)
{
	enum gf_verdict why;
	struct gf_rec *rec = gf_find(p, &why);

	assert_non_null(rec);
	assert_int_equal(gf_check(rec), 0);
	assert_true(gf_claim(rec));
	assert_false(gf_claim(rec));
	gf_release(&gf_tls, rec, 0);
}

static void slots(void **state)
{
	static const size_t sizes[] = { 0, 1, 15, 16, 17, 4095, 4096, 4097, 40000, 300000, 524288,
					524289, 1048576, 9000000 };
	enum gf_verdict why;
	char *p, *q;
	int err = 0;
	u32 i, k;

	(void)state;
	for (k = 0; k < 3; k++) {
		for (i = 0; i < ARRAY_SIZE(sizes); i++) {
			p = take(sizes[i]);
			q = take(sizes[i]);
			assert_ptr_not_equal(p, q);
			give(p);
			assert_true(bites(p));
			assert_null(gf_find(p, &why));
			assert_int_equal(why, FREE_DOUBLE);
			if (sizes[i] > 1) {
				assert_true(bites(p + sizes[i] - 1));
				assert_null(gf_find(q + 1, &why));
				assert_int_equal(why, FREE_INSIDE);
			}
			give(q);
		}
	}
	assert_null(gf_find((void *)(gf_heap.base + gf_heap.mapped - 1), &why));
	assert_null(gf_alloc(&gf_tls, SIZE_MAX, 16, KIND_MALLOC, 0, &err));
	assert_null(gf_alloc(&gf_tls, 1, 1UL << 60, KIND_MALLOC, 0, &err));
	assert_int_equal(err, 0);
}

/* Oldest first, and not before the quarantine is full */
static void quarantine(void **state)
{
	static void *freed[64];
	u64 was = gf_opt.quarantine_objects;
	void *p;
	u32 i, k, used = 0;

	(void)state;
	gf_opt.quarantine_objects = 20;
	gf_opt.open = 1;
	for (i = 0; i < 64; i++) {
		p = take(5 * PAGE - 480);
		for (k = 0; k < i; k++) {
			if (freed[k] != p)
				continue;
			assert_true(i - k > 20);
			used++;
			freed[k] = NULL;
		}
		/* those that wait are all guards */
		for (k = i > 20 ? i - 20 : 0; k < i; k++)
			assert_true(!freed[k] || bites(freed[k]));
		give(p);
		freed[i] = p;
	}
	assert_true(used > 20);
	gf_opt.quarantine_objects = was;
}

static void canaries(void **state)
{
	enum gf_verdict why;
	struct gf_rec *rec;
	char *p = take(100);

	(void)state;
	rec = gf_find(p, &why);
	p[100] = 0;
	assert_int_equal(gf_check(rec), (uintptr_t)p + 100);
	p[100] = p[101];
	assert_int_equal(gf_check(rec), 0);
	p[-9] = 0;
	assert_int_equal(gf_check(rec), (uintptr_t)p - 9);
	p[-64] = 0;
	assert_int_equal(gf_check(rec), (uintptr_t)p - 9);
	p[-9] = p[-8];
	assert_int_equal(gf_check(rec), (uintptr_t)p - 64);
	p[-64] = p[-63];
	assert_int_equal(gf_check(rec), 0);
}

static void vectors(void **state)
{
	struct gf_range r[40];
	u32 i;

	(void)state;
	/* Of those allocated: ranges with gaps, more than one call, some empty */
	for (i = 0; i < 40; i++) {
		r[i].addr = (void *)((uintptr_t)take(PAGE * (1 + i % 3)) & -PAGE);
		r[i].len = PAGE * (1 + i % 3);
	}
	assert_int_equal(gf_poison_many(r, 40), 40);
	for (i = 0; i < 40; i++)
		assert_true(bites(r[i].addr));
	assert_int_equal(gf_unpoison_many(r, 40), 40);
	for (i = 0; i < 40; i++)
		assert_false(bites(r[i].addr));
}

/* tests/insn.c has those of arm64. */
#ifdef __x86_64__
static void sizes_of_accesses(void **state)
{
	static const struct {
		u32 size;
		const char *insn, *what;
	} all[] = {
		{ 4, "\x8b\x00", "mov (%rax),%eax" },
		{ 8, "\x48\x8b\x00", "mov (%rax),%rax" },
		{ 2, "\x66\x8b\x00", "mov (%rax),%ax" },
		{ 1, "\x8a\x00", "mov (%rax),%al" },
		{ 1, "\x0f\xb6\x00", "movzbl (%rax),%eax" },
		{ 1, "\x48\x0f\xbe\x00", "movsbq (%rax),%rax" },
		{ 2, "\x0f\xb7\x00", "movzwl" },
		{ 4, "\x48\x63\x00", "movslq (%rax),%rax" },
		{ 1, "\xc6\x00\x01", "movb $1,(%rax)" },
		{ 4, "\xc7\x00\x01\x00\x00\x00", "movl" },
		{ 8, "\x48\xc7\x00\x01\x00\x00\x00", "movq" },
		{ 16, "\x0f\x10\x00", "movups" },
		{ 16, "\xf3\x0f\x6f\x00", "movdqu" },
		{ 8, "\xf2\x0f\x10\x00", "movsd" },
		{ 4, "\xf3\x0f\x11\x00", "movss" },
		{ 32, "\xc5\xfe\x6f\x00", "vmovdqu ymm" },
		{ 16, "\xc5\xfa\x6f\x00", "vmovdqu xmm" },
		{ 64, "\x62\xf1\xfe\x48\x6f\x00", "vmovdqu64 zmm" },
		{ 8, "\xf3\x48\xa5", "rep movsq" },
		{ 1, "\xf3\xaa", "rep stosb" },
		{ 8, "\xff\x10", "call *(%rax)" },
		{ 4, "\xf0\x0f\xb1\x10", "lock cmpxchg" },
		{ 8, "\xc3", "ret" },
		{ 8, "\xdd\x00", "fldl" },
		{ 10, "\xdb\x28", "fldt" },
		{ 0, "\x90", "nop" },
		{ 0, "", "nothing" },
	};
	u32 i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(all); i++) {
		u32 got = gf_access_size((const u8 *)all[i].insn,
					 all[i].insn[0] ? strlen(all[i].insn) + 1 : 0);

		if (got != all[i].size)
			print_error("%s: %u, not %u\n", all[i].what, got, all[i].size);
		assert_int_equal(got, all[i].size);
	}
}
#endif

__attribute__((noinline)) static u32 deep(int n, uintptr_t *pc)
{
	u32 got;

	if (n)
		got = deep(n - 1, pc);
	else
		got = gf_unwind(GF_CALLER(), TOP, false, pc, GF_DEPTH_MAX);
	__asm__ volatile("" ::: "memory");
	return got;
}

static void unwinding(void **state)
{
	uintptr_t a[GF_DEPTH_MAX], b[GF_DEPTH_MAX], word = 5;
	u32 na = deep(3, a), nb = deep(7, b), i;

	(void)state;
	assert_true(na > 5);
	assert_int_equal(nb, na + 4);
	/* the same, but for four more of the recursion */
	for (i = 0; i < na - 5; i++)
		assert_int_equal(a[na - 1 - i], b[nb - 1 - i]);
	/* What is not there is not read. (cmocka has a handler of its own.) */
	gf_fault_init();
	assert_true(gf_peek((uintptr_t)&word, &a[0]));
	assert_int_equal(a[0], 5);
	assert_false(gf_peek(8, &a[0]));
	assert_false(gf_peek(gf_heap.base, &a[0]));
	assert_int_equal(gf_unwind((struct gf_regs){ .pc = 1, .sp = 16, .fp = 8 }, TOP, false, a,
				   9), 1);
}

struct trace {
	u32 n, times;
	uintptr_t pc[GF_DEPTH_MAX + 1];
};

static struct trace trace;

static _Unwind_Reason_Code frame(struct _Unwind_Context *context, void *arg)
{
	(void)arg;
	if (_Unwind_GetIP(context) && trace.n < ARRAY_SIZE(trace.pc))
		trace.pc[trace.n++] = _Unwind_GetIP(context);
	return _URC_NO_REASON;
}

/* Whoever calls this: libgcc's unwinder, which takes its time, finds the same stack. */
__attribute__((noinline)) static void compare(void)
{
	uintptr_t pc[GF_DEPTH_MAX];
	u32 n = gf_unwind(GF_CALLER(), TOP, false, pc, GF_DEPTH_MAX), i;

	trace.n = 0;
	trace.times++;
	_Unwind_Backtrace(frame, NULL);
	for (i = 0; i < n && i + 1 < trace.n && pc[i] == trace.pc[i + 1]; i++)
		;
	if (i < n || n + 1 != trace.n)
		print_error("frame %u of %u: %lx, not %lx of %u\n", i, n, (unsigned long)pc[i],
			    (unsigned long)trace.pc[i + 1], trace.n - 1);
	assert_int_equal(i, n);
	assert_int_equal(n + 1, trace.n);
}

static int compare_items(const void *a, const void *b)
{
	compare();
	return *(const int *)a - *(const int *)b;
}

static void compare_in_handler(int sig)
{
	(void)sig;
	compare();
}

static void *compare_in_thread(void *arg)
{
	compare();
	return arg;
}

/* A frame of a size that is not known, and aligned: it is found by way of a register. */
__attribute__((noinline)) static void compare_aligned(u32 n)
{
	char aligned[64] __attribute__((aligned(64)));
	char *some = __builtin_alloca(n);

	__asm__ volatile("" : : "r"(aligned), "r"(some) : "memory");
	compare();
	if (n)
		compare_aligned(n - 1);
	__asm__ volatile("" ::: "memory");
}

static void as_libgcc(void **state)
{
	int items[] = { 3, 1, 2 };
	pthread_t t;

	(void)state;
	compare();
	compare_aligned(20);
	qsort(items, ARRAY_SIZE(items), sizeof(items[0]), compare_items);
	assert_int_equal(items[0], 1);
	signal(SIGUSR1, compare_in_handler);
	raise(SIGUSR1);
	assert_int_equal(pthread_create(&t, NULL, compare_in_thread, NULL), 0);
	pthread_join(t, NULL);
	assert_true(trace.times > 25);
}

/*
 * Whatever leads to the same place, at the same depth or not, with a frame pointer or
 * without: a stack that was known is the one that is there.
 */
static void path(u32 way, u32 n);

__attribute__((noinline)) static void path_fp(u32 way, u32 n)
{
	char room[way % 5 * 16 + 1];

	__asm__ volatile("" : : "r"(room) : "memory");
	path(way / 2, n);
	__asm__ volatile("" : : "r"(room) : "memory");
}

__attribute__((noinline, optimize("omit-frame-pointer"))) static void path_sp(u32 way, u32 n)
{
	path(way / 2, n);
	__asm__ volatile("" ::: "memory");
}

__attribute__((noinline)) static void path(u32 way, u32 n)
{
	uintptr_t pc[GF_DEPTH_MAX];
	const uintptr_t *known;
	u32 want, got;

	if (n) {
		if (way & 1)
			path_fp(way, n - 1);
		else
			path_sp(way, n - 1);
		__asm__ volatile("" ::: "memory");
		return;
	}
	want = gf_unwind(GF_CALLER(), TOP, false, pc, gf_opt.depth);
	known = gf_depot_get(gf_stack_here(GF_CALLER(), TOP), &got);
	assert_int_equal(got, want);
	assert_memory_equal(known, pc, want * sizeof(*pc));
}

static void known_stacks(void **state)
{
	u32 i, depth = gf_opt.depth;

	(void)state;
	for (i = 0; i < 100000; i++) {
		u64 r = gf_random();

		if (i % 10000 == 0)
			gf_opt.depth = 1 + r % 30;
		if (i % 1000 == 0)
			gf_unwind_forget();
		path(r >> 32 & (r & 0x100 ? 0xfff : 3), r % 13);
	}
	gf_opt.depth = depth;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(options),
		cmocka_unit_test(printing),
		cmocka_unit_test(depot),
		cmocka_unit_test(slots),
		cmocka_unit_test(quarantine),
		cmocka_unit_test(canaries),
		cmocka_unit_test(vectors),
#ifdef __x86_64__
		cmocka_unit_test(sizes_of_accesses),
#endif
		cmocka_unit_test(unwinding),
		cmocka_unit_test(as_libgcc),
		cmocka_unit_test(known_stacks),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	gf_page_init();
	gf_log_path = gf_opt.log;
	gf_probe();
	if (!gf_place(false) || !gf_slots_init() || !gf_depot_init())
		return 99;
	gf_thread_init();
	gf_constructed = true;
	gf_tls.arena = gf_arena_enter();
	gf_thread_known(&gf_tls);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
