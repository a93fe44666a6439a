#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Builds the images that the later tests boot.
set -u
exec "$(dirname "$0")/../kernel/images" x86_64 arm64
