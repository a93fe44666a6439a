#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Every patch compiles by itself and adds no warning. kernel/steps prints TAP. In make
# soak, with QUICK=, it builds and boots each patch whole.
set -u
# shellcheck disable=SC2086 # an option or none
exec "$(dirname "$0")/../kernel/steps" ${QUICK---quick}
