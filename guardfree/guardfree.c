// SPDX-License-Identifier: MIT
/*
 * The guardfree command: runs a program with libguardfree.so; and, started by
 * the library with --symbolize, finds names and lines for addresses.
 *
 * It is linked statically and to a fixed address: libbacktrace takes whatever
 * file it is told for the running program, loaded where this one is, at 0.
 */
#define _GNU_SOURCE
#include "target.h"
#include <backtrace.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define VERSION "1.0"

/* Symbolizing. See symbol.c for what is said. */

extern char *cxx_demangle(const char *name, char *buf, size_t *len, int *status)
	__asm__("__cxa_demangle");

struct module {
	struct module *next;
	char *path;
	struct backtrace_state *state;
	struct backtrace_state *fetched;	/* of its debug information, from a server */
	bool asked;
	Elf64_Phdr *phdr;
	int phdrs;
};

static struct module *modules;

static void quiet(void *data, const char *msg, int err)
{
	(void)data;
	(void)msg;
	(void)err;
}

static struct module *module_get(const char *path)
{
	struct module *m;
	Elf64_Ehdr ehdr;
	int fd;

	for (m = modules; m; m = m->next)
		if (!strcmp(m->path, path))
			return m;
	m = calloc(1, sizeof(*m));
	if (!m)
		return NULL;
	m->path = strdup(path);
	m->next = modules;
	modules = m;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return m;
	if (pread(fd, &ehdr, sizeof(ehdr), 0) == sizeof(ehdr) &&
	    !memcmp(ehdr.e_ident, ELFMAG, SELFMAG) && ehdr.e_ident[EI_CLASS] == ELFCLASS64 &&
	    ehdr.e_phentsize == sizeof(*m->phdr)) {
		size_t size = ehdr.e_phnum * sizeof(*m->phdr);

		m->phdr = malloc(size);
		if (m->phdr && pread(fd, m->phdr, size, ehdr.e_phoff) == (ssize_t)size)
			m->phdrs = ehdr.e_phnum;
		m->state = backtrace_create_state(m->path, 0, quiet, NULL);
	}
	close(fd);
	return m;
}

struct answer {
	int lines;
	const char *symbol;
};

static void say(const char *function, const char *file, int line)
{
	char *nice = NULL;
	int status;

	if (function && !strncmp(function, "_Z", 2))
		nice = cxx_demangle(function, NULL, NULL, &status);
	printf("f\t%s\t%s\t%d\n", nice ? nice : function ? function : "", file ? file : "", line);
	free(nice);
}

static int on_line(void *data, uintptr_t pc, const char *file, int line, const char *function)
{
	struct answer *a = data;

	(void)pc;
	if (!file && !function)
		return 0;
	a->lines++;
	/* What the debug information does not name, the symbol table may. */
	say(function ? function : a->symbol, file, line);
	return 0;
}

static void on_symbol(void *data, uintptr_t pc, const char *name, uintptr_t value, uintptr_t size)
{
	struct answer *a = data;

	if (name && (!size || pc - value < size))
		a->symbol = name;
}

/* The library, and what else belongs to it: beside this program, or where it is installed to */
static bool find_beside(const char *name, char *path, size_t size)
{
	static const char *const places[] = {
		"", "../lib/", "../lib/guardfree/", "../lib64/",
#if defined(__x86_64__)
		"../lib/x86_64-linux-gnu/guardfree/",
#elif defined(__aarch64__)
		"../lib/aarch64-linux-gnu/guardfree/",
#endif
	};
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;
	size_t i;

	if (n <= 0)
		return false;
	self[n] = 0;
	slash = strrchr(self, '/');
	if (!slash)
		return false;
	slash[1] = 0;
	for (i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		if (snprintf(path, size, "%s%s%s", self, places[i], name) < (int)size &&
		    !access(path, R_OK))
			return true;
	}
	return false;
}

static int has_file(void *data, uintptr_t pc, const char *file, int line, const char *function)
{
	(void)pc;
	(void)line;
	(void)function;
	*(bool *)data |= file != NULL;
	return 0;
}

static const char *missing;	/* why there are no more names */

/* The path is the first line of what the program beside this one prints. */
static struct backtrace_state *fetch(const char *module)
{
	char finder[PATH_MAX], *argv[] = { finder, (char *)module, NULL }, *path = NULL;
	struct backtrace_state *state = NULL;
	posix_spawn_file_actions_t actions;
	int fd[2], status = 0;
	size_t room = 0;
	FILE *from;
	pid_t pid;

