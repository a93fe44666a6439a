// SPDX-License-Identifier: MIT
/*
 * What is said of a hit: AddressSanitizer's words and layout, which people
 * know and tools parse; or one line of JSON. May run in a signal handler, in
 * the middle of anything.
 */
#include "report.h"
#include "area.h"
#include "depot.h"
#include "guard.h"
#include "log.h"
#include "out.h"
#include "slots.h"
#include "suppress.h"
#include "symbol.h"
#include "thread.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <termios.h>

struct gf_lock gf_report_lock;

#define NEAR	(1UL << 20)	/* as far as an address is about an object */

static u64 distance(const struct gf_rec *rec, uintptr_t addr)
{
	if (addr < rec->ptr)
		return rec->ptr - addr;
	if (addr >= rec->ptr + rec->size)
		return addr - (rec->ptr + rec->size) + 1;
	return 0;
}

static void nearer(struct gf_rec **best, u64 *dist, struct gf_rec *rec, uintptr_t addr)
{
	u32 state = load(&rec->state);
	u64 d;

	if (state == STATE_NEVER)
		return;
	/* Of two, the one that is alive. */
	d = distance(rec, addr) + (state == STATE_FREED ? PAGE : 0);
	if (!*best || d < *dist) {
		*best = rec;
		*dist = d;
	}
}

void gf_classify(struct gf_report *r)
{
	struct gf_slot here, next;
	struct gf_rec *best = NULL;
	u64 dist = 0;
	bool in_slot, found;
	u32 i;

	in_slot = gf_slot_at(r->addr, &here);
	found = in_slot || gf_slot_at(r->addr + PAGE, &here) ||
		(r->addr > gf_heap.base + PAGE && gf_slot_at(r->addr - PAGE, &here));
	r->kind = "wild-access";
	if (!found)
		return;
	/* In the pages of what was freed there is nothing to guess. */
	if (in_slot && load(&here.rec->state) == STATE_FREED) {
		uintptr_t lo = gf_heap.base + ((u64)here.rec->first << PAGE_SHIFT);

		if (r->addr >= lo && r->addr - lo < (u64)here.rec->pages << PAGE_SHIFT) {
			r->rec = here.rec;
			r->kind = "heap-use-after-free";
			return;
		}
	}
	nearer(&best, &dist, here.rec, r->addr);
	for (next = here, i = 0; i < 128 && gf_slot_after(&next, &next); i++) {
		if (next.start - r->addr > NEAR && next.start > r->addr)
			break;
		nearer(&best, &dist, next.rec, r->addr);
	}
	for (next = here, i = 0; i < 128 && gf_slot_before(&next, &next); i++) {
		if (r->addr - next.start > NEAR + ((u64)next.pages << PAGE_SHIFT))
			break;
		nearer(&best, &dist, next.rec, r->addr);
	}
	if (!best || distance(best, r->addr) > NEAR)
		return;
	r->rec = best;
	if (r->addr < best->ptr)
		r->kind = "heap-buffer-underflow";
	else if (r->addr >= best->ptr + best->size)
		r->kind = "heap-buffer-overflow";
	else
		r->kind = "heap-use-after-free";
}

void gf_fill_report(struct gf_report *r, struct gf_regs caller, const void *p)
{
	memset(r, 0, offsetof(struct gf_report, pc));
	r->addr = (uintptr_t)p;
	r->regs = caller;
	r->thread = gf_tls.no;
	r->n = gf_unwind(caller, gf_tls.stack_top, false, r->pc, GF_DEPTH_MAX);
}

/* The stacks of a report, and the names for all their addresses. */

enum { AT_HIT, AT_FREE, AT_ALLOC, STACKS = 3, THREADS = 6 };

struct section {
	u32 from, n;
	u32 thread;
};

struct parts {
	struct section s[STACKS + THREADS];
	u32 nthreads;
	uintptr_t pc[(STACKS + THREADS) * GF_DEPTH_MAX];
	bool exact[(STACKS + THREADS) * GF_DEPTH_MAX];
	u32 n;
	struct gf_symbols *symbols;
};

/* Under gf_report_lock */
static struct parts parts;

