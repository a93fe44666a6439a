#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# `make tools` and `make install` give a user all tools and headers, and these work from
# there. tests/visible.t and tests/demo.t test the programs themselves.
set -u
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/lib.sh"
need_tools make gcc g++
cd "$top" || exit 1
root=$tmp/root

works 'make tools' make -s tools
works 'make install, with DESTDIR and prefix' make -s install DESTDIR="$root" prefix=/opt/guard
(cd "$root" && find . -type f) | sort >"$tmp/have"
{
	printf './opt/guard/%s\n' bin/guards lib/stackguard.so share/guard-pages/segv.py
	for patch in tools/*.patch; do
		echo "./opt/guard/share/guard-pages/${patch##*/}"
	done
	for header in include/*.h; do
		echo "./opt/guard/$header"
	done
} | sort >"$tmp/want"
diff "$tmp/want" "$tmp/have" >"$out"
verdict $? 'it installs tools and headers, and nothing else'

for header in "$root"/opt/guard/include/*.h; do
	name=${header##*/}
	printf '#define _GNU_SOURCE\n#include <%s>\nint main(void) { return 0; }\n' "$name" >"$tmp/program.c"
	works "$name compiles alone, as C" \
		gcc -std=c99 -pedantic -Wall -Wextra -Werror -pthread -I"$root/opt/guard/include" -o "$tmp/program" "$tmp/program.c"
	works "$name compiles alone, as C++" \
		g++ -x c++ -U_GNU_SOURCE -std=c++11 -pedantic -Wall -Wextra -Werror -pthread -I"$root/opt/guard/include" -o "$tmp/program" "$tmp/program.c"
done

# On a kernel without guards it says so, with status 2.
"$root/opt/guard/bin/guards" self >"$out" 2>&1
status=$?
{ [ $status = 0 ] && tail -n 1 "$out" | grep -q '^[0-9]* guards, [0-9]* kB, in '; } ||
	{ [ $status = 2 ] && [ "$(wc -l <"$out")" = 1 ]; }
verdict $? 'guards runs from there'
"$root/opt/guard/bin/guards" >"$out" 2>&1
[ $? = 1 ] && [ "$(wc -l <"$out")" = 1 ] && grep -q '^usage: ' "$out"
verdict $? 'guards without an argument prints its usage'
STACKGUARD_VERBOSE=1 LD_PRELOAD="$root/opt/guard/lib/stackguard.so" \
	python3 -c 'import threading; t = threading.Thread(target=print); t.start(); t.join()' >"$out" 2>&1
grep -qE '^stackguard: ([01]) threads guarded by poison, [01] by PROT_NONE, 0 not; at most 1 at once' "$out"
verdict $? 'stackguard.so guards the thread of a program'

done_testing
