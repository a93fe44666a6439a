// SPDX-License-Identifier: MIT
/* A library that has a C++ library of its own, linked to itself: see own-libcxx.cc. */
int *make(int n)
{
	return n ? new int[n] : new int(3);
}

void take(int *p, int n)
{
	if (n)
		delete[] p;
	else
		delete p;
}
