# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0
# Sourced by the .t files, and by others in tests/ and below it: places, TAP, and how
# to build and run the selftest. A .t prints one line a test, with what explains a
# failure as comments below it, and ends with `done_testing`.

top=$(cd "$(dirname "$0")" && pwd -P) || exit 1
me=$top/$(basename "$0")
top=${top%/tests*}
me=${me#"$top"/}
build=$top/build
tree=$build/linux
# shellcheck disable=SC2034 # for those who source this
series=${SERIES:-$top/series}
# Set when make is called from a git hook; they would lead git astray.
unset GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE GIT_PREFIX GIT_OBJECT_DIRECTORY
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1
export LC_ALL=C

tmp=$(mktemp -d "${TMPDIR:-/tmp}/guard-test.XXXXXX") || exit 1
trap 'rm -rf "$tmp"' EXIT
trap 'exit 130' INT TERM HUP
# The output of a check, shown when it fails.
out=$tmp/out
: >"$out"

count=0 failed=0

# ok NAME: the test is passed.
ok() {
	count=$((count + 1))
	echo "ok - $1"
}

# not_ok NAME: it is not; $out says why.
not_ok() {
	count=$((count + 1))
	failed=$((failed + 1))
	echo "not ok - $1"
	head -n 40 "$out" | sed 's/^/#   /'
}

skip() { # NAME REASON
	count=$((count + 1))
	echo "ok - $1 # SKIP $2"
}

# verdict STATUS NAME: passed if the status is 0.
verdict() {
	if [ "$1" = 0 ]; then ok "$2"; else not_ok "$2"; fi
}

# works NAME COMMAND...: passed if the command is.
works() {
	what=$1
	shift
	"$@" >"$out" 2>&1
	verdict $? "$what"
}

# silent NAME FILE: passed if there is nothing in the file, the list of what is
# wrong.
silent() {
	[ "$2" = "$out" ] || cp "$2" "$out"
	[ ! -s "$out" ]
	verdict $? "$1"
}

# The end: the plan, and the status.
done_testing() {
	echo "1..$count"
	[ "$failed" = 0 ]
	exit
}

# bail REASON: a test that lacks something fails, in one line, and never skips. (TAP's
# "Bail out!" would stop the other .t files as well.)
bail() {
	count=$((count + 1))
	echo "not ok - $*"
	echo "1..$count"
	echo "$me: $*" >&2
	exit 1
}

need_tools() {
	for tool; do
		command -v "$tool" >/dev/null || bail "$tool is missing: run 'make deps'"
	done
}

# debian_sources: for mmdebstrap, sets codename to the host's, sources to apt's lists of
# it, and writes apt's settings for downloads to $tmp/acquire.
# shellcheck disable=SC2034 # the caller uses them
debian_sources() {
	codename=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
	sources=''
	for f in /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources; do
		[ ! -s "$f" ] || ! grep -q "[ :]*$codename" "$f" || sources="$sources $f"
	done
	[ -n "$sources" ] || bail "no list in /etc/apt has $codename: give apt a source of packages"
	apt-config dump | grep '^Acquire::' >"$tmp/acquire"
}

# tests_in WHERE COMMAND...: prints its TAP with new numbers, and WHERE before each name
tests_in() {
	where=$1
	shift
	"$@" >"$tmp/tap" 2>"$tmp/err"
	status=$?
	while IFS= read -r line; do
		case $line in
		'ok '*) ok "$where: ${line#*- }" ;;
		'not ok '*)
			: >"$out"
			not_ok "$where: ${line#*- }"
			;;
		'#'*) echo "$line" ;;
		esac
	done <"$tmp/tap"
	cp "$tmp/err" "$out"
	tail -n 5 "$tmp/tap" >>"$out"
	said=$(grep -c -E '^(not )?ok ' "$tmp/tap")
	{ [ "$status" = 0 ] || [ "$status" = 1 ]; } && grep -q "^1\.\.$said\$" "$tmp/tap"
	verdict $? "$where: ran to its end"
}

need_tree() {
	for ref in base series; do
		git -C "$tree" rev-parse -q --verify "$ref^{commit}" >/dev/null 2>&1 ||
			bail "there is no build/linux with $ref in it: run 'make tree'"
	done
}

need_image() {
	for image; do
		[ -s "$build/images/$image/kernel" ] ||
			bail "there is no image $image: run 'make images'"
	done
}

# The kernel without guards that programs are tried on: the filter of tests/without.c,
# which `build_programs without` builds. With WITHOUT=unpatched, as in make soak, there
# is none, and the image x86_64-base-unpatched is booted.
# shellcheck disable=SC2034 # for those who source this
case ${WITHOUT:-filter} in
filter) without=$build/tests/bin/without ;;
*) without='' ;;
esac

