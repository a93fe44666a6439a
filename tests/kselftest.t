#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# The series' own selftest, guard-*.c, in the guest: built by the kernel's rules
# against the exported headers, then again as 32-bit programs, whose system calls
# take the compat entries. One boot runs all the programs. Each of their tests is one
# here.
#
# PROGRAMS32 has the 32-bit programs to run: by default those that test what differs for
# them, which is arguments, the readers of the entries, and core dumps. "all", as in
# `make soak`, runs all; the kernel code behind the entries is the same.
set -u
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/lib.sh"
need_tree
need_tools gcc make perl
need_image x86_64-base
[ -e "$build/headers/x86_64/include/linux/mman.h" ] || bail "there are no build/headers: run 'make headers'"
programs=$(kselftest_programs) || bail 'the series has no tools/testing/selftests/mm/guard-*.c'

programs32=${PROGRAMS32:-guard-calls guard-seen guard-dump}
src=$build/tests/selftests-series
bin=$build/tests/kselftest
selftests series "$src" || bail 'cannot extract the selftests from build/linux'
works 'headers: MADV_GUARD_POISON is exported' \
	grep -rqw MADV_GUARD_POISON "$build/headers/x86_64/include/asm-generic"

guest() { # NAME DIR
	echo "# $1: vm/run --image x86_64-base"
	guest_tap "$1" "$top/vm/run" -q --image x86_64-base --swap 512M --timeout 2400 -- \
		"$2/each" "$2/programs"
}

# In run_vmtests.sh, every program is in the category madv_guard, and it has no others.
sed -n 's,^CATEGORY="madv_guard" run_test \./,,p' "$src/tools/testing/selftests/mm/run_vmtests.sh" |
	sort >"$tmp/category"
echo "$programs" | sort | diff - "$tmp/category" >"$out"
verdict $? 'run_vmtests.sh -t madv_guard runs all programs'
works 'all programs build by the rules of selftests/mm' kselftest_build "$src" "$bin"
[ ! -e "$bin/programs" ] || guest '64-bit' "$bin"

if ! grep -qx CONFIG_IA32_EMULATION=y "$build/images/x86_64-base/config"; then
	skip '32-bit: the compat system calls' 'the image has no CONFIG_IA32_EMULATION'
elif ! echo 'int main(void) { return 0; }' | gcc -m32 -x c -o "$tmp/program32" - 2>"$out"; then
	not_ok "32-bit: gcc -m32 works: run 'make deps'"
else
	# Static: whatever libraries the host has to run it. Large files: addresses are
	# offsets in /proc/PID/mem, and half of them would be negative.
	works '32-bit: all programs build' kselftest_build "$src" "$bin/32" \
		'gcc -m32 -static -D_FILE_OFFSET_BITS=64'
	if [ -e "$bin/32/programs" ]; then
		# shellcheck disable=SC2086 # a list
		[ "$programs32" = all ] || printf '%s\n' $programs32 >"$bin/32/programs"
		guest '32-bit' "$bin/32"
	fi
fi

done_testing
