#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Does vm/run report correctly what happened in the guest?
# IMAGE names the kernel (default x86_64-base).
# shellcheck disable=SC2016 # the guest expands text in single quotes
set -u

# shellcheck source=tests/lib.sh
. "$(dirname "$0")/lib.sh"
vm=$top/vm/run
image=${IMAGE:-x86_64-base}
[ -f "$image" ] || need_image "$image"
pids=''
# shellcheck disable=SC2086 # a list of numbers
trap '[ -z "$pids" ] || kill $pids 2>/dev/null; rm -rf "$tmp"' EXIT

# check STATUS NAME: as verdict; with what vm/run said last.
check() {
	was=$1
	{
		echo "status $status; vm/run's stderr:"
		cat "$tmp/err"
		echo 'stdout:'
		head -c 400 "$tmp/said"
	} >"$out"
	verdict "$was" "$2"
}

# run ARGS: leaves $status, $tmp/said, $tmp/err.
run() {
	status=0
	"$vm" --image "$image" -q --log "$tmp/log" "$@" >"$tmp/said" 2>"$tmp/err" </dev/null || status=$?
}

# Runs shell text in the guest, with a short time limit.
guest() {
	run --timeout 300 -- sh -c "$@"
}

is() {
	[ "$status" = "$1" ]
	check $? "$2"
}

# stderr must be one line of vm/run with this text.
says() {
	[ "$(wc -l <"$tmp/err")" = 1 ] && grep -q "^vm/run: .*$1" "$tmp/err"
	check $? "$2"
}

same() {
	cmp -s "$1" "$2"
	check $? "$3"
}

# --- the command's own verdict ---------------------------------------------

guest 'exit 0'
is 0 'status 0'
: >"$tmp/want"
same "$tmp/want" "$tmp/err" 'and not a word on stderr'
guest 'exit 7'
is 7 'status 7'
guest 'exit 200'
is 200 'status 200'
guest 'exit 241'
is 241 'status 241 of the command passes'
says 'the command itself' 'and is told from a lost guest'
guest 'kill -SEGV $$'
is 139 'killed by a signal: 128 + its number'
run -- no-such-command
is 127 'command not found: 127'
run -- /etc/passwd
is 126 'command that is no program: 126'

# --- its output --------------------------------------------------------------

guest 'awk "BEGIN { for (i = 0; i < 256; i++) printf \"%c\", i }" </dev/null;
	printf "\\r\\n\\n\\r\\000\\004\\032 no newline at the end"; printf "on stderr\\r\\n" >&2' _
{
	sh -c 'awk "BEGIN { for (i = 0; i < 256; i++) printf \"%c\", i }" </dev/null'
	printf '\r\n\n\r\000\004\032 no newline at the end'
} >"$tmp/want"
same "$tmp/want" "$tmp/said" 'stdout arrives byte for byte'
printf 'on stderr\r\n' >"$tmp/want"
same "$tmp/want" "$tmp/err" 'stderr arrives apart'

head -c 3000000 /dev/urandom >"$tmp/random"
run --keep "$tmp" -- cat "$tmp/random"
same "$tmp/random" "$tmp/said" '3 MB arrive complete'

# The guest ends long before this reader.
"$vm" --image "$image" -q --keep "$tmp" -- cat "$tmp/random" 2>"$tmp/err" </dev/null |
	perl -e 'while (sysread STDIN, $b, 4096) { $n += length $b; select undef, undef, undef, 0.003 } print $n' >"$tmp/said"
[ "$(cat "$tmp/said")" = 3000000 ]
check $? 'to a slow reader too'

"$vm" --image "$image" -q --log "$tmp/log" -- echo lost >/dev/full 2>"$tmp/err" </dev/null
status=$?
is 245 'output that cannot be written: 245'
says 'stdout: No space' 'and the reason'

# --- where it runs -------------------------------------------------------------

mkdir "$tmp/a dir"
(
	cd "$tmp/a dir" || exit
	HOME=/some/home TERM=vt100 TMPDIR=$tmp NOT_PASSED=1 "$vm" --image "$image" -q \
		--env 'TWO=two words' --env THREE=a:b=c --env EMPTY= --env TERM=dumb -- \
		sh -c 'pwd; id -u; echo "$HOME,$TERM,$TMPDIR,$TWO,$THREE,${EMPTY-unset},${NOT_PASSED-unset}"
			printf "<%s>" "$@"; cat; echo; uname -n; nproc; cat /sys/class/net/lo/flags
			stat -f -c %T /tmp /dev/shm /sys/fs/cgroup /sys/kernel/debug' \
		_ '' 'a  b' '*' "it's
two lines" </dev/null >"$tmp/said" 2>"$tmp/err"
)
cat >"$tmp/want" <<END
$tmp/a dir
0
/some/home,dumb,/tmp,two words,a:b=c,,unset
<><a  b><*><it's
two lines>
guest
2
0x9
tmpfs
tmpfs
cgroup2fs
debugfs
END
same "$tmp/want" "$tmp/said" 'directory, user, environment, arguments, stdin, mounts'