static void add(u32 which, const uintptr_t *pc, u32 n, u32 thread, bool exact)
{
	struct section *s = &parts.s[which];
	u32 i;

	s->from = parts.n;
	s->n = n;
	s->thread = thread;
	for (i = 0; i < n; i++) {
		parts.exact[parts.n] = exact && !i;
		parts.pc[parts.n++] = pc[i];
	}
}

static void add_thread(u32 no)
{
	const struct gf_thread *t;
	const uintptr_t *pc;
	u32 i, n;

	while (no && no != UINT32_MAX && parts.nthreads < THREADS) {
		for (i = 0; i < parts.nthreads; i++)
			if (parts.s[STACKS + i].thread == no)
				return;
		t = gf_thread_get(no);
		if (!t)
			return;
		pc = gf_depot_get(t->create_stack, &n);
		add(STACKS + parts.nthreads++, pc, n, no, false);
		no = t->creator;
	}
}

/* What a thread that lives is called now */
static void thread_name(u32 no)
{
	struct gf_thread *t = (struct gf_thread *)gf_thread_get(no);
	char path[64], name[20];
	long n;

	if (!t || t->ended || !t->tid || gf_sandboxed)
		return;
	gf_snprintf(path, sizeof(path), "/proc/self/task/%u/comm", t->tid);
	n = gf_read_file(path, name, sizeof(name));
	if (n > 1 && name[n - 1] == '\n') {
		name[n - 1] = 0;
		gf_snprintf(t->name, sizeof(t->name), "%s", name);
	}
}

static void collect(const struct gf_report *r, bool freed)
{
	const uintptr_t *pc;
	u32 n;

	parts.n = parts.nthreads = 0;
	add(AT_HIT, r->pc, r->n, r->thread, r->exact);
	parts.s[AT_FREE].n = parts.s[AT_ALLOC].n = 0;
	if (r->rec && freed) {
		pc = gf_depot_get(r->rec->free_stack, &n);
		add(AT_FREE, pc, n, r->rec->free_thread, false);
	}
	if (r->rec) {
		pc = gf_depot_get(r->rec->alloc_stack, &n);
		add(AT_ALLOC, pc, n, r->rec->alloc_thread, false);
	}
	add_thread(r->thread);
	if (r->rec && freed)
		add_thread(r->rec->free_thread);
	if (r->rec)
		add_thread(r->rec->alloc_thread);
	thread_name(r->thread);
	for (n = 0; n < parts.nthreads; n++)
		thread_name(parts.s[STACKS + n].thread);
	parts.symbols = gf_symbolize(parts.pc, parts.exact, parts.n);
}

/* Text. */

static const char *red, *green, *blue, *plain, *bold;

static void colors(const struct gf_out *o)
{
	struct termios t;
	bool on = gf_opt.color == COLOR_ALWAYS;

	if (gf_opt.color == COLOR_AUTO && !gf_sandboxed)
		on = gf_sys(SYS_ioctl, o->fd, TCGETS, &t) == 0;
	red = on ? "\033[1;31m" : "";
	green = on ? "\033[1;32m" : "";
	blue = on ? "\033[1;34m" : "";
	bold = on ? "\033[1m" : "";
	plain = on ? "\033[0m" : "";
}

static void thread_text(struct gf_out *o, u32 no)
{
	const struct gf_thread *t = gf_thread_get(no);

	gf_printf(o, "T%u", no);
	if (no && t && t->name[0])
		gf_printf(o, " (%s)", t->name);
}

static void frame_text(struct gf_out *o, const struct gf_frame *f)
{
	if (f->function[0])
		gf_printf(o, " in %s%s%s", bold, f->function, plain);
	if (f->file[0] && f->line)
		gf_printf(o, " %s:%u", f->file, f->line);
	else if (f->module[0])
		gf_printf(o, " (%s+0x%lx)", f->module, (unsigned long)f->offset);
}

