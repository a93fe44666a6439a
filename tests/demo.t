#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Runs the demonstration in the guest: each of its facts must hold. On a kernel without
# guards it must print one line that says so, and nothing else.
set -u
cd "$(dirname "$0")/.." || exit 1
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT

n=0
ok() { # ok STATUS-OF-THE-CHECK what
	n=$((n + 1))
	if [ "$1" -eq 0 ]; then
		echo "ok $n - $2"
	else
		echo "not ok $n - $2"
		sed 's/^/# /' "$tmp/out" | tail -n 80
	fi
}
holds() { "$@" > /dev/null 2>&1; echo $?; }

echo 1..7
status=0
demo/run > "$tmp/out" 2>&1 || status=$?
ok "$status" 'demo/run ends well'
ok "$(holds grep -q '^demo: [0-9]* facts shown, all as the contract says' "$tmp/out")" \
	'guard-demo: every fact holds'
ok "$(holds grep -q '^demo: threads: [0-9]* facts shown, all as the contract says' "$tmp/out")" \
	'threads: every fact holds'
ok "$(holds grep -q '^demo: mappings: [0-9]* facts shown, all as the contract says' "$tmp/out")" \
	'mappings: every fact holds'
ok "$(holds grep -q 'guards made  *1,048,576' "$tmp/out")" 'a million guards were made'

status=0
demo/run --image x86_64-base-unpatched > "$tmp/out" 2>&1 || status=$?
ok "$(holds [ "$status" -eq 2 ])" 'on a kernel without guards the status is 2'
ok "$(holds [ "$(grep -c 'lacks MADV_GUARD_POISON' "$tmp/out")" -eq 1 ])" \
	'and it says so once'