run --cpus 3 --mem 512M --numa 2 --swap 64M -- sh -c 'nproc; ls -d /sys/devices/system/node/node[0-9] | wc -l
	awk "/zram0/ { print \$3 }" /proc/swaps; awk "/MemTotal/ { print (\$2 < 524288) }" /proc/meminfo'
printf '3\n2\n65532\n1\n' >"$tmp/want"
same "$tmp/want" "$tmp/said" '--cpus, --numa, --swap, --mem'
is 0 'and there is no kernel complaint'

run --append 'vm.one=1 vm.two' --append vm.three -- grep -c 'vm.one=1 vm.two vm.three' /proc/cmdline
is 0 '--append'

run --icount -- nproc
grep -qx 1 "$tmp/said"
check $? '--icount: one cpu'

# --- what reaches the host --------------------------------------------------------

mkdir "$tmp/rw" "$tmp/ro"
echo before >"$tmp/ro/file"
echo there >"$tmp/ro/there"
cp "$tmp/random" "$tmp/ro/random"
run --keep "$tmp/ro" --rw "$tmp/rw" -- sh -c '
	echo after >"$1/ro/file" && echo new >"$1/ro/new" && rm "$1/ro/there" || exit
	cat "$1/ro"/[fnt]*
	cp "$1/ro/random" "$1/rw/copy" && echo result >"$1/rw/result"' _ "$tmp"
