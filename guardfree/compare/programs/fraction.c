// SPDX-License-Identifier: MIT
/*
 * In the shape of cfrac: the continued fraction of the square root of a number
 * of some 40 digits, with numbers that are small objects, a new one for every
 * intermediate result, and a table of the last convergents. An operation is a
 * step of the expansion: some 13 objects. It checks itself: the square of a
 * convergent's numerator is the step's denominator, modulo the number.
 */
#include "program.h"

struct big {
	int n;			/* limbs, none of them leading zeros */
	uint32_t limb[];
};

static struct big *big_new(int n)
{
	struct big *b = must(malloc(sizeof(*b) + n * sizeof(uint32_t)));

	b->n = n;
	memset(b->limb, 0, n * sizeof(uint32_t));
	return b;
}

static struct big *big_trim(struct big *b)
{
	while (b->n && !b->limb[b->n - 1])
		b->n--;
	return b;
}

static struct big *big_from(uint32_t x)
{
	struct big *b = big_new(1);

	b->limb[0] = x;
	return big_trim(b);
}

static struct big *big_copy(const struct big *a)
{
	struct big *b = big_new(a->n);

	memcpy(b->limb, a->limb, a->n * sizeof(uint32_t));
	return b;
}

static int big_compare(const struct big *a, const struct big *b)
{
	int i;

	if (a->n != b->n)
		return a->n < b->n ? -1 : 1;
	for (i = a->n - 1; i >= 0; i--)
		if (a->limb[i] != b->limb[i])
			return a->limb[i] < b->limb[i] ? -1 : 1;
	return 0;
}

static struct big *big_add(const struct big *a, const struct big *b)
{
	int n = a->n > b->n ? a->n : b->n, i;
	struct big *sum = big_new(n + 1);
	uint64_t carry = 0;

	for (i = 0; i <= n; i++) {
		carry += i < a->n ? a->limb[i] : 0;
		carry += i < b->n ? b->limb[i] : 0;
		sum->limb[i] = carry;
		carry >>= 32;
	}
	return big_trim(sum);
}

/* a >= b */
static struct big *big_sub(const struct big *a, const struct big *b)
{
	struct big *rest = big_new(a->n);
	int64_t borrow = 0;
	int i;

	for (i = 0; i < a->n; i++) {
		borrow += (int64_t)a->limb[i] - (i < b->n ? b->limb[i] : 0);
		rest->limb[i] = borrow;
		borrow >>= 32;
	}
	return big_trim(rest);
}

static struct big *big_mul(const struct big *a, const struct big *b)
{
	struct big *product = big_new(a->n + b->n);
	int i, j;

	for (i = 0; i < a->n; i++) {
		uint64_t carry = 0;

		for (j = 0; j < b->n; j++) {
			carry += (uint64_t)a->limb[i] * b->limb[j] + product->limb[i + j];
			product->limb[i + j] = carry;
			carry >>= 32;
		}
		product->limb[i + b->n] = carry;
	}
	return big_trim(product);
}

static struct big *big_shift(const struct big *a, int bits)
{
	struct big *b = big_new(a->n + 1);
	int i;

	for (i = 0; i < a->n; i++) {
		uint64_t wide = (uint64_t)a->limb[i] << bits;

		b->limb[i] |= wide;
		b->limb[i + 1] |= wide >> 32;
	}
	return b;
}

/* The school's long division, in base 2^32; the remainder to *rest if wanted. */
static struct big *big_div(const struct big *a, const struct big *b, struct big **rest)
{
	struct big *u, *v, *quotient;
	int shift, i, j;

