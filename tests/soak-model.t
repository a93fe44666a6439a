#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# The model checker for long: 100 million operations (SOAK_OPS), seeds from 1001
# (SOAK_SEED) on, 100,000 operations each. It can be stopped at any time: the next run
# goes on, as long as kernel and checker are the same. The end writes the result to
# records/model-soak-SEED.txt (RECORD).
set -u
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"
cd "$top" || exit 1
image=${IMAGE:-x86_64-base}
dir=$build/tests/model
each=100000
batch=${SOAK_BATCH:-20}
first=${SOAK_SEED:-1001}
record=${RECORD:-records/model-soak-$first.txt}
seeds=$(((${SOAK_OPS:-100000000} + each - 1) / each))
last=$((first + seeds - 1))
need_tools cc make
need_image "$image"
works 'the model checker is built' make -s -C tests/model O="$dir"
[ "$failed" = 0 ] || done_testing

RELEASE='' COMMIT=''
# shellcheck disable=SC1090,SC1091 # what kernel/build left there
. "$build/images/$image/info"
sum=$(cat tests/model/*.[ch] | sha256sum | cut -c 1-16)
state=$dir/soak-$image-$COMMIT-$sum
mkdir -p "$state/out" || bail "cannot make $state"

# Batches of seeds, each in a guest of its own.
: >"$tmp/all"
seed=$first
while [ "$seed" -le "$last" ]; do
	to=$((seed + batch - 1))
	[ "$to" -le "$last" ] || to=$last
	log=$state/$seed-$to
	if [ ! -s "$log" ]; then
		vm/run -q --image "$image" --swap 256M --rw "$state" --timeout 7200 -- "$dir/model" --jobs 2 --system --mce \
			--seeds "$seed-$to" --ops $each --out "$state/out" >"$log.new" 2>&1
		status=$?
		if [ $status != 0 ]; then
			grep -v '^# ' "$log.new" >"$out"
			mv "$log.new" "$state/failed-$seed-$to"
			not_ok "seeds $seed to $to (status $status; $state/out has what was shrunk)"
			seed=$((to + 1))
			continue
		fi
		mv "$log.new" "$log"
		echo "# seeds up to $to of $last" >&2
	fi
	cat "$log" >>"$tmp/all"
	seed=$((to + 1))
done

awk '
	/^right seed/ { seeds++; ops += $4; episodes += $7; pages += $(NF - 2) }
	/^#/ && NF >= 4 && /[0-9] +[0-9]+ +[0-9]+( +NEVER)?$/ {
		name = $2; n = NF - ($NF == "NEVER")
		for (i = 3; i < n - 2; i++) name = name " " $i
		if (name == "operation") next
		if (!(name in tried)) order[++names] = name
		tried[name] += $(n - 2); good[name] += $(n - 1) }
	END {
		printf "%d operations, %d seeds, %d episodes, %d pages probed\n", ops, seeds, episodes, pages
		for (i = 1; i <= names; i++) {
			printf "%-32s %12d tried %12d succeeded\n", order[i], tried[order[i]], good[order[i]]
			if (!good[order[i]]) never = never " " order[i]
		}
		if (never != "") print "never succeeded:" never
	}' "$tmp/all" >"$tmp/summary"
cp "$tmp/summary" "$out"
ops=$(sed -n '1s/ .*//p' "$tmp/summary")
[ "$ops" -ge $((seeds * each)) ]
verdict $? "$(sed -n 1p "$tmp/summary"): all as the model has it"
grep '^never' "$tmp/summary" >"$out"
silent 'every operation succeeded at least once' "$out"
if [ "$failed" = 0 ]; then
	{
		echo "SPDX-License-Identifier: GPL-2.0"
		echo "tests/soak-model.t: seeds $first to $last, $each operations each"
		echo "kernel $RELEASE, $image; series at $COMMIT, tree $(git -C "$tree" rev-parse "$COMMIT^{tree}"); checker $sum; $(date -u +%Y-%m-%d)"
		echo
		cat "$tmp/summary"
	} >"$record.new" && mv "$record.new" "$record"
	verdict $? "recorded in $record"
fi
done_testing
