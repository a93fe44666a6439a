#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Runs the race storm in the guest, after a check that it finds faulty imitations of the
# calls; see docs/testing.md. It takes STORM_SECONDS (30) for each of STORM_SEEDS ("1").
# IMAGE is the kernel (x86_64-base).
set -u
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/lib.sh"
need_image "${IMAGE:-x86_64-base}"
cd "$top" || exit 1

build_programs storm >"$out" 2>&1 || bail "tests/storm does not compile: $(head -n 1 "$out")"

# shellcheck disable=SC2086 # seeds are words
vm/run -q --image "${IMAGE:-x86_64-base}" --cpus 2 --numa 2 --mem 1G --swap 256M \
	${STORM_APPEND:+--append "$STORM_APPEND"} --timeout "${STORM_TIMEOUT:-600}" -- \
	tests/storm/guest build/tests/bin/storm "${STORM_SECONDS:-30}" \
	${STORM_ONLY:+only} ${STORM_SEEDS:-1}
status=$?
[ $status = 0 ] || echo "# vm/run: status $status"
exit $status
