#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# In a kernel with KCSAN (images x86_64-kcsan and x86_64-kcsan-unpatched): the selftest,
# the model checker and the storm. A data race counts if a function that the series
# adds or changes made one of the two accesses, or called the function that did. It
# does not count if the unpatched kernel reports it too (under stress-ng, because the
# storm needs guards), or if tests/storm/kcsan.known explains it. Any other complaint of
# the kernel fails.
# KCSAN_ONLY names parts (kselftest model storm unpatched), STORM_SECONDS (300) is for
# the storm, OTHERS_SECONDS (10) for each of stress-ng's stressors.
set -u
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/lib.sh"
patched=x86_64-kcsan unpatched=x86_64-kcsan-unpatched
parts=${KCSAN_ONLY:-kselftest model storm unpatched}
need_tree
for image in $patched $unpatched; do
	[ -s "$build/images/$image/kernel" ] || case " $parts $image " in
	*' unpatched '* | *" $patched "*)
		bail "there is no image $image: run 'kernel/build --config kcsan', and again with --unpatched"
		;;
	esac
done
cd "$top" || exit 1
place=build/tests/kcsan
mkdir -p $place || exit 1

wanted() {
	case " $parts " in *" $1 "*) ;; *) return 1 ;; esac
}

# The kernel's other complaints, of a log.
complaints() {
	sed '/^#/d; /^$/d' vm/splats >"$tmp/splats"
	tr -d '\r' <"$1" | grep -av 'KCSAN: ' | grep -aEf "$tmp/splats"
}

# guest NAME IMAGE SECONDS COMMAND...: its TAP as comments. It has to end by itself
# with status 0, or 240 if KCSAN is all that the kernel had to say.
guest() {
	name=$1 image=$2 limit=$3
	shift 3
	echo "# --- $name"
	vm/run -q --image "$image" --cpus 2 --numa 2 --mem 1G --swap 256M --timeout "$limit" \
		--log $place/"$name.log" -- tests/storm/kcsan "$@" </dev/null >$place/"$name.out" 2>"$tmp/err"
	status=$?
	grep -aE '^# kcsan' $place/"$name.out"
	{
		echo "status $status"
		cat "$tmp/err"
		grep -a '^not ok' $place/"$name.out"
		complaints $place/"$name.log"
	} >"$out"
	{ [ $status = 0 ] || [ $status = 240 ]; } && ! grep -aqE '^(not ok|WRONG)' $place/"$name.out" &&
		[ -z "$(complaints $place/"$name.log")" ]
	verdict $? "$name: came to its end, nothing wrong but what KCSAN says"
	cat $place/"$name.log" >>"$tmp/$image.log"
}

: >"$tmp/$patched.log"
: >"$tmp/$unpatched.log"
works 'tests/storm compiles' build_programs storm
selftests series "$build/tests/selftests-series" || bail 'cannot extract the selftests from build/linux'
works 'the selftest compiles' kselftest_build "$build/tests/selftests-series" "$top/$place" 'cc -static'
works 'the model checker compiles' make -s -C tests/model O="$top/$place/model" "$top/$place/model/model"
works 'tests/others compiles' build_programs advise
[ "$failed" = 0 ] || done_testing

! wanted kselftest || guest kselftest $patched 7200 $place/each $place/programs
# shellcheck disable=SC2086 # words
! wanted model || guest model $patched 7200 $place/model/model ${MODEL:---system --seeds 1-4 --ops 10000 --jobs 2}
! wanted storm || guest storm $patched $((${STORM_SECONDS:-300} * 3 + 1800)) \
	tests/storm/guest build/tests/bin/storm "${STORM_SECONDS:-300}" only 31
! wanted unpatched || guest unpatched $unpatched 7200 \
	tests/others/guest "${OTHERS_SECONDS:-10}" tests/others/list build/tests/bin/advise

# The functions that the series adds or changes: those that git names above its hunks,
# and those that it defines.
git -C "$tree" diff -U0 base series -- mm fs arch kernel include '*.h' '*.c' ':!tools' |
	perl -ne 'print "$1\n" if /^@@.*@@.*?(\w+)\([^;]*$/ or /^\+(?:static |inline |int |bool |void |unsigned |long )+.*?(\w+)\(/' |
	sort -u >"$tmp/functions"
[ "$(wc -l <"$tmp/functions")" -gt 20 ]
verdict $? "$(wc -l <"$tmp/functions") functions are the series'"

# races LOG: one line each, "A / B", and 1 if a function of the series is in it.
races() {
	tr -d '\r' <"$1" | perl -ne '
		BEGIN { open F, "<", shift or die; chomp(@f = <F>); %f = map { $_ => 1 } @f }
		s/^\[[^\]]*\] ?//;
		if (/BUG: KCSAN: (?:data-race in |assert: race in )?(.+?)\s*$/) { $r = $1; $r =~ s/\.(constprop|isra|part|cold)[.0-9]*//g; $ours{$r} |= 0; next }
		if (/^=====/) { undef $r; next }
		if (/ by (task|interrupt)/) { $depth = 0; next }
		if (defined $r && /^\s+(\w+)(?:\.\w+)*\+0x/) { $ours{$r} = 1 if $depth++ < 2 && $f{$1} }
		END { print "$_\t$ours{$_}\n" for sort keys %ours }' "$tmp/functions"
}
races "$tmp/$patched.log" >$place/races
races "$tmp/$unpatched.log" >$place/races-unpatched
echo "# $(wc -l <$place/races) races with the series, $(wc -l <$place/races-unpatched) without"
cp $place/races "$out"
[ -s $place/races ]
verdict $? 'KCSAN reports races, of whoever: it is awake'
while IFS='	' read -r race ours; do
	known=$(awk -F '\t' -v r="$race" '$1 == r { print $2 }' tests/storm/kcsan.known)
	if [ "$ours" = 0 ]; then
		echo "# $race: no function of the series is in it"
	elif cut -f 1 $place/races-unpatched | grep -qxF "$race"; then
		ok "$race: the unpatched kernel reports it too"
	elif [ -n "$known" ]; then
		ok "$race: known, $known"
	else
		tr -d '\r' <"$tmp/$patched.log" | grep -aF -A 40 -m 1 "data-race in ${race%% /*}" >"$out"
		not_ok "$race"
	fi
done <$place/races
done_testing
