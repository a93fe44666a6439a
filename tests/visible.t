#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Looks at guards from outside the process, in the guest: with tools/guards, in smaps and
# its rollup, by trace events and the count of hits, and in core dumps with gdb, beside
# those of PROT_NONE. On a kernel without guards, tools/guards must say so.
set -u
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/lib.sh"
need_tools gcc gdb
need_image x86_64-base ${WITHOUT:+x86_64-base-unpatched}
cd "$top" || exit 1

bin=$build/tests/bin seen=$build/tests/visible/seen
rm -rf "$seen"
mkdir -p "$seen" || bail 'cannot write to build/tests'
works 'tools/guards.c compiles' build_programs guards
works 'tests/visible/victim.c compiles' build_programs victim
works 'tests/without.c compiles' build_programs without

vm/run -q --image x86_64-base --rw "$seen" --timeout 1200 -- tests/visible/guest "$seen" "$bin" \
	>"$out" 2>&1 </dev/null
verdict $? 'the guest ends well'

# --- tools/guards ---------------------------------------------------------------

# Convert the victim's output to the format of tools/guards.
awk '
	function flush() {
		if (head) printf "%s: %d guards in %d runs\n%s", head, guards, runs, text
		head = ""
	}
	$1 == "vma" { flush(); head = $4 ? $2 "-" $3 : ""; guards = $4; runs = 0; text = "" }
	$1 == "run" { runs++; text = text "  " $2 "-" $3 " " $4 "\n" }
	END { flush() }' "$seen/victim" >"$tmp/said"
# Sort by address, as in maps.
in_order() {
	awk '/^[0-9a-f]/ { key = sprintf("%20s", $1) } { print key " " NR " " $0 }' "$1" |
		sort -s -k 1,1 | sed 's/^ *[^ ]* [0-9]* //'
}
in_order "$tmp/said" >"$tmp/expected"
for way in scan bits; do
	# Leave the first and the last line, protections and "present" to the checks below.
	sed -e 1d -e '$d' -e 's/^\([0-9a-f-]*\) [rwxps-]*: \(.* runs\),.*/\1: \2/' "$seen/$way" >"$tmp/found"
	diff "$tmp/expected" "$tmp/found" >"$out" 2>&1
	status=$?
	[ $status != 0 ] || [ "$(grep -c '^  ' "$tmp/found")" = 1028 ] || status=1
	verdict $status "tools/guards, $way: each guard of another process, and no other"
	cp "$seen/$way" "$out"
	[ "$(cat "$seen/$way.status")" = 0 ] && tail -n 1 "$seen/$way" | grep -q '^1034 guards, 4136 kB, in 3 of '
	verdict $? "tools/guards, $way: the sum"
	! grep -E '^[0-9a-f]+-.* guards' "$seen/$way" | grep -qv ', 0 swapped$' &&
		grep -q ': 6 guards in 3 runs, 7 present, 0 swapped$' "$seen/$way"
	verdict $? "tools/guards, $way: none is swapped, and what is present is"
done
cp "$seen/scan" "$out"
head -n 1 "$seen/scan" | grep -q 'by PAGEMAP_SCAN$'
verdict $? 'tools/guards: scans where that knows of guards'
head -n 1 "$seen/bits" | grep -q 'by pagemap bit 58$'
verdict $? 'tools/guards -b: by the bits'
cp "$seen/victim" "$out"
[ "$(cat "$seen/victim.status")" = 0 ]
verdict $? 'and the process has not noticed'

# --- smaps ------------------------------------------------------------------------

# For each mapping: START-END, kB of guards, gu or none.
awk '
	/^[0-9a-f]+-[0-9a-f]+ / { range = $1; kb = "none" }
	$1 == "Guards:" { kb = $2 }
	$1 == "VmFlags:" { print range, kb, / gu( |$)/ ? "gu" : "-" }' "$seen/smaps" >"$tmp/smaps"
awk '$1 == "vma" { print $2 "-" $3, $4 * 4, "gu" }' "$seen/victim" >"$tmp/expected"
while read -r line; do
	grep -qxF -e "$line" "$tmp/smaps" || echo "not in smaps: $line"
done <"$tmp/expected" >"$out"
[ "$(wc -l <"$tmp/expected")" = 4 ] || echo 'the victim should have 4 mappings' >>"$out"
silent 'smaps: kB of guards in each mapping, and gu where there are or were some' "$out"
awk '$2 != 0 || $3 != "-"' "$tmp/smaps" >"$out"
[ "$(wc -l <"$out")" = 4 ]
verdict $? 'smaps: and in no other mapping'
grep Guards "$seen/smaps_rollup" >"$out"
grep -qE '^Guards: +4136 kB$' "$out"
verdict $? 'smaps_rollup: the sum'

# --- trace events, and the count --------------------------------------------------------

