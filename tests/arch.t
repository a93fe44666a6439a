#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Boots the image of another architecture (TEST_ARCH, a name in kernel/arches) or of
# another configuration (TEST_CONFIG, a file of kernel/config), and runs the selftest of
# the series, the model checker and the demonstration there, as static programs from
# Debian's cross compiler. Each test of the selftest is one here. `make test ARCH=...`
# calls it, and `make test` with arm64. MODEL_OPS (50000) and MODEL_SEEDS (1-2) are the
# operations and seeds of the model checker, ARCH_LIMIT is the limit in seconds for
# selftest and checker.
set -u
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/lib.sh"
arch=${TEST_ARCH:-arm64} config=${TEST_CONFIG:-base}
image=$arch-$config
cc=$("$top/kernel/arch" "$arch" cc) || bail "there is no architecture $arch: choose a name in kernel/arches"
need_tree
need_tools "$cc" make perl mke2fs
[ -s "$build/images/$image/kernel" ] ||
	bail "there is no image $image: run 'kernel/build --arch $arch --config $config'"
[ -e "$build/headers/$arch/include/linux/mman.h" ] || bail "there are no build/headers/$arch: run 'kernel/headers $arch'"
cd "$top" || exit 1
place=$build/tests/arch/$image
called=$arch
[ "$config" = base ] || called=$arch/$config
swap='--swap 256M'
grep -qx CONFIG_SWAP=y "$build/images/$image/config" || swap=''
mkdir -p "$place" || bail "cannot make $place"
# The facts for records/architectures.md, in each line a word and a value.
facts=$place/facts
: >"$facts"
fact() {
	printf '%s\t%s\n' "$1" "$2" >>"$facts"
}
build_selftest() {
	src=$build/tests/selftests-series
	selftests series "$src" || bail 'cannot extract the selftests from build/linux'
	works "$called: its programs build by the rules of selftests/mm" \
		kselftest_build "$src" "$place/mm" "$cc -static -D_FILE_OFFSET_BITS=64"
}
boot() { # SECONDS COMMAND...
	limit=$1
	shift
	# shellcheck disable=SC2086 # nothing, or an option and its value
	vm/run -q --image "$image" $swap --timeout "$limit" -- "$@" </dev/null
}

if [ "$(kernel/arch "$arch" boots)" = no ]; then
	# Its image is there, so that the kernel is compiled.
	build_selftest
	[ "$failed" = 0 ] && fact kselftest compiled
	fact release "$(sed -n 's/^RELEASE=//p' "$build/images/$image/info")"
	skip "$called: boots" 'it does not, without the series as well: docs/carrying.md'
	done_testing
fi

# --- the machine
works "$called: a program is built" build_programs CC="$cc" O="$place" machine
boot 300 "$place/machine" >"$tmp/machine" 2>"$out"
status=$?
IFS='	' read -r machine page bits order release <"$tmp/machine" || status=1
verdict $status "$called: boots: ${machine:-?}, pages of ${page:-?} bytes, ${bits:-?} bits, ${order:-?}-endian"
[ "$status" = 0 ] || done_testing
fact machine "$machine"
fact page "$page"
fact bits "$bits"
fact order "$order"
fact release "$release"

# --- the selftest
build_selftest
# The guest has no mkfs for the tests that want a block device.
works "$called: what mounts a disk is built" build_programs CC="$cc" O="$place" disk
rm -f "$place/disk.image"
works "$called: its disk is made" mke2fs -q -t ext2 "$place/disk.image" 64M
if [ -e "$place/mm/programs" ]; then
	guest_tap "$called" boot "${ARCH_LIMIT:-2400}" "$place/disk" "$place/disk.image" "$place/mm/each" "$place/mm/programs"
	fact kselftest "$((seen - bad - skipped)) passed, $bad failed, $skipped skipped"
fi

# --- the model checker
works "$called: the model checker is built" make -s -C tests/model O="$place/model" CC="$cc" "$place/model/model"
if [ -x "$place/model/model" ]; then
	boot "${ARCH_LIMIT:-1800}" "$place/model/model" --jobs 2 --seeds "${MODEL_SEEDS:-1-2}" --ops "$((${MODEL_OPS:-50000} / 2))" \
		>"$place/model.log" 2>&1
	status=$?
	grep -v '^#' "$place/model.log" >"$out"
	ops=$(sed -n 's/^right: \([0-9]*\) operations.*/\1/p' "$place/model.log")
	[ "${ops:-0}" -ge "${MODEL_OPS:-50000}" ] || status=1
	verdict $status "$called: model checker: ${ops:-no} operations, all as the model has it"
	fact model "${ops:-no} operations, status $status"
fi

# --- the demonstration
if OUT="$place/demo" CC="$cc -static" demo/run --static >"$out" 2>&1; then
	ok "$called: the demonstration is built"
	boot 900 "$place/demo/guard-demo" >"$out" 2>&1
	status=$?
	shown=$(sed -n 's/^demo: \([0-9]* facts\) shown, all as the contract says.*/\1/p' "$out")
	[ -n "$shown" ] || status=1
	verdict $status "$called: demonstration: ${shown:-not all} as the contract says"
	fact demo "${shown:-wrong}"
else
	not_ok "$called: the demonstration is built"
fi
done_testing