static void frames_text(struct gf_out *o, struct gf_symbols *symbols, const uintptr_t *pc,
			u32 from, u32 frames)
{
	u32 i, k, n = 0;
	struct gf_frame f;

	for (i = from; i < from + frames; i++) {
		for (k = 0; gf_symbol(symbols, i, k, &f); k++) {
			gf_printf(o, "    #%u 0x%012lx", n++, (unsigned long)pc[i]);
			frame_text(o, &f);
			gf_puts(o, "\n", 1);
		}
	}
	if (!frames)
		gf_printf(o, "    <no stack was kept>\n");
	gf_puts(o, "\n", 1);
}

static void stack_text(struct gf_out *o, const struct section *s)
{
	frames_text(o, parts.symbols, parts.pc, s->from, s->n);
}

static const char *access_word(const struct gf_report *r)
{
	return r->access == ACCESS_WRITE ? "WRITE" : r->access == ACCESS_EXEC ? "EXECUTION" : "READ";
}

/* A library that is only the messenger: memcpy() is not where the bug is. */
static bool messenger(const char *module)
{
	static const char *const names[] = { "libc.so", "libc-", "ld-linux", "libguardfree",
					     "libstdc++.so", "libpthread" };
	const char *base = module, *s;
	u32 i;

	for (s = module; *s; s++)
		if (*s == '/')
			base = s + 1;
	for (i = 0; i < ARRAY_SIZE(names); i++)
		if (gf_prefix(base, names[i]))
			return true;
	return false;
}

static void summary(struct gf_out *o, const struct gf_report *r)
{
	struct gf_frame f, first = { .function = "" };
	const struct section *at = &parts.s[AT_HIT];
	u32 i, k;
	bool have = false;

	/* What was found at exit has no stack but the object's own. */
	if (!at->n)
		at = &parts.s[AT_ALLOC];
	/* The first frame of the program itself, or else the first */
	for (i = 0; i < at->n; i++) {
		for (k = 0; gf_symbol(parts.symbols, at->from + i, k, &f); k++) {
			if (!have) {
				first = f;
				have = true;
			}
			if (f.module[0] && !messenger(f.module))
				goto found;
		}
	}
	f = first;
found:
	gf_printf(o, "SUMMARY: %s: %s ", gf_opt.name, r->kind);
	if (!have)
		gf_printf(o, "(unknown place)");
	else if (f.line)
		gf_printf(o, "%s:%u", f.file, f.line);
	else
		gf_printf(o, "(%s+0x%lx)", f.module ? f.module : "", (unsigned long)f.offset);
	if (have && f.function[0])
		gf_printf(o, " in %s", f.function);
	gf_puts(o, "\n", 1);
}

static void where_text(struct gf_out *o, const struct gf_report *r)
{
	const struct gf_rec *rec = r->rec;
	uintptr_t end = rec->ptr + rec->size;
	u64 d = distance(rec, r->addr);

	gf_printf(o, "%s0x%012lx is located ", green, (unsigned long)r->addr);
	if (r->addr < rec->ptr)
		gf_printf(o, "%lu bytes before", (unsigned long)d);
	else if (r->addr >= end && !(rec->size == 0 && r->addr == rec->ptr))
		gf_printf(o, "%lu bytes after", (unsigned long)d - 1);
	else if (r->addr >= end)
		gf_printf(o, "0 bytes after");
	else
		gf_printf(o, "%lu bytes inside of", (unsigned long)(r->addr - rec->ptr));
	gf_printf(o, " %lu-byte region [0x%012lx,0x%012lx)%s\n", (unsigned long)rec->size,
		  (unsigned long)rec->ptr, (unsigned long)end, plain);
}

