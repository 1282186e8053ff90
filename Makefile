# SPDX-License-Identifier: MIT
# The front door. CMake does the work; everything built lands in build/, programs in build/bin/.
BUILD  ?= build
PREFIX ?= /usr/local
JOBS   ?= $(shell nproc)

MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := build
.PHONY: help deps build debug sanitize sanitize-address demo check mpich-static check-mpich check-ltp check-stress-ng install deb format tidy syscalls-doc clean

help:
	@echo "make deps      install the Debian packages in deps.txt that are missing"
	@echo "make           build into $(BUILD)/"
	@echo "make demo      deps, build, then Strassen and FWQ on an isle beside native runs"
	@echo "make check     deps, build, then all tests, on every engine that works here;"
	@echo "               ENGINE=kvm, qemu (or qemu-kvm, qemu-tcg): on that one alone"
	@echo "make mpich-static   MPICH for static programs, from Debian's source, into a cache"
	@echo "make check-mpich    MPICH's own tests, natively and on isles; DIRS=\"pt2pt coll\": these"
	@echo "make check-ltp LTP=DIR   the Linux Test Project's tests (DIR: an installed tree),"
	@echo "               natively and on isles; LISTS=\"syscalls mm hugetlb posix\": these; see the script"
	@echo "make check-stress-ng   each stressor of Debian's stress-ng for a second, both ways"
	@echo "make install   into PREFIX ($(PREFIX)), below DESTDIR"
	@echo "make deb       a Debian package, into $(BUILD)/deb/"
	@echo "make debug     unoptimised build into $(BUILD)-debug/"
	@echo "make sanitize  proxy with the undefined-behaviour sanitizer, $(BUILD)-sanitize/;"
	@echo "               sanitize-address: its units with the address sanitizer too"
	@echo "make format    clang-format over all C and C++"
	@echo "make tidy      clang-tidy over all C"
	@echo "make syscalls-doc  docs/syscalls.md from the table in the source"
	@echo "make clean     remove $(BUILD)/ and its siblings"

deps:
	@scripts/deps

build:
	@scripts/deps --check
	@cmake --preset release -B $(BUILD) >/dev/null
	@cmake --build $(BUILD) -j $(JOBS)

debug sanitize sanitize-address:
	@scripts/deps --check
	@cmake --preset $@ -B $(BUILD)-$@ >/dev/null
	@cmake --build $(BUILD)-$@ -j $(JOBS)

demo: deps
	@$(MAKE) build
	@scripts/demo $(BUILD)

check: deps
	@$(MAKE) build
	@scripts/check $(BUILD) $(ENGINE)

mpich-static: deps
	@scripts/mpich-static

check-mpich: deps
	@$(MAKE) build
	@scripts/check-mpich $(BUILD) $(DIRS)

check-ltp: deps
	@$(MAKE) build
	@scripts/check-ltp $(BUILD) "$(LTP)" $(LISTS)

check-stress-ng: deps
	@$(MAKE) build
	@scripts/check-stress-ng $(BUILD)

install: build
	@DESTDIR="$(DESTDIR)" cmake --install $(BUILD) --prefix "$(PREFIX)"

format:
	@scripts/format

tidy: build
	@scripts/tidy $(BUILD)

syscalls-doc:
	@scripts/syscalls-doc

clean:
	rm -rf $(BUILD) $(BUILD)-debug $(BUILD)-sanitize $(BUILD)-sanitize-address

# A Debian package in $(BUILD)/deb/, built from what git tracks, and checked by lintian.
deb:
	@scripts/deb $(BUILD)
