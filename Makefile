# Tollgate. `make run` and `make check` do all of it; `make help` lists the rest.
# All output goes below build/, one folder a variant: build/release, build/asan, build/tsan, build/cov.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.SECONDARY:
MAKEFLAGS += --no-builtin-rules --no-print-directory
.SUFFIXES:

V     ?= release
JOBS  ?= $(shell nproc)
CC    := gcc
OUT   := build/$(V)
GEN   := build/gen

# --- flags -------------------------------------------------------------------------------------
WARN  := -Wall -Wextra -Wshadow -Wvla -Wformat=2 -Wstrict-prototypes -Wmissing-prototypes \
         -Wpointer-arith -Wundef -Wwrite-strings -Wswitch-enum -Wno-missing-field-initializers -Werror
BASE_FLAGS := -std=gnu17 -D_GNU_SOURCE -g -fno-omit-frame-pointer -Iinclude -Isrc $(WARN)
HARDEN := -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fstack-clash-protection -fcf-protection -fPIE
FLAGS_release := -O2 $(HARDEN)
FLAGS_asan    := -O1 -fsanitize=address,undefined -fno-sanitize-recover=all -DTOLLGATE_CHECK_SCANS
FLAGS_tsan    := -O1 -fsanitize=thread
FLAGS_cov     := -O0 --coverage
# charges after the last byte: the build that the crash test must catch
FLAGS_late    := -O2 -DTOLLGATE_CHARGE_AFTER_LAST_BYTE
LINK_release  := -pie -Wl,-z,relro,-z,now
CFLAGS  := $(BASE_FLAGS) $(FLAGS_$(V))
LDFLAGS := $(FLAGS_$(V)) $(LINK_$(V))
LDLIBS  := -lsqlite3 -lmicrohttpd -lcurl -lssl -lcrypto -lcjson -lsodium -lpthread -lm

# Money is computed without floating-point registers: a double in these files does not compile, nor link.
MONEY_FILES := src/base/money.c $(wildcard src/pricing/*.c src/ledger/*.c src/metering/*.c)
NO_FLOAT := -mgeneral-regs-only

# llhttp: Debian 13 has a library, Debian 12 the C sources beside Node's module.
LLHTTP_PC := $(shell pkg-config --exists libllhttp 2>/dev/null && echo yes)
LLHTTP_DIR := /usr/share/llhttp
LLHTTP_FLAGS := -DLLHTTP_STRICT_MODE=1
ifeq ($(LLHTTP_PC),yes)
LDLIBS += $(shell pkg-config --libs libllhttp)
LLHTTP_OBJ :=
else
LLHTTP_OBJ := $(patsubst %,$(OUT)/llhttp/%.o,llhttp api http)
LLHTTP_INC := -I/usr/share/include/llhttp
endif

# --- sources -----------------------------------------------------------------------------------
SRC      := $(filter-out src/tools/% src/main/main.c,$(wildcard src/*/*.c))
OBJ      := $(SRC:src/%.c=$(OUT)/obj/%.o)
GEN_SRC  := $(GEN)/migrations.c $(GEN)/assets.c
GEN_OBJ  := $(GEN_SRC:$(GEN)/%.c=$(OUT)/gen/%.o)
LIB      := $(OUT)/libtollgate.a
BIN      := $(OUT)/tollgate

