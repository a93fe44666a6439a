# SPDX-License-Identifier: GPL-2.0
# Every entry to the project. Thin: it calls the scripts, which can be called
# alone as well.
#
# Settings: KVER=6.12.N  another version of Debian's package (newest looks anew)
#           KSRC=DIR     your own checkout of 6.12.y instead of the package
#           CONFIG=C     base, bench or debug (for kernel, shell and run)
#           ARCH=A       a name in kernel/arches (x86_64; for kernel, test)

CONFIG ?= base
ARCH ?= x86_64
# packages.txt has the packages for the two architectures that CI runs.
lists = $(if $(filter-out x86_64 arm64,$(ARCH)),packages-arch.txt)
export KVER KSRC SERIES FORCE UPTO

# A script's own -j counts; and the order below is an order.
.NOTPARALLEL:
.DEFAULT_GOAL := help
.PHONY: help deps tree series kernel images headers shell run test test-arch test-configs mutants deb deb-guardfree deb-guardfree-test deb-test check steps bench soak coverage demo tools install clean distclean

help: ## this list
	@sed -n 's/^\([a-z][a-z-]*\):.*## \(.*\)/  make \1#\2/p' $(firstword $(MAKEFILE_LIST)) | \
		awk -F '#' '{ printf "%-16s %s\n", $$1, $$2 }'
	@sed -n 's/^# \(Settings:\)/\n\1/p; s/^#  *\([KCA][A-Z]*=.*\)/          \1/p' $(firstword $(MAKEFILE_LIST))

run: deps tree kernel demo ## from nothing to the demonstration: packages, source, kernel, guest

deps: ## install the Debian packages that are missing (as root), or name them
	@kernel/install-deps $(lists)

tree: deps ## lay source and series out as build/linux, a git repository
	@kernel/fetch
	@kernel/tree

series: ## write series/ anew from the commits in build/linux
	@kernel/series

kernel: tree ## build the patched kernel and its headers
	@kernel/build --arch $(ARCH) --config $(CONFIG)
	@kernel/headers $(ARCH)

images: tree ## build the kernel and its headers, for the tests
	@kernel/images $(ARCH)

headers: tree ## the patched kernel's headers, for programs
	@kernel/headers $(ARCH)

shell: kernel ## boot it and give a shell in it
	@vm/run --image $(ARCH)-$(CONFIG) -t -- bash

demo: kernel ## show in the guest what a guard does
	@demo/run --image $(ARCH)-$(CONFIG)

tools: ## build guards and stackguard.so in build/tools
	@$(MAKE) -s -C tools

install: ## install the tools and headers (DESTDIR, prefix=/usr/local)
	@$(MAKE) -s -C tools install

steps: tree ## hours: build each patch by itself, whole, and boot it: compiler, gcc W=1, sparse
	@kernel/steps

check: headers ## minutes, no kernel build: the series and the scripts themselves
	@tests/run check

test: headers ## everything that a change has to pass; CI runs it
ifeq ($(ARCH),x86_64)
	@tests/run
else
	@kernel/build --arch $(ARCH)
	@TEST_ARCH=$(ARCH) tests/run arch.t
endif

deb: tree ## an hour: Debian packages of the patched kernel, in build/deb
	@kernel/install-deps packages-deb.txt
	@kernel/deb

deb-guardfree: ## a minute: Debian packages of guardfree, in build/deb-guardfree
	@kernel/install-deps packages-deb.txt
	@guardfree/deb

deb-guardfree-test: deb-guardfree ## check them, install them into a clean Debian system, test them there
	@tests/run --record deb-guardfree.t

deb-test: deb headers ## install them into a Debian system, boot it, test in it
	@tests/run --record deb.t

test-configs: tree ## hours: x86-64 without SMP, huge pages, swap, ...; PREEMPT_RT
	@tests/test-arch --configs

mutants: headers ## hours: break the series on purpose; which test notices?
	@tests/mutants/run --record

test-arch: tree ## hours: the same for every line of kernel/arches, and records/architectures.tsv
	@kernel/install-deps packages-arch.txt
	@tests/test-arch

bench: tree ## measure, and write the tables
	@kernel/build --arch $(ARCH) --config bench --unpatched
	@kernel/build --arch $(ARCH) --config bench
	@kernel/headers $(ARCH)
	@bench/run

soak: headers ## hours: storms, the model checker, debug kernels, other people's tests
	@for config in base debug kcsan; do kernel/build --config $$config || exit 1; done
	@for config in base kcsan; do kernel/build --config $$config --unpatched || exit 1; done
	@tests/run --record soak

coverage: headers ## half an hour: which lines of the series the tests execute; records/coverage.md
	@tests/coverage

clean: ## empty build/ but for the tree in build/linux and the package
	@kernel/clean

distclean: ## remove build/ (refuses while build/linux has work that series/ has not)
	@kernel/clean --all
