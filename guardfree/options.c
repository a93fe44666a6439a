// SPDX-License-Identifier: MIT
/*
 * GUARDFREE_OPTIONS=key=value:key=value. What is not known, or not in range,
 * is said and left as it was.
 */
#include "options.h"
#include "log.h"
#include "out.h"

struct gf_options gf_opt = {
	.quarantine = 1UL << 30,
	.align = 16,
	.sample = 1,
	.batch = 1,
	.open = 64,
	.fill = -1,
	.check = 64,
	.depth = 16,
	.mismatch = 1,
	.halt = 1,
	.handler = 1,
	.segv = 1,
	.symbolize = 1,
	.symbolizer_seconds = 20,
	.populate = 1,
	.children = "1",
	.exitcode = -1,
	.memcg = 1,
	.name = "AddressSanitizer",
};

bool gf_secure;

enum type { U32, S32, U64, SIZE, STRING, CHOICE };

struct option {
	const char *key;
	enum type type;
	u16 offset, size;
	u64 min, max;
	const char *choices;	/* by number, with a | between them */
	const char *help;
};

#define O(k, t, lo, hi, c, h) { #k, t, offsetof(struct gf_options, k), \
				sizeof(((struct gf_options *)0)->k), lo, hi, c, h }

static const struct option options[] = {
	O(help, U32, 0, 1, NULL, "1 prints this list, and the program runs on"),
	O(guard, CHOICE, 0, 1, "after|before", "which end of an object lies at a guard page"),
	O(align, U32, 1, 16, NULL,
	  "1, 8 or 16: what objects are aligned to at least; with 1 an overflow is hit at its first byte"),
	O(check, U32, 0, 4096, NULL,
	  "bytes on the unguarded sides of an object that free() looks at for what was written there"),
	O(quarantine, SIZE, 0, 1UL << 44, NULL,
	  "bytes of freed memory, in whole pages, whose addresses are not used again"),
	O(quarantine_objects, U64, 0, UINT32_MAX, NULL,
	  "the same by number of objects; 0 is no limit"),
	O(batch, U32, 1, 512, NULL,
	  "frees until they are poisoned, all in one call; with 1 a freed object bites at once"),
	O(open, U32, 1, 64, NULL,
	  "slots that are made ready at a time, at most: 8 to begin with; what is not in use yet does not bite"),
	O(populate, U32, 0, 1, NULL,
	  "fill objects of up to a page in when they are made ready, many in a call, rather than by a fault each; not with check=0"),
	O(fresh, CHOICE, 0, 1, "all|trailing",
	  "what of a new chunk is poisoned: all until it is used, or only a guard after each slot"),
	O(fill, S32, 0, 255, NULL, "a byte that new objects are filled with; -1 leaves them zero"),
	O(sample, U64, 1, UINT32_MAX, NULL,
	  "one in N allocations is guarded, the others come from the next allocator"),
	O(seed, U64, 0, UINT64_MAX, NULL, "for sample; 0 takes a random one"),
	O(mismatch, U32, 0, 2, NULL,
	  "free() of what new made, and the like: 1 warns of it, 2 ends the program"),
	O(foreign, U32, 0, 1, NULL,
	  "1 passes pointers that no allocator is known to have made on to libc's free, unreported"),
	O(kernel, U32, 0, 1, NULL,
	  "report system calls whose buffer is no object (the wrapper command sets it)"),
	O(halt, U32, 0, 1, NULL, "0 goes on after a report; a guard that was hit is taken away"),
	O(handler, U32, 0, 1, NULL, "0 leaves SIGSEGV alone: no reports of hits"),
	O(segv, U32, 0, 2, NULL,
	  "SIGSEGV and SIGBUS elsewhere: 1 reports those that the program has no handler for, 2 all"),
	O(depth, U32, 0, GF_DEPTH_MAX, NULL, "frames kept of the stacks that allocated and freed"),
	O(unwind, CHOICE, 0, 2, "cfi|fp|none",
	  "how stacks are found: call frame information, frame pointers, not at all"),
	O(symbolize, U32, 0, 1, NULL, "names and lines in reports, by a helper process"),
	O(symbolizer, STRING, 0, 0, NULL, "that helper; default: the guardfree command beside the library"),
	O(symbolizer_seconds, U32, 1, 3600, NULL,
	  "of the processor's time for it; without an answer, the report goes without names"),
	O(debuginfod, U32, 0, 1, NULL,
	  "1 fetches debug information that is not installed from the servers of DEBUGINFOD_URLS"),
	O(name, STRING, 0, 0, NULL, "what reports call themselves; tools look for AddressSanitizer"),
	O(format, CHOICE, 0, 1, "text|json", "of reports and statistics"),
	O(log, STRING, 0, 0, NULL, "append reports and messages to this file; %p is the process"),
	O(color, CHOICE, 0, 2, "auto|always|never", "of reports; auto is: on a terminal"),
	O(stats, U32, 0, 1, NULL, "a line at exit: objects, guards, VMAs, page tables, calls"),
	O(leaks, U32, 0, 1, NULL, "1 looks for objects that nothing leads to, at exit"),
	O(exitcode, S32, 0, 255, NULL,
	  "the status after a report or with leaks; -1 is the signal's after a report, 23 with leaks"),
	O(suppressions, STRING, 0, 0, NULL, "a file of what is not to be reported, lines of TYPE:PATTERN"),
	O(children, STRING, 0, 0, NULL,
	  "programs that are executed from this one: 1 guards all, 0 none, NAME,NAME those only"),
	O(skip, STRING, 0, 0, NULL, "NAME,NAME: programs that are executed and not guarded"),
	O(first, U64, 0, UINT32_MAX, NULL,
	  "the process that children and skip are not about (the command sets it)"),
	O(method, CHOICE, 0, 2, "auto|guard|mprotect",
	  "auto takes PROT_NONE where the kernel has no guard pages; guard gives up there"),
	O(arenas, U32, 0, 64, NULL, "parts of the heap that threads share; 0 is 4 per processor"),
	O(memcg, U32, 0, 1, NULL, "NULL at the memory cgroup's limit rather than the OOM killer"),
	O(verbose, U32, 0, 1, NULL, "say what was found out at the start"),
	O(quiet, U32, 0, 1, NULL, "1 does not say which programs run unguarded, and why"),
};

