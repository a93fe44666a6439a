#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Uses the packages of `make deb` as a person would: apt installs them into a Debian
# system and makes the initramfs, qemu boots that system from its disk, and systemd
# starts the selftest and the demonstration there. `make deb-test` calls it. The output
# of the system is kept in build/deb/test.
set -u
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/lib.sh"
need_tree
need_tools mmdebstrap mke2fs qemu-system-x86_64 gcc make
cd "$top" || exit 1
deb=$build/deb
place=$deb/test
set -- "$deb"/linux-image-*_amd64.deb
{ [ -s "$1" ] && [ $# = 1 ]; } || bail "there is not one linux-image in build/deb: run 'make deb'"
release=$(basename "$1" | sed 's/^linux-image-//; s/_.*//')
version=$(basename "$1" | sed 's/^[^_]*_//; s/_amd64\.deb$//')
mkdir -p "$place" || bail "cannot write to $place"

# --- what is in them
for p in "linux-image-$release" "linux-headers-$release" linux-libc-dev-guard; do
	f=$deb/${p}_${version}_amd64.deb
	works "$p: is there, and a package" dpkg-deb --info "$f"
done
dpkg-deb --fsys-tarfile "$deb/linux-libc-dev-guard_${version}_amd64.deb" |
	tar -xO ./usr/include/asm-generic/mman-common.h 2>/dev/null | grep -w MADV_GUARD_POISON >"$out"
verdict $? 'linux-libc-dev-guard: has the two advice values'
echo "$release" | grep -q -- '-guard-cloud-amd64$'
verdict $? "release $release: a name of its own, beside Debian's images"

# --- what is run in it
src=$build/tests/selftests-series
selftests series "$src" || bail 'cannot extract the selftests from build/linux'
works 'the selftest is built' kselftest_build "$src" "$place/mm" 'gcc -static'
works 'the demonstration is built' env OUT="$place/demo" CC='gcc -static' demo/run --static
[ "$failed" = 0 ] || done_testing
selftest=$(sed "s,^,$place/mm/," "$place/mm/programs" | tr '\n' ' ')
cat >"$place/guard-test" <<'END'
#!/bin/sh
# The system runs this once it is up; the second serial port leads to the host.
stty -F /dev/ttyS1 raw -echo
exec >/dev/ttyS1 2>&1
echo "release $(uname -r)"
echo "init $(cat /proc/1/comm)"
echo "root $(findmnt -n -o FSTYPE,SOURCE / 2>/dev/null || grep ' / ' /proc/mounts)"
echo "failed $(systemctl list-units --failed --no-legend --plain | cut -d ' ' -f 1 | tr '\n' ' ')"
modprobe zram num_devices=1 && echo 512M >/sys/block/zram0/disksize && mkswap -q /dev/zram0 && swapon /dev/zram0
echo 'begin selftest'
/opt/guard/each /opt/guard/programs
echo "end selftest $?"
echo 'begin demo'
/opt/guard/guard-demo
echo "end demo $?"
echo done
systemctl --no-block poweroff
END
cat >"$place/guard-test.service" <<'END'
[Unit]
Description=Guard pages, tested
After=multi-user.target

[Service]
Type=oneshot
ExecStart=/opt/guard/guard-test

[Install]
WantedBy=graphical.target multi-user.target
END

# --- the system: the sources of packages are the host's
debian_sources
# shellcheck disable=SC2086 # words
set -- $sources
rm -rf "$place/system"
# shellcheck disable=SC2016 # mmdebstrap's shell expands it
# As on a real system: all at once, and apt brings what the packages depend on.
mmdebstrap --mode=root --variant=minbase --aptopt="$tmp/acquire" \
	--skip=cleanup/apt/lists --include=systemd-sysv,udev,dbus,kmod,initramfs-tools,zstd,util-linux,procps \
	--hook-dir=/usr/share/mmdebstrap/hooks/file-mirror-automount \
	--customize-hook="copy-in $deb/linux-image-${release}_${version}_amd64.deb \
		$deb/linux-headers-${release}_${version}_amd64.deb $deb/linux-libc-dev-guard_${version}_amd64.deb /var/tmp" \
	--customize-hook='chroot "$1" sh -c "apt-get -y -q install /var/tmp/*.deb && rm /var/tmp/*.deb"' \
	--customize-hook='mkdir -p "$1/opt/guard"' \
	--customize-hook="copy-in $place/guard-test $place/mm/each $place/mm/programs $selftest $place/demo/guard-demo /opt/guard" \
	--customize-hook="copy-in $place/guard-test.service /etc/systemd/system" \
	--customize-hook='chmod +x "$1/opt/guard/guard-test"; chroot "$1" systemctl enable guard-test.service' \
	"$codename" "$place/system" "$@" >"$place/install.log" 2>&1
status=$?
tail -n 15 "$place/install.log" >"$out"
verdict $status "$codename: the packages are installed by apt"
[ $status = 0 ] || done_testing
ls "$place/system/boot/vmlinuz-$release" "$place/system/boot/initrd.img-$release" >"$out" 2>&1
verdict $? 'and their scripts made an initramfs'
# The plans of apt: with ours installed, and with Debian's in the same system, which is
# told that a repository has ours.
would() { # ARGUMENTS: its plan
	chroot "$place/system" apt-get -s -q "$@" 2>&1 | grep -E '^(Inst|Remv|E:)'
}
would dist-upgrade >"$out"
! grep -qE ' linux-(image|headers|libc)|^E:' "$out"
verdict $? 'an upgrade leaves them as they are'
would install libc6-dev >"$out"
grep -q 'Inst libc6-dev ' "$out" && ! grep -qE ' linux-(image|headers|libc)|^E:' "$out"
verdict $? 'libc6-dev is content with our headers'
mkdir "$place/system/var/tmp/ours" && cp "$deb"/*.deb "$place/system/var/tmp/ours/" &&
	(cd "$place/system/var/tmp/ours" && dpkg-scanpackages . >Packages) >"$out" 2>&1 &&
	echo 'deb [trusted=yes] file:/var/tmp/ours ./' >"$place/system/etc/apt/sources.list.d/ours.list" &&
	chroot "$place/system" apt-get -q -o APT::Sandbox::User=root -o Dir::Etc::sourceparts=/dev/null \
		-o Dir::Etc::sourcelist=/etc/apt/sources.list.d/ours.list -o APT::Get::List-Cleanup=0 update >>"$out" 2>&1
verdict $? 'a repository of ours is known to its apt'
would -o Dir::State::status=/dev/null install libc6-dev linux-image-cloud-amd64 >"$out"
grep -q 'Inst linux-libc-dev ' "$out" && grep -q 'Inst linux-image-[0-9].*cloud-amd64 ' "$out" && ! grep -q guard "$out"
verdict $? "and where nothing of ours is installed, apt takes Debian's"
rm -rf "$place/system/var/tmp/ours" "$place/system/etc/apt/sources.list.d/ours.list"
{ cp "$place/system/boot/vmlinuz-$release" "$place/kernel" && cp "$place/system/boot/initrd.img-$release" "$place/initrd"; } ||
	bail "cannot write to $place"
rm -f "$place/disk"
works 'its disk is made' mke2fs -q -t ext4 -L root -d "$place/system" "$place/disk" 3G
rm -rf "$place/system"
[ "$failed" = 0 ] || done_testing

# --- boot
: >"$place/said"
accel=tcg
[ "${VM_ACCEL:-tcg}" != kvm ] || accel=kvm:tcg # as vm/run
timeout -k 10 "${DEB_TIMEOUT:-2400}" qemu-system-x86_64 -machine q35,accel=$accel -cpu max,erms=off,fsrm=off -smp 2 -m 2G \
	-nodefaults -display none -no-reboot -kernel "$place/kernel" -initrd "$place/initrd" \
	-append 'root=/dev/vda rw console=ttyS0 no_timer_check panic=-1 oops=panic systemd.show_status=1' \
	-drive "file=$place/disk,if=virtio,format=raw" -device virtio-rng-pci \
	-serial "file:$place/console" -serial "file:$place/said" </dev/null >"$place/qemu" 2>&1
status=$?
rm -f "$place/disk"
{ cat "$place/qemu"; tail -n 20 "$place/console"; } >"$out"
[ $status = 0 ] && grep -qx 'done' "$place/said"
verdict $? 'the system booted, ran the tests and powered off'
patterns=$tmp/splats
sed '/^#/d; /^[[:space:]]*$/d' vm/splats >"$patterns"
grep -aE -f "$patterns" "$place/console" >"$out"
silent 'its kernel had nothing to say' "$out"
said() {
	sed -n "s/^$1 //p" "$place/said" | head -n 1
}
cp "$place/said" "$out"
[ "$(said release)" = "$release" ]
verdict $? "it runs $release"
[ "$(said init)" = systemd ]
verdict $? 'its init is systemd'
[ -z "$(said failed)" ]
verdict $? 'none of its units failed'

# The selftest, each of its tests one here.
# shellcheck disable=SC2317 # called by its name
selftest_said() {
	sed -n '/^begin selftest/,/^end selftest/p' "$place/said" | grep -vE '^(begin|end) selftest'
	return "$(sed -n 's/^end selftest //p' "$place/said" | grep . || echo 99)"
}
guest_tap deb selftest_said
sed -n '/^begin demo/,/^end demo/p' "$place/said" >"$out"
facts=$(sed -n 's/^demo: \([0-9]* facts\) shown, all as the contract says.*/\1/p' "$out")
[ -n "$facts" ] && grep -qx 'end demo 0' "$out"
verdict $? "demonstration: ${facts:-not all} as the contract says"
done_testing
