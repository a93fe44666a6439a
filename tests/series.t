#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# The series itself: it applies in every documented way to the newest and the oldest
# source that apt offers, it could be posted as it is, and its list works with quilt
# and Debian's packaging.
#
# series/checkpatch.answers has the reason for each remark of checkpatch that stays:
#	SUBJECT | TYPE [N] | reason
# with the subject of the patch, checkpatch's name for the type, and the number of
# such remarks (1). An answer without a remark is an error, and the reverse.
set -u
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/lib.sh"

# Work on a copy, because somebody may edit series/ meanwhile.
[ -s "$series/series" ] || bail "there is no series/series: run 'make series'"
cp -R "$series" "$tmp/series" || exit 1
series=$tmp/series
package=$(awk '$1 == "package" { print $2 }' "$top/kernel/base")
answers=$series/checkpatch.answers
cover=0000-cover-letter.patch
need_tree
need_tools quilt patch git codespell perl dpkg-deb apt-get xz

# --- the list -------------------------------------------------------------------

grep -vE '^(#.*)?$' "$series/series" >"$tmp/list"
grep -vE '^[0-9]{4}-[A-Za-z0-9._-]+\.patch$' "$tmp/list" >"$tmp/strange"
silent 'series/series: only file names, empty lines and comments' "$tmp/strange"
(cd "$series" && for p in [0-9]*.patch; do [ "$p" = $cover ] || echo "$p"; done) >"$tmp/there"
diff "$tmp/there" "$tmp/list" >"$out"
verdict $? 'series/series names the patches there are, in order'
[ -s "$tmp/list" ] || bail 'series/series names no patch'
# `make coverage` would notice only after half an hour.
sed -nE 's,^\+\+\+ b/(mm|fs|kernel|arch/x86)/(.*/)?([^/]*)\.c$,\3,p' "$series"/[0-9]*.patch | sort -u >"$tmp/files"
sed -n 's/^GCOV_PROFILE_\(.*\)\.o=.*/\1/p' "$top/kernel/config/gcov.make" | sort >"$tmp/profiled"
diff "$tmp/files" "$tmp/profiled" >"$out"
verdict $? 'kernel/config/gcov.make has a line for each file of x86-64 that the series changes, and no other'

# --- what each patch says about itself ----------------------------------------------

subject() { sed -n 's/^Subject: //p' "$tmp/$1.info"; }
while read -r p; do
	mkdir -p "$tmp/mail"
	git mailinfo -b --encoding=UTF-8 "$tmp/$p.msg" "$tmp/$p.diff" <"$series/$p" >"$tmp/$p.info" 2>"$out"
	: >"$out"
	complain() { echo "$*" >>"$out"; }
	s=$(subject "$p" | sed 's/^\[[^]]*\] *//')
	from=$(sed -n 's/^Author: //p' "$tmp/$p.info")
	mail=$(sed -n 's/^Email: //p' "$tmp/$p.info")
	echo "$s" >"$tmp/$p.subject"
	echo "$s" | grep -qE '^[A-Za-z0-9][A-Za-z0-9_/.,-]*: [^ ]' || complain "no prefix in the subject: $s"
	[ "${#s}" -le 75 ] || complain "the subject is longer than 75 characters"
	git interpret-trailers --parse <"$tmp/$p.msg" >"$tmp/trailers"
	grep -qxF "Signed-off-by: $from <$mail>" "$tmp/trailers" ||
		complain "From is $from <$mail>, but that is not in a Signed-off-by line at the end"
	grep -qi '^change-id:' "$tmp/$p.msg" && complain "a Change-Id"
	# There must be more than trailers.
	grep -vE '^([A-Za-z-]+-by|Cc|Link|Fixes|Closes): ' "$tmp/$p.msg" | grep -q '[a-z]' || complain "no text"
	grep -qE '^-- ?$' "$tmp/$p.msg" && complain "a signature in the text"
	silent "$p: subject, text and sign-off" "$out"

	{
		cat "$tmp/$p.subject" "$tmp/$p.msg"
		sed -n '/^+++ /d; s/^+//p' "$tmp/$p.diff"
	} | codespell - >"$out" 2>&1
	verdict $? "$p: spelling"
done <"$tmp/list"

# --- checkpatch -----------------------------------------------------------------------

# Take checkpatch from the base, in case the series changes it.
archive base "$build/tests/checkpatch" scripts/checkpatch.pl scripts/const_structs.checkpatch scripts/spelling.txt ||
	bail 'cannot extract checkpatch from build/linux'
