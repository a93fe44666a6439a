#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# POISON holds, and always ends, while other threads fault in the same range. Runs
# tests/faulters.c in the guest: alone, with fork, with swap, with huge pages.
# ROUNDS is the number of rounds (1000; make soak uses 10000). If more CPUs spin than
# the host has, 12000 in all take half an hour.
set -u
# In the guest, run all four, even if one fails.
if [ "${1:-}" = guest ]; then
	status=0
	for mode in plain fork swap huge; do
		"$2" "$mode" "$3" || status=1
	done
	exit $status
fi

# shellcheck source=tests/lib.sh
. "$(dirname "$0")/lib.sh"
need_image "${IMAGE:-x86_64-base}"
cd "$top" || exit 1
: "${ROUNDS:=1000}"
build_programs faulters >"$out" 2>&1 || bail "tests/faulters.c does not compile: $(head -n 1 "$out")"
echo 1..4
exec vm/run -q --image "${IMAGE:-x86_64-base}" --swap 256M --timeout $((1200 + ROUNDS / 4)) -- \
	tests/faulters.t guest build/tests/bin/faulters "$ROUNDS"
