# OSS Connector
#
#   make                 build everything into build/<variant>
#   make test            install what is missing, build, run every check and test
#   make demo            the whole product on a 2 GiB model over loopback, checked byte by byte
#   make check           format, layers, sizes, hook rows, documented keys
#   make unit            unit tests only
#   make test-suites     CPython's and numpy's own tests with the library preloaded: the same results
#   make test-servers    vLLM and Ray on a mount: the same tokens and digests (T=name; installs 5 GB, once)
#   make test-consumers  torch, safetensors, transformers, llama.cpp: the same on a mount (T=name; installs 4 GB, once)
#   make integration     stories with a daemon, a store and real programs (pytest; T=name picks one)
#   make bench           all figures of the README in one run, beside the limit and other programs
#                        (BENCH_ROWS, BENCH_RUNS, BENCH_BYTES, BENCH_OUT: see scripts/bench)
#   make fuzz            every fuzz target for FUZZ_SECONDS (default 10); needs clang
#   make format          apply .clang-format
#   make install         DESTDIR= PREFIX=/usr/local SYSCONFDIR=/etc
#   make clean
#
#   V=1                          show the commands
#   CC=clang                     another compiler
#   SANITIZE=address,undefined   or SANITIZE=thread: instrumented build in a folder of its own
#   COV=1                        build for line coverage; `make coverage` prints it
#
# Objects live in build/<variant>; a variant never mixes with another.

VERSION  := 0.1.0
SOVERSION := 0

PREFIX     ?= /usr/local
SYSCONFDIR ?= /etc
DESTDIR    ?=
SANITIZE   ?=
COV        ?=
T          ?=
FUZZ_SECONDS ?= 10

comma := ,
empty :=
space := $(empty) $(empty)
variant := $(if $(SANITIZE),$(subst $(comma),-,$(SANITIZE)),$(if $(COV),cov,release))
ifeq ($(CC),clang)
variant := $(variant)-clang
endif
B ?= build/$(variant)

ifeq ($(V),1)
Q :=
say := @:
else
Q := @
say := @printf '  %-6s %s\n'
endif

OPT      ?= -O2 -g
WARN     := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla \
            -Wpointer-arith -Wwrite-strings
CPPFLAGS += -I. -D_GNU_SOURCE -DOSSC_VERSION='"$(VERSION)"'
CFLAGS_ALL := -std=gnu11 $(OPT) $(WARN) -fno-strict-aliasing -fno-omit-frame-pointer $(CFLAGS)
LDFLAGS_ALL := $(LDFLAGS)
ifneq ($(SANITIZE),)
CFLAGS_ALL  += -fsanitize=$(SANITIZE) -fno-sanitize-recover=all
LDFLAGS_ALL += -fsanitize=$(SANITIZE)
endif
ifneq ($(COV),)
CFLAGS_ALL  += --coverage -fprofile-update=atomic -O0
LDFLAGS_ALL += --coverage
endif

DAEMON_PKGS := libevent_core libevent_extra libevent_pthreads openssl yaml-0.1 expat
# Asked once, and only when something is built.
PKG_CFLAGS   = $(eval PKG_CFLAGS := $(shell pkg-config --cflags $(DAEMON_PKGS)))$(PKG_CFLAGS)
PKG_LIBS     = $(eval PKG_LIBS := $(shell pkg-config --libs $(DAEMON_PKGS)))$(PKG_LIBS)
CMOCKA_LIBS := -lcmocka

# ---- sources ---------------------------------------------------------------

