#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# POISON makes the other CPUs flush their TLBs no more often than MADV_DONTNEED of the
# same memory does, and no more of their TLBs: tests/flushes.c in a guest with 8 CPUs.
# IMAGE is the kernel (x86_64-base), CALLS (8) how many calls are counted of each kind.
set -u
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/lib.sh"
need_tools gcc make perl
need_image "${IMAGE:-x86_64-base}"

works 'tests/flushes.c compiles' build_programs flushes
[ "$failed" = 0 ] || done_testing
guest_tap 'flushes' "$top/vm/run" -q --image "${IMAGE:-x86_64-base}" --cpus 8 --timeout 1200 -- \
	"$build/tests/bin/flushes" "${CALLS:-8}"
done_testing