static bool digits(const char *s, u64 *value, bool size)
{
	u64 v = 0;
	u32 base = 10, shift = 0;

	if (s[0] == '0' && (s[1] | 32) == 'x') {
		base = 16;
		s += 2;
	}
	if (!*s)
		return false;
	for (; *s; s++) {
		u32 c = *s | 32, d;

		if (*s >= '0' && *s <= '9')
			d = *s - '0';
		else if (base == 16 && c >= 'a' && c <= 'f')
			d = c - 'a' + 10;
		else
			break;
		if (v > (UINT64_MAX - d) / base)
			return false;
		v = v * base + d;
	}
	if (*s && size) {
		static const char units[] = "kmgt";
		u32 i;

		for (i = 0; units[i]; i++)
			if ((*s | 32) == units[i])
				shift = 10 * (i + 1);
		if (!shift || v > UINT64_MAX >> shift)
			return false;
		s++;
	}
	if (*s)
		return false;
	*value = v << shift;
	return true;
}

static bool choice(const char *choices, const char *value, u32 *which)
{
	u32 i = 0;

	while (true) {
		const char *v = value;

		while (*v && *v != '|' && *choices == *v)
			choices++, v++;
		if (!*v && (!*choices || *choices == '|')) {
			*which = i;
			return true;
		}
		while (*choices && *choices != '|')
			choices++;
		if (!*choices++)
			return false;
		i++;
	}
}

static bool set(const struct option *o, const char *value)
{
	void *to = (char *)&gf_opt + o->offset;
	u64 v = 0;
	u32 n;

	switch (o->type) {
	case STRING:
		/* Who starts a program as somebody else may not have it write or run a file. */
		if (gf_secure && (o->offset == offsetof(struct gf_options, log) ||
				  o->offset == offsetof(struct gf_options, suppressions) ||
				  o->offset == offsetof(struct gf_options, symbolizer)))
			return true;
		if (gf_strlen(value) >= o->size)
			return false;
		gf_snprintf(to, o->size, "%s", value);
		return true;
	case CHOICE:
		if (!choice(o->choices, value, &n))
			return false;
		*(u32 *)to = n;
		return true;
	case S32:
		if (!gf_strcmp(value, "-1")) {
			*(s32 *)to = -1;
			return true;
		}
		break;
	default:
		break;
	}
	if (!digits(value, &v, o->type == SIZE) || v < o->min || v > o->max)
		return false;
	if (!gf_strcmp(o->key, "align") && v != 1 && v != 8 && v != 16)
		return false;
	if (o->size == 8)
		*(u64 *)to = v;
	else
		*(u32 *)to = v;
	return true;
}

void gf_options_parse(const char *text)
{
	char key[40], value[300];

	while (text && *text) {
		size_t k = 0, v = 0, i;
		bool is_set = false, cut = false;

		for (; *text && *text != '=' && *text != ':'; text++) {
			if (k < sizeof(key) - 1)
				key[k++] = *text;
			else
				cut = true;
		}
		key[k] = 0;
		if (*text == '=') {
			is_set = true;
			for (text++; *text && *text != ':'; text++) {
				if (v < sizeof(value) - 1)
					value[v++] = *text;
				else
					cut = true;
			}
		}
		value[v] = 0;
		if (*text == ':')
			text++;
		if (!k && !is_set)
			continue;
		for (i = 0; i < ARRAY_SIZE(options); i++)
			if (!gf_strcmp(options[i].key, key))
				break;
		if (i == ARRAY_SIZE(options))
			gf_say("GUARDFREE_OPTIONS: there is no option '%s'; help=1 lists them", key);
		else if (!is_set)
			gf_say("GUARDFREE_OPTIONS: '%s' wants a value, %s=...", key, key);
		else if (cut || !set(&options[i], value))
			gf_say("GUARDFREE_OPTIONS: '%s' is no value of %s", value, key);
	}
}

