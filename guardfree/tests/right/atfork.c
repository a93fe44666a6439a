// SPDX-License-Identifier: MIT
/* fork() with handlers that allocate: of a library, of the program, of one opened later. */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

int atfork_calls(void);

static void allocate(void)
{
	free(strdup("fork"));
}

static int child(void)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		free(malloc(20));
		_exit(7);
	}
	waitpid(pid, &status, 0);
	return WEXITSTATUS(status);
}

int main(void)
{
	void *later;

	printf("child %d\n", child());
	pthread_atfork(allocate, allocate, allocate);
	printf("child %d\n", child());
	later = dlopen(LATER, RTLD_NOW);
	printf("child %d, opened %d\n", child(), later != NULL);
	printf("%d calls\n", atfork_calls());
	return 0;
}