[ "$status" = 0 ] && [ "$(cat "$tmp/said")" = 'after
new' ] && [ "$(cat "$tmp/ro"/[fnt]*)" = 'before
there' ]
check $? 'the guest sees its writes and the host does not'
[ "$(cat "$tmp/rw/result")" = result ] && cmp -s "$tmp/random" "$tmp/rw/copy"
check $? '--rw brings files out'
# With a cache in the guest, one of 40 files had lost lines, or had them as zeros.
run --rw "$tmp/rw" -- sh -c '
	cd "$1" && for i in $(seq 40); do
		awk "BEGIN { while (n++ < 2000) print \"a line of many pages\" }" >"$i" &
		while kill -0 $! 2>/dev/null; do grep -q "the end" "$i"; done
		[ "$(wc -l <"$i")" = 2000 ] || echo "$i"
	done' _ "$tmp/rw"
[ "$status" = 0 ] && [ ! -s "$tmp/said" ]
check $? 'a file below --rw that is read while it is written is whole'

# --- the kernel's complaints -----------------------------------------------------

run -- sh -c 'echo "WARNING: CPU: 0 PID: 1 at mm/fake.c:1 fake+0x1/0x2" >/dev/kmsg'
is 240 'a splat fails a command that succeeded'
says 'WARNING: CPU: 0 PID: 1 at mm/fake' 'and is shown'
grep -q 'Linux version' "$tmp/log" && grep -q 'mm/fake.c' "$tmp/log"
check $? '--log keeps the kernel log'
guest 'dmesg -n 1; echo "BUG: Bad rss-counter state mm:0" >/dev/kmsg; exit 3'
is 240 'a splat is not hidden by the console level, nor by another failure'
guest 'echo "prog[1]: segfault at 0 ip 0 sp 0 error 4" >/dev/kmsg
	echo "traps: prog[2] general protection fault ip:1 sp:2 error:0" >/dev/kmsg'
is 0 'a message about a process is no splat'
guest 'echo c >/proc/sysrq-trigger; sleep 100'
is 240 'a panic is a splat'
says 'lost' 'which says that the guest was lost'

# Test the scan with a copy of this tree in which one file is changed.
mkdir -p "$tmp/tree/build"
mkdir "$tmp/tree/kernel"
cp -r "$top/vm" "$tmp/tree/"
cp "$top/kernel/arch" "$top/kernel/arches" "$tmp/tree/kernel/"
cp -r "$top/build/vm" "$tmp/tree/build/"
kernel=$image
case $image in
*/*) ;;
*) kernel=$top/build/images/$image ;;
esac
other() {
	status=0
	"$tmp/tree/vm/run" --image "$kernel" -q -- sh -c "$1" >"$tmp/said" 2>"$tmp/err" </dev/null || status=$?
}
printf '# Made up by this test.\nmm/fake\\.c\n' >>"$tmp/tree/vm/splats.allow"
other 'echo "WARNING: CPU: 0 PID: 1 at mm/fake.c:1" >/dev/kmsg'
is 0 'a splat of the allow-list passes'
other 'echo "WARNING: CPU: 0 PID: 1 at mm/fake.c:1" >/dev/kmsg; echo "WARNING: CPU: 0 PID: 1 at mm/other.c:1" >/dev/kmsg'
is 240 'another one beside it does not'
printf '\nmm/other\\.c\n' >>"$tmp/tree/vm/splats.allow"
other true
is 244 'an allowed splat without a reason: the scan fails'
cp "$top/vm/splats.allow" "$tmp/tree/vm/splats.allow"
rm "$tmp/tree/vm/splats"
other true
is 244 'no patterns: the scan fails'
says 'vm/splats' 'and says what is wrong'
guest 'echo N >/sys/class/tty/ttyS0/console'
is 244 'no kernel log: the scan fails'

# --- a guest that does not come back ------------------------------------------------

run --timeout 5 -- sleep 1000
is 242 'time-out'
says 'within 5 s' 'and says so'
guest 'echo "exit 0 0 0"; echo "exit 0 0 0" >/dev/kmsg; echo "exit 0 0 0" >/dev/console; busybox reboot -f; sleep 100'
is 241 'a guest that reboots is lost, whatever it wrote'
guest 'for p in /dev/vport*; do printf "exit 0 0 0\n" >"$p"; done 2>/dev/null; exit 9'
is 9 'nobody else can write to the verdict port'
guest 'sleep 1000 & sleep 1000 & exit 4'
is 4 'what the command leaves behind does not hold it up'

# What qemu says, such as a warning, goes to a file. With more files open in the caller,
# it had at first the number of one of qemu's ports, and came there.
mkdir "$tmp/bin"
qemu=$("$top/kernel/arch" "$(uname -m)" qemu)
printf '#!/bin/sh\necho "a warning" >&2\nexec %s "$@"\n' "$(command -v "$qemu")" >"$tmp/bin/$qemu"
chmod +x "$tmp/bin/$qemu"
echo said >"$tmp/want"
for open in '' '4<&0' '4<&0 5<&0' '4<&0 5<&0 6<&0'; do
	path=$PATH
	PATH=$tmp/bin:$PATH
	eval "guest 'echo said' $open"
	PATH=$path
	[ "$status" = 0 ] && [ ! -s "$tmp/err" ] && cmp -s "$tmp/said" "$tmp/want"
	check $? "a warning of qemu is no output (${open:-no other file is open})"
done

# Kill qemu and its watcher from outside.
children() {
	ps -A -o pid= -o ppid= -o args= | awk -v p="$1" '$2 == p && /timeout|watch|qemu/ { print $1 }'
}
started() {
	rm -f "$tmp/fifo"
	mkfifo "$tmp/fifo"
	"$vm" --image "$image" -q --log "$tmp/log" --timeout 120 -- sh -c 'echo here; sleep 1000' >"$tmp/fifo" 2>"$tmp/err" </dev/null &
	pid=$!
	pids=$pid
	read -r _ <"$tmp/fifo"
	watch=$(children "$pid")
	qemu=$(children "$watch")
}
: >"$tmp/said"
started
kill -KILL "$qemu"
wait "$pid"
status=$?
is 241 'qemu killed: the guest was lost'
started
kill "$pid"
wait "$pid"
status=$?
is 143 'vm/run ended by SIGTERM'
! kill -0 "$qemu" 2>/dev/null
check $? 'takes qemu with it'
started
kill -KILL "$watch"
wait "$pid"
status=$?
is 241 'the watcher killed: no verdict'
pids=''

# --- a machine that cannot start -------------------------------------------------------

status=0
"$vm" --image no-such-image -- true >"$tmp/said" 2>"$tmp/err" || status=$?
is 243 'missing image: 243'
says 'no-such-image.*make kernel' 'and what to do'
echo 'not a kernel' >"$tmp/text"
status=0
"$vm" --image "$tmp/text" --arch x86_64 -q -- true >"$tmp/said" 2>"$tmp/err" || status=$?
is 243 'an image that is none: 243'
run --no-such-option -- true
is 243 'unknown option: 243'
run true
is 243 'command without --: 243'
run --rw "$tmp/none" -- true
is 243 '--rw of what is not there: 243'
run --swap 1K -- true
is 243 'swap that is too small: 243'
run --arch pdp11 -- true
is 243 'unknown architecture: 243'

# --- two at once, and what stays behind --------------------------------------------------

"$vm" --image "$image" -q -- sh -c 'echo first; exit 11' >"$tmp/out1" 2>"$tmp/err1" </dev/null &
one=$!
"$vm" --image "$image" -q -- sh -c 'echo second; exit 12' >"$tmp/out2" 2>"$tmp/err2" </dev/null &
two=$!
wait "$one"
status=$?
wait "$two"
[ "$status $?" = '11 12' ] && [ "$(cat "$tmp/out1" "$tmp/out2")" = 'first
second' ]
status=$?
cat "$tmp/out1" "$tmp/out2" >"$tmp/said"
cat "$tmp/err1" "$tmp/err2" >"$tmp/err"
check $status 'two at once'

mkdir "$tmp/tmp"
status=0
TMPDIR=$tmp/tmp "$vm" --image "$image" -q -- true >"$tmp/said" 2>"$tmp/err" </dev/null || status=$?
[ "$status" = 0 ] && [ -z "$(ls -A "$tmp/tmp")" ]
check $? 'no temporary file is left'

# --- a terminal ------------------------------------------------------------------------

status=0
printf 'tty; stty size\nexit 5\n' |
	"$vm" --image "$image" -q --timeout 120 -t -- sh -i >"$tmp/said" 2>"$tmp/err" || status=$?
[ "$status" = 5 ] && grep -q '/dev/pts/0' "$tmp/said"
check $? '-t: a shell on a terminal reads what is typed'

done_testing
