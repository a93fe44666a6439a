#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# tests/faulters.t at full length.
ROUNDS=10000 exec "$(dirname "$0")/faulters.t"
