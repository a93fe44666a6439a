// SPDX-License-Identifier: MIT
/*
 * suppressions=FILE: reports that nobody wants to see. A line is TYPE:PATTERN,
 * where TYPE is function, file, leak or what a report is called; # begins a
 * comment. A pattern is a part of a name; ^ is its begin, $ its end, * is anything.
 */
#include "suppress.h"
#include "log.h"
#include "options.h"
#include "out.h"
#include "symbol.h"
#include "sys.h"
#include <errno.h>

#define LINES_MAX	512

bool gf_have_suppressions;
static char text[32 << 10];
static struct {
	const char *type, *pattern;
} lines[LINES_MAX];
static u32 n;

static bool begins(const char *s, const char *pattern)
{
	for (; *pattern; s++, pattern++) {
		if (*pattern == '*') {
			while (*pattern == '*')
				pattern++;
			for (;; s++) {
				if (begins(s, pattern))
					return true;
				if (!*s)
					return false;
			}
		}
		if (*pattern == '$' && !pattern[1])
			return !*s;
		if (*s != *pattern)
			return false;
	}
	return true;
}

bool gf_matches(const char *s, const char *pattern)
{
	if (*pattern == '^')
		return begins(s, pattern + 1);
	for (;; s++) {
		if (begins(s, pattern))
			return true;
		if (!*s)
			return false;
	}
}

static bool known_type(const char *type)
{
	static const char *const types[] = {
		"function", "file", "leak", "heap-use-after-free", "heap-buffer-overflow",
		"heap-buffer-underflow", "double-free", "bad-free", "bad-malloc_usable_size",
		"alloc-dealloc-mismatch", "new-delete-type-mismatch", "wild-access",
		"signal-unsafe-call", "SEGV", "BUS", "stack-overflow",
	};
	u32 i;

	for (i = 0; i < ARRAY_SIZE(types); i++)
		if (!gf_strcmp(types[i], type))
			return true;
	return false;
}

static void add(char *line, u32 no)
{
	char *s, *end;

	while (*line == ' ' || *line == '\t')
		line++;
	for (end = line + gf_strlen(line); end > line && (u8)end[-1] <= ' '; end--)
		end[-1] = 0;
	if (!*line || *line == '#')
		return;
	for (s = line; *s && *s != ':'; s++)
		;
	if (!*s || !s[1]) {
		gf_say("suppressions=%s: line %u: it is not TYPE:PATTERN", gf_opt.suppressions, no);
		return;
	}
	*s = 0;
	if (!known_type(line)) {
		gf_say("suppressions=%s: line %u: there is no type '%s': function, file, leak or what a report is called",
		       gf_opt.suppressions, no, line);
	} else if (n == LINES_MAX) {
		gf_say("suppressions=%s: line %u: no more than %u are taken", gf_opt.suppressions,
		       no, LINES_MAX);
	} else {
		lines[n].type = line;
		lines[n++].pattern = s + 1;
	}
}

void gf_suppressions_read(void)
{
	u32 no = 1;
	char *s, *line;
	long len;

	if (!gf_opt.suppressions[0])
		return;
	len = gf_read_file(gf_opt.suppressions, text, sizeof(text));
	if (len < 0 || len >= (long)sizeof(text) - 1) {
		gf_say("suppressions=%s: %s: nothing is suppressed", gf_opt.suppressions,
		       len < 0 ? gf_strerror(len) : "it is longer than 32 KiB");
		return;
	}
	for (s = line = text;; s++) {
		if (*s && *s != '\n')
			continue;
		if (!*s) {
			add(line, no);
			break;
		}
		*s = 0;
		add(line, no++);
		line = s + 1;
	}
	gf_have_suppressions = n;
}

bool gf_suppressed(const char *kind, struct gf_symbols *symbols, u32 from, u32 frames)
{
	struct gf_frame f;
	u32 i, k, l;

	for (l = 0; l < n; l++) {
		const char *type = lines[l].type, *pattern = lines[l].pattern;
		bool is_function = !gf_strcmp(type, "function"), is_file = !gf_strcmp(type, "file");

		if (!is_function && !is_file && gf_strcmp(type, kind))
			continue;
		for (i = from; i < from + frames; i++) {
			for (k = 0; gf_symbol(symbols, i, k, &f); k++) {
				if (!is_file && f.function[0] && gf_matches(f.function, pattern))
					return true;
				if (!is_function &&
				    ((f.file[0] && gf_matches(f.file, pattern)) ||
				     (f.module[0] && gf_matches(f.module, pattern))))
					return true;
			}
		}
	}
	return false;
}
