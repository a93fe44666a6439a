#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# POISON holds, and always ends, while other threads fault in the same range. Runs
# tests/faulters.c in the guest: alone, with fork, with swap, with huge pages.
# ROUNDS is the number of rounds (1000; make soak uses 10000). If more CPUs spin than
# the host has, 12000 in all take half an hour.
set -u
cd "$(dirname "$0")/.." || exit 1

# In the guest, run all four, even if one fails.
if [ "${1:-}" = guest ]; then
	status=0
	for mode in plain fork swap huge; do
		build/tests/faulters "$mode" "$2" || status=1
	done
	exit $status
fi

echo 1..4
mkdir -p build/tests || exit 1
if ! cc -O2 -static -pthread -Wall -Wextra -Werror -o build/tests/faulters.new \
	tests/faulters.c; then
	echo 'Bail out! tests/faulters.c does not compile'
	exit 1
fi
mv build/tests/faulters.new build/tests/faulters || exit 1
: "${ROUNDS:=1000}"
exec vm/run -q --image "${IMAGE:-x86_64-base}" --swap 256M --timeout $((1200 + ROUNDS / 4)) -- \
	tests/faulters.t guest "$ROUNDS"
