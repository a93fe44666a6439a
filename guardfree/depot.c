// SPDX-License-Identifier: MIT
/*
 * Stacks, each kept once. Programs allocate in few places, so that a million
 * objects have some thousand stacks among them. Never a lock: who finds no
 * stack like his own puts it at the head of its chain.
 */
#include "depot.h"
#include "area.h"

struct node {
	u32 hash;
	u32 next;	/* offset / 8 of the next in the chain, 0: none */
	u32 n;
	u32 unused;
	uintptr_t pc[];
};

#define BUCKETS (1U << 16)

static u32 table[BUCKETS];
static u64 used = 8;		/* bytes; 0 is no stack */
static u64 stacks;

static inline struct node *node_at(u32 id)
{
	return (struct node *)(gf_depot.base + (u64)id * 8);
}

bool gf_depot_init(void)
{
	return !gf_area_need(&gf_depot, PAGE);
}

u64 gf_depot_stacks(void)
{
	return load_relaxed(&stacks);
}

static u32 find(u32 id, u32 end, u32 hash, const uintptr_t *pc, u32 n)
{
	for (; id != end; id = node_at(id)->next) {
		const struct node *node = node_at(id);
		u32 i;

		if (node->hash != hash || node->n != n)
			continue;
		for (i = 0; i < n && node->pc[i] == pc[i]; i++)
			;
		if (i == n)
			return id;
	}
	return 0;
}

u32 gf_depot_put(const uintptr_t *pc, u32 n)
{
	u64 h = n, size = sizeof(struct node) + n * sizeof(*pc), at;
	u32 head, hash, id, i, had;
	struct node *node;

	if (!n)
		return 0;
	for (i = 0; i < n; i++) {
		h = (h ^ pc[i]) * 0x9e3779b97f4a7c15UL;
		h ^= h >> 29;
	}
	hash = h ^ h >> 32;
	head = load(&table[hash % BUCKETS]);
	id = find(head, 0, hash, pc, n);
	if (id)
		return id;

	at = load_relaxed(&used);
	do {
		if (at + size > gf_depot.max)
			return 0;
	} while (!__atomic_compare_exchange_n(&used, &at, at + size, true, __ATOMIC_RELAXED,
					      __ATOMIC_RELAXED));
	if (gf_area_need(&gf_depot, at + size))
		return 0;
	id = at / 8;
	node = node_at(id);
	node->hash = hash;
	node->n = n;
	for (i = 0; i < n; i++)
		node->pc[i] = pc[i];
	had = 0;
	while (true) {
		u32 now = head;

		/* What was put in meanwhile may be the same. */
		i = find(now, had, hash, pc, n);
		if (i)
			return i;
		node->next = now;
		if (__atomic_compare_exchange_n(&table[hash % BUCKETS], &head, id, false,
						__ATOMIC_RELEASE, __ATOMIC_ACQUIRE))
			break;
		had = now;
	}
	fetch_add(&stacks, 1);
	return id;
}

const uintptr_t *gf_depot_get(u32 id, u32 *n)
{
	*n = 0;
	if (!id || (u64)id * 8 + sizeof(struct node) > load(&gf_depot.mapped))
		return NULL;
	*n = node_at(id)->n;
	return node_at(id)->pc;
}
