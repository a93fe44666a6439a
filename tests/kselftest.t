#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# The series' own selftest, guard-pages, in the guest: built by the kernel's
# rules against the exported headers, then again as a 32-bit program, whose
# system calls take the compat entries. Each of its tests is one here.
set -u
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/lib.sh"
need_tree
need_tools gcc make perl
need_image x86_64-base
[ -e "$build/headers/x86_64/include/linux/mman.h" ] || bail "there are no build/headers: run 'make headers'"
git -C "$tree" cat-file -e series:tools/testing/selftests/mm/guard-pages.c 2>/dev/null ||
	bail 'the series has no tools/testing/selftests/mm/guard-pages.c'

src=$build/tests/selftests-series
bin=$build/tests/kselftest
selftests series "$src" || bail 'cannot extract the selftests from build/linux'
works 'headers: MADV_GUARD_POISON is exported' \
	grep -rqw MADV_GUARD_POISON "$build/headers/x86_64/include/asm-generic"

guest() { # NAME PROGRAM
	echo "# $1: vm/run --image x86_64-base"
	guest_tap "$1" "$top/vm/run" -q --image x86_64-base --swap 512M --timeout 2400 -- "$2"
}

works 'guard-pages builds by the rules of selftests/mm' selftest_make "$src" "$bin" "$bin/guard-pages"
if [ -x "$bin/guard-pages" ]; then
	guest '64-bit' "$bin/guard-pages"
fi

if ! grep -qx CONFIG_IA32_EMULATION=y "$build/images/x86_64-base/config"; then
	skip '32-bit: the compat system calls' 'the image has no CONFIG_IA32_EMULATION'
elif ! echo 'int main(void) { return 0; }' | gcc -m32 -x c -o "$tmp/program32" - 2>"$out"; then
	not_ok "32-bit: gcc -m32 works: run 'make deps'"
else
	# Static: whatever libraries the host has to run it. Large files: addresses are
	# offsets in /proc/PID/mem, and half of them would be negative.
	works '32-bit: guard-pages builds' selftest_make "$src" "$bin/32" \
		CC='gcc -m32 -static -D_FILE_OFFSET_BITS=64' "$bin/32/guard-pages"
	[ ! -x "$bin/32/guard-pages" ] || guest '32-bit' "$bin/32/guard-pages"
fi

done_testing
