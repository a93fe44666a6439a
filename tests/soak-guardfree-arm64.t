#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# guardfree's tests on arm64, in guests with pages of 4, 16 and 64 KiB. Library and
# programs come from the cross compiler, the rest is Debian's for arm64, unpacked to
# build/arm64-root.
# IMAGES are those to boot (arm64-base arm64-16k-base arm64-64k-base).
set -u
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/lib.sh"
cd "$top" || exit 1

need_tools make aarch64-linux-gnu-gcc aarch64-linux-gnu-g++ mmdebstrap
[ "$(id -u)" = 0 ] || bail 'a Debian system is unpacked as root'
: "${IMAGES:=arm64-base arm64-16k-base arm64-64k-base}"
for image in $IMAGES; do
	[ -s "$build/images/$image/kernel" ] ||
		bail "there is no image $image: run 'kernel/build --arch ${image%-base}'"
done

root=$build/arm64-root
packages=dash,bash,busybox-static,coreutils,grep,sed,mawk,diffutils,findutils,util-linux,libc-bin,mount,procps,python3
packages=$packages,perl-base,make,binutils,libcap2-bin,libstdc++6,libasan8,libdebuginfod1,libubsan1
packages=$packages,libcmocka-dev,musl-dev
if [ "$(cat "$root/.whole" 2>/dev/null)" != $packages ]; then
	rm -rf "$root"
	debian_sources
	# musl-dev comes with a compiler that has no headers: the tests would use it.
	# shellcheck disable=SC2086 # words
	mmdebstrap --mode=root --variant=extract --architectures=arm64 --aptopt="$tmp/acquire" \
		--include=$packages \
		"$codename" "$root" $sources >"$out" 2>&1 &&
		ln -sf mawk "$root/usr/bin/awk" && rm "$root/usr/bin/gcc" && echo "$packages" >"$root/.whole"
	verdict $? "$codename for arm64 is unpacked"
fi
sed "s,/usr/,$root/usr/,g" "$root/usr/lib/aarch64-linux-musl/musl-gcc.specs" >"$root/musl-gcc.specs"
works 'guardfree for arm64: library, command and tests are built' \
	make -s -C guardfree CC=aarch64-linux-gnu-gcc MUSL_CC="aarch64-linux-gnu-gcc -specs=$root/musl-gcc.specs" \
	CMOCKA="-idirafter $root/usr/include -L$root/usr/lib/aarch64-linux-gnu -lcmocka" B="$build/guardfree-arm64" tests
[ "$failed" = 0 ] || done_testing

for image in $IMAGES; do
	tests_in "$image" vm/run -q --image "$image" --mem 3G --timeout 3600 -- \
		"$root/bin/busybox" sh tests/guardfree-arm64.guest "$root" "$top" guest
done
done_testing
