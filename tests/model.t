#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Runs the model checker in the guest: random operations, compared with a model of memory;
# see docs/testing.md. Then checks that it finds faulty kernels, which a library imitates.
# MODEL_SEEDS (1-20) and MODEL_OPS (100000 for each seed) set the amount.
set -u
# These parts run in the guest.
if [ "${1:-}" = guest ]; then
	dir=$2
	shift 2
	"$dir/model" --jobs 2 --system --mce --coverage --out "$dir/out" "$@"
	status=$?
	# Run a seed twice; it must make the same operations.
	for i in 1 2; do
		{ "$dir/model" --seeds 77 --ops 15000 --verbose --system --mce || echo "try $i failed"; } |
			grep -v '^#' >"/tmp/$i" &
	done 2>"$dir/twice"
	wait
	cmp /tmp/1 /tmp/2 >>"$dir/twice" 2>&1 && [ -s /tmp/1 ] && echo same >>"$dir/twice"
	exit $status
fi
# Run the checker on each faulty kernel, two at a time.
if [ "${1:-}" = broken ]; then
	dir=$2
	shift 2
	printf '%s\n' "$@" | xargs -P 2 -n 1 tests/model.t broken-one "$dir"
	exit
fi
if [ "${1:-}" = broken-one ]; then
	mkdir -p "$2/broken/$3"
	BROKEN=$3 LD_PRELOAD=$2/broken.so "$2/model-dynamic" --seeds 1-4 --ops 15000 --stop --shrink-time 20 \
		--out "$2/broken/$3" >"$2/broken/$3/log" 2>&1
	echo $? >"$2/broken/$3/status"
	exit 0
fi
# Run each printed program on the faulty kernel, where its status must be 1, and on the
# real one, where it must be 0.
if [ "${1:-}" = printed ]; then
	dir=$2
	shift 2
	for name; do
		BROKEN=$name LD_PRELOAD=$dir/broken.so "$dir/broken/$name/printed"
		wrong=$?
		"$dir/broken/$name/printed"
		echo "$name $wrong $?" >>"$dir/broken/shown"
	done >"$dir/broken/printed.log" 2>&1
	exit
fi

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"
cd "$top" || exit 1
image=${IMAGE:-x86_64-base}
dir=$build/tests/model
need_tools cc make
need_image "$image"
mkdir -p "$dir" || bail "cannot make $dir"
rm -rf "$dir/out" "$dir/broken" "$dir/twice"
mkdir -p "$dir/out" "$dir/broken"

# See tests/model/broken.c for the fault of each.
kernels='free-clears dontneed-clears pageout-clears willneed-clears collapse-clears skips-last
	skips-populated is-mprotect leaks-memory table-boundary hole-is-success stops-at-hole
	locked-accepted again-is-error toggles unpoison-zaps unpoison-skips-first mprotect-clears
	munlock-clears mremap-drops fork-drops copy-overwrites unregister-clears wp-clears
	truncate-drops punch-drops remove-drops collapse-drops-others fork-drops-files msync-drops loses-dirty
	hits-others drops-others keeps-copies mincore-cached read-only-refused sealed-accepted'

works 'the model checker is built' make -s -C tests/model O="$dir"
[ "$failed" = 0 ] || done_testing

vm/run -q --image "$image" --swap 256M --rw "$dir" --timeout "${MODEL_TIMEOUT:-1500}" -- tests/model.t guest "$dir" \
	--seeds "${MODEL_SEEDS:-1-20}" --ops "${MODEL_OPS:-100000}" >"$dir/log" 2>&1
status=$?
grep -v '^#' "$dir/log" >"$out"
grep -c '^right seed' "$dir/log" >"$tmp/seeds"
sed -n 's/^right: \([0-9]*\) operations.*/\1/p' "$dir/log" >"$tmp/ops"
verdict $status "$(cat "$tmp/ops") operations over $(cat "$tmp/seeds") seeds: all as the model has it"
if [ "${MODEL_SEEDS:-1-20}" = 1-20 ]; then
	[ "$(cat "$tmp/seeds")" -ge 20 ] && [ "$(cat "$tmp/ops")" -ge 2000000 ]
	verdict $? 'at least 2 million operations over at least 20 seeds'
fi
grep NEVER "$dir/log" >"$out"
silent 'every operation that the kernel has succeeded at least once' "$out"

# A wrong kernel could look like one without huge guards, whose page tables are not counted.
case $image in
x86_64-no-thp) ;;
x86_64-*)
	grep '^# not tried:.*huge guards' "$dir/log" >"$out"
	silent 'the kernel has huge guards, and page tables were counted' "$out"
	# First, because they take longest.
	kernels="mremap-splits poison-fills-tables $kernels"
	;;
esac

# A kernel that refuses all locked memory cannot do half of it.
grep -q '^# not tried:.*guards in locked memory' "$dir/log" || kernels="$kernels locked-in-part"

cp "$dir/twice" "$out"
[ "$(cat "$dir/twice")" = same ]
verdict $? 'a seed makes the same operations each time'

# shellcheck disable=SC2086 # a list
vm/run -q --image "$image" --swap 256M --rw "$dir" --timeout "${MODEL_TIMEOUT:-1500}" -- tests/model.t broken "$dir" \
	$kernels >"$out" 2>&1
verdict $? 'the wrong kernels were run'
shown=''
for name in $kernels; do
	c=$(find "$dir/broken/$name" -name 'seed-*.c' 2>/dev/null | head -n 1)
	# It must compile by itself, without a warning.
	if [ -n "$c" ] && cc -std=gnu11 -O1 -Wall -Wextra -Werror -pthread -o "$dir/broken/$name/printed" "$c" \
		2>"$dir/broken/$name/cc"; then
		shown="$shown $name"
	fi
done
# shellcheck disable=SC2086
vm/run -q --image "$image" --swap 256M --rw "$dir" --timeout 300 -- tests/model.t printed "$dir" $shown \
	>"$out" 2>&1
verdict $? 'what was printed for them was run'
for name in $kernels; do
	log=$dir/broken/$name/log
	{ grep -v '^#' "$log"; cat "$dir/broken/$name/cc"; grep "^$name " "$dir/broken/shown"; } >"$out" 2>/dev/null
	n=$(sed -n 's/^shrunk to \([0-9]*\) operations.*/\1/p' "$log" 2>/dev/null | head -n 1)
	[ "$(cat "$dir/broken/$name/status" 2>/dev/null)" = 1 ] && grep -q "^$name 1 0\$" "$dir/broken/shown" &&
		[ "${n:-99}" -le 20 ]
	verdict $? "a kernel with $name is found out; shown by ${n:-no} operations, as C of its own"
done
done_testing
