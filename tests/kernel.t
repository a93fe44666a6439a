#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Runs the scripts of kernel/ with good and bad input on a source tree of five files.
# Takes seconds, without kernel build or network. TAP.
set -u
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/lib.sh"
dir=$tmp
export BUILD="$dir/build" SERIES="$dir/series"
export GIT_AUTHOR_NAME=A GIT_AUTHOR_EMAIL=a@localhost GIT_COMMITTER_NAME=A GIT_COMMITTER_EMAIL=a@localhost
unset KSRC KVER FORCE UPTO KERNEL_LOCKED
mkdir "$dir/series"
is() # NAME WANT HAVE
{
	if [ "$2" = "$3" ]; then ok "$1"; else
		printf 'want: %s\nhave: %s\n' "$2" "$3" >"$out"
		not_ok "$1"
	fi
}

# fails NAME WORDS COMMAND...: the status must not be 0, stderr one line with these words.
fails()
{
	what=$1 words=$2
	shift 2
	if "$@" >"$dir/stdout" 2>"$out"; then
		echo "it succeeded" >>"$out"
		not_ok "$what"
	elif [ "$(wc -l <"$out")" != 1 ] || ! grep -qE "$words" "$out"; then
		not_ok "$what"
	else
		ok "$what"
	fi
}

# shellcheck disable=SC2317 # fails and works call these by name
{
	fetch() { KSRC=${1:-} "$top/kernel/fetch"; }
	kver() { KVER=$1 "$top/kernel/fetch"; }
	force() { FORCE=1 "$@"; }
	upto() { UPTO=$1 "$top/kernel/tree"; }
}
t=$BUILD/linux
gt() { git -C "$t" "$@"; }

# Makes a source tree: files with its version, and files to patch.
fake() # DIR VERSION PATCHLEVEL
{
	mkdir -p "$1/mm" "$1/lib"
	printf '# SPDX\nVERSION = %s\nPATCHLEVEL = %s\nSUBLEVEL = 99\nEXTRAVERSION =\n' "$2" "$3" >"$1/Makefile"
	echo '*.o' >"$1/.gitignore"
	echo x >"$1/Kbuild"
	seq 1 30 >"$1/mm/a.c"
	seq 1 30 >"$1/lib/b.c"
	echo junk >"$1/mm/a.o"
}
fake "$dir/k612" 6 12
fake "$dir/k611" 6 11

# --- fetch
fails 'KSRC that does not exist' 'is not a directory' fetch "$dir/none"
fails 'KSRC that is no kernel' 'not a kernel source tree' fetch "$dir/series"
fails 'KSRC that is another version' 'is 6\.11\.99: the series is for 6\.12' fetch "$dir/k611"
is 'a refused KSRC leaves nothing' '' "$(ls "$BUILD/base.env" 2>/dev/null)"
fails 'KSRC and KVER together' 'exclude each other' env KSRC="$dir/k612" KVER=6.12.1 "$top/kernel/fetch"
fails 'KVER of another series' 'the series is for 6\.12' kver 6.13.1

mkdir "$dir/bin" "$dir/pkg"
# An apt that offers two versions and has no network.
cat >"$dir/bin/apt-cache" <<'END'
#!/bin/sh
case $1 in
madison)
	[ -z "${NOTHING:-}" ] || exit 0
	echo ' linux-source-6.12 | 6.12.9-1~deb12u1 | http://mirror stable/main amd64 Packages'
	echo ' linux-source-6.12 | 6.12.8-2 | http://mirror stable/main amd64 Packages' ;;
show) echo "SHA256: ${INDEX:-none}" ;;
esac
END
cat >"$dir/bin/apt-get" <<'END'
#!/bin/sh
case " $* " in
*' download '*) [ -n "${DEB:-}" ] || { echo 'E: Failed to fetch: no route' >&2; exit 100; }
	cp "$DEB" linux-source-6.12_6.12.9-1~deb12u1_all.deb ;;
