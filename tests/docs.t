#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# The series adds no warning in the kernel's Documentation/. docutils checks each file
# by itself, and sphinx, with the kernel's own configuration (as in "make
# SPHINXDIRS=admin-guide/mm htmldocs"), the directory with most of the changes.
set -u
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/lib.sh"
need_tools git rst2html sphinx-build perl python3
need_tree

cd "$tmp" || exit 1
# docutils knows neither the kernel's roles nor its directives.
rst() { # REF FILE
	git -C "$tree" show "$1:$2" >"$tmp/document.rst" 2>/dev/null || return
	rst2html --report=info --halt=5 "$tmp/document.rst" 2>&1 >/dev/null |
		grep -E ':[0-9]+: \((INFO|WARNING|ERROR|SEVERE)' |
		grep -vE 'Unknown interpreted text role|No role entry for|No directive entry for|Unknown directive type' |
		sed -E -e 's/^[^:]*:[0-9]+: //' -e 's/on line [0-9]+//' | sort
}
git -C "$tree" diff --name-only base series -- Documentation | grep '\.rst$' >"$tmp/files"
[ -s "$tmp/files" ] || bail 'the series has nothing in Documentation/'
while read -r file; do
	rst base "$file" >"$tmp/before"
	rst series "$file" >"$tmp/after"
	diff "$tmp/before" "$tmp/after" | sed -n 's/^> //p' >"$out"
	silent "$file: no new warning from docutils" "$out"
done <"$tmp/files"

sphinx() { # REF
	mkdir "$tmp/$1" && git -C "$tree" archive -o "$tmp/docs.tar" "$1" -- Documentation/conf.py \
		Documentation/sphinx Documentation/sphinx-static Documentation/admin-guide/mm scripts &&
		tar -x -C "$tmp/$1" -f "$tmp/docs.tar" || return 1
	(
		cd "$tmp/$1" &&
			srctree=$PWD KERNELVERSION=6.12 LC_ALL=C.UTF-8 sphinx-build -q -b html \
				-c "$PWD/Documentation" -d "$tmp/tree-$1" -D version=6.12 -D release=6.12 \
				-D kerneldoc_srctree=. -D kerneldoc_bin=scripts/kernel-doc \
				Documentation/admin-guide/mm "$tmp/html-$1"
	) >"$tmp/said-$1" 2>&1
	status=$?
	sed -e "s,$tmp/$1/,," -e 's/:[0-9]*: /: /' "$tmp/said-$1" | sort >"$tmp/warnings-$1"
	cp "$tmp/said-$1" "$out"
	return $status
}
sphinx base
verdict $? 'sphinx builds admin-guide/mm of the base'
sphinx series
verdict $? 'and that of the series'
diff "$tmp/warnings-base" "$tmp/warnings-series" | sed -n 's/^> //p' >"$out"
silent 'admin-guide/mm: no new warning from sphinx' "$out"
cp "$tmp/said-series" "$out"
grep -q 'MADV_GUARD_POISON' "$tmp/html-series/guard-pages.html" &&
	grep -q 'href="guard-pages.html"' "$tmp/html-series/index.html"
verdict $? 'guard-pages is there, and in the index'

done_testing