/* Needs no system call but write(): it is said before anything else is tried. */
static void head_text(struct gf_out *o, const struct gf_report *r)
{
	int pid = gf_pid();

	colors(o);
	gf_printf(o, "=================================================================\n%s", red);
	gf_printf(o, "==%d==%s: %s: ", pid, r->warning ? "WARNING" : "ERROR", gf_opt.name);
	if (!strcmp(r->kind, "double-free")) {
		gf_printf(o, "attempting double-free on 0x%012lx in thread ", (unsigned long)r->addr);
		thread_text(o, r->thread);
		gf_printf(o, ":%s\n", plain);
	} else if (!strcmp(r->kind, "bad-malloc_usable_size")) {
		gf_printf(o, "attempting to call malloc_usable_size() for pointer which is not owned: 0x%012lx in thread ",
			  (unsigned long)r->addr);
		thread_text(o, r->thread);
		gf_printf(o, "%s\n", plain);
	} else if (!strcmp(r->kind, "bad-free")) {
		gf_printf(o, "attempting %s on address which was not malloc()-ed: 0x%012lx in thread ",
			  !strcmp(r->by, "realloc") ? "realloc" : "free", (unsigned long)r->addr);
		thread_text(o, r->thread);
		gf_printf(o, "%s\n", plain);
	} else if (r->signal) {
		gf_printf(o, "%s on %saddress 0x%012lx (pc 0x%012lx bp 0x%012lx sp 0x%012lx T%u)%s\n",
			  r->kind, r->kind[0] == 's' ? "" : "unknown ", (unsigned long)r->addr,
			  (unsigned long)r->regs.pc, (unsigned long)r->regs.fp,
			  (unsigned long)r->regs.sp, r->thread, plain);
		if (r->kind[0] != 's')
			gf_printf(o, "==%d==The signal is caused by %s memory access.\n", pid,
				  r->access == ACCESS_WRITE ? "a WRITE" :
				  r->access == ACCESS_EXEC ? "an EXECUTE" : "a READ");
		if (r->note)
			gf_printf(o, "==%d==Hint: %s\n", pid, r->note);
	} else if (r->access == ACCESS_NONE) {
		gf_printf(o, "%s %s on 0x%012lx in thread ", r->kind, r->note ? r->note : "",
			  (unsigned long)r->addr);
		thread_text(o, r->thread);
		gf_printf(o, "%s\n", plain);
	} else {
		gf_printf(o, "%s on address 0x%012lx at pc 0x%012lx bp 0x%012lx sp 0x%012lx%s\n", r->kind,
			  (unsigned long)r->addr, (unsigned long)r->regs.pc,
			  (unsigned long)r->regs.fp, (unsigned long)r->regs.sp, plain);
		gf_printf(o, "%s%s of ", blue, access_word(r));
		if (r->size)
			gf_printf(o, "size %u", r->size);
		else
			gf_printf(o, "unknown size");
		gf_printf(o, " at 0x%012lx thread ", (unsigned long)r->addr);
		thread_text(o, r->thread);
		gf_printf(o, "%s\n", plain);
		if (r->note)
			gf_printf(o, "    %s\n", r->note);
	}
}

static void text(struct gf_out *o, const struct gf_report *r, bool freed)
{
	int pid = gf_pid();
	u32 i;

	stack_text(o, &parts.s[AT_HIT]);
	if (r->rec) {
		where_text(o, r);
		if (freed) {
			gf_printf(o, "%sfreed by thread ", blue);
			thread_text(o, r->rec->free_thread);
			gf_printf(o, " here:%s\n", plain);
			stack_text(o, &parts.s[AT_FREE]);
		}
		gf_printf(o, "%s%sallocated by thread ", blue, freed ? "previously " : "");
		thread_text(o, r->rec->alloc_thread);
		gf_printf(o, " here:%s\n", plain);
		stack_text(o, &parts.s[AT_ALLOC]);
	} else if (r->access != ACCESS_NONE && !r->signal) {
		gf_printf(o, "%s0x%012lx is a wild pointer: no object was ever near it%s\n", green,
			  (unsigned long)r->addr, plain);
	}
	for (i = 0; i < parts.nthreads; i++) {
		const struct section *s = &parts.s[STACKS + i];
		const struct gf_thread *t = gf_thread_get(s->thread);

		gf_printf(o, "%sThread ", blue);
		thread_text(o, s->thread);
		if (t->creator == UINT32_MAX) {
			gf_printf(o, ": how it was created is not known%s\n\n", plain);
			continue;
		}
		gf_printf(o, " created by ");
		thread_text(o, t->creator);
		gf_printf(o, " here:%s\n", plain);
		stack_text(o, s);
	}
	if (gf_symbols_missing(parts.symbols)[0])
		gf_printf(o, "    (names are missing: %s)\n\n", gf_symbols_missing(parts.symbols));
	summary(o, r);
	if (gf_opt.halt && !r->warning)
		gf_printf(o, "==%d==ABORTING\n", pid);
}

