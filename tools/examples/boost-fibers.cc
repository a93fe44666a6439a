// SPDX-License-Identifier: MIT
/*
 * Fibers of Boost.Context on stacks of guard_stacks.h. The library is unchanged:
 * the class guarded_stack is a StackAllocator, its own hook for this.
 *
 *	g++ -O2 boost-fibers.cc -lboost_context
 *
 * usage: boost-fibers pool|boost [NUMBER]
 *   boost: on the library's own protected_fixedsize_stack, an mprotect() for each
 *
 * Makes that many fibers, runs all of them twice, and prints how many there were,
 * the mappings of the process, and how many stacks have a guard below them.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
/* The library only asserts that mprotect() has succeeded. */
#define NDEBUG
#include <boost/context/fiber.hpp>
#include <boost/context/protected_fixedsize_stack.hpp>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>
#include <vector>

#include "../../include/guard_stacks.h"

namespace ctx = boost::context;

class guarded_stack {
public:
	typedef ctx::stack_traits traits_type;

	explicit guarded_stack(guard_stacks *pool) : pool(pool) {}

	ctx::stack_context allocate()
	{
		char *low = static_cast<char *>(guard_stacks_get(pool));
		ctx::stack_context stack;

		if (!low)
			throw std::bad_alloc();
		stack.size = pool->size;
		stack.sp = low + pool->size;
		return stack;
	}

	void deallocate(ctx::stack_context &stack) noexcept
	{
		guard_stacks_put(pool, static_cast<char *>(stack.sp) - stack.size);
	}

private:
	guard_stacks *pool;
};

static const std::size_t stack_size = 60 * 1024;
static std::size_t rounds;

static ctx::fiber body(ctx::fiber &&caller)
{
	rounds++;
	caller = std::move(caller).resume();
	rounds++;
	return std::move(caller);
}

/* The mappings of the process, and those without any access. */
static std::size_t count_mappings(std::size_t *none)
{
	std::FILE *f = std::fopen("/proc/self/maps", "re");
	std::size_t n = 0;
	char line[512];

	for (*none = 0; f && std::fgets(line, sizeof(line), f); n++)
		if (std::strstr(line, " ---p 00000000 00:00 0"))
			++*none;
	if (f)
		std::fclose(f);
	return n;
}

template <class Stack>
static std::size_t make(Stack stack, std::size_t wanted, std::vector<ctx::fiber> &fibers)
{
	fibers.reserve(wanted);
	try {
		while (fibers.size() < wanted) {
			fibers.push_back(ctx::fiber(std::allocator_arg, stack, body));
			fibers.back() = std::move(fibers.back()).resume();
		}
	} catch (const std::bad_alloc &) {
	}
	return fibers.size();
}

int main(int argc, char **argv)
{
	const bool in_pool = argc > 1 && !std::strcmp(argv[1], "pool");
	const std::size_t wanted = argc > 2 ? std::strtoul(argv[2], nullptr, 10) : 50000;
	std::size_t made, mappings, guards, before;
	std::vector<ctx::fiber> fibers;
	static guard_stacks pool;

	if (argc < 2 || (!in_pool && std::strcmp(argv[1], "boost"))) {
		std::fputs("usage: boost-fibers pool|boost [NUMBER]\n", stderr);
		return 2;
	}
	count_mappings(&before);
	if (in_pool) {
		guard_stacks_stats stats;

		if (guard_stacks_init(&pool, stack_size, 0, wanted, 0)) {
			std::perror("boost-fibers: no pool");
			return 1;
		}
		made = make(guarded_stack(&pool), wanted, fibers);
		mappings = count_mappings(&guards);
		guard_stacks_count(&pool, &stats);
		guards = stats.poison + stats.prot_none;
	} else {
		made = make(ctx::protected_fixedsize_stack(stack_size), wanted, fibers);
		mappings = count_mappings(&guards);
		guards -= before;
	}
	for (ctx::fiber &f : fibers)
		f = std::move(f).resume();
	if (rounds != 2 * made) {
		std::fputs("boost-fibers: not all have run\n", stderr);
		return 1;
	}
	std::printf("%zu fibers, %zu mappings, %zu guards\n", made, mappings, guards);
	fibers.clear();
	if (in_pool) {
		guard_stacks_stats stats;

		/* The library has given all of them back. */
		guard_stacks_count(&pool, &stats);
		if (stats.taken)
			return 1;
		guard_stacks_destroy(&pool);
	}
	return 0;
}