esac
END
chmod +x "$dir/bin/"*
with_apt() { PATH=$dir/bin:$PATH "$@"; }
fails 'KVER that is not on offer' 'not on offer: choose one of 6\.12\.9 6\.12\.8' with_apt kver 6.12.77
fails 'KVER 6.12.8 is no prefix' 'not on offer' with_apt kver 6.12.
fails 'no package' 'apt does not know' with_apt env NOTHING=1 "$top/kernel/fetch"
fails 'no network' 'cannot download .*no route' with_apt kver newest
echo not a package >"$dir/pkg/deb"
fails 'a package whose hash is not in the index of apt' 'index says none' with_apt env DEB="$dir/pkg/deb" "$top/kernel/fetch"
is 'a refused package leaves nothing' '' "$(find "$BUILD" -name base.env -o -path '*/fetch/*')"
cat >"$dir/bin/df" <<'END'
#!/bin/sh
echo head; echo /dev/x 1000 900 102400 9% /
END
chmod +x "$dir/bin/df"
fails 'no space' 'needs [0-9]+ MB free' with_apt kver newest
rm "$dir/bin/df"

# A package as Debian's: a tar in a deb.
mkdir -p "$dir/deb/DEBIAN" "$dir/deb/usr/src"
fake "$dir/linux-source-6.12" 6 12
tar -C "$dir" -cJf "$dir/deb/usr/src/linux-source-6.12.tar.xz" linux-source-6.12
printf 'Package: linux-source-6.12\nVersion: 6.12.9-1~deb12u1\nArchitecture: all\nMaintainer: A <a@localhost>\nDescription: x\n' >"$dir/deb/DEBIAN/control"
dpkg-deb -b "$dir/deb" "$dir/pkg/deb" >/dev/null 2>&1
sum=$(sha256sum <"$dir/pkg/deb" | cut -c 1-64)
works 'a package is fetched' with_apt env DEB="$dir/pkg/deb" INDEX="$sum" "$top/kernel/fetch"
is 'its hash is printed for kernel/base' 1 "$(grep -c "sha256 6.12.9-1~deb12u1 $sum [0-9a-f]\{64\}" "$out")"
is 'and recorded' "KVER=6.12.9 SHA256=$sum" "$(grep -E '^(KVER|SHA256)' "$BUILD/base.env" | tr '\n' ' ' | sed 's/ $//')"
works 'a second fetch needs no apt' env PATH="$PATH" NOTHING=1 "$top/kernel/fetch"

# --- tree
# Leftovers of an interrupted run must not be used.
mkdir -p "$BUILD/linux.tmp/mm" "$BUILD/unpack.tmp"
echo half >"$BUILD/linux.tmp/mm/a.c"
works 'the package is laid out' "$top/kernel/tree"
is 'with an empty series' "$(gt rev-parse base 2>/dev/null)" "$(gt rev-parse series 2>/dev/null)"
is 'all files of the package are in it' 'junk 30' "$(cat "$t/mm/a.o") $(wc -l <"$t/mm/a.c")"
is 'no leftovers' '' "$(ls -d "$BUILD"/*.tmp 2>/dev/null)"
first=$(gt rev-parse base)
rm -rf "$BUILD"
with_apt env DEB="$dir/pkg/deb" INDEX="$sum" "$top/kernel/fetch" >/dev/null 2>&1
"$top/kernel/tree" >/dev/null 2>&1
is 'the same package gives the same commit' "$first" "$(gt rev-parse base)"
deb=$(echo "$BUILD"/fetch/*.deb)
rm -rf "$t"
echo >>"$deb"
fails 'a package damaged after the fetch' 'is damaged|cannot' "$top/kernel/tree"

rm -rf "$BUILD"
works 'KSRC without git' fetch "$dir/k612"
works 'is laid out' "$top/kernel/tree"
is 'objects of a build are left out' '' "$(ls "$t/mm/a.o" 2>/dev/null)"

# --- series
mkdir -p "$SERIES"
printf '# SPDX-License-Identifier: GPL-2.0\n' >"$SERIES/series"
works 'an empty series is written' "$top/kernel/series"
change() # LINE FILE SUBJECT
{
	sed -i "$1s/.*/$3/" "$t/$2" && gt commit -qam "$3" -m "Why $3."
}
change 3 mm/a.c 'mm: one'
change 9 mm/a.c 'mm: two'
change 3 lib/b.c 'lib: three'
works 'three patches are written' "$top/kernel/series"
is 'below the head of the list' '# SPDX-License-Identifier: GPL-2.0' "$(head -n 1 "$SERIES/series")"
is 'with stable names' '0001-mm-one.patch 0002-mm-two.patch 0003-lib-three.patch' "$(grep -v '^#' "$SERIES/series" | tr '\n' ' ' | sed 's/ $//')"
cp -r "$SERIES" "$dir/copy"
"$top/kernel/series" >/dev/null 2>&1
works 'again: the same bytes' diff -r "$SERIES" "$dir/copy"
is 'no version of git in them' '' "$(grep -l "^$(git --version | sed 's/.* //')" "$SERIES"/*)"
tip=$(gt rev-parse 'series^{tree}')
rm -rf "$BUILD"
fetch "$dir/k612" >/dev/null
works 'they are laid out elsewhere' "$top/kernel/tree"
is 'to the same tree' "$tip" "$(gt rev-parse 'series^{tree}')"
is 'with author and message' 'A <a@localhost>|mm: one|Why mm: one.' "$(gt log -1 --format='%an <%ae>|%s|%b' series~2 | tr -d '\n')"
tip=$(gt rev-parse series)
touch -d 2001-01-01 "$t/mm/a.c"
works 'again' "$top/kernel/tree"
is 'touches no file' "$(date -d 2001-01-01 +%s)" "$(stat -c %Y "$t/mm/a.c")"

