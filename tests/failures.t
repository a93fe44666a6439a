#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Runs tests/failures/failures.c in the guest: POISON without memory, with signals, at
# limits, as far as that needs no fault injection. soak-debug.t has allocations fail one
# by one. IMAGE is the kernel (x86_64-base).
set -u
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/lib.sh"
need_image "${IMAGE:-x86_64-base}"
cd "$top" || exit 1

build_programs failures >"$out" 2>&1 || bail "tests/failures does not compile: $(head -n 1 "$out")"

# shellcheck disable=SC2086 # words
vm/run -q --image "${IMAGE:-x86_64-base}" --cpus 2 --mem 1G \
	${FAILURES_APPEND:+--append "$FAILURES_APPEND"} --timeout "${FAILURES_TIMEOUT:-600}" -- \
	tests/failures/guest build/tests/bin/failures \
	${FAILURES:-memcg killed waits fatal fatal-populated signal limits overcommit}
status=$?
[ $status = 0 ] || echo "# vm/run: status $status"
exit $status
