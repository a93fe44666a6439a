#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Debian's programs, each with a real job (tests/sweep.jobs), bare, guarded in full and
# sampled: output and status have to be the same, and guardfree may say nothing but of the
# bugs in tests/sweep.suppressions, which are the programs' own. Where the running kernel
# has guard pages; one job at a time.
#
# JOBS='git node': these only    MODES='sample=1000': these options instead of both
# RECORD=1: all of it goes to records/guardfree-sweep.md, with the times
# The packages are in packages-sweep.txt; what is not there is skipped, and counted.
set -u
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/lib.sh"
cd "$top" || exit 1

need_tools make gcc timeout setpriv
nice -n 10 make -s -C guardfree >"$out" 2>&1
verdict $? 'guardfree: library and command are built'
[ "$failed" = 0 ] || done_testing
gf=$top/build/guardfree/guardfree
$gf -o method=guard -o verbose=1 /bin/true 2>&1 | grep -q 'guards by MADV_GUARD_POISON' ||
	bail 'the running kernel has no guard pages: a sweep with PROT_NONE says nothing'
: "${MODES:=sample=1 sample=1000}" "${RECORD:=}"
# PostgreSQL and others work as another user.
chmod 755 "$tmp"
cp "$top/tests/sweep.suppressions" "$tmp/suppressions" && chmod 644 "$tmp/suppressions"
tests/sweep.jobs >"$tmp/jobs" || bail 'tests/sweep.jobs has no list'
total=$(grep -c . "$tmp/jobs")
printf 'job\tbare_s\tfull_s\tsampled_s\tverdict\n' >"$tmp/table"

seconds() { date +%s.%N; }

# one JOB OUTPUT COMMAND...: in a new directory; its status, and the time in $took
one() {
	job=$1 to=$2
	shift 2
	rm -rf "$tmp/work" "$tmp/said"
	mkdir -m 755 "$tmp/work" && mkdir -m 1777 "$tmp/said" || exit 1
	start=$(seconds)
	(cd "$tmp/work" && exec timeout -k 10 600 "$@" "$top/tests/sweep.jobs" "$job") >"$to" 2>&1 </dev/null
	status=$?
	took=$(awk -v a="$start" -v b="$(seconds)" 'BEGIN { printf "%.2f", b - a }')
}

done_jobs=0 skipped_jobs=0
while read -r job needs; do
	case " ${JOBS:-$job} " in *" $job "*) ;; *) continue ;; esac
	missing=''
	for c in $needs; do
		PATH=/usr/sbin:/usr/bin:/sbin:/bin command -v "$c" >/dev/null || ls /usr/lib/postgresql/*/bin/"$c" >/dev/null 2>&1 ||
			missing="$missing $c"
	done
	if [ -n "$missing" ]; then
		skip "$job" "not installed:$missing (packages-sweep.txt)"
		skipped_jobs=$((skipped_jobs + 1))
		printf '%s\t\t\t\tskipped: no%s\n' "$job" "$missing" >>"$tmp/table"
		continue
	fi
	one "$job" "$tmp/bare"
	bare=$status row="$job	$took" result=same
	if [ ! -s "$tmp/bare" ]; then
		echo 'the job printed nothing' >"$out"
		not_ok "$job: bare"
		continue
	fi
	for mode in $MODES; do
		one "$job" "$tmp/guarded" "$gf" -o "$mode" -o quiet=1 -o suppressions="$tmp/suppressions" -l "$tmp/said/%p"
		row="$row	$took" bad=''
		{
			[ "$status" = "$bare" ] || { bad=status; echo "status $status, bare $bare"; }
			diff "$tmp/bare" "$tmp/guarded" | cut -c 1-300 || :
			cmp -s "$tmp/bare" "$tmp/guarded" || bad="$bad output"
			if [ -n "$(ls "$tmp/said")" ]; then
				bad="$bad said"
				cat "$tmp"/said/*
			fi
		} >"$out" 2>&1
		if [ -n "$bad" ]; then
			result="$mode:$bad"
			not_ok "$job: $mode"
		else
			ok "$job: $mode"
		fi
	done
	done_jobs=$((done_jobs + 1))
	printf '%s\t%s\n' "$row" "$result" >>"$tmp/table"
done <"$tmp/jobs"
echo "# $done_jobs of $total jobs, $skipped_jobs skipped"
if [ -z "${JOBS:-}" ]; then
	echo "$done_jobs jobs were done" >"$out"
	[ "$done_jobs" -ge 40 ]
	verdict $? 'at least 40 programs had a job'
fi
if [ -n "$RECORD" ]; then
	{
		echo '<!-- SPDX-License-Identifier: GPL-2.0 -->'
		echo '# guardfree under programs of Debian'
		echo
		echo "Written by tests/soak-guardfree-sweep.t at $(git rev-parse --short HEAD), $(date -u +%Y-%m-%d), on"
		echo "$(nproc) processors of a machine that others use too, Linux $(uname -r | cut -d - -f 1)," \
			"Debian $(cat /etc/debian_version)."
		echo 'Seconds of one run each: a figure says how long to wait, not how fast guardfree is.'
		echo 'sampled is 1 in 1,000. same: output and status as bare, and nothing said.'
		echo
		awk -F '\t' 'NR == 1 { print "| job | bare | full | sampled | |"; print "| --- | --: | --: | --: | --- |"; next }
			{ printf "| %s | %s | %s | %s | %s |\n", $1, $2, $3, $4, $5; if ($5 == "same") same++; if ($2 != "") n++ }
			END { printf "\n%d of %d are the same.\n", same, n }' "$tmp/table"
	} >records/guardfree-sweep.md
fi
done_testing