COMMON_C  := $(wildcard common/*.c)
DAEMON_C  := $(wildcard daemon/*/*.c)
CORE_C    := $(wildcard libclient/core/*.c)
LIB_C     := $(wildcard libclient/lib/*.c)
PRELOAD_C := $(wildcard libclient/preload/*.c)
CLI_C     := $(wildcard libclient/cli/*.c)
STORE_C   := $(wildcard test/server/*.c)
UNIT_C    := $(wildcard test/unit/test_*.c)
FUZZ_C    := $(wildcard test/fuzz/fuzz_*.c)
BENCH_C   := $(wildcard test/bench/*.c)
PROGRAM_C := $(wildcard test/programs/*.c)
REFMODEL_C := $(filter-out %/flaw.c,$(wildcard test/refmodel/*.c))
# Code that the client libraries take from common/: it must stand without libc's allocator and stdio.
CLIENT_COMMON_C := $(wildcard common/snapshot.c common/wire.c common/crc64.c)

obj = $(patsubst %.c,$(B)/obj/%.o,$(1))
pic = $(patsubst %.c,$(B)/pic/%.o,$(1))

OSSCD   := $(B)/osscd
OSSC    := $(B)/ossc
LIBOSSC := $(B)/libossc.so
PRELOAD := $(B)/libossc_preload.so
STORE   := $(B)/test/ossstore
UNITS   := $(patsubst test/unit/%.c,$(B)/test/unit/%,$(UNIT_C))
BENCHES := $(patsubst test/bench/%.c,$(B)/test/bench/%,$(BENCH_C))
PROGRAMS := $(patsubst test/programs/%.c,$(B)/test/programs/%,$(PROGRAM_C))
REFMODEL := $(B)/test/refmodel/refmodel $(B)/test/refmodel/flaw.so
REPLAYS := $(patsubst test/fuzz/%.c,$(B)/test/replay/%,$(FUZZ_C))
FUZZERS := $(patsubst test/fuzz/%.c,$(B)/test/fuzz/%,$(FUZZ_C))

.PHONY: all
all: $(OSSCD) $(OSSC) $(LIBOSSC) $(PRELOAD)

.PHONY: tests-build
tests-build: all $(STORE) $(UNITS) $(BENCHES) $(PROGRAMS) $(REFMODEL) $(REPLAYS)

# ---- rules -----------------------------------------------------------------

$(B)/obj/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(say) CC $<
	$(Q)$(CC) $(CPPFLAGS) $(PKG_CFLAGS) $(CFLAGS_ALL) -MMD -MP -c -o $@ $<

# The client side: position independent, hidden by default, no stack protector (its libc symbol is newer
# than 2.17 on some platforms), and no builtin that turns a loop into a call of what it implements.  libc's
# headers declare that names are not null, so that the compiler leaves out what asks; programs pass null all
# the same (Rust's library, to try out statx) and must get EFAULT.
FREESTANDING := -fPIC -fvisibility=hidden -fno-stack-protector -fno-builtin -U_FORTIFY_SOURCE \
	'-D__nonnull(x)=' '-D__attribute_nonnull__(x)='
# On arm64 atomics would be calls into the compiler's own library, which nothing links here.
OWN_ATOMICS = $(eval OWN_ATOMICS := $(if $(filter aarch64%,$(shell $(CC) -dumpmachine)),-mno-outline-atomics))$(OWN_ATOMICS)
$(B)/pic/libclient/preload/%.o $(B)/pic/libclient/core/%.o $(B)/pic/common/%.o: PICFLAGS = $(FREESTANDING) $(OWN_ATOMICS)
$(B)/pic/libclient/lib/%.o: PICFLAGS := -fPIC -fvisibility=hidden -fno-stack-protector -U_FORTIFY_SOURCE
$(B)/pic/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(say) CC "$< (pic)"
	$(Q)$(CC) $(CPPFLAGS) $(filter-out -fsanitize=% --coverage,$(CFLAGS_ALL)) $(PICFLAGS) -MMD -MP -c -o $@ $<

$(B)/libdaemon.a: $(call obj,$(COMMON_C) $(DAEMON_C))
	$(say) AR $@
	$(Q)rm -f $@ && $(AR) rcs $@ $^

# Everything that unit tests and fuzz targets may reach.
$(B)/liball.a: $(call obj,$(COMMON_C) $(DAEMON_C) $(CORE_C) $(LIB_C) $(filter-out test/server/main.c,$(STORE_C)))
	$(say) AR $@
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(OSSCD): $(call obj,daemon/main.c) $(B)/libdaemon.a
	$(say) LD $@
	$(Q)$(CC) $(CFLAGS_ALL) $(LDFLAGS_ALL) -o $@ $^ $(PKG_LIBS) -lpthread

$(LIBOSSC): $(call pic,$(LIB_C) $(CORE_C) $(CLIENT_COMMON_C)) libclient/lib/ossc.map
	$(say) LD $@
	$(Q)$(CC) -shared -Wl,-soname,libossc.so.$(SOVERSION) -Wl,--version-script=libclient/lib/ossc.map \
		-Wl,--no-undefined -o $@ $(filter %.o,$^)
	$(Q)ln -sf libossc.so $(B)/libossc.so.$(SOVERSION)

# Every program of the environment pays for each mapping and each page at its start: two segments instead
# of four, no page made read-only after relocation, and what runs at the start side by side
# (test/bench/start.c measures it).
FEW_MAPPINGS := -Wl,-z,noseparate-code -Wl,-z,norelro -Wl,--hash-style=gnu
START_C := $(addprefix libclient/,core/text.c core/mem.c $(addprefix preload/,start.c next.c environment.c \
           conf.c store.c carry.c paths.c skeleton.c inherit.c fds.c))
LINK_ORDER := $(START_C) $(filter-out $(START_C),$(PRELOAD_C) $(CORE_C)) $(CLIENT_COMMON_C)

$(PRELOAD): $(call pic,$(LINK_ORDER)) libclient/preload/preload.map
	$(say) LD $@
	$(Q)$(CC) -shared -nostdlib -Wl,-z,initfirst -Wl,-Bsymbolic $(FEW_MAPPINGS) \
		-Wl,--version-script=libclient/preload/preload.map -o $@ $(filter %.o,$^)

$(OSSC): $(call obj,$(CLI_C)) $(LIBOSSC)
	$(say) LD $@
	$(Q)$(CC) $(CFLAGS_ALL) $(LDFLAGS_ALL) -o $@ $(filter %.o,$^) -L$(B) -lossc \
		-Wl,-rpath,'$$ORIGIN:$$ORIGIN/../lib'

$(STORE): $(call obj,$(STORE_C) $(COMMON_C))
	@mkdir -p $(@D)
	$(say) LD $@
	$(Q)$(CC) $(CFLAGS_ALL) $(LDFLAGS_ALL) -o $@ $^ $(PKG_LIBS) -lpthread

$(B)/test/unit/%: $(B)/obj/test/unit/%.o $(B)/liball.a
	@mkdir -p $(@D)
	$(say) LD $@
	$(Q)$(CC) $(CFLAGS_ALL) $(LDFLAGS_ALL) -o $@ $^ $(PKG_LIBS) $(CMOCKA_LIBS) -lpthread

$(B)/test/bench/%: $(B)/obj/test/bench/%.o $(B)/liball.a
	@mkdir -p $(@D)
	$(say) LD $@
	$(Q)$(CC) $(CFLAGS_ALL) $(LDFLAGS_ALL) -o $@ $^ $(PKG_LIBS) -lpthread

# Programs that know nothing of us: plain POSIX, linked against nothing but libc (and libossc where named so).
$(B)/test/programs/%: test/programs/%.c $(LIBOSSC) Makefile
	@mkdir -p $(@D)
	$(say) CC $<
	$(Q)$(CC) $(CPPFLAGS) -Ilibclient/lib $(CFLAGS_ALL) $(LDFLAGS_ALL) -o $@ $< \
		$(if $(findstring capi,$<),-L$(B) -lossc -Wl$(comma)-rpath$(comma)'$$ORIGIN/../..') -lpthread

# The reference model, and a library that makes it find something.  They know nothing of us either.
$(B)/test/refmodel/refmodel: $(call obj,$(REFMODEL_C))
	@mkdir -p $(@D)
	$(say) LD $@
	$(Q)$(CC) $(CFLAGS_ALL) $(LDFLAGS_ALL) -o $@ $^ -lpthread

$(B)/test/refmodel/flaw.so: test/refmodel/flaw.c Makefile
	@mkdir -p $(@D)
	$(say) CC $<
	$(Q)$(CC) $(CPPFLAGS) $(filter-out -fsanitize=%,$(CFLAGS_ALL)) -fPIC -shared -o $@ $< -ldl

$(B)/test/replay/%: $(B)/obj/test/fuzz/%.o $(B)/obj/test/fuzz/replay.o $(B)/liball.a
	@mkdir -p $(@D)
	$(say) LD $@
	$(Q)$(CC) $(CFLAGS_ALL) $(LDFLAGS_ALL) -o $@ $^ $(PKG_LIBS) -lpthread

.SECONDARY:

# ---- checks and tests ------------------------------------------------------

.PHONY: check
check:
	$(Q)scripts/check-format
	$(Q)scripts/check-layers
	$(Q)scripts/check-size
	$(Q)scripts/check-hooks $(wildcard $(PRELOAD))
	$(Q)scripts/check-symbols $(B)
	$(Q)scripts/check-words

.PHONY: format
format:
	$(Q)git ls-files '*.c' '*.h' | xargs clang-format -i

.PHONY: bootstrap
bootstrap:
	$(Q)scripts/bootstrap

.PHONY: unit
unit: $(UNITS) $(REPLAYS)
	$(Q)scripts/run-units $(B)

.PHONY: integration
integration: tests-build
	$(Q)B=$(B) scripts/run-integration $(T)

# Minutes: CI runs it, `make test` does not.
.PHONY: test-suites
test-suites: $(PRELOAD)
	$(Q)B=$(B) scripts/run-suites

# Minutes and 5 GB: before a release, not in CI.
.PHONY: test-servers
test-servers: all $(STORE)
	$(Q)venv=$$(scripts/bootstrap --pins test/servers/requirements.txt) && B=$(B) PYTHONDONTWRITEBYTECODE=1 \
		"$$venv/bin/python" -m pytest -q -p no:cacheprovider test/servers $(if $(T),-k "$(T)")

# Loaders of models that others wrote, from an environment of their own.  Minutes: CI runs it, `make test` does not.
.PHONY: test-consumers
test-consumers: all $(STORE)
	$(Q)venv=$$(scripts/bootstrap --pins test/consumers/requirements.txt) && B=$(B) PYTHONDONTWRITEBYTECODE=1 \
		"$$venv/bin/python" -m pytest -q -p no:cacheprovider test/consumers $(if $(T),-k "$(T)")

# One after the other, whatever -j says: the stories use the machine as a user would.
.PHONY: test
test:
	$(Q)scripts/bootstrap
	$(Q)$(MAKE) --no-print-directory -j$$(nproc) tests-build
	$(Q)$(MAKE) --no-print-directory check
	$(Q)$(MAKE) --no-print-directory unit
	$(Q)$(MAKE) --no-print-directory integration

.PHONY: demo
demo:
	$(Q)scripts/bootstrap --build-only
	$(Q)$(MAKE) --no-print-directory -j$$(nproc) tests-build
	$(Q)B=$(B) scripts/demo

.PHONY: bench
bench:
	$(Q)$(MAKE) --no-print-directory -j$$(nproc) tests-build
	$(Q)B=$(B) scripts/bench

.PHONY: fuzz
fuzz:
	$(Q)scripts/run-fuzz $(FUZZ_SECONDS)

.PHONY: fuzzers
fuzzers: $(FUZZERS)

$(B)/test/fuzz/%: $(B)/obj/test/fuzz/%.o $(B)/liball.a
	@mkdir -p $(@D)
	$(say) LD $@
	$(Q)$(CC) $(CFLAGS_ALL) $(LDFLAGS_ALL) -fsanitize=fuzzer -o $@ $^ $(PKG_LIBS) -lpthread

.PHONY: coverage
coverage:
	$(Q)scripts/coverage

# ---- installation ----------------------------------------------------------

MAN1 := $(wildcard libclient/cli/*.1)
MAN3 := $(wildcard libclient/lib/*.3)
MAN5 := $(wildcard conf/*.5)
MAN7 := $(wildcard libclient/preload/*.7)
MAN8 := $(wildcard daemon/*.8)

.PHONY: install
install: all
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/lib/pkgconfig $(DESTDIR)$(PREFIX)/include
	install -m 755 $(OSSCD) $(OSSC) $(DESTDIR)$(PREFIX)/bin/
	install -m 755 $(LIBOSSC) $(DESTDIR)$(PREFIX)/lib/libossc.so.$(VERSION)
	ln -sf libossc.so.$(VERSION) $(DESTDIR)$(PREFIX)/lib/libossc.so.$(SOVERSION)
	ln -sf libossc.so.$(SOVERSION) $(DESTDIR)$(PREFIX)/lib/libossc.so
	install -m 755 $(PRELOAD) $(DESTDIR)$(PREFIX)/lib/
	install -m 644 libclient/lib/ossc.h $(DESTDIR)$(PREFIX)/include/
	sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@VERSION@|$(VERSION)|' libclient/lib/libossc.pc.in \
		> $(DESTDIR)$(PREFIX)/lib/pkgconfig/libossc.pc
	chmod 644 $(DESTDIR)$(PREFIX)/lib/pkgconfig/libossc.pc
	set -e; for page in $(MAN1) $(MAN3) $(MAN5) $(MAN7) $(MAN8); do \
		install -D -m 644 $$page $(DESTDIR)$(PREFIX)/share/man/man$${page##*.}/$${page##*/}; done
	install -d $(DESTDIR)$(PREFIX)/share/doc/oss-connector/guides
	install -m 644 $(wildcard conf/guides/*.md) $(DESTDIR)$(PREFIX)/share/doc/oss-connector/guides/
	install -d $(DESTDIR)$(SYSCONFDIR)/oss-connector
	test -e $(DESTDIR)$(SYSCONFDIR)/oss-connector/config.json || \
		install -m 644 conf/config.json $(DESTDIR)$(SYSCONFDIR)/oss-connector/config.json
	install -d $(DESTDIR)$(PREFIX)/lib/systemd/system
	sed -e 's|@PREFIX@|$(PREFIX)|' conf/osscd.service > $(DESTDIR)$(PREFIX)/lib/systemd/system/osscd.service

.PHONY: clean
clean:
	rm -rf build

-include $(shell find $(B) -name '*.d' 2>/dev/null)
