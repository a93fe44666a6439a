# SPDX-License-Identifier: GPL-2.0
# 6.12.117's FMODE_NONOTIFY is sparc's __O_TMPFILE, which a BUILD_BUG_ON refuses, but not
# without optimisation.
CFLAGS_fcntl.o=-U__OPTIMIZE__