sed -E '/^[[:space:]]*(#|$)/d; s/[[:space:]]*\|[[:space:]]*/\t/g' "$answers" >"$tmp/answers" 2>/dev/null
awk -F '\t' 'NF != 3 || $3 !~ /[a-z]/ || $2 !~ /^[A-Z_]+( [0-9]+)?$/' "$tmp/answers" >"$tmp/strange"
silent 'series/checkpatch.answers: SUBJECT | TYPE [N] | reason' "$tmp/strange"
: >"$tmp/used"
while read -r p; do
	# Debian's python3 has the modules that its check of licences needs.
	PATH=/usr/bin:/bin:$PATH perl "$build/tests/checkpatch/scripts/checkpatch.pl" --strict --no-summary --terse --show-types \
		--color=never --root="$tree" "$series/$p" >"$tmp/said" 2>"$tmp/err"
	# Lines like FILE:LINE: CHECK:TYPE: text, which may go on in the next. Messages of
	# checkpatch about itself count as well.
	awk -F '\t' -v answers="$tmp/answers" -v used="$tmp/used" -v subject="$(cat "$tmp/$p.subject")" '
		BEGIN {
			while ((getline line < answers) > 0) {
				split(line, f, "\t")
				if (f[1] != subject) continue
				split(f[2], w, " ")
				want[w[1]] = w[2] == "" ? 1 : w[2]
				print line >> used
			}
		}
		FILENAME == ARGV[1] && /^[^ ]*:[0-9]+: (ERROR|WARNING|CHECK):[A-Z0-9_]+: / {
			type = $0
			sub(/^[^ ]* (ERROR|WARNING|CHECK):/, "", type)
			sub(/:.*/, "", type)
			sub(/^[^ ]*\//, "")
			said[type]++
			text[type] = text[type] "\n  " $0
			next
		}
		FILENAME == ARGV[1] && type != "" { text[type] = text[type] "\n    " $0; next }
		{ print }
		END {
			for (t in said)
				if (!(t in want)) print "no answer to" text[t]
				else if (said[t] != want[t]) print want[t] " answered, but it says" text[t]
			for (t in want)
				if (!(t in said)) print "answered, but not said: " t
		}' "$tmp/said" "$tmp/err" >"$out"
	silent "$p: checkpatch --strict$([ ! -s "$tmp/said" ] || echo ", but for what is answered")" "$out"
done <"$tmp/list"
sort -u "$tmp/used" >"$tmp/used.sorted"
sort -u "$tmp/answers" | comm -23 - "$tmp/used.sorted" >"$tmp/unused"
silent 'series/checkpatch.answers: no answer for a patch that is not there' "$tmp/unused"

# --- the cover letter --------------------------------------------------------------------

if [ -s "$series/$cover" ]; then
	ok 'the cover letter is there'
	c=$series/$cover
	awk '{ if (/^$/) exit; if (/^[ \t]/) printf " %s", $0; else printf "\n%s", $0 } END { print "" }' "$c" >"$tmp/headers"
	head -n 1 "$c" >"$out"
	grep -qE "^Subject: \[PATCH 6\.12 0+/$(wc -l <"$tmp/list")\] [a-z]" "$tmp/headers"
	verdict $? "its subject counts $(wc -l <"$tmp/list") patches"
	grep -oE '6\.12\.[0-9]+-[0-9]+~?[a-z0-9]*|6\.12\.[0-9]+' "$c" | sed 's/-.*//' | sort -u >"$tmp/versions"
	awk '$1 == "sha256" { sub(/-.*/, "", $2); print $2 }' "$top/kernel/base" | grep -qxF -f "$tmp/versions" &&
		grep -qi '\bbase\b' "$c"
	verdict $? 'it names the base, a version that kernel/base lists'
	: >"$out"
	for who in 'Lorenzo Stoakes' 'Vlastimil Babka' 'Jann Horn' 'David Hildenbrand'; do
		# Only in the text, because a Cc line is no credit.
		sed '1,/^$/d' "$c" | tr '\n' ' ' | grep -q "$who" || echo "no $who in the text" >>"$out"
	done
	silent 'it credits where the idea is from' "$out"
	codespell "$c" >"$out" 2>&1
	verdict $? 'its spelling'
	grep -iE '^(to|cc):' "$tmp/headers" | grep -oE '[A-Za-z0-9._+-]+@[A-Za-z0-9.-]+' | tr '[:upper:]' '[:lower:]' | sort -u >"$tmp/told"
	# shellcheck disable=SC2046 # file names without blanks
	if (cd "$tree" && perl scripts/get_maintainer.pl --nogit --nogit-fallback --no-rolestats --no-n \
			$(sed "s|^|$series/|" "$tmp/list")) >"$tmp/maintainers" 2>"$tmp/err" && [ -s "$tmp/maintainers" ]; then
		grep -oE '[A-Za-z0-9._+-]+@[A-Za-z0-9.-]+' "$tmp/maintainers" | tr '[:upper:]' '[:lower:]' | sort -u |
			comm -23 - "$tmp/told" >"$out"
		silent "its To and Cc have all $(wc -l <"$tmp/maintainers") that get_maintainer.pl names" "$out"
	else
		cat "$tmp/err" >"$out"
		not_ok 'get_maintainer.pl names somebody'
	fi
else
	echo "write series/$cover" >"$out"
	not_ok 'the cover letter is there'
fi

# --- it applies ------------------------------------------------------------------------

# The versions that apt offers, newest first, as in kernel/fetch.
offered=$(apt-cache madison "$package" 2>/dev/null |
	awk -F ' *[|] *' '$3 !~ /Sources/ && !seen[$2]++ { print $2 }')
[ -n "$offered" ] || bail "apt does not know $package: run 'apt-get update'"
newest=$(echo "$offered" | head -n 1)
oldest=$(echo "$offered" | tail -n 1)

# The files that the patches change, without new ones.
while read -r p; do
	sed -n 's/^--- a\///p; s/^rename from //p; s/^copy from //p' "$tmp/$p.diff"
done <"$tmp/list" | sort -u >"$tmp/files"
while read -r p; do
	sed -n '/^--- \/dev\/null$/{n; s/^+++ b\///p}' "$tmp/$p.diff"
done <"$tmp/list" | sort -u >"$tmp/new"
comm -23 "$tmp/files" "$tmp/new" >"$tmp/old"

# source_of VERSION DIR: unpacks these files from the package, and keeps the package.
source_of() {
	deb=$build/fetch/${package}_$1.deb
	want=$({ echo "$1"; cat "$tmp/old"; } | sha256sum)
	if [ "$(cat "$2.stamp" 2>/dev/null)" = "$want" ]; then
		return
	fi
	# Compare with apt's index, because the file may be truncated or replaced.
	sum=$(apt-cache show "$package=$1" | awk '$1 == "SHA256:" { print $2; exit }')
	if ! echo "$sum  $deb" | sha256sum -c --status 2>/dev/null; then
		echo "$me: downloading $package $1" >&2
		mkdir -p "$tmp/download" "$build/fetch" &&
			(cd "$tmp/download" && apt-get -q -o APT::Sandbox::User=root download "$package=$1" >/dev/null) &&
			echo "$sum  $(echo "$tmp"/download/*.deb)" | sha256sum -c --status &&
			mv "$tmp"/download/*.deb "$deb.tmp" && mv "$deb.tmp" "$deb" &&
			echo "$sum" >"$deb.sha256" || return 1
	fi
	echo "$me: unpacking $1" >&2
	rm -rf "$2" "$2.stamp"
	mkdir -p "$2" || return 1
	# If this version lacks a file, the patch will not apply.
	sed 's|^|*/|' "$tmp/old" >"$tmp/members"
	dpkg-deb --fsys-tarfile "$deb" | tar -xO "./usr/src/$package.tar.xz" >"$tmp/tar.xz" &&
		{ xz -dc -T0 "$tmp/tar.xz" |
			tar -x -C "$2" --strip-components=1 --wildcards --no-wildcards-match-slash -T "$tmp/members" 2>/dev/null
		  rm "$tmp/tar.xz"; }
	find "$2" -type f | grep -q . && echo "$want" >"$2.stamp"
}

by_patch() { # SOURCE
	cp -r "$1" "$tmp/patch" || return
	while read -r p; do
		patch -d "$tmp/patch" -p1 -s -F0 --no-backup-if-mismatch <"$series/$p" || {
			echo "$p does not apply"
			return 1
		}
	done <"$tmp/part/series"
}

same_files() { # DIR DIR
	diff -rq --exclude=.git --exclude=.pc "$1" "$2" >>"$out" 2>&1
}

mkdir -p "$build/tests"
versions=$newest
[ "$newest" = "$oldest" ] || versions="$newest $oldest"
: >"$tmp/empty"
# quilt must not read the user's settings.
quilt() { env QUILT_PATCHES="$tmp/part" QUILT_SERIES=series HOME="$tmp" quilt --quiltrc "$tmp/empty" "$@"; }
for v in $versions; do
	src=$build/tests/source-$v
	if ! source_of "$v" "$src"; then
		echo "see what apt-get download $package=$v says" >"$out"
		not_ok "$v: the source is there"
		continue
	fi
	# An older base ends before the section that needs a newer one.
	# shellcheck disable=SC2016 # the inner shell's arguments
	fit=$(SERIES=$series sh -c '. "$0" && fitting "$1"' "$top/kernel/common" "${v%%-*}")
	rm -rf "$tmp/part"
	mkdir "$tmp/part" || bail "cannot write to $tmp"
	cp "$series/$cover" "$tmp/part"
	head -n "$fit" "$tmp/list" | while read -r p; do cp "$series/$p" "$tmp/part"; done
	head -n "$fit" "$tmp/list" >"$tmp/part/series"
	# The whole folder, with the cover letter, which is no patch.
	cp -r "$src" "$tmp/am"
	g() { git -C "$tmp/am" -c user.name=t -c user.email=t@localhost -c core.autocrlf=false "$@"; }
	{ g init -q && g add -f . && g commit -qm base && g tag base; } >"$out" 2>&1 || bail 'cannot make a repository'
	g am -q --empty=drop "$tmp/part"/*.patch >"$out" 2>&1 &&
		[ "$(g rev-list --count base..)" = "$fit" ]
	status=$?
	verdict $status "$v: git am"
	if [ $status != 0 ]; then
		# Show where, and whether only the context has changed.
		by_patch "$src" >"$out" 2>&1
		not_ok "$v: patch -p1, without fuzz"
		rm -rf "$tmp/am" "$tmp/patch"
		continue
	fi
	g diff --check base HEAD | grep -E ': (trailing whitespace|space before tab|new blank line at EOF)' >"$out"
	silent "$v: no line ends in a blank" "$out"
	while read -r f; do
		[ -e "$tmp/am/$f" ] || [ "$fit" != "$(wc -l <"$tmp/list")" ] || echo "$f"
		[ ! -e "$tmp/am/$f" ] || head -n 3 "$tmp/am/$f" | grep -q 'SPDX-License-Identifier: ' || echo "$f"
	done <"$tmp/new" >"$out"
	silent "$v: new files say their license" "$out"

	cp -r "$src" "$tmp/quilt"
	(cd "$tmp/quilt" && quilt push -a) >"$out" 2>&1 &&
		! grep -qiE 'fuzz|reject' "$out" &&
		same_files "$tmp/quilt" "$tmp/am"
	verdict $? "$v: quilt push -a, without fuzz, to the same files"
	# quilt leaves the directories of new files.
	(cd "$tmp/quilt" && quilt pop -a) >"$out" 2>&1 &&
		find "$tmp/quilt" -depth -type d -empty ! -path '*/.pc*' -delete &&
		same_files "$tmp/quilt" "$src"
	verdict $? "$v: quilt pop -a, back to where it was"

	# As a part of Debian's own source package.
	cp -r "$src" "$tmp/deb"
	mkdir -p "$tmp/deb/debian/patches/bugfix"
	echo 'bugfix/one.patch' >"$tmp/deb/debian/patches/series"
	: >"$tmp/deb/debian/patches/bugfix/one.patch"
	export SERIES="$tmp/part"
	"$top/kernel/debian-patches" "$tmp/deb" >"$out" 2>&1 && "$top/kernel/debian-patches" "$tmp/deb" >>"$out" 2>&1 &&
		sed 's/[[:space:]]*#.*//; /^[[:space:]]*$/d' "$tmp/deb/debian/patches/series" >"$tmp/names" &&
		{ echo bugfix/one.patch; sed 's,^,guard/,' "$tmp/part/series"; } | diff - "$tmp/names" >>"$out" &&
		(cd "$tmp/deb" && QUILT_PATCHES=debian/patches QUILT_SERIES=series HOME="$tmp" \
			command quilt --quiltrc "$tmp/empty" push -a) >>"$out" 2>&1 &&
		rm -rf "$tmp/deb/debian" "$tmp/deb/.pc" && same_files "$tmp/deb" "$tmp/am"
	verdict $? "$v: kernel/debian-patches, then quilt push -a of the whole package"
	unset SERIES
	rm -rf "$tmp/deb"

	by_patch "$src" >"$out" 2>&1 && same_files "$tmp/patch" "$tmp/am"
	verdict $? "$v: patch -p1, without fuzz, to the same files"
	rm -rf "$tmp/am" "$tmp/quilt" "$tmp/patch"
done
[ "$newest" != "$oldest" ] || echo "# only one version is on offer: $newest"

# --- build/linux has the same patches --------------------------------------------------------

# Ids of the patches' content, which do not depend on the base.
ids() { git patch-id --stable | cut -d ' ' -f 1; }
for commit in $(git -C "$tree" rev-list --reverse base..series); do
	git -C "$tree" diff-tree -p "$commit" | ids
done >"$tmp/ids.tree"
while read -r p; do ids <"$tmp/$p.diff"; done <"$tmp/list" >"$tmp/ids.series"
# The user's own checkout may have some already.
if [ -s "$tree/.git/skipped" ]; then
	grep -vxFf "$tmp/ids.tree" "$tmp/ids.series" >"$tmp/ids.missing"
	[ "$(wc -l <"$tmp/ids.missing")" = "$(wc -l <"$tree/.git/skipped")" ]
else
	cmp -s "$tmp/ids.tree" "$tmp/ids.series"
fi
status=$?
echo "run 'make series' to write the commits to series/, or 'make tree' to lay series/ out" >"$out"
verdict $status 'build/linux has these patches'

done_testing
