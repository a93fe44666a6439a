#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# guardfree finds and correctly reports every error of the detection matrix, reports
# nothing for the good twins, and holds a million objects in 16 VMAs. All of it runs
# natively if the kernel has the calls, and then the guest runs only the cases that
# depend most on the kernel. Otherwise the guest runs all. (guardfree/compare/run compares
# guardfree with other tools; this test does not, and measures no time.)
set -u
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/lib.sh"
image=${IMAGE:-x86_64-base}
compare=$top/guardfree/compare

# matrix_ok NAME TSV STATUS REGEX: prints each error that was missed or reported wrongly,
# or whose good twin was reported, and checks that all cases of these names were run.
matrix_ok() {
	awk -F '\t' '
	NR > 1 && ($4 !~ /^(report|late)$/ || $6 != "-") { print $1 ": bad: " $4 ", report: " $6 }
	NR > 1 && $5 != "silent" { print $1 ": good: " $5 }
	END { if (NR < 2) print "no case was run" }' "$2" >"$out"
	want=$(cut -f 1 "$build/guardfree/compare/plain/cases.tsv" | grep -cE "$4")
	[ "$(tail -n +2 "$2" | wc -l)" = "$want" ] ||
		echo "$(tail -n +2 "$2" | wc -l) of $want cases were run" >>"$out"
	[ "$3" = 0 ] || [ -s "$out" ] || echo "status $3" >>"$out"
	[ ! -s "$out" ]
	verdict $? "$1"
}

# scale_ok NAME LINE: pattern, allocated, live at most, frees, VMAs at most, ...
scale_ok() {
	echo "$2" >"$out"
	echo "$2" | awk -F '\t' '
		$8 == "done" && $2 == 1000000 && $3 == 1000000 && $5 <= 16 { ok = 1 }
		END { exit !ok }'
	verdict $? "$1"
}
# With no bytes beside the object to check, guardfree does not touch its page. Otherwise
# a million would take 4 GB.
million='GUARDFREE_OPTIONS=check=0 build/guardfree/guardfree build/guardfree/compare/scale untouched 1000000 600'

# In the guest, run the matrix, print its status, run the scale.
if [ "${1:-}" = guest ]; then
	"$compare/matrix" --tools guardfree-preload --no-stacks --cases "$2"
	echo "status $?"
	eval "$million"
	exit 0
fi

need_tools gcc g++ make
need_image "$image"
make -C "$top/guardfree" >"$out" 2>&1 || { not_ok 'guardfree is built'; done_testing; }
make -C "$compare" cases programs >"$out" 2>&1
verdict $? 'the cases and programs are built'
cases=$(wc -l <"$build/guardfree/compare/plain/cases.tsv")
cd "$top" || bail "cannot enter $top"

some=.
# If the kernel lacks the calls, only the guest is tested.
if "$build/guardfree/compare/has-guards"; then
	"$compare/matrix" --tools guardfree >"$tmp/native.tsv" 2>"$tmp/errors"
	matrix_ok "native: $cases errors found, the stacks are right, $cases good twins in silence" \
		"$tmp/native.tsv" $? .
	# Cases with threads, children, system calls, large objects, page boundaries
	some='thread|child|kernel|large|huge|page|aligned|race|zero|cxx-uaf'
	scale_ok 'native: a million objects live in at most 16 VMAs' "$(eval "$million" 2>&1)"
else
	skip 'native: the matrix' "this kernel has no guard pages"
	skip 'native: a million objects' "this kernel has no guard pages"
fi

"$top/vm/run" -q --image "$image" --cpus 2 --mem 2G --timeout 900 -- \
	"$top/tests/guardfree-compare.t" guest "$some" >"$tmp/guest" 2>"$tmp/errors"
vm=$?
sed -n '/^case	/,/^status /p' "$tmp/guest" | grep -v '^status ' >"$tmp/guest.tsv"
status=$(sed -n 's/^status //p' "$tmp/guest")
[ $vm = 0 ] || status=$vm
n=$(cut -f 1 "$build/guardfree/compare/plain/cases.tsv" | grep -cE "$some")
matrix_ok "guest: $n errors found, $n good twins in silence" "$tmp/guest.tsv" "${status:-1}" "$some"
[ -s "$out" ] && sed 's/^/# /' "$tmp/errors"
scale_ok 'guest: a million objects live in at most 16 VMAs' "$(grep '^untouched' "$tmp/guest")"
done_testing
