#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# In the debug kernel (KASAN, PROVE_LOCKING, DEBUG_VM, PAGE_TABLE_CHECK, kmemleak):
# each allocation that a POISON makes fails, one after the other; then the other
# failures, the selftest, the model checker and the storm. Nothing may make the
# kernel complain, and kmemleak must find nothing. DEBUG_ONLY names parts (inject
# failures kselftest model storm), STORM_SECONDS (300) is for the storm, MODEL
# (arguments) for the model checker.
set -u
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/lib.sh"
debug=x86_64-debug
[ -s "$build/images/$debug/kernel" ] ||
	bail "there is no image $debug: run 'make kernel CONFIG=debug'"
cd "$top" || exit 1
need_tree
parts=${DEBUG_ONLY:-inject failures kselftest model storm}
place=build/tests/debug
mkdir -p $place || bail "cannot make $place"

wanted() {
	case " $parts " in *" $1 "*) ;; *) return 1 ;; esac
}

# guest NAME SECONDS COMMAND...: its TAP, numbered on from ours; its status and
# the kernel's silence are one more. kmemleak has the last word.
guest() {
	name=$1 limit=$2
	shift 2
	echo "# --- $name"
	{
		vm/run -q --image $debug --cpus 2 --numa "${NUMA:-1}" --mem "${MEM:-2G}" --swap 512M \
			--append 'panic_on_warn=1 kmemleak=on hung_task_panic=1' --timeout "$limit" -- \
			tests/failures/debug "$@" </dev/null
		echo $? >"$tmp/status"
	} 2>&1 | tee "$build/tests/debug-$name.log" | perl -ne '
		BEGIN { $| = 1 }
		if (/^\s*1\.\.\d+/) { next }
		if (/^(not ok|ok)\b *\d* *-? *(.*)/) { print "$1 - '"$name"': $2\n"; next }
		s/^(?!#)/# /; print;' >"$tmp/tap"
	cat "$tmp/tap"
	new=$(grep -c '^ok ' "$tmp/tap") bad=$(grep -c '^not ok ' "$tmp/tap")
	count=$((count + new + bad)) failed=$((failed + bad))
	cp "$tmp/tap" "$out"
	[ "$(cat "$tmp/status")" = 0 ] && [ "$new" -gt 0 ]
	verdict $? "$name: all of it passed, the kernel had nothing to say, kmemleak nothing to report"
}

works 'tests/failures compiles' build_programs failures
works 'tests/storm compiles' build_programs storm
if wanted kselftest; then
	selftests series "$build/tests/selftests-series" || bail 'cannot extract the selftests from build/linux'
	works 'the selftest compiles' kselftest_build "$build/tests/selftests-series" "$top/$place" 'cc -static'
fi
! wanted model || works 'the model checker compiles' \
	make -s -C tests/model O="$top/$place/model" "$top/$place/model/model"
[ "$failed" = 0 ] || done_testing

! wanted inject || guest inject 3600 \
	tests/failures/guest build/tests/bin/failures inject
! wanted failures || guest failures 3600 tests/failures/guest build/tests/bin/failures \
	memcg killed waits fatal fatal-populated signal limits overcommit
# The test that is left out makes 65,530 VMAs; DEBUG_VM_MAPLE_TREE checks all of them at
# each mprotect().
if wanted kselftest; then
	skip 'kselftest: dump.*.segments_are_bounded' 'not done after six minutes with DEBUG_VM_MAPLE_TREE'
	guest kselftest 7200 $place/each $place/programs -T segments_are_bounded
fi
# shellcheck disable=SC2086 # words
! wanted model || guest model 7200 $place/model/model ${MODEL:-}
! wanted storm || NUMA=2 guest storm $((${STORM_SECONDS:-300} * 3 + 1800)) \
	tests/storm/guest build/tests/bin/storm "${STORM_SECONDS:-300}" only 21
done_testing
