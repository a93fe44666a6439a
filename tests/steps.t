#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Every patch builds by itself and adds no warning. kernel/steps speaks TAP.
set -u
exec "$(dirname "$0")/../kernel/steps"