/* JSON: all of a report in one line. */

static void json_string(struct gf_out *o, const char *s)
{
	gf_puts(o, "\"", 1);
	for (; *s; s++) {
		if (*s == '"' || *s == '\\')
			gf_printf(o, "\\%c", *s);
		else if ((u8)*s < 0x20)
			gf_printf(o, "\\u00%02x", (u8)*s);
		else
			gf_puts(o, s, 1);
	}
	gf_puts(o, "\"", 1);
}

static void thread_json(struct gf_out *o, const char *key, u32 no)
{
	const struct gf_thread *t = gf_thread_get(no);

	gf_printf(o, "\"%s\":{\"number\":%u,\"tid\":%u,\"name\":", key, no, t ? t->tid : 0);
	json_string(o, t ? t->name : "");
	gf_puts(o, "}", 1);
}

static void frames_json(struct gf_out *o, struct gf_symbols *symbols, const uintptr_t *pc,
			u32 from, u32 frames)
{
	struct gf_frame f;
	u32 i, k;
	bool some = false;

	gf_printf(o, "\"stack\":[");
	for (i = from; i < from + frames; i++) {
		for (k = 0; gf_symbol(symbols, i, k, &f); k++) {
			gf_printf(o, "%s{\"pc\":\"0x%012lx\"", some ? "," : "",
				  (unsigned long)pc[i]);
			some = true;
			if (f.function[0]) {
				gf_printf(o, ",\"function\":");
				json_string(o, f.function);
			}
			if (f.file[0]) {
				gf_printf(o, ",\"file\":");
				json_string(o, f.file);
			}
			if (f.line)
				gf_printf(o, ",\"line\":%u", f.line);
			if (f.module[0]) {
				gf_printf(o, ",\"module\":");
				json_string(o, f.module);
				gf_printf(o, ",\"offset\":\"0x%lx\"", (unsigned long)f.offset);
			}
			if (f.inlined)
				gf_printf(o, ",\"inlined\":true");
			gf_puts(o, "}", 1);
		}
	}
	gf_puts(o, "]", 1);
}

static void stack_json(struct gf_out *o, const struct section *s)
{
	frames_json(o, parts.symbols, parts.pc, s->from, s->n);
}

static void json(struct gf_out *o, const struct gf_report *r, bool freed)
{
	static const char *const words[] = { "none", "read", "write", "execute" };
	u32 i;

	gf_printf(o, "{\"tool\":\"guardfree\",\"version\":\"" GF_VERSION "\",\"pid\":%d,\"kind\":",
		  gf_pid());
	json_string(o, r->kind);
	gf_printf(o, ",\"address\":\"0x%012lx\",\"access\":\"%s\"", (unsigned long)r->addr,
		  words[r->access]);
	if (r->size)
		gf_printf(o, ",\"size\":%u", r->size);
	if (r->by) {
		gf_printf(o, ",\"by\":");
		json_string(o, r->by);
	}
	if (r->warning)
		gf_printf(o, ",\"warning\":true");
	if (r->note) {
		gf_printf(o, ",\"note\":");
		json_string(o, r->note);
	}
	gf_printf(o, ",\"pc\":\"0x%012lx\",", (unsigned long)r->regs.pc);
	thread_json(o, "thread", r->thread);
	gf_puts(o, ",", 1);
	stack_json(o, &parts.s[AT_HIT]);
	if (r->rec) {
		const struct gf_rec *rec = r->rec;

		gf_printf(o, ",\"object\":{\"address\":\"0x%012lx\",\"size\":%lu,\"offset\":%ld,\"state\":\"%s\"}",
			  (unsigned long)rec->ptr, (unsigned long)rec->size,
			  (long)(r->addr - rec->ptr), freed ? "freed" : "live");
		if (freed) {
			gf_printf(o, ",\"freed\":{");
			thread_json(o, "thread", rec->free_thread);
			gf_puts(o, ",", 1);
			stack_json(o, &parts.s[AT_FREE]);
			gf_puts(o, "}", 1);
		}
		gf_printf(o, ",\"allocated\":{");
		thread_json(o, "thread", rec->alloc_thread);
		gf_puts(o, ",", 1);
		stack_json(o, &parts.s[AT_ALLOC]);
		gf_puts(o, "}", 1);
	}
	gf_printf(o, ",\"threads\":[");
	for (i = 0; i < parts.nthreads; i++) {
		const struct section *s = &parts.s[STACKS + i];
		const struct gf_thread *t = gf_thread_get(s->thread);

		gf_printf(o, "%s{", i ? "," : "");
		thread_json(o, "thread", s->thread);
		if (t->creator != UINT32_MAX) {
			gf_puts(o, ",", 1);
			thread_json(o, "creator", t->creator);
		}
		gf_puts(o, ",", 1);
		stack_json(o, s);
		gf_puts(o, "}", 1);
	}
	gf_puts(o, "]", 1);
	if (gf_symbols_missing(parts.symbols)[0]) {
		gf_printf(o, ",\"names_missing\":");
		json_string(o, gf_symbols_missing(parts.symbols));
	}
	gf_printf(o, "}\n");
}

