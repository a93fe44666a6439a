#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# The headers of every architecture, and their copies under tools/, define the advice
# values, and no other value has changed.
set -u
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/lib.sh"
need_tree
need_tools gcc git

new='MADV_GUARD_POISON MADV_GUARD_UNPOISON MADV_GUARD_INSTALL MADV_GUARD_REMOVE'
printf '%s\n' 'MADV_GUARD_INSTALL 102' 'MADV_GUARD_POISON 102' \
	'MADV_GUARD_REMOVE 103' 'MADV_GUARD_UNPOISON 103' >"$tmp/contract"

for ref in base series; do
	# shellcheck disable=SC2046 # names without blanks
	archive $ref "$build/tests/uapi-$ref" include/uapi tools/include/uapi \
		$(git -C "$tree" ls-tree -r --name-only $ref -- arch tools/arch |
			grep -E '^(tools/)?arch/[^/]*/include/uapi/asm/mman\.h$') ||
		bail "cannot extract the headers of $ref from build/linux"
done

# values TREE ARCH: writes "NAME VALUE" of each advice, sorted, to values.TREE.ARCH;
# TREE ends in /tools for the copies. As kbuild does, it uses the generic mman.h for
# architectures without one.
values() {
	dir=$build/tests/uapi-$1
	inc=$tmp/wrap
	mkdir -p "$inc/asm"
	echo '#include <asm-generic/mman.h>' >"$inc/asm/mman.h"
	list=$tmp/values.$(echo "$1" | tr / -).$2
	[ ! -e "$list" ] || return 0
	# Headers in tools/ include others by their path in the kernel's tree.
	set -- -E -nostdinc -I "$dir/arch/$2/include/uapi" -I "$inc" -I "$dir/include/uapi" \
		-I "$dir/include"
	echo '#include <asm/mman.h>' >"$tmp/in.c"
	gcc "$@" -dM "$tmp/in.c" >"$tmp/macros" 2>"$out" || return 1
	# Expand the macros, because some are aliases.
	{
		echo '#include <asm/mman.h>'
		sed -n 's/^#define \(MADV_[A-Z0-9_]*\) .*/\1/p' "$tmp/macros" | sort |
			while read -r m; do printf '"%s" %s\n' "$m" "$m"; done
	} >"$tmp/in.c"
	gcc "$@" -P "$tmp/in.c" 2>"$out" | sed -n 's/^"\(MADV_[^"]*\)" */\1 /p' >"$list.tmp" &&
		[ -s "$list.tmp" ] && mv "$list.tmp" "$list"
}

archs=$({
	echo generic
	for d in "$build"/tests/uapi-series/arch/*; do echo "${d##*/}"; done
} | sort)
: >"$tmp/none"
for want in generic alpha mips parisc xtensa; do
	echo "$archs" | grep -qx $want || echo "$want" >>"$tmp/none"
done
silent 'generic, alpha, mips, parisc and xtensa have their headers' "$tmp/none"

for a in $archs; do
	if ! values series "$a" || ! values base "$a"; then
		not_ok "$a: the header can be preprocessed"
		continue
	fi
	was=$tmp/values.base.$a is=$tmp/values.series.$a
	awk '$1 ~ /^MADV_GUARD_/' "$is" | diff "$tmp/contract" - >"$out"
	verdict $? "$a: POISON and INSTALL are 102, UNPOISON and REMOVE 103"
	grep -v '^MADV_GUARD_' "$is" | diff "$was" - >"$out"
	verdict $? "$a: the $(wc -l <"$was") others are as they were"
	# Only the two pairs of aliases may share a value.
	pairs() { awk '{ for (n in v) if (v[n] == $2) print (n < $1 ? n " " $1 : $1 " " n); v[$1] = $2 }' "$1" | sort; }
	pairs "$was" >"$tmp/pairs.was"
	printf '%s\n' 'MADV_GUARD_INSTALL MADV_GUARD_POISON' 'MADV_GUARD_REMOVE MADV_GUARD_UNPOISON' |
		sort - "$tmp/pairs.was" >"$tmp/pairs.want"
	pairs "$is" | diff "$tmp/pairs.want" - >"$out"
	verdict $? "$a: no two advices collide"
	{
		echo '#include <asm/mman.h>'
		for m in $new; do
			printf '#ifndef %s\n#error no %s\n#endif\n#if !defined(%s) || %s < 102\n#error %s in #if\n#endif\n' \
				"$m" "$m" "$m" "$m" "$m"
		done
		echo 'int f(int a) { switch (a) { case MADV_GUARD_INSTALL: return 1; case MADV_GUARD_REMOVE: return 2; } return -MADV_GUARD_POISON; }'
	} >"$tmp/use.c"
	echo '#include <asm-generic/mman.h>' >"$tmp/wrap/asm/mman.h"
	gcc -Wall -Wextra -Werror -pedantic -nostdinc -fsyntax-only -I "$build/tests/uapi-series/arch/$a/include/uapi" \
		-I "$tmp/wrap" -I "$build/tests/uapi-series/include/uapi" "$tmp/use.c" >"$out" 2>&1
	verdict $? "$a: usable in #ifdef, #if and switch"
done

# --- tools/ -----------------------------------------------------------------------------

# If the copy was identical before, it must stay so.
f=include/uapi/asm-generic/mman-common.h
if cmp -s "$build/tests/uapi-base/$f" "$build/tests/uapi-base/tools/$f"; then
	works 'tools: mman-common.h is the same file' \
		diff "$build/tests/uapi-series/$f" "$build/tests/uapi-series/tools/$f"
else
	skip 'tools: mman-common.h is the same file' 'it is not in the unpatched source either'
fi
for a in $archs; do
	[ "$a" = generic ] || [ -e "$build/tests/uapi-series/tools/arch/$a/include/uapi/asm/mman.h" ] || continue
	if ! values series/tools "$a" || ! values base/tools "$a"; then
		not_ok "tools: $a: the header can be preprocessed"
		continue
	fi
	# Print new disagreements with the original.
	differ() { diff "$tmp/values.$1.$a" "$tmp/values.$1-tools.$a" | grep '^[<>]' | sort; }
	differ base >"$tmp/differ.base"
	differ series | comm -13 "$tmp/differ.base" - >"$out"
	silent "tools: $a: the copy agrees with the original" "$out"
done

done_testing