cp "$seen/trace" "$out"
[ ! -s "$seen/tracing" ] && grep -q '^# tracer: nop' "$seen/trace"
verdict $? 'the events are in tracefs'
poisoned=$(sed -n 's/^page //p' "$seen/poison")
ip=$(sed -n 's/^pc //p' "$seen/poison.gdb")
grep -qE "victim-.* guard_poison: start=0x$poisoned len=0x1000 ret=0\$" "$seen/trace"
verdict $? 'guard_poison: range and result'
hit=$(printf '%s' "$poisoned" | sed 's/0$/8/; s/00$/08/')
grep -qE "victim-.* guard_hit: address=0x$hit ip=0x$ip flags=.*WRITE.*USER" "$seen/trace"
verdict $? 'guard_hit: address, instruction, a store by the program'
kernel=$(sed -n 's/^page //p' "$seen/efault")
[ "$(cat "$seen/efault.status")" = 0 ] &&
	grep -E "victim-.* guard_hit: address=0x$kernel ip=0x" "$seen/trace" >"$tmp/hit" &&
	! grep -q USER "$tmp/hit"
verdict $? 'guard_hit: one by the kernel, for write(2), which fails with EFAULT'
grep -h '^guard_hit' "$seen/vmstat.before" "$seen/vmstat.after" >"$out"
awk '{ n[NR] = $2 } END { exit !(NR == 2 && n[2] - n[1] >= 2) }' "$out"
verdict $? '/proc/vmstat counts them'

# --- core dumps in gdb ------------------------------------------------------------------

# The signal must be SIGSEGV (11), si_code SEGV_ACCERR (2) for a guard and PROT_NONE, and
# SEGV_MAPERR (1) where nothing is mapped.
for how in 'poison 2' 'none 2' 'freed 1'; do
	code=${how#* } how=${how% *}
	addr=$(sed -n 's/^page //p' "$seen/$how" | sed 's/0$/8/')
	cp "$seen/$how.gdb" "$out"
	[ "$(cat "$seen/$how.status")" = 139 ] &&
		grep -q '^Program terminated with signal SIGSEGV, Segmentation fault\.$' "$out" &&
		grep -qx 'si_signo 11' "$out" && grep -qx "si_code $code" "$out" &&
		grep -qx "si_addr $addr" "$out"
	verdict $? "core, $how: gdb says SIGSEGV, si_code $code and the address"
	grep -qE '^overrun( \+ [0-9]+)? in section \.text' "$out" &&
		grep -qE '^#0 .*overrun' "$out"
	verdict $? "core, $how: gdb says which function and line"
	grep -qx 'page before 120' "$out" && grep -qx 'page after 120' "$out"
	verdict $? "core, $how: the pages around it are in the core"
done
# gdb must print the same for both, except addresses, the name of the case, and the
# contents at p, which a guard has lost.
for how in poison none; do
	sed -e '/^\[New LWP/d' -e '/^Core was/d' -e '/^a guard page\|^a mapping/d' -e '/^page itself/d' \
		-e 's/0x[0-9a-f]*/ADDR/g' -e 's/(p=.*) at/(p) at/' -e 's/^\(si_addr\|pc\) .*/\1 ADDR/' "$seen/$how.gdb" >"$tmp/$how"
done
diff "$tmp/none" "$tmp/poison" >"$out"
verdict $? 'core: gdb says the same of a guard as of PROT_NONE'
cp "$seen/poison.gdb" "$out"
grep -qx 'page itself 0' "$out" && grep -qx 'page itself 120' "$seen/none.gdb"
verdict $? 'core: a guard is zeros; what is PROT_NONE has its contents'
grep -qx 'a guard page: the mapping is writable, and the access was refused' "$out"
verdict $? 'core: tools/segv.py tells that it was a guard'
cp "$seen/none.gdb" "$out"
grep -q '^a mapping that is not writable' "$out"
verdict $? 'core: tools/segv.py tells that PROT_NONE was none'
cp "$seen/freed.gdb" "$out"
grep -q '^nothing is mapped there' "$out"
verdict $? 'core: tools/segv.py tells that nothing was mapped'
cp "$seen/live.gdb" "$out"
grep -q '^Program received signal SIGSEGV' "$out" && grep -q 'si_code 2 (SEGV_ACCERR)' "$out" &&
	grep -qx 'a guard page, in a mapping with rw-p' "$out"
verdict $? 'alive under gdb: likewise, and by pagemap'

# --- a kernel without -------------------------------------------------------------------

if [ -n "$without" ]; then
	cp "$seen/without" "$out"
	status=$(cat "$seen/without.status")
else
	vm/run -q --image x86_64-base-unpatched -- "$bin/guards" self >"$out" 2>&1 </dev/null
	status=$?
fi
[ "$status" = 2 ] && [ "$(cat "$out")" = 'guards: this kernel has no guard pages' ]
verdict $? 'tools/guards on a kernel without guards: says so in one line, status 2'
"$bin/guards" nonsense >"$out" 2>&1
[ $? = 1 ] && [ "$(wc -l <"$out")" = 1 ]
verdict $? 'tools/guards: what is no process is an error in one line'

done_testing