/*
 * Where the program goes on, what is the same again is counted only: the same
 * kind from the same place, of an object from the same place. Under the lock.
 */
static u64 known[1024];
static u32 reports, repeated;

/* Those that were suppressed: the helper is not asked again. */
static u64 quiet[256];

static u64 hash_of(const struct gf_report *r)
{
	u64 h = r->rec ? r->rec->alloc_stack : 0;
	const char *s;
	u32 i;

	for (s = r->kind; *s; s++)
		h = (h ^ (u8)*s) * 0x9e3779b97f4a7c15UL;
	for (i = 0; i < r->n && i < 16; i++)
		h = (h ^ h >> 29 ^ r->pc[i]) * 0x9e3779b97f4a7c15UL;
	return h | 1;
}

static bool said_before(const struct gf_report *r)
{
	u64 h = hash_of(r);
	u32 i;

	reports++;
	if (gf_opt.halt && !r->warning)
		return false;
	for (i = 0; i < ARRAY_SIZE(known); i++) {
		u64 *at = &known[(h >> 32 ^ i) % ARRAY_SIZE(known)];

		if (!*at) {
			*at = h;
			return false;
		}
		if (*at == h) {
			repeated++;
			return true;
		}
	}
	return false;
}

static bool is_quiet(const struct gf_report *r, bool freed)
{
	u64 *at;

	if (!gf_have_suppressions)
		return false;
	at = &quiet[(hash_of(r) >> 32) % ARRAY_SIZE(quiet)];
	if (*at == hash_of(r))
		return true;
	collect(r, freed);
	/* What was found at exit has no stack but the object's own. */
	if (!gf_suppressed(r->kind, parts.symbols, parts.s[AT_HIT].from,
			   parts.s[AT_HIT].n) &&
	    (parts.s[AT_HIT].n || !gf_suppressed(r->kind, parts.symbols, parts.s[AT_ALLOC].from,
						 parts.s[AT_ALLOC].n)))
		return false;
	*at = hash_of(r);
	return true;
}

bool gf_report(struct gf_report *r)
{
	/* Not on the stack: the program's alternate one may be as small as 8 KiB. */
	static char buf[4000];
	bool freed, suppressed = false;
	struct gf_out o;

	gf_lock(&gf_report_lock);
	freed = r->rec && load(&r->rec->state) == STATE_FREED && !r->freed_by_this;
	if (is_quiet(r, freed)) {
		suppressed = true;
		goto out;
	}
	if (said_before(r))
		goto out;
	gf_out_log(&o, buf, sizeof(buf));
	if (gf_opt.format == FORMAT_JSON) {
		collect(r, freed);
		json(&o, r, freed);
	} else {
		thread_name(r->thread);
		head_text(&o, r);
		gf_out_flush(&o);
		collect(r, freed);
		text(&o, r, freed);
	}
	gf_out_end(&o);
out:
	gf_unlock(&gf_report_lock);
	return !suppressed;
}

