#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Other people's tests in the guest: stress-ng's stressors of memory (tests/others/list),
# trinity with the memory system calls, and a program that goes through a list of
# advice as stress-ng's madvise does, but with values 102 and 103 in it. None may
# make the kernel complain, or do worse than on the unpatched kernel. OTHERS_SECONDS
# (10) is for each.
set -u
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/lib.sh"
need_tools stress-ng trinity setpriv
need_image x86_64-base x86_64-base-unpatched
cd "$top" || exit 1

bin=build/tests/others
mkdir -p $bin || exit 1
works 'tests/others compiles' build_programs advise
[ "$failed" = 0 ] || done_testing

boot() {
	echo "# vm/run --image $1"
	vm/run -q --image "$1" --cpus 2 --numa 2 --mem 1G --swap 256M --timeout 3600 -- \
		tests/others/guest "${OTHERS_SECONDS:-10}" tests/others/list build/tests/bin/advise \
		>$bin/"$1.log" 2>"$out"
	verdict $? "$1: the guest came to the end, and its kernel had nothing to say"
}
boot x86_64-base-unpatched
boot x86_64-base

grep -v '^===' $bin/x86_64-base.log
sed -n 's/^=== //p' $bin/x86_64-base.log | while read -r name status; do
	was=$(sed -n "s/^=== $name //p" $bin/x86_64-base-unpatched.log)
	echo "$name $status ${was:-none}"
done >"$tmp/all"
[ -s "$tmp/all" ] || bail 'no program came to its end'
while read -r name status was; do
	grep "^# $name" $bin/x86_64-base.log >"$out"
	echo "status $status; $was on the unpatched kernel" >>"$out"
	if [ "$status" = 0 ]; then
		ok "$name"
	elif [ "$name" = advise ]; then
		not_ok "$name"
	elif [ "$status" = "$was" ]; then
		ok "$name: status $status on both kernels"
	else
		not_ok "$name: no worse than on the unpatched kernel"
	fi
done <"$tmp/all"
done_testing
