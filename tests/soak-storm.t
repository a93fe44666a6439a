#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# tests/storm.t at full length: STORM_SECONDS (900) for each of STORM_SEEDS
# ("11 12 13 14").
export STORM_SECONDS="${STORM_SECONDS:-900}" STORM_SEEDS="${STORM_SEEDS:-11 12 13 14}"
export STORM_TIMEOUT=0
exec "$(dirname "$0")/storm.t"