void gf_leak_text(struct gf_out *o, bool direct, u64 bytes, u64 objects,
		  struct gf_symbols *symbols, const uintptr_t *pc, u32 from, u32 n, bool first)
{
	if (gf_opt.format == FORMAT_JSON) {
		gf_printf(o, "{\"tool\":\"guardfree\",\"version\":\"" GF_VERSION "\",\"pid\":%d,\"kind\":\"leak\",\"direct\":%s,\"bytes\":%lu,\"objects\":%lu,",
			  gf_pid(), direct ? "true" : "false", (unsigned long)bytes,
			  (unsigned long)objects);
		frames_json(o, symbols, pc, from, n);
		gf_printf(o, "}\n");
		return;
	}
	if (first) {
		bool other = strcmp(gf_opt.name, "AddressSanitizer");

		colors(o);
		gf_printf(o, "=================================================================\n%s", red);
		gf_printf(o, "==%d==ERROR: %s: detected memory leaks%s\n\n", gf_pid(),
			  other ? gf_opt.name : "LeakSanitizer", plain);
		if (gf_symbols_missing(symbols)[0])
			gf_printf(o, "    (names are missing: %s)\n\n", gf_symbols_missing(symbols));
	}
	gf_printf(o, "%s%s leak of %lu byte(s) in %lu object(s) allocated from:%s\n", blue,
		  direct ? "Direct" : "Indirect", (unsigned long)bytes, (unsigned long)objects,
		  plain);
	frames_text(o, symbols, pc, from, n);
}

void gf_leak_summary(struct gf_out *o, u64 bytes, u64 objects)
{
	if (gf_opt.format != FORMAT_JSON)
		gf_printf(o, "SUMMARY: %s: %lu byte(s) leaked in %lu allocation(s).\n",
			  gf_opt.name, (unsigned long)bytes, (unsigned long)objects);
}

void gf_report_error(struct gf_report *r)
{
	u64 none = 1UL << (SIGABRT - 1);
	struct gf_tls *me = &gf_tls;

	if (me->in_report)
		return;
	me->in_report = true;
	if (!gf_report(r)) {
		me->in_report = false;
		return;
	}
	me->in_report = false;
	if (!gf_opt.halt || r->warning)
		return;
	if (gf_opt.exitcode >= 0)
		gf_sys(SYS_exit_group, gf_opt.exitcode);
	/* abort(), without its lock */
	gf_sys(SYS_rt_sigprocmask, SIG_UNBLOCK, &none, NULL, 8);
	gf_sys(SYS_tgkill, gf_sys(SYS_getpid), gf_sys(SYS_gettid), SIGABRT);
	/* It was handled, or is ignored. */
	gf_sys(SYS_exit_group, 134);
}

/* Statistics. */

static u64 status_kb(const char *key)
{
	static char text[8192];
	u64 v = 0;
	char *s;

	if (gf_read_file("/proc/self/status", text, sizeof(text)) <= 0)
		return 0;
	for (s = text; *s; s++) {
		if ((s != text && s[-1] != '\n') || !gf_prefix(s, key))
			continue;
		for (s += gf_strlen(key); *s == ':' || *s == ' ' || *s == '\t'; s++)
			;
		for (; *s >= '0' && *s <= '9'; s++)
			v = v * 10 + (*s - '0');
		return v;
	}
	return 0;
}

/* Those of the whole process, and the heap's own */
static void count_vmas(u32 *all, u32 *ours)
{
	static char buf[16384];
	long fd = gf_sys(SYS_openat, AT_FDCWD, "/proc/self/maps", O_RDONLY | O_CLOEXEC), n, i;
	bool at_start = true, counting = false;
	u64 start = 0;

	*all = *ours = 0;
	while (fd >= 0 && (n = gf_sys(SYS_read, fd, buf, sizeof(buf))) > 0) {
		for (i = 0; i < n; i++) {
			char c = buf[i];

			if (at_start) {
				start = 0;
				at_start = false;
				counting = true;
			}
			if (counting && c == '-') {
				counting = false;
				if (start - gf_units.base < gf_heap.base + gf_heap.max - gf_units.base)
					++*ours;
			} else if (counting) {
				start = start << 4 | (c <= '9' ? c - '0' : c - 'a' + 10);
			}
			if (c == '\n') {
				++*all;
				at_start = true;
			}
		}
	}
	if (fd >= 0)
		gf_sys(SYS_close, fd);
}

