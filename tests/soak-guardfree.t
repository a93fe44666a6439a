#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Ten minutes (SECONDS_OF_STORM) of allocations at random in many threads, with
# forks, under guardfree: guardfree/tests/storm.c, in the guest, and on the
# running kernel where it has guard pages. SEED repeats one.
set -u
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/lib.sh"
cd "$top" || exit 1

need_tools make gcc g++ musl-gcc
make -s -C guardfree tests >"$out" 2>&1
verdict $? 'guardfree: library, command and tests are built'
[ "$failed" = 0 ] || done_testing
: "${SECONDS_OF_STORM:=600}" "${SEED:=$(date +%s)}"
echo "# seed $SEED"

# storm WHAT COMMAND...
storm() {
	what=$1
	shift
	"$@" "$SECONDS_OF_STORM" 8 "$SEED" >"$out" 2>&1
	status=$?
	grep '^storm:' "$out" | sed 's/^/# /'
	[ "$status" = 0 ] && grep -q ' 0 failures$' "$out" && ! grep -q Sanitizer "$out"
	verdict $? "$what, seed $SEED"
}

gf=build/guardfree/guardfree
if $gf -o method=guard -o verbose=1 /bin/true 2>&1 | grep -q 'guards by MADV_GUARD_POISON'; then
	storm 'native storm' $gf build/guardfree/tests/storm
else
	skip 'native storm' 'the running kernel has no guard pages'
fi
need_image x86_64-base
storm 'guest: storm' vm/run -q --image x86_64-base --cpus 2 --mem 3G \
	--timeout $((SECONDS_OF_STORM + 600)) -- $gf build/guardfree/tests/storm
storm 'guest: storm, frees in batches, one arena' vm/run -q --image x86_64-base --cpus 2 --mem 3G \
	--timeout $((SECONDS_OF_STORM + 600)) -- $gf -o batch=32 -o arenas=1 -o quarantine=4m \
	build/guardfree/tests/storm
storm 'guest: storm with musl' vm/run -q --image x86_64-base --cpus 2 --mem 3G \
	--timeout $((SECONDS_OF_STORM + 600)) -- build/guardfree/tests/storm.musl
done_testing
