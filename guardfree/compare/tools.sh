# shellcheck shell=sh
# SPDX-License-Identifier: MIT
# The tools that are compared: how a program is run under each. Sourced; $build
# is where guardfree was built.

lib=${build:?}/libguardfree.so

efence=/usr/lib/libefence.so.0.0
duma=/usr/lib/libduma.so.0.0.0
dislocator=/usr/lib/afl/libdislocator.so
jemalloc=/usr/lib/x86_64-linux-gnu/libjemalloc.so.2
libc=/lib/x86_64-linux-gnu/libc.so.6

# under TOOL: the words before a command.
under() {
	case $1 in
	glibc) ;;
	# redis comes with jemalloc: glibc's malloc, put before it.
	glibc-first) echo "LD_PRELOAD=$libc" ;;
	guardfree) echo "LD_PRELOAD=$lib" ;;
	guardfree-batch) echo "GUARDFREE_OPTIONS=batch=64 LD_PRELOAD=$lib" ;;
	guardfree-nostack) echo "GUARDFREE_OPTIONS=unwind=none LD_PRELOAD=$lib" ;;
	guardfree-full-quarantine) echo "GUARDFREE_OPTIONS=quarantine=8m LD_PRELOAD=$lib" ;;
	guardfree-sampled) echo "GUARDFREE_OPTIONS=sample=5000 LD_PRELOAD=$lib" ;;
	# What is left of sampling when nothing is sampled
	guardfree-idle) echo "GUARDFREE_OPTIONS=sample=4294967295 LD_PRELOAD=$lib" ;;
	guardfree-mprotect) echo "GUARDFREE_OPTIONS=method=mprotect LD_PRELOAD=$lib" ;;
	efence) echo "EF_DISABLE_BANNER=1 EF_ALLOW_MALLOC_0=1 EF_PROTECT_FREE=1 EF_ALIGNMENT=16 LD_PRELOAD=$efence" ;;
	duma) echo "DUMA_DISABLE_BANNER=1 DUMA_MALLOC_0_STRATEGY=1 DUMA_PROTECT_FREE=-1 DUMA_ALIGNMENT=16 LD_PRELOAD=$duma" ;;
	libdislocator) echo "AFL_ALIGNED_ALLOC=1 LD_PRELOAD=$dislocator" ;;
	jemalloc) echo "LD_PRELOAD=$jemalloc" ;;
	valgrind) echo 'valgrind -q --error-limit=no' ;;
	*) echo "tools.sh: there is no tool $1" >&2; return 1 ;;
	esac
}
