# SPDX-License-Identifier: GPL-2.0
# gcc 12 for sh leaves out the instruction that asks whether the address of a symbol is 0,
# and keeps the branch. The kernel's decompressor has such a question; let it be folded.
CFLAGS_misc.o=-fdelete-null-pointer-checks
