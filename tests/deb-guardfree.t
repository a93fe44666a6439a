#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Uses the packages of `make deb-guardfree` as a person would: lintian has nothing to say,
# apt installs them into a clean Debian system, `guardfree ls` runs there, and so do the
# package's own tests (autopkgtest); they are removed again and leave nothing.
# `make deb-guardfree-test` calls it. Guards are the running kernel's, or PROT_NONE.
set -u
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/lib.sh"
need_tools mmdebstrap lintian autopkgtest unshare
[ "$(id -u)" = 0 ] || bail 'a Debian system is made as root'
deb=$build/deb-guardfree
place=$tmp/system
set -- "$deb"/guardfree_*.deb
{ [ -s "$1" ] && [ $# = 1 ]; } || bail "there is not one guardfree in build/deb-guardfree: run 'make deb-guardfree'"
name=${1##*/}
version=${name#*_}
version=${version%_*}
dev=$deb/libguardfree-dev_${name#*_}
changes=$deb/guardfree_${name#*_}
changes=${changes%.deb}.changes

lintian --allow-root --display-info --fail-on error,warning,info "$changes" >"$out" 2>&1
verdict $? 'lintian has nothing to say'

debian_sources
# shellcheck disable=SC2086 # words
set -- $sources
mmdebstrap --mode=root --variant=apt --aptopt="$tmp/acquire" --skip=cleanup/apt/lists,cleanup/apt/cache \
	--hook-dir=/usr/share/mmdebstrap/hooks/file-mirror-automount --include=dpkg-dev \
	"$codename" "$place" "$@" >"$out" 2>&1
verdict $? "$codename: a clean system"
[ "$failed" = 0 ] || done_testing
cp "$tmp/acquire" "$place/etc/apt/apt.conf.d/99acquire"
cp "$deb"/*.deb "$place/var/tmp/"
(cd "$place" && find . -xdev -path ./proc -prune -o -path ./var -prune -o -path ./tmp -prune -o -print | sort) >"$tmp/before"

# in_system COMMAND: with /proc, and apt's packages where they are on the host
in_system() {
	# shellcheck disable=SC2016 # for the inner shell
	unshare -m sh -c '
		mount -t proc proc "$1/proc" && mount --rbind /dev "$1/dev" || exit 99
		for list in "$1"/etc/apt/sources.list "$1"/etc/apt/sources.list.d/*; do
			[ -s "$list" ] || continue
			grep -o "file:[^ ]*" "$list" | sed "s,^file:/*,/," | while read -r dir; do
				[ ! -d "$dir" ] || { mkdir -p "$1$dir" && mount --bind "$dir" "$1$dir"; }
			done
		done
		exec chroot "$1" sh -c "$2"' sh "$place" "$1"
}
works 'apt installs them' in_system "apt-get -y -q install /var/tmp/guardfree_${name#*_}"
# shellcheck disable=SC2016 # for the shell in there
works 'guardfree ls' in_system 'guardfree ls / >/tmp/out 2>&1; rc=$?; cat /tmp/out; ls / | diff - /tmp/out && exit $rc'
in_system 'guardfree --version && man -w guardfree 2>/dev/null; ls /usr/share/man/man1/guardfree.1.gz; command -v gcc' >"$out" 2>&1
grep -q '^guardfree 1' "$out" && ! grep -q /gcc "$out"
verdict $? 'it is all that is needed: no compiler, no library beside it'
works 'apt installs libguardfree-dev' in_system "apt-get -y -q --no-install-recommends install /var/tmp/${dev##*/}"
works 'apt removes them' in_system 'apt-get -y -q purge guardfree libguardfree-dev'
(cd "$place" && find . -path '*guardfree*' | grep -v ^./var/tmp) >"$out"
silent 'and nothing of theirs is left' "$out"

# The package's tests. They install what they need.
# shellcheck disable=SC2016 # for the inner shell
unshare -m sh -c '
	mount -t proc proc "$1/proc" && mount --rbind /dev "$1/dev" || exit 99
	grep -ho "file:[^ ]*" "$1"/etc/apt/sources.list "$1"/etc/apt/sources.list.d/* 2>/dev/null |
		sed "s,^file:/*,/," | while read -r dir; do
			[ ! -d "$dir" ] || { mkdir -p "$1$dir" && mount --bind "$dir" "$1$dir"; }
		done
	exec autopkgtest -q --no-built-binaries "$2" "$3" "$4" --summary-file="$5" -- chroot "$1"' sh \
	"$place" "$deb/$name" "$dev" "$deb/guardfree-$version" "$tmp/summary" >"$tmp/said" 2>&1
status=$?
for t in installed suite; do
	{ tail -n 60 "$tmp/said" | grep -v '^ok'; cat "$tmp/summary"; } >"$out" 2>&1
	grep -qE "^$t +PASS" "$tmp/summary"
	verdict $? "autopkgtest: $t"
done
echo "# autopkgtest ended with $status"
done_testing