	if (!find_beside("guardfree-debuginfod", finder, sizeof(finder))) {
		missing = "guardfree-debuginfod is not installed";
		return NULL;
	}
	if (pipe2(fd, O_CLOEXEC) || !(from = fdopen(fd[0], "r")))
		return NULL;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, fd[1], 1);
	posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
	if (!posix_spawn(&pid, finder, &actions, NULL, argv, environ)) {
		close(fd[1]);
		if (getline(&path, &room, from) > 1) {
			path[strcspn(path, "\n")] = 0;
			state = backtrace_create_state(strdup(path), 0, quiet, NULL);
		}
		while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
			;
		if (WIFEXITED(status) && WEXITSTATUS(status) == 2)
			missing = "libdebuginfod.so.1 is not there, so debuginfod=1 fetches nothing";
	}
	posix_spawn_file_actions_destroy(&actions);
	free(path);
	fclose(from);
	return state;
}

/* Where to look an address up: in the module, or in what a server has of it */
static struct backtrace_state *state_of(struct module *m, unsigned long addr)
{
	bool known = !getenv("DEBUGINFOD_URLS");

	if (!m->asked && !known)
		backtrace_pcinfo(m->state, addr, has_file, quiet, &known);
	if (!m->asked && !known) {
		m->asked = true;
		m->fetched = fetch(m->path);
	}
	return m->fetched ? m->fetched : m->state;
}

static int symbolize(void)
{
	char *line = NULL, *path;
	size_t room = 0, n = 0, i, most = 0;
	ssize_t len;
	struct request {
		unsigned long offset;
		char *path;
	} *all = NULL;

	/* All questions first: who asks does not read while it writes. */
	while ((len = getline(&line, &room, stdin)) > 0) {
		if (line[len - 1] == '\n')
			line[len - 1] = 0;
		path = strchr(line, ' ');
		if (!path)
			continue;
		if (n == most) {
			most = most ? most * 2 : 64;
			all = realloc(all, most * sizeof(*all));
			if (!all)
				return 1;
		}
		all[n].offset = strtoul(line, NULL, 16);
		all[n++].path = strdup(path + 1);
	}
	free(line);
	for (i = 0; i < n; i++) {
		struct answer a = { 0 };
		unsigned long addr = all[i].offset;
		struct module *m = NULL;
		int p;

		if (all[i].path && all[i].path[0] == '/')
			m = module_get(all[i].path);
		for (p = 0; m && p < m->phdrs; p++) {
			const Elf64_Phdr *h = &m->phdr[p];

			if (h->p_type == PT_LOAD && all[i].offset - h->p_offset < h->p_filesz &&
			    all[i].offset >= h->p_offset && h->p_flags & PF_X) {
				addr = all[i].offset - h->p_offset + h->p_vaddr;
				break;
			}
		}
		if (m && m->state) {
			struct backtrace_state *state = state_of(m, addr);

			backtrace_syminfo(state, addr, on_symbol, quiet, &a);
			backtrace_pcinfo(state, addr, on_line, quiet, &a);
			if (!a.lines && a.symbol)
				say(a.symbol, NULL, 0);
		}
		printf(".\t%lx\n", addr);
		free(all[i].path);
	}
	free(all);
	if (missing)
		printf("!\t%s\n", missing);
	return fflush(stdout) ? 1 : 0;
}

/* The command. */

static void usage(FILE *to)
{
	fputs("Usage: guardfree [options] program [arguments]\n"
	      "\n"
	      "Runs a program so that freed memory bites: who uses it dies where he does it,\n"
	      "with a report of who did it, who freed it and who allocated it.\n"
	      "\n"
	      "  -o KEY=VALUE  an option, as in GUARDFREE_OPTIONS; may be given again\n"
	      "  -s            statistics at exit (stats=1)\n"
	      "  -j            reports as JSON (format=json)\n"
	      "  -l FILE       reports go to FILE (log=FILE); %p in it is the process\n"
	      "  -n N          guard one in N allocations only (sample=N)\n"
	      "  -b            guards before objects rather than after (guard=before)\n"
	      "  -1            not the programs that it executes in turn (children=0)\n"
	      "  -k            leave system calls alone (kernel=0)\n"
	      "      --options list what GUARDFREE_OPTIONS knows\n"
	      "      --check PROGRAM  says whether it would be guarded, or why not\n"
	      "      --library print the path of the library\n"
	      "  -h, --help\n"
	      "      --version\n"
	      "\n"
	      "Exit status: the program's; 125 if guardfree fails, 126 or 127 if the program\n"
	      "cannot be run or found.\n", to);
}

static int fail(const char *what, const char *why)
{
	fprintf(stderr, "guardfree: %s: %s\n", what, why);
	return 125;
}

static char *options;

/* As execvp() finds it; false if it does not */
static bool search(const char *file, char *path, size_t size)
{
	const char *dirs = getenv("PATH");
	char *copy, *dir, *rest;

	if (strchr(file, '/'))
		return snprintf(path, size, "%s", file) < (int)size && !access(path, F_OK);
	copy = rest = strdup(dirs ? dirs : "/bin:/usr/bin");
	while (copy && (dir = strsep(&rest, ":")))
		if (snprintf(path, size, "%s/%s", *dir ? dir : ".", file) < (int)size &&
		    !access(path, X_OK)) {
			free(copy);
			return true;
		}
	free(copy);
	return false;
}

