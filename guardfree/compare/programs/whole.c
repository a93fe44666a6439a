// SPDX-License-Identifier: MIT
/*
 * A program as a whole, as one operation: whole NAME COMMAND...
 * Its cycles are nanoseconds of the processors' time, which under qemu's -icount are
 * instructions, as the counter goes on while it waits for files.
 */
#include "program.h"
#include <sys/wait.h>

int main(int argc, char **argv)
{
	struct run r = { .name = argc > 2 ? argv[1] : "whole" };
	struct rusage usage;
	int status = 0;
	pid_t pid;

	if (argc < 3)
		return 3;
	run_start(&r);
	pid = fork();
	if (!pid) {
		/* What it says is not what this says. */
		if (dup2(2, 1) == 1)
			execvp(argv[2], argv + 2);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
		return 4;
	getrusage(RUSAGE_CHILDREN, &usage);
	r.cycles = cycles_now() - 1000 * (1000000 * (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
					  usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
	run_end(&r, 1);
	return 0;
}
