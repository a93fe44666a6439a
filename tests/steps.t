#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Every patch builds by itself and adds no warning. kernel/steps prints TAP. Once a patch
# has changed a header that everything includes, --quick compiles only the directories
# that the series touches (make steps compiles all).
set -u
exec "$(dirname "$0")/../kernel/steps" --quick