/* With log_path the number of the process is part of the name. */
static void asan_option(const char *key, const char *value)
{
	static const struct {
		const char *theirs, *ours;
	} same[] = {
		{ "exitcode", "exitcode" },
		{ "halt_on_error", "halt" },
		{ "detect_leaks", "leaks" },
		{ "symbolize", "symbolize" },
		{ "handle_segv", "segv" },
		{ "log_path", "log" },
		{ "suppressions", "suppressions" },
	};
	bool yes = !gf_strcmp(value, "true") || !gf_strcmp(value, "yes");
	bool no = !gf_strcmp(value, "false") || !gf_strcmp(value, "no");
	char path[sizeof(gf_opt.log)];
	u32 i, k;

	for (i = 0; i < ARRAY_SIZE(same); i++)
		if (!gf_strcmp(same[i].theirs, key))
			break;
	if (i == ARRAY_SIZE(same))
		return;
	if (!gf_strcmp(key, "log_path")) {
		if (!gf_strcmp(value, "stderr") || !gf_strcmp(value, "stdout"))
			return;
		if (gf_snprintf(path, sizeof(path), "%s.%%p", value) < sizeof(path) - 1)
			value = path;
	}
	for (k = 0; k < ARRAY_SIZE(options); k++)
		if (!gf_strcmp(options[k].key, same[i].ours) &&
		    !set(&options[k], yes ? "1" : no ? "0" : value))
			gf_say("ASAN_OPTIONS: '%s' is no value of %s here", value, key);
}

void gf_options_asan(const char *text)
{
	char key[40], value[300];

	while (text && *text) {
		size_t k = 0, v = 0;

		while (*text == ' ' || *text == ':' || *text == ',' || *text == '\n' || *text == '\t')
			text++;
		for (; *text && *text != '=' && *text != ':' && *text != ',' && *text != ' '; text++)
			if (k < sizeof(key) - 1)
				key[k++] = *text;
		key[k] = 0;
		if (*text == '=')
			text++;
		else
			continue;
		for (; *text && *text != ':' && *text != ',' && *text != ' ' && *text != '\n' &&
		       *text != '\t'; text++)
			if (v < sizeof(value) - 1)
				value[v++] = *text;
		value[v] = 0;
		asan_option(key, value);
	}
}

/* Is the name one of a list with commas? */
static bool in_list(const char *list, const char *name)
{
	size_t len = gf_strlen(name);

	while (*list) {
		if (gf_prefix(list, name) && (!list[len] || list[len] == ','))
			return true;
		while (*list && *list != ',')
			list++;
		if (*list)
			list++;
	}
	return false;
}

bool gf_wants(const char *path)
{
	const char *name = path, *s;

	for (s = path; *s; s++)
		if (*s == '/')
			name = s + 1;
	if (in_list(gf_opt.skip, name))
		return false;
	return !gf_strcmp(gf_opt.children, "0") || !gf_strcmp(gf_opt.children, "1") ||
	       in_list(gf_opt.children, name);
}

void gf_options_help(void)
{
	char buf[4000];
	struct gf_out o;
	u32 i;

	gf_out_log(&o, buf, sizeof(buf));
	gf_printf(&o, "guardfree " GF_VERSION ": GUARDFREE_OPTIONS=key=value:key=value, what holds now\n");
	for (i = 0; i < ARRAY_SIZE(options); i++) {
		const struct option *p = &options[i];
		const void *at = (char *)&gf_opt + p->offset;
		char now[300];
		const char *c;
		u32 n;

		switch (p->type) {
		case STRING:
			gf_snprintf(now, sizeof(now), "%s", (const char *)at);
			break;
		case CHOICE:
			c = p->choices;
			for (n = *(u32 *)at; n; n--) {
				while (*c != '|')
					c++;
				c++;
			}
			gf_snprintf(now, sizeof(now), "%s", c);
			for (n = 0; now[n]; n++)
				if (now[n] == '|')
					now[n] = 0;
			break;
		case S32:
			gf_snprintf(now, sizeof(now), "%d", *(s32 *)at);
			break;
		default:
			gf_snprintf(now, sizeof(now), "%lu",
				    (unsigned long)(p->size == 8 ? *(u64 *)at : *(u32 *)at));
		}
		gf_printf(&o, "  %s=%s\n        %s", p->key, now, p->help);
		if (p->choices)
			gf_printf(&o, " (%s)", p->choices);
		gf_printf(&o, "\n");
	}
	gf_out_end(&o);
}
