#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# include/guard_stacks.h compiles as C and C++, strictly, with gcc and clang, for 64 and
# 32 bits. tests/pool.c passes on a kernel with guards, without them, and on that of this
# machine, also as if it had none. The programs in tools/examples fail and succeed as they
# say.
set -u
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/lib.sh"
need_tools gcc g++ clang clang++
need_image x86_64-base ${WITHOUT:+x86_64-base-unpatched}
[ -e "$build/headers/x86_64/include/asm/errno.h" ] || bail "there are no build/headers: run 'make headers'"
bin=$build/tests/pool
rm -rf "$bin"
mkdir -p "$bin" || bail 'cannot write to build/tests'
cd "$top" || exit 1
asm="-isystem $build/headers/x86_64/include"

# Alone, twice: nothing is missing in it, and nothing is defined two times.
printf '#include "guard_stacks.h"\n#include "guard_stacks.h"\nint x;\n' >"$tmp/alone.c"
while read -r command; do
	# shellcheck disable=SC2086 # words
	works "alone, twice: $command" $command ${asm} -D_DEFAULT_SOURCE -O2 -Wall -Wextra -Wconversion -Werror \
		-Iinclude -c -o "$tmp/alone.o" "$tmp/alone.c"
done <<'END'
gcc -std=c99 -pedantic-errors
gcc -std=gnu2x
clang -std=c99 -pedantic-errors
g++ -x c++ -std=c++11
clang++ -x c++ -std=c++11
clang++ -x c++ -std=c++20
gcc -m32
END
while read -r name command; do
	# shellcheck disable=SC2086 # words
	works "tests/pool.c: $command" $command -O2 -Wall -Wextra -Werror -pthread -static \
		-o "$bin/$name" tests/pool.c
done <<END
gcc gcc
gcc-32 gcc -m32 $asm
END
works 'tests/pool.c: g++' g++ -x c++ -std=c++11 -O2 -Wall -Wextra -Werror -pthread -c -o "$tmp/pool.o" tests/pool.c

guest_tap 'x86_64-base' vm/run -q --image x86_64-base --timeout 1200 -- "$bin/gcc" guards
# The filter of tests/without.c would be one more case of "none" below.
[ -z "${WITHOUT:-}" ] ||
	guest_tap 'without guards' vm/run -q --image x86_64-base-unpatched --timeout 1200 -- "$bin/gcc" fallback
guest_tap "this machine's kernel" "$bin/gcc" here
guest_tap "this machine's kernel, 32 bits" "$bin/gcc-32" here
guest_tap "this machine's kernel, as if without guards" "$bin/gcc" none

# --- the examples ------------------------------------------------------------------

for example in scanner crash-report; do
	works "$example compiles" gcc -O2 -Wall -Wextra -Werror -o "$bin/$example" "tools/examples/$example.c"
done
works 'boost-fibers compiles, with Boost as Debian has it' g++ -O2 -Wall -Wextra -Werror \
	-o "$bin/boost-fibers" tools/examples/boost-fibers.cc -lboost_context

# example NAME ARGUMENTS STATUS OUTPUT: in the guest, with the series.
example() {
	status=0
	# shellcheck disable=SC2086 # words
	vm/run -q --image x86_64-base --mem 3G -- "$bin/$1" $2 >"$out" 2>&1 </dev/null || status=$?
	[ "$status" = "$3" ] && grep -qE "$4" "$out"
	verdict $? "$1 $2: $4"
}
example scanner plain 1 'it read a guard$'
example scanner asks 0 '^10 references in [0-9]+ kB, beside 12040 kB of guards$'
example crash-report plain 1 '^no overflow seen, 0 bytes of its stack saved$'
example crash-report asks 0 '^the stack has overflowed, 32768 bytes of its stack saved$'
example boost-fibers 'pool 40000' 0 '^40000 fibers, [0-9]{2} mappings, 40000 guards$'
# It stops, or goes on without guards: it does not look whether mprotect() fails.
example boost-fibers 'boost 40000' 0 '^(32[0-9]{3}|40000) fibers, 655[0-9]{2} mappings, 327[0-9]{2} guards$'

done_testing