# Sections.
printf '# SPDX-License-Identifier: GPL-2.0\n# A: ground\n0001-mm-one.patch\n0002-mm-two.patch\n# B: top\n0003-lib-three.patch\n' >"$SERIES/series"
change 20 mm/a.c 'mm: four'
works 'a patch at the end' "$top/kernel/series"
shape() { sed '1d; s/^# \(.\):.*/[\1]/; s/^00..-//; s/\.patch$//' "$SERIES/series" | grep . | tr '\n' ' ' | sed 's/ $//'; }
is 'joins the last section' '[A] mm-one mm-two [B] lib-three mm-four' "$(shape)"
# Move four behind one, rename three.
commits=$(gt rev-list --reverse base..series | tr '\n' ' ')
# shellcheck disable=SC2086 # four words
set -- $commits
gt checkout -q -B series base
gt cherry-pick "$1" "$4" "$2" "$3" >/dev/null 2>&1
gt commit -q --amend -m 'lib: a new name' -m 'Why.'
works 'reordered, and the head of a section renamed' "$top/kernel/series"
is 'the lines of sections stay' '[A] mm-one mm-four mm-two [B] lib-a-new-name' "$(shape)"
is 'old files are gone' 4 "$(find "$SERIES" -name '*.patch' | wc -l)"
gt checkout -q -B series series~1
works 'a section loses its only patch' "$top/kernel/series"
is 'its line is kept, with a warning' '[A] mm-one mm-four mm-two [B] 1' "$(shape) $(grep -c 'check in series/series' "$out")"
change 3 lib/b.c 'lib: back'
"$top/kernel/series" >"$out" 2>&1

# The cover letter.
cat >"$SERIES/0000-cover-letter.patch" <<'END'
Subject: [PATCH 6.12 00/99] pages

Prose.

[written by kernel/series: begin]
old
[written by kernel/series: end]
End.
END
works 'the cover letter is brought up to date' "$top/kernel/series"
is 'between its marks' '[PATCH 6.12 0/4] Prose. 1 0 End.' "$(sed -n 's/^Subject: \(.*\) pages/\1/p; /^Prose/p' "$SERIES/0000-cover-letter.patch" | tr '\n' ' ')$(grep -c '4 insertions' "$SERIES/0000-cover-letter.patch") $(grep -c '^old' "$SERIES/0000-cover-letter.patch") $(tail -n 1 "$SERIES/0000-cover-letter.patch")"

