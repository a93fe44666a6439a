// SPDX-License-Identifier: MIT
// C++'s operators, in every form, and what they do when there is no memory.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <new>
#include <string>
#include <thread>
#include <vector>

static int failures;
#define CHECK(x) do { if (!(x)) { failures++; std::printf("cxx.cc:%d: %s\n", __LINE__, #x); } } while (0)

struct alignas(64) Wide { char c[100]; };
struct alignas(8192) Wider { char c[10]; };
struct Base { virtual ~Base() {} int a = 1; };
struct Derived : Base { std::string s = "a string that is too long for its small buffer"; };

static volatile std::size_t much = SIZE_MAX / 2 - 10000;
static int handled;

static void handler()
{
	if (++handled == 3)
		std::set_new_handler(nullptr);
}

static void thrower()
{
	++handled;
	throw std::bad_alloc();
}

int main(int argc, char **argv)
{
	const bool bad = argc > 1;

	if (bad) {	// one that is wrong, for the report
		if (!std::strcmp(argv[1], "mismatch"))
			std::free(new int(3));
		else if (!std::strcmp(argv[1], "array"))
			delete new int[10];
		else if (!std::strcmp(argv[1], "malloc"))
			delete static_cast<int *>(std::malloc(4));
		else if (!std::strcmp(argv[1], "sized"))
			::operator delete(::operator new(40), std::size_t(48));
		else if (!std::strcmp(argv[1], "use")) {
			std::unique_ptr<Derived> p(new Derived);
			Derived *raw = p.get();
			p.reset();
			std::printf("%s\n", raw->s.c_str());
		}
		return 0;
	}
	delete new int(1);
	delete[] new int[100];
	delete new (std::nothrow) int(1);
	delete[] new (std::nothrow) int[100];
	Wide *w = new Wide;
	CHECK(!(reinterpret_cast<std::uintptr_t>(w) & 63));
	delete w;
	w = new Wide[3];
	CHECK(!(reinterpret_cast<std::uintptr_t>(w) & 63));
	delete[] w;
	Wider *x = new (std::nothrow) Wider;
	CHECK(!(reinterpret_cast<std::uintptr_t>(x) & 8191));
	delete x;
	x = new (std::nothrow) Wider[2];
	delete[] x;
	::operator delete(::operator new(10), std::size_t(10));
	::operator delete[](::operator new[](10), std::size_t(10));
	::operator delete(::operator new(10, std::align_val_t(32)), std::align_val_t(32));
	::operator delete(::operator new(10, std::align_val_t(32)), 10, std::align_val_t(32));
	::operator delete[](::operator new[](10, std::align_val_t(32)), 10, std::align_val_t(32));
	::operator delete(::operator new(10, std::nothrow), std::nothrow);
	::operator delete[](::operator new[](10, std::nothrow), std::nothrow);
	::operator delete(::operator new(9, std::align_val_t(64), std::nothrow), std::align_val_t(64),
			  std::nothrow);
	::operator delete[](::operator new[](9, std::align_val_t(64), std::nothrow),
			    std::align_val_t(64), std::nothrow);
	Base *b = new Derived;
	delete b;

	bool thrown = false;
	try {
		::operator delete(::operator new(much));
	} catch (const std::bad_alloc &) {
		thrown = true;
	}
	CHECK(thrown);
	thrown = false;
	try {
		::operator delete[](::operator new[](much, std::align_val_t(64)), std::align_val_t(64));
	} catch (const std::bad_alloc &) {
		thrown = true;
	}
	CHECK(thrown);
	CHECK(!::operator new(much, std::nothrow));
	std::set_new_handler(handler);
	CHECK(!::operator new(much, std::nothrow));
	CHECK(handled == 3);
	std::set_new_handler(thrower);
	try {
		CHECK(!::operator new(much, std::nothrow));
		CHECK(!::operator new[](much, std::nothrow));
		CHECK(!::operator new(much, std::align_val_t(64), std::nothrow));
		CHECK(!::operator new[](much, std::align_val_t(64), std::nothrow));
	} catch (const std::bad_alloc &) {
		CHECK(!"nothrow new throws");
	}
	CHECK(handled == 7);
	std::set_new_handler(nullptr);

	std::map<std::string, std::vector<int>> m;
	for (int i = 0; i < 1000; i++)
		m[std::to_string(i)].assign(i % 50, i);
	std::vector<std::thread> t;
	for (int i = 0; i < 4; i++)
		t.emplace_back([&m, i] {
			std::map<std::string, std::vector<int>> copy(m);
			copy.erase(std::to_string(i));
		});
	for (auto &each : t)
		each.join();
	CHECK(m["7"].size() == 7);
	std::puts(failures ? "failed" : "cxx: all is well");
	return failures ? 1 : 0;
}
