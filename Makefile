# SPDX-License-Identifier: Apache-2.0
# kbdns. `make help` lists the targets.

B ?= build
CC ?= gcc
CLANG ?= clang
V ?= 0
Q := $(if $(filter 1,$(V)),,@)
SAN ?=
LAYOUT_VERSION ?= # for tests: another one than dataplane/core/layout.h has
VERSION := 0.1.0

PKGS := libuv libssl libcrypto libcurl jansson yaml-0.1 libmicrohttpd libbpf libmnl \
	libfstrm
LAYOUT := $(if $(strip $(LAYOUT_VERSION)),-DKB_LAYOUT_VERSION=$(strip $(LAYOUT_VERSION)))
WARN := -Wall -Wextra -Wshadow -Wconversion -Wmissing-prototypes -Wvla -Werror
CFLAGS ?= -O2 -g
KB_CFLAGS = -std=gnu11 $(CFLAGS) $(WARN) -D_GNU_SOURCE -DKB_VERSION='"$(VERSION)"' -I. -I$(B) \
	$(LAYOUT) -MMD -MP $(if $(SAN),-fsanitize=$(SAN) -fno-sanitize-recover=all -fno-omit-frame-pointer) \
	$(if $(filter thread,$(SAN)),-Wno-tsan) \
	$(shell pkg-config --cflags $(PKGS) 2>/dev/null)
KB_LIBS = $(shell pkg-config --libs $(PKGS) 2>/dev/null) -lresolv -lpthread -lm
BPF_CFLAGS = -g -O2 -target bpf -mcpu=v3 -I. -isystem /usr/include/$(shell $(CC) -print-multiarch) \
	-Wall -Wextra -Wshadow -Werror $(LAYOUT) -MMD -MP