UNIT     := $(wildcard tests/unit/*/test_*.c)
INTEG    := $(wildcard tests/integration/test_*.c)
SUPPORT  := $(wildcard tests/support/support_*.c)
UNIT_OBJ := $(UNIT:tests/%.c=$(OUT)/tests/%.o)
INTEG_OBJ := $(INTEG:tests/%.c=$(OUT)/tests/%.o)
SUPPORT_OBJ := $(SUPPORT:tests/%.c=$(OUT)/tests/%.o)
SIM_SRC  := $(wildcard tests/support/sim*.c)

.PHONY: all help deps run check check-long debug clean fmt tidy schema install
all: $(BIN) build/tollgate

help:
	@grep -E '^## ' Makefile | sed 's/^## //'

## make all            the release build, build/tollgate
build/tollgate: build/release/tollgate
	@mkdir -p build && ln -sf release/tollgate $@

ifneq ($(V),release)
build/release/tollgate:
	@$(MAKE) V=release $@
endif

$(BIN): $(OUT)/obj/main/main.o $(LIB)
	@echo "ld $@"
	@$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

# What the compiler would do in software is a double all the same.
SOFT_FLOAT := __(add|sub|mul|div|neg|fix|fixuns|float|floatun|cmp|unord|eq|ne|lt|le|gt|ge|extend|trunc)[a-z]*[sdxt]f
$(LIB): $(OBJ) $(GEN_OBJ) $(LLHTTP_OBJ)
	@if nm -u $(MONEY_FILES:src/%.c=$(OUT)/obj/%.o) | grep -E '$(SOFT_FLOAT)'; then \
	    echo "floating point near money" >&2; exit 1; fi
	@rm -f $@ && ar rcs $@ $^

$(OUT)/obj/%.o: src/%.c | deps-once
	@mkdir -p $(@D)
	@echo "cc $@"
	@$(CC) $(CFLAGS) $(if $(filter src/$*.c,$(MONEY_FILES)),$(NO_FLOAT)) $(LLHTTP_INC) -MMD -MP -c -o $@ $<

$(OUT)/gen/%.o: $(GEN)/%.c
	@mkdir -p $(@D)
	@echo "cc $@"
	@$(CC) $(CFLAGS) -MMD -MP -c -o $@ $<

$(OUT)/llhttp/%.o: $(LLHTTP_DIR)/%.c
	@mkdir -p $(@D)
	@echo "cc $@"
	@$(CC) -std=gnu17 -g -O2 $(FLAGS_$(V)) $(LLHTTP_FLAGS) $(LLHTTP_INC) -c -o $@ $<

# --- generated sources -------------------------------------------------------------------------
EMBED := build/tools/embed
$(EMBED): src/tools/embed.c | deps-once
	@mkdir -p $(@D)
	@echo "ld $@"
	@$(CC) -std=gnu17 -D_GNU_SOURCE -O1 -g -Iinclude $(WARN) -o $@ $< -lcrypto

MIGRATIONS := $(sort $(wildcard migrations/[0-9]*.sql migrations/*.csv))
ASSETS     := $(sort $(wildcard web/*.html web/*.css web/*.js web/*.svg))
$(GEN)/migrations.c: $(EMBED) $(MIGRATIONS)
	@mkdir -p $(@D)
	@$(EMBED) migrations $(MIGRATIONS) > $@
$(GEN)/assets.c: $(EMBED) $(ASSETS)
	@mkdir -p $(@D)
	@$(EMBED) assets $(ASSETS) > $@

# --- tests -------------------------------------------------------------------------------------
# Every test file defines `Suite *suite(void)`; the build gives each a name of its own and lists them.
suite_name = suite_$(subst /,_,$(basename $(1)))
$(OUT)/tests/%.o: tests/%.c | deps-once
	@mkdir -p $(@D)
	@echo "cc $@"
	@$(CC) $(CFLAGS) -Itests $(LLHTTP_INC) -Dsuite=$(call suite_name,$*) -Wno-missing-prototypes -MMD -MP -c -o $@ $<

define runner
$(OUT)/tests/$(1)_suites.c: $(2) Makefile
	@mkdir -p $$(@D)
	@{ echo '#include <check.h>'; echo '#include "support/suites.h"'; \
	  for s in $(foreach f,$(2),$(call suite_name,$(f:tests/%=%))); do echo "Suite *$$$$s(void);"; done; \
	  echo 'suite_fn *const suites[] = {'; \
	  for s in $(foreach f,$(2),$(call suite_name,$(f:tests/%=%))); do echo "    $$$$s,"; done; echo '    0 };'; } > $$@
$(OUT)/$(1)_tests: $(OUT)/tests/$(1)_suites.c tests/support/runner.c $(3) $(SUPPORT_OBJ) $(LIB)
	@echo "ld $$@"
	@$(CC) $(CFLAGS) $(LDFLAGS) -Itests -o $$@ $$^ $$(shell pkg-config --libs check) $(LDLIBS)
endef
$(eval $(call runner,unit,$(UNIT),$(UNIT_OBJ)))
$(eval $(call runner,integration,$(INTEG),$(INTEG_OBJ)))

.PHONY: unit integration
## make unit           unit tests; RUN=suite_unit_base_test_span runs one suite
unit: $(OUT)/unit_tests
	$(if $(RUN),CK_RUN_SUITE=$(RUN)) $<
## make integration    integration tests
integration: $(OUT)/integration_tests $(BIN) $(OUT)/sim
	OUT=$(OUT) $(if $(RUN),CK_RUN_SUITE=$(RUN)) $<

## make schema         migrations/schema.sql, from the migrations; a test compares them
schema: $(OUT)/integration_tests
	SCHEMA_OUT=migrations/schema.sql CK_RUN_SUITE=migrate CK_RUN_CASE=schema $<

$(OUT)/sim: $(SIM_SRC) $(wildcard tests/support/sim*.h)
	@mkdir -p $(@D)
	@echo "ld $@"
	@$(CC) -std=gnu17 -D_GNU_SOURCE -O2 -g $(WARN) -o $@ $(SIM_SRC) -lssl -lcrypto
$(OUT)/period_dump: tests/support/period_dump.c $(LIB)
	@echo "ld $@"
	@$(CC) $(CFLAGS) $(LDFLAGS) -Itests -o $@ $^ $(LDLIBS)
$(OUT)/ledger_script: tests/support/ledger_script.c $(LIB)
	@mkdir -p $(@D)
	@echo "ld $@"
	@$(CC) $(CFLAGS) $(LDFLAGS) -Itests -Wl,--as-needed -o $@ $^ $(LDLIBS)
$(OUT)/load: tests/bench/load.c
	@mkdir -p $(@D)
	@echo "ld $@"
	@$(CC) -std=gnu17 -D_GNU_SOURCE -O2 -g $(WARN) -o $@ $<

.PHONY: e2e crash crash-control hammer kill-points bench instructions fuzz
## make e2e            end-to-end suites; SUITE=raw runs one
e2e: $(BIN) $(OUT)/sim $(OUT)/period_dump
	OUT=$(OUT) tests/e2e/run.sh $(SUITE)
## make crash          kill -9 at random under load and compare; COUNT=300 SEED=1
COUNT ?= 300
crash: $(BIN) $(OUT)/sim
	OUT=$(OUT) COUNT=$(COUNT) node tests/e2e/crash.mjs
## make crash-control  the same against a build that charges after the last byte: it must be caught
crash-control: build/release/sim
	@$(MAKE) -j$(JOBS) V=late build/late/tollgate
	OUT=build/release TOLLGATE=$(CURDIR)/build/late/tollgate CONTROL=1 COUNT=60 node tests/e2e/crash.mjs

## make hammer         limits under a crowd, under 100 kills, at every kill point; SEED=1
hammer: $(OUT)/integration_tests $(BIN) $(OUT)/sim
	HAMMER=1 CK_RUN_SUITE=hammer OUT=$(OUT) $<
	OUT=$(OUT) COUNT=100 node tests/e2e/quota_crash.mjs
	@$(MAKE) kill-points
## make kill-points    the ledger ended and failed in each of its system calls, the server in 20; EVERY=7 SEED=1
kill-points: $(OUT)/ledger_script $(BIN) $(OUT)/sim
	OUT=$(OUT) SERVER=20 node tests/e2e/kill_points.mjs

## make bench          CPU time a call against nginx; S="plain 1 KB" runs some
bench: deps
	@$(MAKE) -j$(JOBS) V=release all build/release/sim build/release/load
	node tests/bench/bench.mjs build/release $(if $(S),"$(S)")
## make instructions   user instructions a call, by callgrind
instructions: deps
	@$(MAKE) -j$(JOBS) V=release all build/release/sim build/release/load
	node tests/bench/instructions.mjs build/release

## make fuzz           every target for T seconds
T ?= 60
FUZZ := $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ_SRC := $(wildcard src/base/*.c src/providers/*.c src/store/*.c) src/ledger/account.c \
            src/policy/zone.c src/policy/period.c tests/support/support_json_oracle.c
build/fuzz/%: tests/fuzz/fuzz_%.c $(FUZZ_SRC)
	@mkdir -p $(@D)
	@echo "ld $@"
	@clang-14 -std=gnu17 -D_GNU_SOURCE -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all \
	    -Iinclude -Isrc -Itests -o $@ $^ -lcjson -lsodium -lsqlite3 -lpthread
fuzz: $(FUZZ:%=build/fuzz/%)
	@for t in $(FUZZ); do mkdir -p build/fuzz/corpus/$$t; \
	    build/fuzz/$$t -max_total_time=$(T) -verbosity=0 -print_final_stats=1 build/fuzz/corpus/$$t tests/fuzz/corpus/$$t; done

# --- the forms of a check -----------------------------------------------------------------------
.PHONY: layers format-check lint
layers:
	@.ci/layers src/LAYERS src/*/*.[ch]

C_FILES = $(wildcard src/*/*.[ch] include/tollgate/*.h tests/*/*.[ch] tests/unit/*/*.[ch])
## make fmt            format the sources
fmt:
	@clang-format -i $(C_FILES)
format-check:
	@clang-format --dry-run -Werror $(C_FILES)
# One file at a time: with several in a run clang-tidy 14 reports false va_list findings.
LINTED = $(wildcard src/*/*.c)
lint: $(LINTED:src/%.c=build/lint/%.ok)
build/lint/%.ok: src/%.c .clang-tidy $(wildcard src/*/*.h include/tollgate/*.h)
	@mkdir -p $(@D)
	@echo "tidy $<"
	@clang-tidy --quiet $< -- -std=gnu17 -D_GNU_SOURCE -Iinclude -Isrc $(LLHTTP_INC) 2>/dev/null && touch $@
## make tidy           layers, vendor headers, format, clang-tidy
tidy: layers format-check
	@$(MAKE) -k -j$(JOBS) lint

# Each suite prints what it took; the shares stand in tests/README.md.
timed = @start=$$(date +%s); status=0; $(2) || status=$$?; \
        echo "[$(1) took $$(( $$(date +%s) - start )) s]"; exit $$status

.PHONY: check-unit check-integration check-e2e check-crash check-quota
check-unit: $(OUT)/unit_tests
	$(call timed,unit tests,$<)
check-integration: $(OUT)/integration_tests $(BIN) $(OUT)/sim
	$(call timed,integration tests,OUT=$(OUT) $<)

check-crash: $(BIN) $(OUT)/sim
	$(call timed,crash test,OUT=$(OUT) COUNT=30 node tests/e2e/crash.mjs)
check-quota: $(BIN) $(OUT)/sim $(OUT)/ledger_script
	$(call timed,quota crash test and kill points,{ OUT=$(OUT) COUNT=10 node tests/e2e/quota_crash.mjs && \
	    OUT=$(OUT) EVERY=7 BOUND_S=15 node tests/e2e/kill_points.mjs; })
# Last of all, so that node's summary closes the run; its runner prints what each suite took.
check-e2e: $(BIN) $(OUT)/sim $(OUT)/period_dump
	@OUT=$(OUT) tests/e2e/run.sh

## make check          builds and runs every test that belongs to a change
check: deps layers
	@$(MAKE) -j$(JOBS) V=release all build/release/unit_tests build/release/integration_tests \
	    build/release/sim build/release/load build/release/ledger_script
	@$(MAKE) V=release check-unit
	@$(MAKE) V=release check-integration
	@$(MAKE) V=release check-crash check-quota check-e2e

# ThreadSanitizer over what has threads; the rest it would only slow down.
THREADED_UNIT := net/loop base/log snapshot
THREADED := writer reader ledger net/client net/connector net/fetch integration/accounts server relay exchange \
            admin daemon refresh quota hammer
.PHONY: check-threads
check-threads:
	@$(MAKE) V=tsan -j$(JOBS) all build/tsan/unit_tests build/tsan/integration_tests build/tsan/sim
	@for s in $(THREADED_UNIT); do \
	    CK_TIMEOUT_MULTIPLIER=10 CK_RUN_SUITE=$$s build/tsan/unit_tests || exit 1; done
	@for s in $(THREADED); do \
	    CK_TIMEOUT_MULTIPLIER=10 OUT=build/tsan CK_RUN_SUITE=$$s build/tsan/integration_tests || exit 1; done

## make check-long     sanitizers, all kill points, hammer and crash test in full
check-long: deps tidy
	@$(MAKE) V=asan -j$(JOBS) all build/asan/unit_tests build/asan/integration_tests build/asan/sim
	@CK_TIMEOUT_MULTIPLIER=10 ASAN_OPTIONS=detect_leaks=1 $(MAKE) V=asan check-unit
	@CK_TIMEOUT_MULTIPLIER=10 ASAN_OPTIONS=detect_leaks=1 $(MAKE) V=asan check-integration check-e2e
	@$(MAKE) check-threads
	@$(MAKE) V=release all build/release/integration_tests
	@COUNT=1000000 OUT=build/release CK_RUN_SUITE=prices CK_RUN_CASE=reference build/release/integration_tests
	@$(MAKE) crash COUNT=300
	@$(MAKE) crash-control
	@$(MAKE) hammer

debug:
	@$(MAKE) V=asan all

## make run            installs what is missing, builds, serves with a sandbox, makes a first key
run: deps
	@$(MAKE) -j$(JOBS) V=release all
	@.ci/first-run build/release/tollgate

PREFIX ?= /usr/local
install: build/tollgate
	install -D -m 755 build/release/tollgate $(DESTDIR)$(PREFIX)/bin/tollgate

$(OUT)/ledger_bench: tests/bench/ledger.c $(LIB)
	$(CC) $(CFLAGS) $(LDFLAGS) -Itests -o $@ $^ $(LDLIBS)

$(OUT)/book_bench: tests/bench/book.c $(LIB)
	$(CC) $(CFLAGS) $(LDFLAGS) -Itests -o $@ $^ $(LDLIBS)

# --- what a machine needs ----------------------------------------------------------------------
APT := gcc make pkg-config libc6-dev libmicrohttpd-dev libcurl4-openssl-dev libssl-dev libsqlite3-dev \
       libcjson-dev libsodium-dev check ca-certificates tzdata
APT_TEST := nodejs npm python3 nginx-light haproxy strace faketime curl openssl procps valgrind \
       clang-14 libclang-rt-14-dev clang-format clang-tidy
LLHTTP_APT := $(shell apt-cache show libllhttp-dev >/dev/null 2>&1 && echo libllhttp-dev || echo node-llhttp)

.PHONY: deps deps-once
## make deps           installs what is missing (Debian packages)
deps:
	@.ci/deps $(APT) $(LLHTTP_APT) $(APT_TEST)
deps-once:
	@.ci/deps $(APT) $(LLHTTP_APT)

clean:
	rm -rf build

-include $(OBJ:.o=.d) $(UNIT_OBJ:.o=.d) $(INTEG_OBJ:.o=.d) $(SUPPORT_OBJ:.o=.d) $(GEN_OBJ:.o=.d) $(OUT)/obj/main/main.d