void gf_stats(void)
{
	char buf[2000];
	struct gf_heap_stats s;
	struct gf_counts c = gf_calls;
	struct gf_out o;
	u32 all, ours;
	u64 vmpte = status_kb("VmPTE");
	u64 calls = c.poison + c.unpoison + c.vector + c.map + c.other;

	gf_slots_stats(&s);
	count_vmas(&all, &ours);
	gf_out_log(&o, buf, sizeof(buf));
	gf_printf(&o, gf_opt.format == FORMAT_JSON ?
		  "{\"tool\":\"guardfree\",\"pid\":%d,\"allocated\":%lu,\"freed\":%lu,\"live\":%lu,\"live_bytes\":%lu,\"guarded_slots\":%lu,\"unguarded\":%lu,\"vmas_heap\":%u,\"vmas\":%u,\"page_table_kb\":%lu,\"quarantine_objects\":%lu,\"quarantine_bytes\":%lu,\"stacks\":%lu,\"system_calls\":%lu,\"poison\":%lu,\"unpoison\":%lu,\"vector\":%lu,\"map\":%lu,\"other\":%lu,\"guards\":\"%s\"}\n" :
		  "guardfree: %d: %lu objects allocated, %lu freed, %lu live (%lu bytes); %lu guards at least, %lu failed; %u VMAs of the heap, %u in all; page tables %lu kB; quarantine %lu objects, %lu bytes; %lu stacks; %lu system calls: %lu poison, %lu unpoison, %lu of vectors, %lu map, %lu other; by %s\n",
		  gf_pid(), (unsigned long)s.allocs, (unsigned long)s.frees,
		  (unsigned long)s.live, (unsigned long)s.live_bytes,
		  (unsigned long)(s.live + s.quarantined), (unsigned long)gf_unguarded, ours, all,
		  (unsigned long)vmpte, (unsigned long)s.quarantined,
		  (unsigned long)s.quarantined_bytes, (unsigned long)gf_depot_stacks(),
		  (unsigned long)calls, (unsigned long)c.poison, (unsigned long)c.unpoison,
		  (unsigned long)c.vector, (unsigned long)c.map, (unsigned long)c.other,
		  gf_method == METHOD_IS_GUARD ? "guard pages" : "PROT_NONE");
	gf_out_end(&o);
}

static u32 checked;

static void check_live(struct gf_rec *rec)
{
	struct gf_rec was = *rec;
	struct gf_report r;
	uintptr_t at;

	if (checked++ >= 100000)
		return;
	at = gf_check_live(&was);
	if (!at)
		return;
	/* Other threads may go on: is it the same object, and is it still so? */
	if (gf_check_live(&was) != at || load(&rec->state) != STATE_LIVE ||
	    load_relaxed(&rec->ptr) != was.ptr || load_relaxed(&rec->size) != was.size)
		return;
	gf_fill_report(&r, (struct gf_regs){ 0 }, (void *)at);
	r.n = 0;
	r.rec = rec;
	r.access = ACCESS_WRITE;
	r.size = 1;
	r.by = "exit";
	r.note = "(found at exit: where it was written is not known)";
	r.kind = at < rec->ptr ? "heap-buffer-underflow" : "heap-buffer-overflow";
	gf_report_error(&r);
}

void gf_report_live(void)
{
	if (gf_opt.check)
		gf_each_live(check_live);
}

void gf_report_counts(void)
{
	if (reports && !gf_opt.halt)
		gf_say("%d: %u errors, %u of them reported, the others were the same again", gf_pid(),
		       reports, reports - repeated);
	else if (repeated)
		gf_say("%d: %u warnings were the same again", gf_pid(), repeated);
}
