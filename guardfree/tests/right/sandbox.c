// SPDX-License-Identifier: MIT
/*
 * A filter of system calls, set after the start, that refuses what madvise() and
 * process_madvise() it does not know: sandbox EPERM|EINVAL|ENOSYS [all]
 * With all, mprotect is refused too.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))

static void refuse(int err, int all)
{
	struct sock_filter code[] = {
		LOAD(nr),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_process_madvise, 5, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, all ? SYS_mprotect : SYS_process_madvise, 4, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_madvise, 0, 2),
		LOAD(args[2]),
		BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, 25, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | err),
	};
	struct sock_fprog prog = { sizeof(code) / sizeof(code[0]), code };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog)) {
		perror("seccomp");
		exit(2);
	}
}

int main(int argc, char **argv)
{
	const char *how = argc > 1 ? argv[1] : "EPERM";
	static char *p[3000];
	int i, round;

	for (i = 0; i < 100; i++)	/* guards from before, of all sizes */
		p[i] = malloc(i * i * 10);
	for (i = 0; i < 100; i += 2) {
		free(p[i]);
		p[i] = NULL;
	}
	refuse(!strcmp(how, "EINVAL") ? EINVAL : !strcmp(how, "ENOSYS") ? ENOSYS : EPERM, argc > 2);
	for (round = 0; round < 3; round++) {
		for (i = 0; i < 3000; i++) {
			p[i] = realloc(p[i], 100 + i * (round + 1));
			if (!p[i]) {
				printf("malloc %d returned NULL\n", i);
				return 1;
			}
			memset(p[i], i, 100 + i * (round + 1));
		}
		for (i = round; i < 3000; i += 3) {
			free(p[i]);
			p[i] = NULL;
		}
	}
	for (i = 0; i < 3000; i++)
		free(p[i]);
	puts("fine");
	return 0;
}