# --- work in build/linux must not be lost
echo edit >>"$t/mm/a.c"
fails 'series with uncommitted changes' 'uncommitted' "$top/kernel/series"
cp -r "$SERIES" "$dir/kept"
sed -i '/back/d' "$SERIES/series"
fails 'tree with uncommitted changes' 'uncommitted changes' "$top/kernel/tree"
gt checkout -q -f
echo new >"$t/mm/new.c"
fails 'tree with a new file' 'uncommitted changes' "$top/kernel/tree"
fails 'distclean with a new file' 'uncommitted changes' "$top/kernel/clean" --all
rm "$t/mm/new.c"
echo edit >>"$t/mm/a.c"
gt stash -q
fails 'distclean with a stash' 'stashed changes' "$top/kernel/clean" --all
gt stash drop -q
gt tag kept base
gt tag -d base >/dev/null
fails 'distclean of a tree without its base' 'git cannot say' "$top/kernel/clean" --all
gt tag base kept
gt tag -d kept >/dev/null
change 25 mm/a.c 'mm: five'
fails 'tree with a commit that series/ has not' "make series' first" "$top/kernel/tree"
fails 'distclean with such a commit' "make series' first" "$top/kernel/clean" --all
is 'it is still there' 'mm: five' "$(gt log -1 --format=%s)"
works 'FORCE=1' force "$top/kernel/tree"
is 'lays series/ out, and the old tip has a name' 'mm: two|mm: five' "$(gt log -1 --format=%s)|$(gt log -1 --format=%s series-old)"
rm -rf "$SERIES"
mv "$dir/kept" "$SERIES"
gt branch -q -D series-old
works 'a longer series is laid on top' "$top/kernel/tree"
gt commit -q --allow-empty -m 'fixup! mm: one'
fails 'series with a fixup!' 'not squashed' "$top/kernel/series"
gt reset -q --hard HEAD~1
gt checkout -q base
fails 'series on another branch' 'not on its branch' "$top/kernel/series"
gt checkout -q series

# --- a patch that does not apply
before=$(gt rev-parse series)
p=$(grep two "$SERIES/series")
cp "$SERIES/$p" "$dir/p"
sed -i 's/^ 10$/ ten/' "$SERIES/$p"
fails 'a patch that does not apply is named' "$p does not apply to 6.12.99 .*mm/a.c" "$top/kernel/tree"
is 'and build/linux is as it was' "$before" "$(gt rev-parse HEAD)"
rm -rf "${BUILD:?}/linux"
fails 'the first time' "$p does not apply" "$top/kernel/tree"
is 'there is no tree' '' "$(ls -d "$t" "$BUILD"/*.tmp 2>/dev/null)"
works 'UPTO lays those before it' upto 2
fails 'series does not drop the rest' 'has 2 of the 4 patches' "$top/kernel/series"
cp "$dir/p" "$SERIES/$p"
works 'mended, it is laid out' "$top/kernel/tree"
is 'as before' "$before" "$(gt rev-parse HEAD)"

# --- a section that needs a later base than 6.12.99
p=$(grep two "$SERIES/series")
sed -i "s/^$p/# later: for what comes later; needs 6.12.100\\n&/" "$SERIES/series"
works 'an older base gets the sections before' "$top/kernel/tree"
is 'it says so' 1 "$(grep -c '6.12.99 is older than 6.12.100, which the last sections need' "$out")"
is 'and no more' 'mm: four' "$(gt log -1 --format=%s)"
sed -i 's/needs 6.12.100$/needs 6.12.99/' "$SERIES/series"
works 'the base that it needs gets all' "$top/kernel/tree"
is 'all of them' "$before" "$(gt rev-parse HEAD)"
sed -i '/^# later:/d' "$SERIES/series"
works 'and without a need as well' "$top/kernel/tree"
printf 'gone.patch\n' >>"$SERIES/series"
fails 'a patch that is not there' 'names gone.patch' "$top/kernel/tree"
sed -i '/^gone/d' "$SERIES/series"
echo 'just text' >"$SERIES/text.patch"
echo text.patch >>"$SERIES/series"
fails 'a file that is no patch' 'text.patch' "$top/kernel/tree"
sed -i '/^text/d' "$SERIES/series"

