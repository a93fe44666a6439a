// SPDX-License-Identifier: MIT
/* Objects that go to and from a library that has libc's allocator bound to it. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv)
{
	void *deep = dlopen(argc > 1 ? argv[1] : LIB, RTLD_NOW | RTLD_DEEPBIND);
	void *(*make)(size_t), *(*more)(void *, size_t);
	void (*take)(void *);
	int i;

	if (!deep) {
		puts(dlerror());
		return 1;
	}
	make = (void *(*)(size_t))dlsym(deep, "deep_make");
	take = (void (*)(void *))dlsym(deep, "deep_take");
	more = (void *(*)(void *, size_t))dlsym(deep, "deep_more");
	for (i = 1; i < 100000; i = i * 3) {
		take(malloc(i));
		take(strdup("from libc"));
		free(make(i));
		take(more(malloc(i), i + 10));
		free(more(make(i), i + 10));
		take(realloc(make(i), i + 20));
	}
	puts("taken");
	return 0;
}
