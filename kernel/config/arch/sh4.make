# SPDX-License-Identifier: GPL-2.0
# gcc 12 for sh, with -O2, leaves out comparisons with 0 and keeps the branch: in the
# decompressor those of a symbol's address and of what is left of the input.
KCFLAGS=-O1
CFLAGS_misc.o=-fdelete-null-pointer-checks