static int check(const char *program)
{
	char path[PATH_MAX];
	struct gf_target t;

	if (!search(program, path, sizeof(path)) || !gf_target_look(path, &t)) {
		fprintf(stderr, "guardfree: %s: %s\n", program, strerror(ENOENT));
		return 127;
	}
	if (t.why)
		printf("%s would run unguarded: %s\n", path, t.why);
	else
		printf("%s would be guarded\n", path);
	return fflush(stdout) ? 125 : t.why ? 1 : 0;
}

static bool is_quiet(void)
{
	const char *s = options ? strstr(options, "quiet=") : NULL, *next;

	while (s && (next = strstr(s + 1, "quiet=")))
		s = next;
	return s && s[6] == '1';
}

static int add_option(const char *option)
{
	char *more;

	if (asprintf(&more, "%s%s%s", options ? options : "", options ? ":" : "", option) < 0)
		return -1;
	free(options);
	options = more;
	return 0;
}

int main(int argc, char **argv)
{
	enum { OPTIONS = 256, LIBRARY, VERSION_, CHECK };
	static const struct option longs[] = {
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, VERSION_ },
		{ "options", no_argument, NULL, OPTIONS },
		{ "library", no_argument, NULL, LIBRARY },
		{ "check", required_argument, NULL, CHECK },
		{ 0 },
	};
	static char *true_program[] = { "/bin/true", NULL };
	struct gf_target target = { 0 };
	char library[PATH_MAX], *preload, buf[PATH_MAX + 16];
	const char *old;
	int c, err = 0;

	if (argc == 2 && !strcmp(argv[1], "--symbolize"))
		return symbolize();

	/* On here by default; what the caller set comes later and so holds. */
	snprintf(buf, sizeof(buf), "kernel=1:first=%d", getpid());
	err |= add_option(buf);
	old = getenv("GUARDFREE_OPTIONS");
	if (old && *old)
		err |= add_option(old);
	if (!find_beside("libguardfree.so", library, sizeof(library)))
		return fail("libguardfree.so", "is not beside this program, nor in ../lib");
	while ((c = getopt_long(argc, argv, "+o:sjl:n:b1kh", longs, NULL)) != -1) {
		switch (c) {
		case 'o':
			err |= add_option(optarg);
			break;
		case 's':
			err |= add_option("stats=1");
			break;
		case 'j':
			err |= add_option("format=json");
			break;
		case 'l':
			if (strchr(optarg, ':'))
				return fail(optarg, "a : ends an option, it cannot be in the name");
			if (optarg[0] == '/') {
				snprintf(buf, sizeof(buf), "log=%s", optarg);
			} else {	/* the program may change its directory */
				char *cwd = get_current_dir_name();

				if (!cwd || snprintf(buf, sizeof(buf), "log=%s/%s", cwd,
						     optarg) >= (int)sizeof(buf))
					return fail(optarg, "the name is too long");
				free(cwd);
			}
			err |= add_option(buf);
			break;
		case 'n':
			snprintf(buf, sizeof(buf), "sample=%s", optarg);
			err |= add_option(buf);
			break;
		case 'b':
			err |= add_option("guard=before");
			break;
		case '1':
			err |= add_option("children=0");
			break;
		case 'k':
			err |= add_option("kernel=0");
			break;
		case 'h':
			usage(stdout);
			return fflush(stdout) ? 125 : 0;
		case VERSION_:
			puts("guardfree " VERSION);
			return fflush(stdout) ? 125 : 0;
		case LIBRARY:
			puts(library);
			return fflush(stdout) ? 125 : 0;
		case CHECK:
			return check(optarg);
		case OPTIONS:
			err |= add_option("help=1:children=0");
			argv = true_program;
			optind = 0;
			goto run;
		default:
			usage(stderr);
			return 125;
		}
	}
	if (!argv[optind]) {
		usage(stderr);
		return 125;
	}
run:
	if (strpbrk(library, " :"))
		return fail(library, "a blank or : ends a name in LD_PRELOAD: move guardfree to a directory without");
	if (search(argv[optind], buf, sizeof(buf)) && gf_target_look(buf, &target) && target.why &&
	    !target.late && !is_quiet())
		fprintf(stderr, "guardfree: %s runs unguarded: %s\n", buf, target.why);
	old = getenv("LD_PRELOAD");
	if (target.drop) {
		execvp(argv[optind], argv + optind);
		goto failed;
	}
	if (asprintf(&preload, "%s%s%s", library, old && *old ? ":" : "", old ? old : "") < 0)
		err = -1;
	if (err || setenv("GUARDFREE_OPTIONS", options, 1) || setenv("LD_PRELOAD", preload, 1))
		return fail("environment", "out of memory");
	execvp(argv[optind], argv + optind);
failed:
	err = errno;
	fprintf(stderr, "guardfree: %s: %s\n", argv[optind], strerror(err));
	return err == ENOENT ? 127 : 126;
}