LIB_SRC := $(filter-out control/kbdnsd.c control/kbdnsctl.c,$(wildcard control/*.c control/*/*.c))
LIB_OBJ := $(LIB_SRC:%.c=$(B)/%.o)
BPF_OBJ := $(patsubst %.bpf.c,$(B)/%.bpf.o,$(wildcard bpf/*.bpf.c bench/*.bpf.c tests/bpf/*.bpf.c))
SKEL := $(patsubst %.bpf.o,%.skel.h,$(BPF_OBJ))
BIN := $(B)/kbdnsd $(B)/kbdnsctl
UNIT_SRC := $(wildcard tests/unit/test_*.c)
UNIT := $(UNIT_SRC:%.c=$(B)/%)
# A table without shared memory, for tests of what stands on top of it; its functions have the
# names of control/table's, so only the tests that want it are linked with it.
FAKE_OBJ := $(B)/tests/unit/fake_table.o $(B)/tests/unit/ask_core.o
FAKE_USERS := $(addprefix $(B)/tests/unit/,test_records test_records_zones \
	test_records_rules test_records_model test_respond test_server)
TESTLIB_OBJ := $(filter-out $(FAKE_OBJ),$(patsubst %.c,$(B)/%.o,$(filter-out $(UNIT_SRC), \
	$(wildcard tests/unit/*.c))))
FUZZ_SRC := $(wildcard tests/fuzz/fuzz_*.c)
FUZZ := $(FUZZ_SRC:%.c=$(B)/%)
# Programs of one file each: benchmarks and test tools.
TOOL_SRC := $(filter-out bench/dpdk_%, \
	$(wildcard bench/*.c tests/bpf/*.c tests/model/*.c tests/e2e/*.c))
TOOL := $(patsubst %.c,$(B)/%,$(filter-out %.bpf.c,$(TOOL_SRC)))

# The DPDK engine, unless WITHOUT_DPDK=1; its PMDs are plug-ins but for the rings of the tests.
DPDK_MAIN := dataplane/dpdk/kbdns_dpdk
DPDK_LIB_OBJ := $(patsubst %.c,$(B)/%.o,$(filter-out $(DPDK_MAIN).c,$(wildcard dataplane/dpdk/*.c)))
DPDK_TOOL := $(patsubst %.c,$(B)/%,$(wildcard tests/dpdk/*.c bench/dpdk_*.c))
DPDK_CFLAGS = $(patsubst -I%,-isystem %,$(shell pkg-config --cflags libdpdk 2>/dev/null))
# net_af_xdp, a plug-in, has to find two functions here before it finds those of libxdp and libbpf.
DPDK_LIBS = $(shell pkg-config --libs libdpdk libxdp 2>/dev/null) -lrte_net_ring \
	-Wl,--export-dynamic-symbol=xsk_socket__create,--export-dynamic-symbol=bpf_xdp_detach
ifneq ($(WITHOUT_DPDK),1)
TOOL_DPDK := $(DPDK_TOOL)
BIN += $(B)/kbdns-dpdk
endif

.PHONY: all help deps demo test unit lint format tsan fuzz differential bench install uninstall clean tools
.DEFAULT_GOAL := all

all: $(BIN) ## build kbdnsd, kbdnsctl, kbdns-dpdk (WITHOUT_DPDK=1: not) and the BPF objects

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

deps: ## install the Debian packages that building and testing need
	$(Q)scripts/install-deps

demo: deps ## five-minute demonstration in network namespaces (SOURCE=apiserver: a real API server)
	$(Q)$(MAKE) --no-print-directory all
	$(Q)scripts/demo/run $(or $(SOURCE),snapshot)

test: deps ## run every test; ends with "N passed, N failed, N skipped"
	$(Q)tests/run

unit: $(UNIT) ## build the unit tests (SAN=address,undefined builds them with sanitizers)

tools: $(TOOL) $(TOOL_DPDK) $(FUZZ) ## build benchmarks, test tools and fuzz targets

lint: ## include arrows, formatting, shellcheck, manuals
	$(Q)scripts/lint

format: ## format all C sources in place
	$(Q)git ls-files '*.c' '*.h' | xargs clang-format -i

tsan: ## threads under the thread sanitizer: sockets on threads over a table that changes
	$(Q)$(MAKE) --no-print-directory B=$(B)/tsan SAN=thread $(B)/tsan/tests/unit/test_socket_threads
	$(Q)$$(setarch -R true 2>/dev/null && echo setarch -R) $(B)/tsan/tests/unit/test_socket_threads

fuzz: ## run one fuzz target for SECONDS (60): make fuzz T=json_split
	$(Q)$(MAKE) --no-print-directory B=$(B)/fuzz CC=$(CLANG) SAN=address,undefined,fuzzer-no-link \
		$(B)/fuzz/tests/fuzz/libfuzz_$(T)
	$(Q)$(B)/fuzz/tests/fuzz/libfuzz_$(T) -max_total_time=$(or $(SECONDS),60) tests/fuzz/corpus/$(T)

differential: all tools ## ask kbdns and CoreDNS the same N (1000000) questions: make differential SEED=1
	$(Q)tests/cluster/build
	$(Q)DIFF_SEED=$(or $(SEED),1) DIFF_N=$(or $(N),1000000) tests/e2e/50-differential

bench: all tools ## run every benchmark; each command of bench/ also runs alone
	$(Q)bench/run

PREFIX ?= /usr/local
UNITDIR ?= $(PREFIX)/lib/systemd/system
SBIN := $(filter-out $(B)/kbdnsctl,$(BIN))
MAN8 := $(SBIN:$(B)/%=scripts/man/%.8)
COMPLETION = $(PREFIX)/share/bash-completion/completions/kbdnsctl
# The administrator's: put there if it is missing, never replaced or removed.
CONFIG = /etc/kbdns/kbdnsd.yaml

install: all ## install into DESTDIR and PREFIX (/usr/local), with a systemd unit
	$(Q)install -D -t $(DESTDIR)$(PREFIX)/sbin $(SBIN)
	$(Q)install -D -t $(DESTDIR)$(PREFIX)/bin $(B)/kbdnsctl
	$(Q)install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/man/man8 $(MAN8)
	$(Q)install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/man/man1 scripts/man/kbdnsctl.1
	$(Q)install -D -m 644 scripts/completion/kbdnsctl.bash $(DESTDIR)$(COMPLETION)
	$(Q)install -d $(DESTDIR)$(UNITDIR)
	$(Q)sed 's,@PREFIX@,$(PREFIX),' scripts/deploy/systemd/kbdnsd.service > $(DESTDIR)$(UNITDIR)/kbdnsd.service
	$(Q)test -e $(DESTDIR)$(CONFIG) || \
		install -D -m 644 scripts/deploy/systemd/kbdnsd.yaml $(DESTDIR)$(CONFIG)

uninstall: ## remove what install has put there, but for /etc/kbdns (kbdnsctl uninstall comes before)
	$(Q)rm -f $(addprefix $(DESTDIR)$(PREFIX)/,$(SBIN:$(B)/%=sbin/%) bin/kbdnsctl \
		$(MAN8:scripts/man/%=share/man/man8/%) share/man/man1/kbdnsctl.1) \
		$(DESTDIR)$(COMPLETION) $(DESTDIR)$(UNITDIR)/kbdnsd.service

clean: ## remove what was built
	$(Q)rm -rf $(B)

$(B)/%.o: %.c | $(SKEL)
	@mkdir -p $(@D)
	$(if $(Q),@echo "  CC  $<")
	$(Q)$(CC) $(KB_CFLAGS) -c $< -o $@

$(B)/%.bpf.o: %.bpf.c
	@mkdir -p $(@D)
	$(if $(Q),@echo "  BPF $<")
	$(Q)$(CLANG) $(BPF_CFLAGS) -MT $@ -MF $@.d -c $< -o $@.tmp && mv $@.tmp $@

# The skeleton's name is the file's with "_bpf": kbdns_bpf.
$(B)/%.skel.h: $(B)/%.bpf.o
	$(Q)bpftool gen skeleton $< name $(notdir $*)_bpf > $@.tmp && mv $@.tmp $@

$(B)/libkb.a: $(LIB_OBJ)
	$(Q)rm -f $@ && ar crs $@ $^

$(B)/libkbtest.a: $(TESTLIB_OBJ)
	$(Q)rm -f $@ && ar crs $@ $^

$(B)/kbdnsd $(B)/kbdnsctl: $(B)/%: $(B)/control/%.o $(B)/libkb.a
	$(if $(Q),@echo "  LD  $@")
	$(Q)$(CC) $(KB_CFLAGS) $^ -o $@ $(KB_LIBS)

$(FAKE_USERS): $(FAKE_OBJ)
$(UNIT): $(B)/%: $(B)/%.o $(B)/libkbtest.a $(B)/libkb.a
	$(if $(Q),@echo "  LD  $@")
	$(Q)$(CC) $(KB_CFLAGS) $(filter %.o,$^) $(filter %.a,$^) -o $@ $(KB_LIBS) -lcmocka -lldns

$(FUZZ): $(B)/%: $(B)/%.o $(B)/tests/fuzz/replay_main.o $(B)/libkb.a
	$(Q)$(CC) $(KB_CFLAGS) $^ -o $@ $(KB_LIBS)

$(B)/tests/fuzz/libfuzz_%: $(B)/tests/fuzz/fuzz_%.o $(B)/libkb.a
	$(Q)$(CC) $(KB_CFLAGS) -fsanitize=fuzzer $^ -o $@ $(KB_LIBS)

$(TOOL): $(B)/%: $(B)/%.o $(B)/libkbtest.a $(B)/libkb.a
	$(if $(Q),@echo "  LD  $@")
	$(Q)$(CC) $(KB_CFLAGS) $^ -o $@ $(KB_LIBS) -lcmocka -lldns

# Headers of libdpdk are a system's, not held to our warnings.
DPDK_OBJ := $(DPDK_LIB_OBJ) $(B)/$(DPDK_MAIN).o $(DPDK_TOOL:%=%.o)
$(DPDK_OBJ): KB_CFLAGS += $(DPDK_CFLAGS)
$(DPDK_OBJ): | libdpdk
# What DPDK 22.11 still called experimental, and later releases kept as it was.
$(B)/dataplane/dpdk/idle.o: KB_CFLAGS += -DALLOW_EXPERIMENTAL_API

.PHONY: libdpdk
libdpdk:
	@pkg-config --atleast-version=22.11 libdpdk || { echo "libdpdk, 22.11 or newer, is missing:" \
		"make deps installs it, make WITHOUT_DPDK=1 builds the rest" >&2; exit 1; }

$(B)/libkbdpdk.a: $(DPDK_LIB_OBJ)
	$(Q)rm -f $@ && ar crs $@ $^

$(B)/kbdns-dpdk: $(B)/$(DPDK_MAIN).o $(B)/libkbdpdk.a
	$(if $(Q),@echo "  LD  $@")
	$(Q)$(CC) $(KB_CFLAGS) $^ -o $@ $(DPDK_LIBS)

$(DPDK_TOOL): $(B)/%: $(B)/%.o $(B)/libkbdpdk.a $(B)/libkbtest.a $(B)/libkb.a
	$(if $(Q),@echo "  LD  $@")
	$(Q)$(CC) $(KB_CFLAGS) $^ -o $@ $(DPDK_LIBS) $(KB_LIBS) -lcmocka -lldns

.PRECIOUS: $(B)/%.o $(B)/%.bpf.o $(B)/%.skel.h
-include $(shell find $(B) -name '*.d' 2>/dev/null)
