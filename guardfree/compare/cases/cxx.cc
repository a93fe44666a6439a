// SPDX-License-Identifier: MIT
/* The same classes in C++: 416, 415, 122 and 762 (release by the wrong function). */
#include "case.h"

#include <map>
#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <vector>

template <typename T> static inline T *hid(T *p)
{
	return static_cast<T *>(hide(p));
}

struct shape {
	explicit shape(int n) : side(n) {}
	virtual ~shape() {}
	NOINLINE virtual int area() const { return side * side; }
	int side;
};

/* cxx-uaf-member: a member of a deleted object */
static NOINLINE void cxx_uaf_member(bool bad)
{
	shape *p = hid(new shape(3));

	if (bad)
		delete hid(p);	/* FREED */
	*(volatile int *)&p->side = 4;	/* BUG */
	past(bad);
	if (!bad)
		delete p;
}

/* cxx-uaf-virtual: a virtual call on a deleted object */
static NOINLINE void cxx_uaf_virtual(bool bad)
{
	shape *p = hid(new shape(3));

	if (bad)
		delete hid(p);	/* FREED */
	sink = hid(p)->area();	/* BUG */
	past(bad);
	if (!bad)
		delete p;
}

/* cxx-uaf-array: an element of a deleted array */
static NOINLINE void cxx_uaf_array(bool bad)
{
	long *p = hid(new long[10]());

	if (bad)
		delete[] hid(p);	/* FREED */
	RD(p, 72);		/* BUG */
	past(bad);
	if (!bad)
		delete[] p;
}

/* cxx-uaf-string-view: a view of a string that is gone */
static NOINLINE std::string cxx_uaf_string_view_make()
{
	return "a string that is too long to live inside of its object";
}

static NOINLINE void cxx_uaf_string_view(bool bad)
{
	std::string kept = cxx_uaf_string_view_make();
	std::string_view view;

	{
		std::string here = kept + "!";

		view = bad ? std::string_view(here) : std::string_view(kept);
	}
	RD(hide(view.data()), 30);	/* BUG */
	past(bad);
}

/* cxx-uaf-iterator: an iterator of a vector that grew */
static NOINLINE void cxx_uaf_iterator_grow(std::vector<int> &v)
{
	for (int i = 0; i < 1000; i++)
		v.push_back(i);
}

static NOINLINE void cxx_uaf_iterator(bool bad)
{
	std::vector<int> v(16, 1);
	const int *at = &v[5];

	cxx_uaf_iterator_grow(v);
	if (!bad)
		at = &v[5];
	sink = *(const volatile int *)hid(at);	/* BUG */
	past(bad);
}

/* cxx-uaf-reference: a reference into a map, after erase */
static NOINLINE void cxx_uaf_reference(bool bad)
{
	std::map<int, int> m;

	for (int i = 0; i < 20; i++)
		m[i] = i;
	int *at = hid(&m[7]);

	if (bad)
		m.erase(7);
	*(volatile int *)at = 3;	/* BUG */
	past(bad);
}

/* cxx-uaf-unique: the raw pointer of a unique_ptr that was reset */
static NOINLINE void cxx_uaf_unique(bool bad)
{
	auto owner = std::make_unique<shape>(5);
	shape *p = hid(owner.get());

	if (bad)
		owner.reset();
	sink = *(volatile int *)&p->side;	/* BUG */
	past(bad);
}

/* cxx-uaf-lambda: a closure holds a reference to what is gone */
static NOINLINE void cxx_uaf_lambda(bool bad)
{
	auto owner = std::make_shared<shape>(5);
	shape &it = *hid(owner.get());
	auto later = [&it]() NOINLINE { return *(volatile int *)&it.side; };	/* BUG */

	if (bad)
		owner.reset();
	sink = later();
	past(bad);
}

/* cxx-df-delete: deleted twice */
static NOINLINE void cxx_df_delete(bool bad)
{
	int *p = hid(new int(4));

	delete hid(p);		/* FREED */
	if (bad)
		delete hid(p);	/* BUG */
	past(bad);
}

/* cxx-df-array: an array deleted twice */
static NOINLINE void cxx_df_array(bool bad)
{
	int *p = hid(new int[40]);

	delete[] hid(p);	/* FREED */
	if (bad)
		delete[] hid(p);	/* BUG */
	past(bad);
}

/* cxx-df-copy: two objects own one pointer, as there is no copy constructor */
struct owner {
	explicit owner(size_t n) : p(new char[n]) {}
	NOINLINE ~owner() { delete[] hid(p); }	/* BUG */
	char *p;
};

static NOINLINE void cxx_df_copy(bool bad)
{
	owner one(50);

	if (bad) {
		owner two = one;

		two.p[0] = 1;
	}
	/* one ends here, after this, when it is bad a second time. */
}

/* cxx-df-shared: two shared_ptr of one raw pointer */
static NOINLINE void cxx_df_shared(bool bad)
{
	long *raw = hid(new long(5));
	std::shared_ptr<long> one(raw);

	if (bad) {
		std::shared_ptr<long> two(hid(raw));
	}
	one.reset();		/* BUG */
	past(bad);
}

