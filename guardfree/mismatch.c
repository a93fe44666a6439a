// SPDX-License-Identifier: MIT
/*
 * What one made and another frees: malloc and delete, new and delete[], sizes
 * that differ. An error, and yet programs live with it, so that it is a warning
 * unless mismatch=2.
 */
#include "mismatch.h"
#include "depot.h"
#include "elf.h"
#include "options.h"
#include "out.h"
#include "report.h"
#include "slots.h"

static const char *const makers[] = { "malloc", "operator new", "operator new []" };
static const char *const enders[] = { "free", "operator delete", "operator delete []" };

/* KIND_... by the name of a C++ operator; KIND_MALLOC for others */
static u8 kind_of(const char *name)
{
	if (gf_prefix(name, "_Znw") || gf_prefix(name, "_Zdl"))
		return KIND_NEW;
	if (gf_prefix(name, "_Zna") || gf_prefix(name, "_Zda"))
		return KIND_NEW_ARRAY;
	return KIND_MALLOC;
}

/*
 * A library may have a C++ library of its own, linked to itself. Its new is
 * malloc here, and its delete free. Who called them tells, but not whether it
 * was the operator for arrays, which jumps to the other.
 */
static bool is_operator(const uintptr_t *pc, u32 n)
{
	/* It may have ended in a jump to free(): what was called then? */
	return n && (kind_of(gf_function_at(pc[0] - 1)) != KIND_MALLOC ||
		     kind_of(gf_function_called(pc[0])) != KIND_MALLOC ||
		     gf_own_operators(pc[0] - 1));
}

static bool explained(const struct gf_rec *rec, u8 kind, const struct gf_regs *caller)
{
	const uintptr_t *pc;
	u32 n;

	if (rec->kind == kind)
		return false;
	pc = gf_depot_get(rec->alloc_stack, &n);
	return (rec->kind != KIND_MALLOC || is_operator(pc, n)) &&
	       (kind != KIND_MALLOC || is_operator(&caller->pc, 1)) &&
	       (rec->kind == KIND_MALLOC || kind == KIND_MALLOC);
}

void gf_mismatch(struct gf_rec *rec, void *p, u8 kind, size_t size, size_t align, const char *by,
		 struct gf_regs caller)
{
	char note[120] = "";
	struct gf_report r;

	if (explained(rec, kind, &caller))
		return;
	gf_fill_report(&r, caller, p);
	r.kind = "new-delete-type-mismatch";
	if (rec->kind != kind) {
		r.kind = "alloc-dealloc-mismatch";
		gf_snprintf(note, sizeof(note), "(%s vs %s)", makers[rec->kind],
			    kind ? enders[kind] : by);
	} else if (size != SIZE_MAX && size != rec->size) {
		gf_snprintf(note, sizeof(note), "(allocated %lu bytes, deallocated as %lu)",
			    (unsigned long)rec->size, (unsigned long)size);
	} else {
		gf_snprintf(note, sizeof(note), "(deallocated with alignment %lu)",
			    (unsigned long)align);
	}
	r.note = note;
	r.rec = rec;
	r.by = by;
	r.freed_by_this = true;
	r.warning = gf_opt.mismatch < 2;
	gf_report_error(&r);
}
