#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# The images that the tests after this one boot.
set -u
exec "$(dirname "$0")/../kernel/images" x86_64 arm64
