#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Our own files: shellcheck, compiler warnings, licences, forbidden content, spelling.
set -u
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/lib.sh"
need_tools shellcheck gcc clang codespell git make
cd "$top" || exit 1

# All files that exist, tracked or new.
git ls-files -co --exclude-standard | while read -r f; do
	[ -f "$f" ] && echo "$f"
done >"$tmp/files"
[ -s "$tmp/files" ] || bail 'git lists no file: is this a checkout?'
# Patches follow the rules of the projects that they are for, and have tests of their own
# (series.t, man.t, tests/mutants/run).
grep -v '\.patch$' "$tmp/files" >"$tmp/ours"

# --- scripts ------------------------------------------------------------------

while read -r f; do
	case $(head -n 1 "$f" | tr -d '\000') in
	'#!'*/sh | '#!'*/bash | '#!'*/sh' '* | '# shellcheck shell='*) echo "$f" ;;
	esac
done <"$tmp/ours" >"$tmp/scripts"
while read -r f; do
	works "$f: shellcheck" shellcheck -x "$f"
done <"$tmp/scripts"

while read -r f; do
	case $(head -c 2 "$f" | tr -d '\000') in
	'#!') [ -x "$f" ] || echo "$f begins with #! and cannot be run: chmod +x" ;;
	*) [ ! -x "$f" ] || echo "$f can be run, but does not begin with #!" ;;
	esac
done <"$tmp/ours" >"$out"
silent 'what begins with #! can be run, and nothing else' "$out"

# --- C --------------------------------------------------------------------------

# guardfree's cases and their drivers contain errors on purpose. Their Makefiles turn the
# warnings off.
grep '\.c$' "$tmp/ours" | grep -vE '^guardfree/(tests|compare)/' >"$tmp/c"
# libbacktrace comes with gcc's own headers.
gccs=$(gcc -print-file-name=include)
while read -r f; do
	works "$f: gcc -Wall -Wextra -Werror" \
		gcc -O2 -Wall -Wextra -Werror -idirafter "$gccs" -c -o "$tmp/object" "$f"
	# Its warnings do not need the code.
	works "$f: clang -Wall -Wextra -Werror" \
		clang -Wall -Wextra -Werror -idirafter "$gccs" -fsyntax-only "$f"
done <"$tmp/c"

# --- contents of all files ------------------------------------------------------------

while read -r f; do
	case $f in
	# Texts of licences, and formats that have no comments.
	COPYING | LICENSE* | *.png | *.svg | *.json | *.csv | *.tsv) continue ;;
	series/*) continue ;;
	esac
	head -n 5 "$f" | grep -q 'SPDX-License-Identifier: ' || echo "$f"
done <"$tmp/ours" >"$out"
silent 'every file says its licence (SPDX) in its first lines' "$out"

# Paths of one machine, and hosts of package registries. The brackets keep
# these patterns from matching themselves.
while read -r f; do
	grep -nIHE '(^|[^A-Za-z0-9_./-])/wor[k](/|$|[^A-Za-z0-9_])|/tmp/bash_job[s]|/tmp/[k]/|/home/[a-z]+/|/roo[t]/' "$f"
	grep -nIHE '(deb|security|snapshot|ftp)\.debia[n]\.|pyp[i]\.|npmj[s]\.|crate[s]\.io|golan[g]\.org|registr[y]\.' "$f"
done <"$tmp/files" >"$out"
silent 'no path of one machine and no host of a registry' "$out"

while read -r f; do
	[ "$(wc -c <"$f")" -le 1048576 ] || echo "$f"
done <"$tmp/files" >"$out"
silent 'no file above 1 MiB' "$out"

while read -r f; do
	grep -nIHE '[[:blank:]]+$' "$f"
	[ -z "$(tail -c 1 "$f" | tr -d '\n\000')" ] || case $f in *.png) ;; *) echo "$f: no newline at its end" ;; esac
done <"$tmp/ours" >"$out"
silent 'no line ends in a blank, every file in a newline' "$out"

grep -E '\.md$' "$tmp/ours" >"$tmp/md"
# shellcheck disable=SC2046 # names without blanks
if [ -s "$tmp/md" ]; then
	works 'documents: spelling' codespell $(cat "$tmp/md")
else
	echo 'README.md is missing' >"$out"
	not_ok 'documents: spelling'
fi

# A link leads to a file of this repository, and to a heading in it if it names one.
while read -r f; do
	perl -ne 'while (/\]\(([^)\s]+)\)/g) { print "$1\n" unless $1 =~ /^https?:/ }' "$f" | while read -r link; do
		file=${link%%#*} to=$f
		[ -z "$file" ] || to=$(dirname "$f")/$file
		if [ ! -e "$to" ]; then
			echo "$f: there is no $link"
		elif [ "$link" != "$file" ]; then
			# The heading as an anchor: lower case, no punctuation, dashes for blanks.
			sed -n 's/^##* //p' "$to" | tr '[:upper:]' '[:lower:]' | sed 's/[^a-z0-9_ -]//g; s/ /-/g' |
				grep -qxF -e "${link#*#}" || echo "$f: $to has no heading for $link"
		fi
	done
done <"$tmp/md" >"$out"
silent 'documents: links' "$out"
# Results and their dates are in records/; README says once of when and of what they are.
# shellcheck disable=SC2046 # names without blanks
grep -nE '20[0-9][0-9]-[01][0-9]-[0-3][0-9]' $(grep -E '^docs/.*\.md$' "$tmp/md") >"$out"
silent 'documents have no dates: commands write results to records/' "$out"
grep -nE '20[0-9][0-9]-[01][0-9]-[0-3][0-9]' README.md >"$out"
[ "$(wc -l <"$out")" = 1 ] && grep -q '[0-9a-f]\{12\}' "$out"
verdict $? 'README names the date and the tree of the results once'
tests/summary 2>&1 | diff records/README.md - >"$out"
silent 'records/README.md is up to date: tests/summary --write' "$out"

# --- the entries ------------------------------------------------------------------------

make -s help >"$tmp/help" 2>"$out"
verdict $? 'make help'
sed -n 's/^\.PHONY://p' Makefile | tr ' ' '\n' | sed '/^$/d' >"$tmp/public"
while read -r t; do
	grep -qE "^ *make $t +[^ ]" "$tmp/help" || echo "$t is in .PHONY, but make help does not tell of it"
done <"$tmp/public" >"$out"
sed -n 's/^ *make \([a-z]*\).*/\1/p' "$tmp/help" | while read -r t; do
	grep -qxF "$t" "$tmp/public" || echo "make help tells of $t, which is not in .PHONY"
done >>"$out"
[ -s "$tmp/public" ] || echo 'no .PHONY in Makefile' >>"$out"
silent 'make help tells of every entry' "$out"

sed '/^#/d' packages.txt packages-*.txt | grep -vE '^[a-z0-9][a-z0-9+.-]* +# [^ ]' >"$out"
silent 'packages.txt: each package with its reason' "$out"

done_testing
