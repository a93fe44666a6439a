#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Runs the base's other selftests of mm (tests/neighbours.list): what passes on the
# unpatched kernel must pass with the series. Each program is a test here, which fails if
# its exit status or any of its results is worse on the patched kernel, and is skipped if
# the program can run on neither.
#
# The results on the unpatched kernel are in records/neighbours, a file for each version of
# the source, which `tests/neighbours.t --record` writes. For another version, or with
# RECORDS=, the test builds the unpatched kernel and boots both.
set -u
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/lib.sh"
need_tree
need_tools gcc make perl
DEBVER=''
# shellcheck disable=SC1091 # kernel/fetch writes it
. "$build/base.env" || bail "there is no build/base.env: run 'make tree'"
records=${RECORDS-records/neighbours}
record=$top/${records:-none}/$DEBVER.tsv
if [ "${1:-}" = --record ]; then
	[ -n "$DEBVER" ] || bail 'the source is a checkout of your own, which has no version to record: KVER=newest make tree'
elif [ -n "$DEBVER" ] && [ -n "$records" ] && [ -s "$record" ]; then
	need_image x86_64-base
else
	record=''
	need_image x86_64-base
fi
if [ "${1:-}" = --record ] || [ -z "$record" ]; then
	"$top/kernel/build" --unpatched >&2 || bail 'the unpatched kernel does not build: see above'
fi
[ -e "$build/headers/x86_64/include/linux/mman.h" ] || bail "there are no build/headers: run 'make headers'"

list=$top/tests/neighbours.list
src=$build/tests/selftests-base
bin=$build/tests/neighbours
selftests base "$src" || bail 'cannot extract the selftests from build/linux'
programs=$(sed -n 's/^[^#|]*|[^|]*|[^|]*|.*\.\/\([a-z0-9A-Z_-]*\).*/\1/p' "$list" | sort -u)
# Shorten it from 20 s, and let it run with two CPUs. While one emulated CPU waits for
# the host, it may hold a page that the other tries to move: 100 tries are too few.
f=$src/tools/testing/selftests/mm/migration.c
grep -q '^#define MAX_RETRIES 10000' "$f" ||
	sed -i 's/^#define RUNTIME.*/#define RUNTIME (3)/; s/numa_num_task_cpus() - 1/numa_num_task_cpus()/
		s/^#define MAX_RETRIES.*/#define MAX_RETRIES 10000/' "$f"
grep -q '^#define MAX_RETRIES 10000' "$f" || bail "no MAX_RETRIES in migration.c"
# 2,000 rounds instead of 10,000; its bug showed after 1,000.
f=$src/tools/testing/selftests/mm/hugetlb_fault_after_madv.c
sed -i 's/^\tint max = 10000;/\tint max = 2000;/' "$f"
grep -q 'int max = 2000;' "$f" || bail "no max of 10000 in hugetlb_fault_after_madv.c"
# On a busy machine 30 s are too short, and if a test is killed, the base's own driver
# for hmm's tests crashes the kernel.
f=$src/tools/testing/selftests/kselftest_harness.h
sed -i 's/^#define TEST_TIMEOUT_DEFAULT 30.*/#define TEST_TIMEOUT_DEFAULT 300/' "$f"
grep -q '^#define TEST_TIMEOUT_DEFAULT 300' "$f" || bail "no TEST_TIMEOUT_DEFAULT of 30 in kselftest_harness.h"
# A backported test lacks an include.
f=$src/tools/testing/selftests/mm/khugepaged.c
! grep -q KSFT_SKIP "$f" || grep -q 'include.*kselftest.h' "$f" ||
	sed -i '1,/#include "vm_util.h"/s/#include "vm_util.h"/#include "..\/kselftest.h"\n&/' "$f"
# shellcheck disable=SC2046 # names without blanks
works 'the unpatched source'"'"'s selftests build' \
	selftest_make "$src" "$bin" -k -j2 $(echo "$programs" | sed "s|^|$bin/|")

# boot IMAGE LIST: writes the output to build/tests/neighbours/IMAGE.log.
boot() {
	mkdir -p "$bin"
	rm -f "$bin/$1.log"
	echo "# vm/run --image $1"
	"$top/vm/run" -q --image "$1" --append numa=fake=2 --swap 512M --timeout 1100 -- \
		"$top/tests/neighbours.guest" "$2" "$bin" </dev/null >"$tmp/log" 2>"$out"
	status=$?
	mv "$tmp/log" "$bin/$1.log" || exit 1
	tail -n 5 "$bin/$1.log" >>"$out"
	verdict $status "$1: the guest came to the end${3:-}, without a kernel complaint"
}

