#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# include/guard_pages.h compiles as C and C++, strictly, with gcc and clang, for 64 and
# 32 bits. tests/helper.c passes on a kernel with guards (x86_64-base), without them, and
# on that of this machine, also as if it had none.
set -u

# In the guest, run every program, even if one fails.
if [ "${1:-}" = guest ]; then
	expected=$2
	shift 2
	for program; do
		echo "program ${program##*/}"
		"$program" "$expected"
		echo "status $?"
	done
	exit 0
fi
# Both kernels in one boot. A filter of system calls would not do, because the header
# notices it; the program itself imitates a kernel without guards.
if [ "${1:-}" = guest-both ]; then
	shift
	sh "$0" guest poison "$@"
	echo 'kernel without'
	sh "$0" guest none "$@"
	exit 0
fi

# shellcheck source=tests/lib.sh
. "$(dirname "$0")/lib.sh"
need_tools gcc g++ clang clang++ perl
need_image x86_64-base ${WITHOUT:+x86_64-base-unpatched}
[ -e "$build/headers/x86_64/include/asm/errno.h" ] || bail "there are no build/headers: run 'make headers'"
bin=$build/tests/helper
rm -rf "$bin"
mkdir -p "$bin" || bail 'cannot write to build/tests'
cd "$top" || exit 1

# gcc-multilib has the kernel headers for 32 bits, but conflicts with the cross
# compilers. The headers in build/ serve both.
asm="-isystem $build/headers/x86_64/include"

# build_one NAME COMPILER...: two objects of tests/helper.c, as one program.
# shellcheck disable=SC2317 # works calls it
build_one() {
	name=$1
	shift
	# Link with the C compiler: clang++ and g++ would need the C++ library.
	link=${1%++}
	[ "$link" != g ] || link=gcc
	m32=
	case " $* " in *' -m32 '*) m32='-m32' ;; esac
	# shellcheck disable=SC2086 # words
	"$@" ${m32:+$asm} -O2 -Wall -Wextra -Werror -pthread -DSECOND -c -o "$tmp/second.o" tests/helper.c &&
		"$@" ${m32:+$asm} -O2 -Wall -Wextra -Werror -pthread -c -o "$tmp/main.o" tests/helper.c &&
		"$link" $m32 -static -pthread -o "$bin/$name" "$tmp/main.o" "$tmp/second.o"
}

while read -r name command; do
	# shellcheck disable=SC2086 # words
	works "compiles, and links: $command" build_one "$name" $command
done <<'END'
gcc gcc -std=gnu11
gcc-c99 gcc -std=c99 -pedantic-errors
gcc-c2x gcc -std=gnu2x
clang clang -std=gnu11
clang-c99 clang -std=c99 -pedantic-errors
g++-11 g++ -x c++ -std=c++11
g++-20 g++ -x c++ -std=c++20
clang++-11 clang++ -x c++ -std=c++11
clang++-20 clang++ -x c++ -std=c++20
gcc-32 gcc -m32
clang-32 clang -m32
g++-32 g++ -m32 -x c++
END

# It compiles by itself, or names the macro that is missing.
for std in c99 gnu11; do
	printf '#define _DEFAULT_SOURCE\n#include "guard_pages.h"\n#include "guard_pages.h"\nint x;\n' >"$tmp/alone.c"
	works "alone, twice, -std=$std" \
		gcc -std=$std -Wall -Wextra -Wconversion -Werror -Iinclude -c -o "$tmp/alone.o" "$tmp/alone.c"
done
printf '#include "guard_pages.h"\nint x;\n' >"$tmp/strict.c"
! gcc -std=c99 -Iinclude -c -o "$tmp/strict.o" "$tmp/strict.c" 2>"$out" &&
	grep -q '#error "guard_pages.h: define _DEFAULT_SOURCE' "$out"
verdict $? '-std=c99 without _DEFAULT_SOURCE: says what to define'

# results WHAT STATUS FILE: prints the results of the programs in FILE as TAP of ours.
results() {
	perl -ne '
		BEGIN { $what = shift }
		sub ended {
			return unless defined $program;
			my $well = defined $status && $status <= 1 && defined $plan && $plan == $seen;
			printf "%sok - %s, %s: ran all its tests\n", $well ? "" : "not ", $what, $program;
			undef $program;
		}
		if (/^program (.*)/) { ended(); ($program, $plan, $seen, $status) = ($1, undef, 0, undef); $programs++ }
		elsif (/^status (\d+)/) { $status = $1; ended() }
		elsif (/^1\.\.(\d+)/) { $plan = $1 }
		elsif (/^(not )?ok \d+ - (.*)/) { $seen++; printf "%sok - %s, %s: %s\n", $1 // "", $what, $program, $2 }
		else { print /^#/ ? $_ : "# $_" }
		END { ended(); printf "not ok - %s: programs were run\n", $what unless $programs }
	' "$1" "$3" >"$tmp/results"
	cat "$tmp/results"
	bad=$(grep -c '^not ok' "$tmp/results")
	count=$((count + $(grep -cE '^(not )?ok' "$tmp/results")))
	failed=$((failed + bad))
	echo "status $2; 240 and above: see vm/run --help" >"$out"
	[ "$2" = 0 ]
	verdict $? "$1: ended by itself, without a kernel complaint"
}

run_in() { # IMAGE ARGUMENTS
	image=$1
	shift
	vm/run -q --image "$image" --timeout 1200 -- tests/helper.t "$@" \
		"$bin/gcc" "$bin/clang++-20" "$bin/gcc-32" >"$tmp/said" 2>"$tmp/err" </dev/null
	status=$?
	sed 's/^/# /' "$tmp/err"
}
if [ -n "$without" ]; then
	run_in x86_64-base guest-both
	sed '/^kernel without$/,$d' "$tmp/said" >"$tmp/with"
	sed '1,/^kernel without$/d' "$tmp/said" >"$tmp/without"
	results x86_64-base $status "$tmp/with"
	results 'without guards' $status "$tmp/without"
else
	run_in x86_64-base guest poison
	results x86_64-base $status "$tmp/said"
	run_in x86_64-base-unpatched guest fallback
	results 'without guards' $status "$tmp/said"
fi

here=$("$bin/gcc" which)
echo "# this machine's kernel, $(uname -r): $here"
sh tests/helper.t guest "$here" "$bin/gcc" "$bin/g++-11" >"$tmp/said" 2>&1
results 'this machine' $? "$tmp/said"
sh tests/helper.t guest none "$bin/gcc" >"$tmp/said" 2>&1
results 'this machine, as if without guards' $? "$tmp/said"

done_testing
