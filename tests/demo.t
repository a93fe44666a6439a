#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Runs the demonstration in the guest: each of its facts must hold. On a kernel without
# guards it must print one line that says so, and nothing else.
set -u
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/lib.sh"
need_image x86_64-base ${WITHOUT:+x86_64-base-unpatched}
cd "$top" || exit 1
works 'tests/without.c compiles' build_programs without

shows() { # NAME REGEX
	grep -q "$2" "$tmp/said"
	status=$?
	tail -n 40 "$tmp/said" >"$out"
	verdict $status "$1"
}
demo/run >"$tmp/said" 2>&1
status=$?
tail -n 40 "$tmp/said" >"$out"
verdict $status 'demo/run ends well'
shows 'guard-demo: every fact holds' '^demo: [0-9]* facts shown, all as the contract says'
shows 'threads: every fact holds' '^demo: threads: [0-9]* facts shown, all as the contract says'
shows 'mappings: every fact holds' '^demo: mappings: [0-9]* facts shown, all as the contract says'
shows 'fibers: every fact holds' '^demo: fibers: [0-9]* facts shown, all as the contract says'
shows 'reservations: every fact holds' '^demo: reservations: [0-9]* facts shown, all as the contract says'
shows 'a million guards were made' 'guards made  *1,048,576'

if [ -n "$without" ]; then
	vm/run -q --mem 2G -- "$without" demo/guest >"$out" 2>&1 </dev/null
else
	demo/run --image x86_64-base-unpatched >"$out" 2>&1
fi
status=$?
[ $status = 2 ]
verdict $? 'on a kernel without guards the status is 2'
[ "$(grep -c 'lacks MADV_GUARD_POISON' "$out")" = 1 ]
verdict $? 'and it says so once'
done_testing
