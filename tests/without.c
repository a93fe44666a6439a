// SPDX-License-Identifier: GPL-2.0
/*
 * without COMMAND [ARGUMENT...]: runs it as on a kernel without guards. A filter of
 * system calls gives EINVAL to advice 102 and 103, as such a kernel does.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LOAD(field)	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define EQUAL(k, then)	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, k, then, 0)

/* The numbers of madvise() and process_madvise() for programs of 64 and of 32 bits */
#define MADVISE_64	28
#define MADVISE_32	219
#define BOTH_MADVISE	440

int main(int argc, char **argv)
{
	struct sock_filter code[] = {
		LOAD(nr),
		EQUAL(MADVISE_64, 3),
		EQUAL(MADVISE_32, 2),
		EQUAL(BOTH_MADVISE, 3),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		LOAD(args[2]),
		BPF_JUMP(BPF_JMP | BPF_JA, 1, 0, 0),
		LOAD(args[3]),
		EQUAL(102, 2),
		EQUAL(103, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL),
	};
	struct sock_fprog filter = { sizeof(code) / sizeof(*code), code };

	if (argc < 2) {
		fprintf(stderr, "usage: without COMMAND [ARGUMENT...]\n");
		return 2;
	}
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter)) {
		fprintf(stderr, "without: no filter of system calls: %s\n", strerror(errno));
		return 2;
	}
	execvp(argv[1], argv + 1);
	fprintf(stderr, "without: %s: %s\n", argv[1], strerror(errno));
	return 127;
}
