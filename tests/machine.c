// SPDX-License-Identifier: GPL-2.0
/* Prints machine, page size, bits, byte order and kernel release, with tabs between. */
#include <stdio.h>
#include <sys/utsname.h>
#include <unistd.h>

int main(void)
{
	struct utsname u;
	int one = 1;

	if (uname(&u))
		return 1;
	printf("%s\t%ld\t%zu\t%s\t%s\n", u.machine, sysconf(_SC_PAGESIZE), 8 * sizeof(long),
	       *(char *)&one ? "little" : "big", u.release);
	return 0;
}