	if (big_compare(a, b) < 0) {
		if (rest)
			*rest = big_copy(a);
		return big_new(0);
	}
	/* The divisor's first bit is set: each digit is guessed at most 2 too high. */
	shift = __builtin_clz(b->limb[b->n - 1]);
	u = big_shift(a, shift);
	v = big_trim(big_shift(b, shift));
	quotient = big_new(a->n - b->n + 1);
	for (j = a->n - b->n; j >= 0; j--) {
		uint64_t top = (uint64_t)u->limb[j + v->n] << 32 | u->limb[j + v->n - 1];
		uint64_t digit = top / v->limb[v->n - 1], carry = 0;
		int64_t borrow = 0;

		if (digit > UINT32_MAX)
			digit = UINT32_MAX;
		for (i = 0; i < v->n; i++) {
			carry += digit * v->limb[i];
			borrow += (int64_t)u->limb[i + j] - (uint32_t)carry;
			u->limb[i + j] = borrow;
			borrow >>= 32;
			carry >>= 32;
		}
		borrow += (int64_t)u->limb[j + v->n] - (int64_t)carry;
		u->limb[j + v->n] = borrow;
		borrow >>= 32;
		while (borrow < 0) {
			digit--;
			for (carry = 0, i = 0; i < v->n; i++) {
				carry += (uint64_t)u->limb[i + j] + v->limb[i];
				u->limb[i + j] = carry;
				carry >>= 32;
			}
			carry += u->limb[j + v->n];
			u->limb[j + v->n] = carry;
			borrow += carry >> 32;
		}
		quotient->limb[j] = digit;
	}
	if (rest) {
		for (i = 0; shift && i < u->n; i++)
			u->limb[i] = u->limb[i] >> shift |
				(i + 1 < u->n ? u->limb[i + 1] << (32 - shift) : 0);
		*rest = big_trim(u);
	} else {
		free(u);
	}
	free(v);
	return big_trim(quotient);
}

static struct big *big_mod(struct big *a, const struct big *n)
{
	struct big *rest;

	free(big_div(a, n, &rest));
	free(a);
	return rest;
}

static struct big *big_root(const struct big *a)
{
	struct big *x = big_shift(a, 0), *sum, *half, *next;
	struct big *two = big_from(2);

	big_trim(x);
	/* Newton, from above */
	while (true) {
		next = big_div(a, x, NULL);
		sum = big_add(x, next);
		free(next);
		half = big_div(sum, two, NULL);
		free(sum);
		if (big_compare(half, x) >= 0)
			break;
		free(x);
		x = half;
	}
	free(half);
	free(two);
	return x;
}

static void wrong(unsigned long step)
{
	fprintf(stderr, "fraction: step %lu is wrong\n", step);
	exit(6);
}

#define KEPT 1000

int main(int argc, char **argv)
{
	struct run r = { .name = "fraction" };
	static const uint32_t digits[] = { 1234567891u, 4294967291u, 3141592653u, 2718281828u };
	static struct big *kept[KEPT];
	struct big *n = big_new(4), *root, *m, *d, *a, *p, *before, *t, *u;
	unsigned long ops = 0;
	int i;

	run_options(&r, argc, argv);
	memcpy(n->limb, digits, sizeof(digits));
	root = big_root(n);
	m = big_new(0);
	d = big_from(1);
	a = big_copy(root);
	before = big_from(1);
	p = big_copy(root);
	run_start(&r);
	do {
		for (i = 0; i < 10; i++, ops++) {
			/* m = d * a - m; d = (n - m * m) / d; a = (root + m) / d */
			t = big_mul(d, a);
			u = big_sub(t, m);
			free(t);
			free(m);
			m = u;
			t = big_mul(m, m);
			u = big_sub(n, t);
			free(t);
			t = big_div(u, d, NULL);
			free(u);
			free(d);
			d = t;
			t = big_add(root, m);
			free(a);
			a = big_div(t, d, NULL);
			free(t);
			if (ops % 1000 == 0) {
				/* p * p = (-1)^(ops + 1) d (mod n) */
				t = big_mod(big_mul(p, p), n);
				if (ops % 2 == 0)
					u = big_sub(n, d);
				else
					u = big_copy(d);
				if (big_compare(t, u))
					wrong(ops);
				free(t);
				free(u);
			}
			/* The next convergent */
			t = big_mul(a, p);
			u = big_add(t, before);
			free(t);
			free(before);
			before = p;
			p = big_mod(u, n);
			free(kept[ops % KEPT]);
			kept[ops % KEPT] = big_copy(p);
		}
	} while (!run_over(&r, ops));
	run_end(&r, ops);
	return 0;
}