# results IMAGE: prints lines "PROGRAM TAB RESULT TAB NAME" with RESULT 2 (ok), 1
# (skipped), 0 (not ok), and "PROGRAM TAB exit STATUS TAB its last message".
results() {
	perl -ne '
		if (/^=== begin (\S+)/) { $p = $1; $run = $last = ""; %n = (); next }
		if (/^=== end (\S+) (\d+)/) { print "$1\texit $2\t$last\n"; undef $p; next }
		next unless defined $p;
		chomp; s/.*\r(?=.)//; s/\r//g; s/\t/ /g; s/\e\[[0-9;]*m//g;
		s/ +$//;
		$last = $_ if /[a-z]/i && !/^# +(Totals|PASSED|FAILED|OK|RUN) *|^[0-9.]+$/;
		my ($r, $name);
		# Some, such as cow, use the same names for all cases.
		if (/^#? ?\[RUN\] (.*)/ || /^Run test: (.*)/) { $run = "$1: "; next }
		if (/^not ok\b *\d* *-? *(.*)/) { $r = 0; $name = $1 }
		elsif (/^ok\b *\d* *-? *(.*?) *# *SKIP\b/i) { $r = 1; $name = $1; $last = $1 if /# *SKIP:? +(.+)/i }
		elsif (/^ok\b *\d* *-? *(.*)/) { $r = 2; $name = $1 }
		elsif (/^(.*?)\.\.\. *(OK|done|pass|success)\b/i) { $r = 2; $name = $1 }
		elsif (/^(.*?)\.\.\. *skip/i) { $r = 1; $name = $1 }
		elsif (/^(.*?)\.\.\. *(fail|timeout)/i) { $r = 0; $name = $1 }
		elsif (/^\[(OK|PASS|FAIL|SKIP)\] *(.*)/) { $r = $1 eq "FAIL" ? 0 : $1 eq "SKIP" ? 1 : 2; $name = $2 }
		else { next }
		# Remove what differs from run to run: progress, times, addresses, counts.
		$name =~ s/\.+$//;
		$name =~ s/# *SKIP.*//i; $name =~ s/0x[0-9a-f]+/ADDR/gi; $name =~ s/\b\d+(\.\d+)? ?(ns|us|ms|s)\b/TIME/g;
		$name =~ s/\bwith \d+MB\b/with some MB/; $name =~ s/\bcount \d+/count/; $name =~ s/^(transact_test Extra pages).*/$1/;
		$name = $run . $name; $name =~ s/ +$//; $name .= " (" . $n{$name} . ")" if ++$n{$name} > 1;
		print "$p\t$r\t$name\n"' "$bin/$1.log"
}
unpatched=x86_64-base-unpatched
if [ "${1:-}" = --record ]; then
	boot $unpatched "$list"
	[ "$failed" = 0 ] || done_testing
	results $unpatched >"$tmp/was"
	works "all $(grep -cvE '^(#|$)' "$list") programs came to their end" \
		[ "$(grep -c '	exit [0-9]*	' "$tmp/was")" = "$(grep -cvE '^(#|$)' "$list")" ]
	[ "$failed" = 0 ] || done_testing
	mkdir -p "${record%/*}" && {
		echo '# SPDX-License-Identifier: GPL-2.0'
		echo "# Written by tests/neighbours.t --record, $(date -u +%Y-%m-%d): Linux $DEBVER without the series."
		echo '# PROGRAM, RESULT (2 ok, 1 skipped, 0 not ok, or exit STATUS), NAME or last message.'
		sed 's/	*$//' "$tmp/was"
	} >"$record.new" && mv "$record.new" "$record"
	verdict $? "recorded in ${record#"$top/"}"
	done_testing
elif [ -n "$record" ]; then
	grep -v '^#' "$record" >"$tmp/was"
	sed -n 's/^# Written by/# the unpatched kernel:/p' "$record"
else
	boot $unpatched "$list"
	results $unpatched >"$tmp/was"
fi
boot x86_64-base "$list"
results x86_64-base >"$tmp/is"

compare() {
	awk -F '\t' -v program="$1" -v how="$2" '
		function better_exit(s) { return s == 0 ? 2 : s == 4 ? 1 : 0 }
		FNR == 1 { file++ }
		$1 != program { next }
		$2 ~ /^exit/ { status[file] = substr($2, 6); last[file] = $3; ended[file] = 1; next }
		how == "each" { result[file, $3] = $2; if (!($3 in names)) { names[$3]; order[++total] = $3 } }
		END {
			if (!ended[1] && !ended[2]) { print "BAD\tneither guest came to it"; exit }
			if (!ended[2]) { print "BAD\tdid not end on the patched kernel"; exit }
			if (!ended[1]) { print "BAD\thas not ended on the unpatched kernel: nothing to compare with; tests/neighbours.t --record"; exit }
			if (status[2] == 126 || status[2] == 127) { print "BAD\tcannot be run: " last[2]; exit }
			was = better_exit(status[1]); is = better_exit(status[2])
			if (is < was || (status[2] == 124 && status[1] != 124))
				worse = worse "\nexit status " status[1] " before, now " status[2] ": " last[2]
			# A program that was stopped did not get to its later results.
			stopped = (status[1] == 124 && status[2] == 124)
			for (i = 1; i <= total; i++) {
				n = order[i]
				a = ((1, n) in result) ? result[1, n] : -1
				b = ((2, n) in result) ? result[2, n] : -1
				if (a == -1 && b == 0) worse = worse "\nnew and not ok: " n
				else if (b == -1) { if (!stopped) worse = worse "\nis not there any more: " n }
				else if (a != -1 && b < a) worse = worse "\n" (b ? "skipped" : "not ok") ", was " (a == 2 ? "ok" : "skipped") ": " n
				else if (a == 0 && b == 0) { failing++; text = text "\n# not ok on both: " n }
				else if (a == 1 && b == 1) skipping++
				else if (b == 2) well++
			}
			if (worse != "") { print "BAD\t" substr(worse, 2); exit }
			if (stopped && !well) { print "SKIP\ttoo slow here: stopped on both"; exit }
			if ((is < 2 || skipping) && !well) {
				if (is >= 1) print "SKIP\t" (last[2] != "" ? last[2] : "says that it cannot run")
				else print "SKIP\tfails on both (status " status[1] "): " last[2]
				exit
			}
			says = stopped ? "stopped on both" : "status " status[2]
			if (total) {
				says = says "; " (well + 0) " results the same"
				if (skipping) says = says ", " skipping " skipped on both"
				if (failing) says = says ", " failing " not ok on both"
			}
			print "OK\t" says text
		}' "$tmp/was" "$tmp/is" >"$tmp/verdict"
	word=$(head -n 1 "$tmp/verdict" | cut -f 1)
	rest=$(head -n 1 "$tmp/verdict" | cut -f 2- | tr '#' ' ')
}
each_program() {
	grep -vE '^(#|$)' "$list" >"$tmp/list"
	while IFS='|' read -r name _ how _; do
		name=$(echo "$name" | tr -d ' ') how=$(echo "$how" | tr -d ' ')
		compare "$name" "$how"
		"$1"
	done <"$tmp/list"
}

# Some have time limits of their own, or races, and fail now and then on any kernel if
# the machine is busy. So run a program that was worse again, with five times the time.
# shellcheck disable=SC2317 # called by its name
note_worse() {
	[ "$word" != BAD ] || {
		grep "^$name |" "$list" | awk -F '|' '{ OFS = "|"; $2 = " " $2 * 5 " "; print }' >>"$tmp/again"
		cut -f 2- "$tmp/verdict" | sed "s/^/# $name, at first: /"
	}
}
: >"$tmp/again"
each_program note_worse
if [ -s "$tmp/again" ]; then
	cp "$bin/x86_64-base.log" "$bin/x86_64-base.first.log"
	cp "$tmp/again" "$bin/again.list"
	boot x86_64-base "$bin/again.list" ', the second time'
	sed 's/ *|.*//' "$tmp/again" >"$tmp/names"
	awk -F '\t' 'NR == FNR { again[$1]; next } !($1 in again)' "$tmp/names" "$tmp/is" >"$tmp/kept"
	results x86_64-base | cat "$tmp/kept" - >"$tmp/is"
	mv "$bin/x86_64-base.log" "$bin/x86_64-base.second.log"
	mv "$bin/x86_64-base.first.log" "$bin/x86_64-base.log"
fi

# shellcheck disable=SC2317 # called by its name
report() {
	second=''
	! grep -q "^$name |" "$tmp/again" || second=' (the second time)'
	case $word in
	OK)
		ok "$name: $rest$second"
		sed 1d "$tmp/verdict"
		;;
	SKIP) skip "$name" "$rest" ;;
	*)
		cut -f 2- "$tmp/verdict" >"$out"
		not_ok "$name: no worse than on the unpatched kernel$second"
		;;
	esac
}
each_program report

done_testing
