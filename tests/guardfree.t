#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# guardfree's own tests, guardfree/tests/run: on the running kernel if it has guard pages,
# and in the guest. The guest runs all of them if the running kernel cannot, else only
# those that depend most on the kernel. Each is a test here.
set -u
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/lib.sh"
cd "$top" || exit 1

need_tools make gcc g++ musl-gcc python3
make -s -C guardfree tests >"$out" 2>&1
verdict $? 'guardfree: library, command and tests are built'
[ "$failed" = 0 ] || done_testing

if build/guardfree/guardfree -o method=guard -o verbose=1 /bin/true 2>&1 |
	grep -q 'guards by MADV_GUARD_POISON'; then
	tests_in native guardfree/tests/run native
	how=brief
else
	how=guest
	skip 'native' "the running kernel has no guard pages"
fi
need_image x86_64-base
tests_in guest vm/run -q --image "${IMAGE:-x86_64-base}" --mem 3G --timeout 2400 -- \
	guardfree/tests/run $how
done_testing
