#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# tests/run with made-up tests: whatever dies, hangs or says nothing has failed, and the
# last line counts it.
set -u
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/lib.sh"
need_tools perl timeout
export TESTS="$tmp/tests" BUILD="$tmp/build"
mkdir "$TESTS"
: >"$TESTS/list"

# made TIER NAME COMMANDS [MINUTES]
made() {
	printf '#!/bin/sh\n%s\n' "$3" >"$TESTS/$2.t"
	chmod +x "$TESTS/$2.t"
	echo "$1 $2 ${4:-1}" >>"$TESTS/list"
}

# says NAME STATUS LAST [REGEX]: the status and the last line, and a line with REGEX, of
# the test NAME alone.
says() {
	"$top/tests/run" "$1" >"$out" 2>&1
	status=$?
	[ $status = "$2" ] && [ "$(tail -n 1 "$out")" = "$3" ] && [ "$(cat "$BUILD/tests/result")" = "$3" ] &&
		grep -qE "${4:-.}" "$out"
	verdict $? "$1: $3${4:+, $4}"
}

made check good 'echo "ok - one"; echo "not ok - two # TODO later"; echo "ok 3 - three"; echo 1..3'
made check bad 'echo 1..2; echo "# before"; echo "not ok - wrong"; echo "#   after"; echo "ok - other"; exit 1'
made check skips 'echo 1..2; echo "ok - one"; echo "ok - two # SKIP no hardware"'
made check skips-all 'echo "1..0 # SKIP nothing here"'
made test silent 'exit 0'
made test plan-only 'echo 1..0'
made test no-plan 'echo "ok - one"'
made test short 'echo 1..3; echo "ok - one"'
made test long 'echo 1..1; echo "ok - one"; echo "ok - two"'
made test numbers 'echo 1..2; echo "ok 1 - one"; echo "ok 1 - two"'
made test status 'echo 1..1; echo "ok - one"; exit 3'
# shellcheck disable=SC2016 # the made-up test expands it
made test signal 'echo 1..1; echo "ok - one"; kill -KILL $$'
made test hangs 'echo 1..1; echo "ok - one"; tail -f /dev/null' 0.02
# shellcheck disable=SC2016
made test sets 'echo 1..1; echo "ok - ${WHO:-nobody}"'
made test bails 'echo 1..2; echo "ok - one"; echo "Bail out! no memory"'
echo "soak sets 1 WHO='two words'" >>"$TESTS/list"

says good 0 '3 passed, 0 failed'
says bad 1 '1 passed, 1 failed' '^failed: bad: wrong$'
says bad 1 '1 passed, 1 failed' '^  # before$'
says bad 1 '1 passed, 1 failed' '^  #   after$'
says skips 0 '1 passed, 0 failed' '^skipped: skips: two: no hardware$'
says skips-all 1 '0 passed, 1 failed' '^failed: nothing was tested$'
says silent 1 '0 passed, 1 failed' '^failed: silent: No plan'
says plan-only 1 '0 passed, 1 failed' '^failed: plan-only: printed no verdict$'
says no-plan 1 '1 passed, 1 failed' '^failed: no-plan: No plan'
says short 1 '1 passed, 1 failed' '^failed: short: Bad plan'
says long 1 '1 passed, 2 failed' '^failed: long: Bad plan'
says numbers 1 '2 passed, 1 failed' '^failed: numbers: Tests out of sequence'
says status 1 '1 passed, 1 failed' '^failed: status: ended with status 3$'
says signal 1 '1 passed, 1 failed' '^failed: signal: ended with status 9$'
says bails 1 '1 passed, 1 failed' '^failed: bails: gave up$'
says hangs 1 '1 passed, 1 failed' '^failed: hangs: not done within '
says sets 0 '1 passed, 0 failed'
grep -q '^ok - nobody$' "$BUILD/tests/tap/sets.tap"
verdict $? 'sets: its output is kept'
says soak-sets 0 '1 passed, 0 failed'
grep -q '^ok - two words$' "$BUILD/tests/tap/soak-sets.tap"
verdict $? 'soak-sets: the same test with the settings of the list'
# A row for each test, of its last run; the others stay.
mkdir "$tmp/records"
RECORDS="$tmp/records" "$top/tests/run" --record good status >"$out" 2>&1
RECORDS="$tmp/records" "$top/tests/run" --record good bad >>"$out" 2>&1
sed -n 's/ [0-9-]* | \([0-9]* passed.*\) | [0-9]* min |$/ \1/p' "$tmp/records/runs.md" >"$tmp/rows"
cat "$tmp/records/runs.md" >>"$out"
# shellcheck disable=SC2016 # no command: a cell of the table
printf '| %s | `tests/run %s` | - | %s\n' bad bad '1 passed, 1 failed, 0 skipped' good good '3 passed, 0 failed, 0 skipped' \
	status status '1 passed, 0 failed, 0 skipped; ended with status 3' | cmp -s - "$tmp/rows"
verdict $? '--record: a row for each test, of its last run'

says check 1 '5 passed, 1 failed' '^2 skipped$'
says test 1 '15 passed, 12 failed' '^seconds: .*; in all '
"$top/tests/run" no-such >"$out" 2>&1
[ $? = 2 ] && grep -q '^tests/run: there is no tests/no-such.t' "$out"
verdict $? 'a test that is not there is an error'

awk '!/^#/ { print $2 }' "$top/tests/list" >"$tmp/listed"
for t in "$top"/tests/*.t; do
	# make deb-test and make deb-guardfree-test have them alone.
	case ${t##*/} in deb.t | deb-guardfree.t) continue ;; esac
	basename "$t" .t | grep -vxFf "$tmp/listed"
done >"$out"
silent 'tests/list has each test' "$out"

# A signal ends what runs, and what was not run has failed.
mkfifo "$tmp/up"
made check after 'echo 1..1; echo "ok - one"'
made soak waits "echo 1..1; echo >'$tmp/up'; exec tail -f /dev/null"
"$top/tests/run" waits after >"$out" 2>&1 &
pid=$!
read -r _ <"$tmp/up"
timeout=$(cat "$BUILD/tests/tap/waits.running")
"$top/tests/run" good >"$tmp/second" 2>&1
[ $? = 2 ] && grep -q 'another run is under way' "$tmp/second"
verdict $? 'a second run at the same time is refused'
kill "$pid"
wait "$pid"
[ $? = 130 ] && [ "$(cat "$BUILD/tests/result")" = '0 passed, 2 failed' ] &&
	grep -q '^failed: after: was not run to its end$' "$out" &&
	grep -q '^failed: waits: was not run to its end$' "$out" && ! kill -0 "$timeout" 2>/dev/null
verdict $? 'a signal ends the run and its tests, and counts what was not done'
done_testing
