#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# POISON looks for a page table a fixed number of times, however often others take the
# table away by collapsing the file: tests/passes.c in the guest.
# IMAGE is the kernel (x86_64-base), CALLS (200) how many calls are made at least.
set -u
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/lib.sh"
need_tools gcc make perl
need_image "${IMAGE:-x86_64-base}"

works 'tests/passes.c compiles' build_programs passes
[ "$failed" = 0 ] || done_testing
guest_tap 'passes' "$top/vm/run" -q --image "${IMAGE:-x86_64-base}" --cpus 2 --timeout 600 -- \
	"$build/tests/bin/passes" "${CALLS:-200}"
done_testing
