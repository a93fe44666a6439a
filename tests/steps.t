#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Every patch builds by itself and adds no warning. kernel/steps speaks TAP; after a
# header that everything includes has changed it compiles only what the series touches
# (make steps compiles all).
set -u
exec "$(dirname "$0")/../kernel/steps" --quick
