// SPDX-License-Identifier: MIT
/*
 * Replaces two of C++'s operators. By the standard all other forms then call
 * these; each object here has a header, which says whether they do.
 */
#include <cstdio>
#include <cstdlib>
#include <new>

static size_t bytes;
static int bad;

void *operator new(size_t n)
{
#ifdef HEADER
	size_t *p = (size_t *)malloc(n + 16);

	if (!p || n > 1UL << 40)
		throw std::bad_alloc();
	p[0] = n;
	p[1] = 0x6f7572732121;
	bytes += n;
	return p + 2;
#else
	void *p = n > 1UL << 40 ? NULL : malloc(n);

	if (!p)
		throw std::bad_alloc();
	bytes++;
	return p;
#endif
}

void operator delete(void *v) noexcept
{
	size_t *p = (size_t *)v;

	if (!v)
		return;
#ifdef HEADER
	bad += p[-1] != 0x6f7572732121;
	bytes -= p[-2];
	free(p - 2);
#else
	bytes--;
	free(p);
#endif
}

struct S {
	int a[10];
	~S() { }
};

int main()
{
	S *p = new S;

	delete p;
	p = new (std::nothrow) S;
	::operator delete(p, std::nothrow);
	p = new S[3];
	delete[] p;
	::operator delete[](new (std::nothrow) int[3], std::nothrow);
	::operator delete(::operator new(100), 100UL);
	::operator delete[](::operator new[](100), 100UL);
	::operator delete(::operator new[](100));
	/* These have no base that was replaced. */
	::operator delete(::operator new(100, std::align_val_t(256)), std::align_val_t(256));
	::operator delete[](::operator new[](100, std::align_val_t(256)), 100UL,
			    std::align_val_t(256));
	/* The nothrow forms catch what the replaced one throws. */
	printf("%d\n", ::operator new(1UL << 41, std::nothrow) == NULL);
	printf("%d\n", ::operator new[](1UL << 41, std::nothrow) == NULL);
	printf("%zu left, %d bad\n", bytes, bad);
	return 0;
}
