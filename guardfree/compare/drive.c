// SPDX-License-Identifier: MIT
/*
 * Runs the lines of a plan, JOBS at a time, and puts together what they print:
 *
 *   drive JOBS SECONDS <PLAN
 *
 * A line is a title, a tab, and a command; its words are between blanks, and
 * the first of them may be NAME=VALUE, for its environment. The output of each,
 * stdout and stderr, comes as a whole, in the order of the plan:
 *
 *   === TITLE
 *   ...
 *   --- STATUS CPU WALL RSS
 *
 * STATUS is 128+N if signal N ended it, 124 if SECONDS were over; CPU is the time
 * that the processors gave it and its children, WALL what the clock says, both
 * in seconds; RSS is the largest of its processes, in kB.
 *
 * The command gets no core file, an empty stdin, a process group of its own, and
 * is killed with it. Exit status 0 if all were run, whatever they ended with.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <sys/resource.h>
#include <sys/wait.h>

#define WORDS 64

struct job {
	char *title, *command;
	pid_t pid;
	FILE *output;
	int status;
	struct timespec started;
	struct rusage usage;
	double wall;
	bool over, late;
};

static struct job *jobs;
static size_t count, room;

static void die(const char *what)
{
	perror(what);
	exit(2);
}

static double since(const struct timespec *start)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec - start->tv_sec + (now.tv_nsec - start->tv_nsec) / 1e9;
}

static double seconds(const struct timeval *t)
{
	return t->tv_sec + t->tv_usec / 1e6;
}

static void read_plan(void)
{
	char *line = NULL, *tab;
	size_t size = 0;
	ssize_t n;

	while ((n = getline(&line, &size, stdin)) > 0) {
		if (line[n - 1] == '\n')
			line[n - 1] = 0;
		tab = strchr(line, '\t');
		if (!tab) {
			fprintf(stderr, "drive: a line of the plan without a tab: %s\n", line);
			exit(2);
		}
		if (count == room) {
			room = room ? 2 * room : 256;
			jobs = realloc(jobs, room * sizeof(*jobs));
			if (!jobs)
				die("drive");
		}
		*tab = 0;
		memset(&jobs[count], 0, sizeof(*jobs));
		jobs[count].title = strdup(line);
		jobs[count].command = strdup(tab + 1);
		if (!jobs[count].title || !jobs[count].command)
			die("drive");
		count++;
	}
	free(line);
}

static void start(struct job *job)
{
	struct rlimit no_core = { 0, 0 };
	char *words[WORDS + 1], *word, *save;
	int n = 0, null;

	job->output = tmpfile();
	if (!job->output)
		die("drive: temporary file");
	clock_gettime(CLOCK_MONOTONIC, &job->started);
	job->pid = fork();
	if (job->pid < 0)
		die("drive: fork");
	if (job->pid)
		return;
	setpgid(0, 0);
	setrlimit(RLIMIT_CORE, &no_core);
	null = open("/dev/null", O_RDONLY);
	dup2(null, 0);
	dup2(fileno(job->output), 1);
	dup2(fileno(job->output), 2);
	/* In the order in which it was printed, by whichever process. */
	fcntl(1, F_SETFL, fcntl(1, F_GETFL) | O_APPEND);
	for (word = strtok_r(job->command, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
		if (!n && strchr(word, '='))
			putenv(word);
		else if (n < WORDS)
			words[n++] = word;
	}
	words[n] = NULL;
	signal(SIGALRM, SIG_DFL);
	if (n)
		execvp(words[0], words);
	perror(n ? words[0] : "an empty command");
	_exit(127);
}

/* What is done, in order. */
static size_t print_done(size_t next)
{
	char buffer[65536];
	size_t n;

	for (; next < count && jobs[next].over; next++) {
		struct job *job = &jobs[next];

		printf("=== %s\n", job->title);
		rewind(job->output);
		while ((n = fread(buffer, 1, sizeof(buffer), job->output)))
			fwrite(buffer, 1, n, stdout);
		printf("\n--- %d %.3f %.3f %ld\n", job->late ? 124 : WIFSIGNALED(job->status) ?
		       128 + WTERMSIG(job->status) : WEXITSTATUS(job->status),
		       seconds(&job->usage.ru_utime) + seconds(&job->usage.ru_stime),
		       job->wall, job->usage.ru_maxrss);
		fclose(job->output);
	}
	return next;
}

static volatile sig_atomic_t ending;

static void on_end(int signal)
{
	ending = signal;
}

static void on_alarm(int signal)
{
	(void)signal;
}

int main(int argc, char **argv)
{
	size_t running = 0, begun = 0, shown = 0, i;
	int most = argc == 3 ? atoi(argv[1]) : 0, limit = argc == 3 ? atoi(argv[2]) : 0;
	struct sigaction end = { .sa_handler = on_end }, tick = { .sa_handler = on_alarm };

	if (most < 1 || limit < 1) {
		fprintf(stderr, "usage: drive JOBS SECONDS <PLAN\n");
		return 2;
	}
	sigaction(SIGINT, &end, NULL);
	sigaction(SIGTERM, &end, NULL);
	sigaction(SIGHUP, &end, NULL);
	/* Interrupts wait4: time to look at the clock. */
	sigaction(SIGALRM, &tick, NULL);
	read_plan();
	while (shown < count) {
		struct rusage usage;
		int status;
		pid_t pid;

		while (begun < count && running < (size_t)most && !ending) {
			fflush(stdout);
			start(&jobs[begun++]);
			running++;
		}
		alarm(1);
		pid = wait4(-1, &status, 0, &usage);
		for (i = shown; i < begun; i++) {
			struct job *job = &jobs[i];

			if (job->over)
				continue;
			if (job->pid == pid) {
				job->status = status;
				job->usage = usage;
				job->wall = since(&job->started);
				job->over = true;
				running--;
				/* What it left behind */
				kill(-pid, SIGKILL);
			} else if (ending || since(&job->started) > limit) {
				job->late = !ending;
				kill(-job->pid, SIGKILL);
			}
		}
		if (ending && !running)
			return 128 + ending;
		shown = print_done(shown);
	}
	return fflush(stdout) ? 2 : 0;
}
