// SPDX-License-Identifier: MIT
/* What the library made with new is deleted here, and the other way round. */
#include <cstdio>

int *make(int n);
void take(int *p, int n);

int main()
{
	delete make(0);
	delete[] make(5);
	take(new int(3), 0);
	take(new int[5], 5);
	take(make(0), 0);
	puts("deleted");
	return 0;
}