/* cxx-over-vector: operator[] with size() */
static NOINLINE void cxx_over_vector(bool bad)
{
	std::vector<int> v(12);
	int *p = hid(v.data());

	((volatile int *)p)[bad ? 12 : 11] = 1;	/* BUG */
	past(bad);
}

/* cxx-over-array: new[] of too few */
static NOINLINE void cxx_over_array(bool bad)
{
	double *p = hid(new double[bad ? 8 : 9]());

	sink = ((volatile double *)p)[8];	/* BUG */
	past(bad);
	delete[] p;
}

/* cxx-over-string: past the end of a string's buffer */
static NOINLINE void cxx_over_string(bool bad)
{
	std::string s(47, 'x');
	char *p = hid(s.data());

	WR(p, bad ? 48 : 46);	/* BUG */
	past(bad);
}

/* cxx-over-aligned: new with an alignment */
struct alignas(64) line {
	char bytes[64];
};

static NOINLINE void cxx_over_aligned(bool bad)
{
	line *p = hid(new line[3]());

	WR(p, bad ? 192 : 191);	/* BUG */
	past(bad);
	delete[] p;
}

/* cxx-over-cast: a base is taken for what is derived from it */
struct solid : shape {
	solid() : shape(1), depth{} {}
	long depth[4];
};

static NOINLINE void cxx_over_cast(bool bad)
{
	shape *p = bad ? hid(new shape(2)) : hid<shape>(new solid);

	sink = *(volatile long *)&hid(static_cast<solid *>(p))->depth[0];	/* BUG */
	past(bad);
	delete p;
}

/* cxx-pair-free: new, then free() */
static NOINLINE void cxx_pair_free(bool bad)
{
	int *p = bad ? new int(4) : static_cast<int *>(get(sizeof(int)));

	drop(hide(p));		/* BUG */
	past(bad);
}

/* cxx-pair-delete: malloc(), then delete */
static NOINLINE void cxx_pair_delete(bool bad)
{
	int *p = bad ? static_cast<int *>(get(sizeof(int))) : new int(4);

	delete hid(p);		/* BUG */
	past(bad);
}

/* cxx-pair-array: new[], then delete */
static NOINLINE void cxx_pair_array(bool bad)
{
	int *p = bad ? new int[8] : new int(8);

	delete hid(p);		/* BUG */
	past(bad);
}

/* cxx-pair-one: new, then delete[] */
static NOINLINE void cxx_pair_one(bool bad)
{
	int *p = bad ? new int(8) : new int[8];

	delete[] hid(p);	/* BUG */
	past(bad);
}

static const struct tcase cases[] = {
	CASE("cxx-uaf-member", cxx_uaf_member, UAF, 'W', "inside", 8, 16),
	CASE("cxx-uaf-virtual", cxx_uaf_virtual, UAF, 'R', "inside", 0, 16),
	CASE("cxx-uaf-array", cxx_uaf_array, UAF, 'R', "inside", 72, 80),
	CASE("cxx-uaf-string-view", cxx_uaf_string_view, UAF, 'R', "inside", 30, -1),
	CASE("cxx-uaf-iterator", cxx_uaf_iterator, UAF, 'R', "inside", 20, 64,
	     .freed_at = "cxx_uaf_iterator_grow"),
	CASE("cxx-uaf-reference", cxx_uaf_reference, UAF, 'W', "inside", 36, 40),
	CASE("cxx-uaf-unique", cxx_uaf_unique, UAF, 'R', "inside", 8, 16),
	CASE("cxx-uaf-lambda", cxx_uaf_lambda, UAF, 'R', "inside", 24, 32,
	     .at = "operator()"),
	CASE("cxx-df-delete", cxx_df_delete, DOUBLE_FREE, '-', "inside", 0, 4),
	CASE("cxx-df-array", cxx_df_array, DOUBLE_FREE, '-', "inside", 0, 160),
	CASE("cxx-df-copy", cxx_df_copy, DOUBLE_FREE, '-', "inside", 0, 50, .at = "~owner",
	     .freed_at = "~owner"),
	CASE("cxx-df-shared", cxx_df_shared, DOUBLE_FREE, '-', "inside", 0, 8),
	CASE("cxx-over-vector", cxx_over_vector, OVERFLOW, 'W', "after", 0, 48),
	CASE("cxx-over-array", cxx_over_array, OVERFLOW, 'R', "after", 0, 64),
	CASE("cxx-over-string", cxx_over_string, OVERFLOW, 'W', "after", 0, 48),
	CASE("cxx-over-aligned", cxx_over_aligned, OVERFLOW, 'W', "after", 0, 192),
	CASE("cxx-over-cast", cxx_over_cast, OVERFLOW, 'R', "after", 0, 16),
	CASE("cxx-pair-free", cxx_pair_free, MISMATCH, '-', NULL, -1, -1, .mode = PAIRS),
	CASE("cxx-pair-delete", cxx_pair_delete, MISMATCH, '-', NULL, -1, -1, .mode = PAIRS),
	CASE("cxx-pair-array", cxx_pair_array, MISMATCH, '-', NULL, -1, -1, .mode = PAIRS),
	CASE("cxx-pair-one", cxx_pair_one, MISMATCH, '-', NULL, -1, -1, .mode = PAIRS),
};

int main(int argc, char **argv)
{
	return run_case("c++", cases, sizeof(cases) / sizeof(*cases), argc, argv);
}
