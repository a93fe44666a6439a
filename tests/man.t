#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# The patches in docs/man/ apply to the pages of Debian's manpages packages, which are
# byte for byte those of man-pages 6.03; man, groff and mandoc print no new warnings; the
# example program compiles.
#
# MANPAGES=DIR: a tree of man-pages 6.03 (man2/, man5/) instead of the packages.
set -u
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/lib.sh"
need_tools git gcc man groff mandoc dpkg-deb col
[ -e "$build/headers/x86_64/include/linux/fs.h" ] || bail "there are no build/headers: run 'make headers'"
patches=$top/docs/man
version=6.03-2
kept=$build/fetch/manpages-$version

# --- the pages ----------------------------------------------------------------

# Get the pages from Debian's packages, once.
fetch() {
	[ -s "$kept/man2/madvise.2" ] && return
	mkdir -p "$tmp/deb" "$build/fetch" || return 1
	(
		cd "$tmp/deb" &&
			apt-get -q -o APT::Sandbox::User=root download \
				"manpages=$version" "manpages-dev=$version"
	) >"$out" 2>&1 || return 1
	for deb in "$tmp/deb/"*.deb; do
		dpkg-deb -x "$deb" "$tmp/unpacked" || return 1
	done
	rm -rf "$kept.new" "$kept"
	mkdir "$kept.new" "$kept.new/man2" "$kept.new/man5" &&
		cp "$tmp/unpacked/usr/share/man/man2/"*.2.gz "$kept.new/man2" &&
		cp "$tmp/unpacked/usr/share/man/man5/"*.5.gz "$kept.new/man5" &&
		gunzip "$kept.new/"man?/*.gz && mv "$kept.new" "$kept"
}

# The checks, on a copy of the pages in a repository.
pages() {
	repo=$tmp/pages
	{
		mkdir "$repo" && cp -R "$1/man2" "$1/man5" "$repo" && cd "$repo" && git init -q . &&
			git config user.name test && git config user.email test@example.org &&
			git add -A && git commit -q -m 'man-pages 6.03' && git tag base
	} >"$out" 2>&1 || bail "cannot make a repository of the pages: $(tail -n 1 "$out")"

	# Each patch must be made for the blob that the page has.
	sed -n 's/^index \([0-9a-f]*\)\.\..*/\1/p' "$patches"/*.patch | while read -r blob; do
		case $blob in *[!0]*) ;; *) continue ;; esac
		git rev-parse -q --verify "$blob^{blob}" >/dev/null || echo "$blob"
	done >"$tmp/blobs"
	git am -q "$patches"/*.patch >"$out" 2>&1
	status=$?
	# If several patches change a page, the later ones are made for a blob of ours.
	while read -r blob; do
		git rev-parse -q --verify "$blob^{blob}" >/dev/null || echo "no page is blob $blob"
	done <"$tmp/blobs" >>"$out"
	[ $status = 0 ] && [ ! -s "$out" ]
	verdict $? "the patches apply to manpages $version"
	[ $status = 0 ] || return

	git log --format='%an <%ae>' base.. >"$tmp/authors"
	git log --format='%(trailers:key=Signed-off-by,valueonly)' base.. | sed '/^$/d' >"$tmp/signed"
	diff "$tmp/authors" "$tmp/signed" >"$out"
	verdict $? 'each is signed off by its author'
	git diff --check base >"$out" 2>&1
	verdict $? 'and adds no blanks at the end of lines'
	git diff base | sed -n 's/^+//p' | awk 'length > 80' >"$out"
	silent 'nor lines of more than 80 characters' "$out"

	git diff --name-only base >"$tmp/changed"
	while read -r page; do
		name=${page##*/}
		git show "base:$page" >"$tmp/$name" 2>/dev/null || rm -f "$tmp/$name"
		for tool in man groff mandoc; do
			: >"$tmp/before"
			[ ! -e "$tmp/$name" ] || lint $tool "$tmp/$name" >"$tmp/before"
			lint $tool "$page" >"$tmp/after"
			# man-pages itself uses small letters in titles.
			diff "$tmp/before" "$tmp/after" | sed -n 's/^> //p' |
				grep -v 'lower case character in document title' >"$out"
			silent "$page: no new warning from $tool" "$out"
		done
	done <"$tmp/changed"

	# The rendered pages have these words.
	for what in madvise.2:MADV_GUARD_POISON madvise.2:MADV_GUARD_REMOVE \
		process_madvise.2:MADV_GUARD_UNPOISON proc.5:Guards proc.5:guard_hit \
		ioctl_pagemap_scan.2:PAGE_IS_GUARD userfaultfd.2:MADV_GUARD_POISON; do
		page=${what%:*}
		MANWIDTH=100 man -l "man${page##*.}/$page" 2>"$out" | grep -q "${what#*:}"
		verdict $? "$page: ${what#*:} is in the text"
	done
	man -Tpdf -l man2/madvise.2 >"$tmp/madvise.pdf" 2>"$out" && [ "$(head -c 4 "$tmp/madvise.pdf")" = %PDF ]
	verdict $? 'madvise.2 as PDF'

	# The example program, from the rendered page.
	MANWIDTH=200 man -l man2/ioctl_pagemap_scan.2 2>/dev/null | col -b |
		sed -n '/Program source/,/^SEE ALSO/p' | sed -e 1d -e '$d' >"$tmp/example.c"
	works 'the program of ioctl_pagemap_scan.2 compiles' \
		gcc -O2 -Wall -Wextra -Werror -isystem "$build/headers/x86_64/include" \
		-o "$tmp/example" "$tmp/example.c"
}

# Warnings without line numbers, which change.
lint() {
	case $1 in
	man) LC_ALL=C.UTF-8 MANWIDTH=80 man --warnings -E UTF-8 -l -Tutf8 -Z "$2" 2>&1 >/dev/null ;;
	groff) groff -man -t -ww -z -Tutf8 -K utf8 "$2" 2>&1 ;;
	mandoc) mandoc -T lint "$2" ;;
	esac | sed -e 's/^[^:]*:[^:]*:\([0-9: ]*\)//' -e 's/line [0-9]*//' -e "s,$tmp/,,g" | sort
}

if [ -n "${MANPAGES:-}" ]; then
	[ -e "$MANPAGES/man2/madvise.2" ] || bail "MANPAGES=$MANPAGES has no man2/madvise.2"
	pages "$MANPAGES"
elif fetch; then
	pages "$kept"
elif grep -q '^E: Version .* was not found' "$out"; then
	skip 'the patches of docs/man' "there is no manpages $version here: set MANPAGES to a tree of man-pages 6.03"
else
	# A missing network or a full disk is no reason to skip the test
	not_ok "manpages $version can be had from apt: run 'apt-get update' and try again, or set MANPAGES"
fi

done_testing