# archive REF DIR PATH...: these paths of build/linux at REF, as files in DIR;
# does nothing if they are there. In a shell of its own: its callers have a dir too.
archive() (
	ref=$1 dir=$2
	shift 2
	stamp=$(git -C "$tree" ls-tree "$ref" -- "$@" | sha256sum)
	[ "$(cat "$dir/.stamp" 2>/dev/null)" != "$stamp" ] || exit 0
	rm -rf "$dir"
	mkdir -p "$dir" &&
		git -C "$tree" archive -o "$tmp/archive.tar" "$ref" -- "$@" &&
		tar -x -C "$dir" -f "$tmp/archive.tar" &&
		rm "$tmp/archive.tar" &&
		echo "$stamp" >"$dir/.stamp"
)

# The sources of the selftests of mm.
selftests() { # REF DIR
	archive "$1" "$2" mm/gup_test.h lib/test_hmm_uapi.h include/vdso tools/include \
		tools/testing/selftests/mm tools/testing/selftests/lib.mk tools/testing/selftests/kselftest.h \
		tools/testing/selftests/kselftest_harness.h tools/testing/selftests/x86 \
		tools/testing/selftests/pidfd
}

# selftest_make DIR OUTPUT [MAKE-ARGS] PROGRAM...: the kernel's own rules build
# them. They want the headers of the kernel that knows these calls: of $arch, if set.
selftest_make() {
	from=$1/tools/testing/selftests/mm into=$2
	shift 2
	(
		headers=$build/headers/${arch:-x86_64}/include
		unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES ARCH CROSS_COMPILE CC CFLAGS
		mkdir -p "$into" &&
			make -C "$from" OUTPUT="$into" --no-print-directory \
				KHDR_INCLUDES="-isystem $headers" "$@"
	)
}

# The programs of the series' own selftest, a name a line: each guard-*.c of its
# selftests/mm.
kselftest_programs() {
	git -C "$tree" ls-tree --name-only series tools/testing/selftests/mm/ |
		sed -n 's,^.*/\(guard-[^/]*\)\.c$,\1,p' | grep .
}

# kselftest_build DIR OUTPUT [CC]: builds them all, by the kernel's rules, and beside
# them what runs them one after the other: "OUTPUT/each OUTPUT/programs [ARGUMENT...]".
kselftest_build() (
	src=$1 into=$2 cc=${3:-gcc}
	mkdir -p "$into" && rm -f "$into/programs" || exit
	if ! kselftest_programs >"$tmp/programs"; then
		echo 'the series has no tools/testing/selftests/mm/guard-*.c'
		exit 1
	fi
	set -- CC="$cc"
	while read -r program; do
		set -- "$@" "$into/$program"
	done <"$tmp/programs"
	# shellcheck disable=SC2086 # $cc may have flags
	selftest_make "$src" "$into" "$@" &&
		build_programs CC="$cc -isystem $build/headers/${arch:-x86_64}/include" O="$into" each &&
		cp "$tmp/programs" "$into/programs"
)

# build_programs NAME... [O=DIR] [CC=COMPILER]: tests/Makefile builds them in build/tests/bin.
# Two tests may want the same at the same time.
build_programs() (
	mkdir -p "$build/tests" && exec 9>"$build/tests/make.lock" && flock 9 || exit
	unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES ARCH CROSS_COMPILE CC CFLAGS O
	make -s -C "$top/tests" O="$build/tests/bin" "$@" 9>&-
)

# guest_tap NAME COMMAND...: a guest's TAP as ours, as it comes, with NAME before the name
# of each test. Comments pass. Sets plan, seen, bad and skipped.
guest_tap() {
	name=$1
	shift
	rm -f "$tmp/status"
	{
		"$@" </dev/null
		echo $? >"$tmp/status"
	} | perl -ne '
		BEGIN { $| = 1; ($name, $file) = splice @ARGV, 0, 2; }
		if (/^1\.\.(\d+)(.*)/) { $plan = $1; $all = $2; }
		elsif (/^(not )?ok\b *\d* *-? *(.*)/) {
			($not, $what) = ($1 // "", $2);
			$seen++;
			$bad++ if $not;
			$skip++ if !$not && $what =~ /# *SKIP/i;
			print "${not}ok - $name: $what\n";
		}
		elsif (/^#/) { print }
		elsif (/\S/) { print "# $_" }
		END {
			open F, ">", $file or die;
			printf F "%s %d %d %d\n", $plan // "none", $seen // 0, $bad // 0, $skip // 0;
			close F or die;
		}' "$name" "$tmp/said"
	status=$(cat "$tmp/status")
	read -r plan seen bad skipped <"$tmp/said" || plan=none seen=0 bad=0 skipped=0
	count=$((count + seen))
	failed=$((failed + bad))
	echo "it planned $plan tests and ran $seen; its status is $status" >"$out"
	[ "$plan" = "$seen" ] && [ "$seen" -gt "$skipped" ]
	verdict $? "$name: ran all its $plan tests, and not only to skip them"
	# 240 and more are what vm/run says of the guest.
	echo "status $status; 240 and above: see vm/run --help" >"$out"
	[ "$status" = 0 ] || { [ "$status" = 1 ] && [ "$bad" != 0 ]; }
	verdict $? "$name: ended by itself, and the kernel had nothing to say"
}
