// SPDX-License-Identifier: MIT
/*
 * The memory cgroup. Going over its limit is no error that malloc() could
 * return, it is the OOM killer; so look before the heap grows.
 */
#include "memcg.h"
#include "log.h"
#include "out.h"
#include "sys.h"

static struct {
	char dir[256];
	u64 max;
} gf_memcg[4];
static u32 gf_memcgs;
static bool gf_memcg_v1;

static u64 gf_parse(const char *s)
{
	u64 v = 0;

	for (; *s >= '0' && *s <= '9'; s++)
		v = v * 10 + (*s - '0');
	return v;
}

static u64 gf_memcg_read(const char *dir, const char *file)
{
	char path[320], text[64];

	gf_snprintf(path, sizeof(path), "%s/%s", dir, file);
	if (gf_read_file(path, text, sizeof(text)) <= 0 || text[0] < '0' || text[0] > '9')
		return UINT64_MAX;
	return gf_parse(text);
}

void gf_memcg_init(void)
{
	static char text[2048];
	char path[256];
	const char *s, *in = NULL;
	size_t len, root;

	gf_memcgs = 0;
	if (gf_read_file("/proc/self/cgroup", text, sizeof(text)) <= 0)
		return;
	for (s = text; *s; s++) {
		if (s > text && s[-1] != '\n')
			continue;
		if (gf_prefix(s, "0::/")) {
			in = s + 3;
			gf_memcg_v1 = false;
		} else {
			while (*s && *s != ':')
				s++;
			if (gf_prefix(s, ":memory:/")) {
				in = s + 8;
				gf_memcg_v1 = true;
				break;
			}
		}
		while (*s && *s != '\n')
			s++;
		if (!*s)
			break;
	}
	if (!in)
		return;
	root = gf_snprintf(path, sizeof(path), "/sys/fs/cgroup%s", gf_memcg_v1 ? "/memory" : "");
	len = root;
	while (*in && *in != '\n' && len < sizeof(path) - 1)
		path[len++] = *in++;
	while (len > root && path[len - 1] == '/')
		len--;
	path[len] = 0;
	/* The limits above hold too. */
	while (gf_memcgs < ARRAY_SIZE(gf_memcg)) {
		u64 max = gf_memcg_read(path, gf_memcg_v1 ? "memory.limit_in_bytes" : "memory.max");

		if (max < 1UL << 50) {
			gf_snprintf(gf_memcg[gf_memcgs].dir, sizeof(path), "%s", path);
			gf_memcg[gf_memcgs++].max = max;
		}
		while (len > root && path[len - 1] != '/')
			len--;
		if (len <= root)
			break;
		path[--len] = 0;
	}
}

bool gf_memcg_allows(size_t more)
{
	static u32 said;
	u32 i;

	for (i = 0; i < gf_memcgs; i++) {
		u64 used = gf_memcg_read(gf_memcg[i].dir, gf_memcg_v1 ? "memory.usage_in_bytes" :
									"memory.current");
		char stat[320], text[512];
		u64 file = 0;

		if (used == UINT64_MAX || used + more <= gf_memcg[i].max)
			continue;
		/* The page cache gives way. */
		gf_snprintf(stat, sizeof(stat), "%s/memory.stat", gf_memcg[i].dir);
		if (gf_read_file(stat, text, sizeof(text)) > 0) {
			const char *s;

			for (s = text; *s; s++)
				if ((s == text || s[-1] == '\n') &&
				    (gf_prefix(s, "file ") || gf_prefix(s, "cache ")))
					file = gf_parse(s + (s[0] == 'f' ? 5 : 6));
		}
		if (used + more - (file < used ? file : used) <= gf_memcg[i].max)
			continue;
		if (!__atomic_exchange_n(&said, 1, __ATOMIC_RELAXED))
			gf_say("the memory cgroup's limit is reached (%s: %lu of %lu MiB used): malloc returns NULL",
			       gf_memcg[i].dir, (unsigned long)(used >> 20),
			       (unsigned long)(gf_memcg[i].max >> 20));
		return false;
	}
	return true;
}
