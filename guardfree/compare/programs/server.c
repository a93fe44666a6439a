// SPDX-License-Identifier: MIT
/*
 * In the shape of a server with worker threads: main receives requests and
 * queues them; a worker parses one into a list of headers, looks its path up in
 * a cache that all share, builds the answer in a buffer that grows, and frees
 * everything but what the cache keeps. An operation is a request: some 30
 * objects, a third of them freed by another thread than allocated them.
 */
#include "program.h"

#define QUEUE 64
#define BUCKETS 256
#define CACHED 4		/* entries a bucket */

struct header {
	struct header *next;
	char *key, *value;
};

struct entry {
	char *path, *body;
	size_t length;
};

static pthread_mutex_t queue_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t queue_fills = PTHREAD_COND_INITIALIZER;
static pthread_cond_t queue_drains = PTHREAD_COND_INITIALIZER;
static char *queue[QUEUE];
static unsigned long queued, taken;
static bool closed;

static pthread_mutex_t cache_lock[BUCKETS];
static struct entry *cache[BUCKETS][CACHED];
static unsigned int cache_next[BUCKETS];

static unsigned long answered, answer_bytes;

static char *copy(const char *s, size_t n)
{
	char *p = must(malloc(n + 1));

	memcpy(p, s, n);
	p[n] = 0;
	return p;
}

/* "GET /path\nkey: value\n..." */
static struct header *parse(const char *text, char **path)
{
	struct header *head = NULL, **end = &head;
	const char *line = strchr(text, '\n');

	*path = copy(text + 4, line - text - 4);
	for (line++; *line; line = strchr(line, '\n') + 1) {
		const char *colon = strchr(line, ':'), *stop = strchr(line, '\n');
		struct header *h = must(malloc(sizeof(*h)));

		h->next = NULL;
		h->key = copy(line, colon - line);
		h->value = copy(colon + 2, stop - colon - 2);
		*end = h;
		end = &h->next;
	}
	return head;
}

static void append(char **buffer, size_t *length, const char *text)
{
	size_t n = strlen(text);

	*buffer = must(realloc(*buffer, *length + n + 1));
	memcpy(*buffer + *length, text, n + 1);
	*length += n;
}

static void drop_entry(struct entry *e)
{
	if (!e)
		return;
	free(e->path);
	free(e->body);
	free(e);
}

static void answer(char *text)
{
	char *path, *reply = NULL;
	struct header *h = parse(text, &path), *next;
	size_t length = 0;
	unsigned int hash = 0, i;
	struct entry *e = NULL;
	const char *c;

	free(text);
	for (c = path; *c; c++)
		hash = hash * 31 + *c;
	hash %= BUCKETS;
	append(&reply, &length, "200 OK\n");
	pthread_mutex_lock(&cache_lock[hash]);
	for (i = 0; i < CACHED; i++)
		if (cache[hash][i] && !strcmp(cache[hash][i]->path, path))
			e = cache[hash][i];
	if (!e) {
		unsigned int at = cache_next[hash]++ % CACHED;

		e = must(malloc(sizeof(*e)));
		e->path = copy(path, strlen(path));
		e->body = NULL;
		e->length = 0;
		for (i = 0; i < 4; i++)
			append(&e->body, &e->length, "a line of what is to be found under that path\n");
		drop_entry(cache[hash][at]);
		cache[hash][at] = e;
	}
	append(&reply, &length, e->body);
	pthread_mutex_unlock(&cache_lock[hash]);
	for (; h; h = next) {
		append(&reply, &length, h->key);
		append(&reply, &length, h->value);
		next = h->next;
		free(h->key);
		free(h->value);
		free(h);
	}
	__atomic_fetch_add(&answer_bytes, length, __ATOMIC_RELAXED);
	__atomic_fetch_add(&answered, 1, __ATOMIC_RELAXED);
	free(reply);
	free(path);
}

static void *worker(void *unused)
{
	(void)unused;
	while (true) {
		char *text = NULL;

		pthread_mutex_lock(&queue_lock);
		while (taken == queued && !closed)
			pthread_cond_wait(&queue_fills, &queue_lock);
		if (taken < queued) {
			text = queue[taken++ % QUEUE];
			pthread_cond_signal(&queue_drains);
		}
		pthread_mutex_unlock(&queue_lock);
		if (!text)
			return NULL;
		answer(text);
	}
}

int main(int argc, char **argv)
{
	struct run r = { .name = "server", .threads = 2 };
	pthread_t threads[64];
	uint64_t seed = 88172645463325252ull;
	unsigned int i;

	run_options(&r, argc, argv);
	if (r.threads > 64)
		r.threads = 64;
	for (i = 0; i < BUCKETS; i++)
		pthread_mutex_init(&cache_lock[i], NULL);
	run_start(&r);
	for (i = 0; i < r.threads; i++)
		if (pthread_create(&threads[i], NULL, worker, NULL))
			_exit(5);
	do {
		for (i = 0; i < 20; i++) {
			uint64_t x = random_next(&seed);
			char text[300];
			int n = snprintf(text, sizeof(text),
					 "GET /a/path/of/%u\nHost: there\nAccept: all/any\nAgent: %lx\n"
					 "Cookie: %lx-%lx\nLength: %u\n",
					 (unsigned int)(x % 2000), x, x * 3, x * 5, (unsigned int)(x % 77));
			char *request = copy(text, n);

			pthread_mutex_lock(&queue_lock);
			while (queued - taken == QUEUE)
				pthread_cond_wait(&queue_drains, &queue_lock);
			queue[queued++ % QUEUE] = request;
			pthread_cond_signal(&queue_fills);
			pthread_mutex_unlock(&queue_lock);
		}
	} while (!run_over(&r, queued));
	pthread_mutex_lock(&queue_lock);
	closed = true;
	pthread_cond_broadcast(&queue_fills);
	pthread_mutex_unlock(&queue_lock);
	for (i = 0; i < r.threads; i++)
		pthread_join(threads[i], NULL);
	run_end(&r, answered);
	for (i = 0; i < BUCKETS * CACHED; i++)
		drop_entry(cache[i / CACHED][i % CACHED]);
	return answered == queued ? 0 : 6;
}
