#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# The images that the tests after this one boot.
set -u
cd "$(dirname "$0")/.." || exit 1
mkdir -p build/tests || exit 1
kernel/images >build/tests/images.tap
status=$?
sed 's/^1\.\.2$/1..3/' build/tests/images.tap
if kernel/build --arch arm64 >&2 && kernel/headers arm64 >&2; then
	echo 'ok - arm64-base is built'
else
	echo 'not ok - arm64-base is built'
	status=1
fi
exit $status