# --- KSRC with git, which has a patch already
own=$dir/own
cp -r "$dir/k612" "$own"
{
	git -C "$own" init -q -b main && git -C "$own" add -A && git -C "$own" commit -qm 'Linux 6.12.99'
	git -C "$own" apply "$SERIES/0001-mm-one.patch" && git -C "$own" commit -qam 'mm: one, picked'
} >"$out" 2>&1
echo dirty >>"$own/Kbuild"
before=$(git -C "$own" rev-parse HEAD; git -C "$own" status --porcelain; git -C "$own" for-each-ref)
works 'KSRC with git' fetch "$own"
is 'its uncommitted changes are named' 1 "$(grep -c 'uncommitted changes: they are left out' "$out")"
works 'a patch that it has is recognised' "$top/kernel/tree"
is 'and said' 1 "$(grep -c 'has it already: 0001-mm-one.patch' "$out")"
is 'the others are laid out' 3 "$(gt rev-list --count base..series)"
fails 'series does not drop it' 'has some patches already' "$top/kernel/series"
is 'the checkout is as it was' "$before" "$(git -C "$own" rev-parse HEAD; git -C "$own" status --porcelain; git -C "$own" for-each-ref)"

# --- build and steps: arguments and state
fails 'a configuration that is not there' 'choose one of base bench debug' "$top/kernel/build" --config fast
fails 'an architecture that is not there' 'no vax' "$top/kernel/build" --arch vax
fails 'an option that is not there' 'is not an option' "$top/kernel/build" --quick
fails 'a commit that is not there' 'has no commit' "$top/kernel/build" --rev deadbeef
fails 'steps: an option that is not there' 'is not an option' "$top/kernel/steps" --fast
echo edit >>"$t/mm/a.c"
fails 'steps with uncommitted changes' 'uncommitted' "$top/kernel/steps"
gt checkout -q -f
mkdir -p "$BUILD/images/x" "$t/o-x"
works 'clean' "$top/kernel/clean"
is 'leaves the tree and no more' 'base.env fetch linux' "$(cd "$BUILD" && echo * | sed -E 's/ ?[a-z-]+\.lock//g')"
is 'without objects' '' "$(find "$t" -name 'o-*')"
works 'distclean' "$top/kernel/clean" --all
is 'leaves nothing' '' "$(ls -d "$BUILD" 2>/dev/null)"
fails 'build without a tree' "make tree" "$top/kernel/build"

# --- ccache does not see .incbin, so kernel/cc does not cache such files
if command -v ccache >/dev/null; then
	mkdir "$dir/cc"
	printf '.section .rodata\n.incbin "data"\n' >"$dir/cc/a.S"
	printf 'asm(".incbin \\"data\\"");\n' >"$dir/cc/b.c"
	echo 'int x;' >"$dir/cc/c.c"
	# compiled SOURCE: compiles it twice, with different data; prints the data in the
	# second object
	compiled()
	{
		for d in first-data second-data; do
			echo $d >"$dir/cc/data"
			(cd "$dir/cc" && CCACHE_DIR=$dir/cc/cache CCACHE_DEPEND=1 CCACHE_NOHASHDIR=1 "$top/kernel/cc" gcc \
				-Wp,-MMD,.d -c -o o "$1" && grep -aoE 'first-data|second-data' o)
		done 2>&1 | tail -n 1
	}
	is 'assembly with .incbin is compiled again' second-data "$(compiled a.S)"
	is 'C with .incbin is compiled again' second-data "$(compiled b.c)"
	compiled c.c >/dev/null
	is 'the rest comes from the cache' 1 "$(CCACHE_DIR=$dir/cc/cache ccache --print-stats | sed -n 's/^direct_cache_hit[[:space:]]*//p')"
else
	skip 'the cache and .incbin' 'no ccache'
fi

# --- no option occurs twice in a fragment
dup=$(for f in "$top"/kernel/config/*.config "$top"/kernel/config/arch/*.config; do
	sed -n 's/^\(CONFIG_[A-Za-z0-9_]*\)=.*/\1/p; s/^# \(CONFIG_[A-Za-z0-9_]*\) is not set$/\1/p' "$f" | sort | uniq -d
done)
is 'no option twice in a fragment' '' "$dup"
bad=$(grep -HnvE '^(CONFIG_[A-Za-z0-9_]+=("[^"]*"|[0-9a-z]+)|#.*|)$' "$top"/kernel/config/*.config "$top"/kernel/config/arch/*.config)
is 'no line that kconfig would not understand' '' "$bad"
help=$(make -s -C "$top" help)
lost=$(sed -n 's/^\([a-z-]*\):.*##.*/\1/p' "$top/Makefile" | while read -r target; do
	echo "$help" | grep -qE "make $target( |\$)" || echo "$target"
done)
is 'make help lists every entry' '' "$lost"

done_testing
