# SPDX-License-Identifier: Apache-2.0
# One Makefile, no recursion. `make help` lists what there is.
BUILD ?= build
CC ?= gcc
OPT ?= -O2 -g
SAN ?=
ALLOCATOR ?= -ljemalloc
# The program is optimised as a whole (a fifth fewer instructions for a query); tests link the same
# objects' ordinary halves. Not with sanitizers, nor with another compiler than gcc.
LTO ?= $(if $(SAN)$(findstring clang,$(CC)),,-flto=auto -ffat-lto-objects)
NO_LTO = $(if $(findstring clang,$(CC)),,-fno-lto -fno-use-linker-plugin)
CFLAGS += -std=gnu11 $(OPT) $(SAN) -Wall -Wextra -Werror -Wno-unused-parameter $(if $(findstring clang,$(CC)),-Wno-unknown-warning-option) -Wno-format-truncation -fno-strict-aliasing -pthread
CPPFLAGS += -I. -I$(BUILD)/gen -D_GNU_SOURCE -MMD -MP $(shell pkg-config --cflags libpq 2>/dev/null || echo -I/usr/include/postgresql)
CPPFLAGS += $(if $(findstring jemalloc,$(ALLOCATOR)),-DWITH_JEMALLOC)
LDFLAGS += $(SAN) -pthread
LDLIBS += -lev -lpq -lpg_query -lmicrohttpd -lsystemd -lssl -lcrypto -lldap -llber -lpam -lseccomp $(ALLOCATOR) -lm

LAYERS = base config pool cache
LIBS_base = $(BUILD)/libbase.a
sources = $(sort $(wildcard $(1)/*.c))
objects = $(patsubst %.c,$(BUILD)/%.o,$(1))
PROXY_SRC = $(filter-out proxy/main.c,$(sort $(wildcard proxy/*.c proxy/*/*.c)))
ALL_SRC = $(foreach l,$(LAYERS),$(call sources,$(l))) $(PROXY_SRC)

.PHONY: all
all: $(BUILD)/pgweir ## build build/pgweir

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	@echo "  CC   $<"
	@$(CC) $(CPPFLAGS) $(CFLAGS) $(LTO) -c $< -o $@

$(BUILD)/pgweir: $(call objects,$(ALL_SRC) proxy/main.c)
	@echo "  LINK $@"
	@$(CC) $(OPT) $(LTO) $(LDFLAGS) $^ $(LDLIBS) -o $@

# The program of which tests can switch off what keeps the cache right (base/protection.h). Files that
# do not ask for that are the same objects; it is never installed, and does not start by accident.
GUARDED_SRC = $(shell grep -l '"base/protection.h"' $(ALL_SRC) proxy/main.c)
$(BUILD)/unprotected/%.o: %.c
	@mkdir -p $(@D)
	@echo "  CC   $< (unprotected)"
	@$(CC) $(CPPFLAGS) -DWITH_PROTECTIONS_OFF $(CFLAGS) $(NO_LTO) -c $< -o $@

$(BUILD)/pgweir-unprotected: $(patsubst %.c,$(BUILD)/unprotected/%.o,$(GUARDED_SRC)) $(call objects,$(filter-out $(GUARDED_SRC),$(ALL_SRC)))
	@echo "  LINK $@"
	@$(CC) $(OPT) $(NO_LTO) $(LDFLAGS) $^ $(LDLIBS) -o $@

# Unit tests: tests/unit/ROOM/NAME_test.c is a cmocka program. A test of a lower layer links only
# the layers that it may see.
LAYERS_OF_base = base
LAYERS_OF_config = base config
LAYERS_OF_pool = base pool
LAYERS_OF_cache = base cache
UNIT_SRC = $(sort $(wildcard tests/unit/*/*_test.c tests/unit/*/*/*_test.c))
UNIT_BIN = $(patsubst tests/unit/%.c,$(BUILD)/unit/%,$(UNIT_SRC))

define layer_archive
$(BUILD)/lib$(1).a: $(call objects,$(call sources,$(1)))
	@mkdir -p $$(@D)
	@rm -f $$@
	@ar rcs $$@ $$^
$(BUILD)/unit/$(1)/%: tests/unit/$(1)/%.c $(patsubst %,$(BUILD)/lib%.a,$(LAYERS_OF_$(1)))
	@mkdir -p $$(@D)
	@echo "  TEST $$@"
	@$$(CC) $$(CPPFLAGS) $$(CFLAGS) $$(NO_LTO) $$(LDFLAGS) $$< $(patsubst %,$(BUILD)/lib%.a,$(filter-out base,$(LAYERS_OF_$(1)))) $(BUILD)/libbase.a -lcmocka $(ALLOCATOR) -lm -o $$@
endef
$(foreach l,$(LAYERS),$(eval $(call layer_archive,$(l))))

# A test of proxy/FOLDER links that folder and the layers below. Of session and server, which know
# each other and the worker, only the rooms that stand alone.
PROXY_FOLDERS = wire session server sql control console login
ALONE_control = $(call sources,proxy/control) $(addprefix proxy/sql/,builtins.c captured.c computing.c plpgsql.c)
ALONE_session = $(addprefix proxy/session/,unit.c vars.c statement.c options.c cancel_key.c origin.c entrance.c proxy_header.c gucs.c remains.c) proxy/profile.c proxy/login/digest.c $(call sources,proxy/sql)
ALONE_console = $(addprefix proxy/console/,table.c syntax.c)
ALONE_server = $(addprefix proxy/server/,ops.c prepared.c resolver.c) $(ALONE_session)
define proxy_unit
$(BUILD)/unit/proxy/$(1)/%: tests/unit/proxy/$(1)/%.c $(call objects,$(or $(ALONE_$(1)),$(call sources,proxy/$(1)))) $(BUILD)/libcache.a $(BUILD)/libpool.a $(BUILD)/libconfig.a $(BUILD)/libbase.a
	@mkdir -p $$(@D)
	@echo "  TEST $$@"
	@$$(CC) $$(CPPFLAGS) $$(CFLAGS) $$(NO_LTO) $$(LDFLAGS) $$< $$(filter %.o %.a,$$^) -lcmocka $$(LDLIBS) -o $$@
endef
$(foreach f,$(PROXY_FOLDERS),$(eval $(call proxy_unit,$(f))))
# A room of session/ that needs two more functions, which its test says itself.
$(BUILD)/unit/proxy/session/transaction_test: $(BUILD)/proxy/session/transaction.o
# Rooms of console/ that stand without the rest of the proxy.
$(BUILD)/unit/proxy/control/http_test: $(BUILD)/proxy/console/http.o
$(BUILD)/unit/proxy/control/metrics_test: $(BUILD)/proxy/console/metrics.o

# Rooms of proxy/ itself.
$(patsubst tests/%.c,$(BUILD)/%,$(wildcard tests/unit/proxy/*_test.c)): $(BUILD)/unit/proxy/%_test: tests/unit/proxy/%_test.c $(BUILD)/proxy/%.o $(BUILD)/libconfig.a $(BUILD)/libbase.a
	@mkdir -p $(@D)
	@echo "  TEST $@"
	@$(CC) $(CPPFLAGS) $(CFLAGS) $(NO_LTO) $(LDFLAGS) $< $(filter %.o %.a,$^) -lcmocka $(LDLIBS) -o $@

# tests/fuzz: targets for bytes from outside. Here each is a unit program (its corpus, and mutations
# that are the same in every run); `make fuzz` runs the same bodies under libFuzzer.
FUZZ_TARGETS = $(patsubst tests/fuzz/%_target.c,%,$(sort $(wildcard tests/fuzz/*_target.c)))
UNIT_BIN += $(patsubst %,$(BUILD)/unit/fuzz/%_test,$(FUZZ_TARGETS))
FUZZ_LIBS = $(BUILD)/libproxy.a $(BUILD)/libcache.a $(BUILD)/libpool.a $(BUILD)/libconfig.a $(BUILD)/libbase.a
$(BUILD)/libproxy.a: $(call objects,$(PROXY_SRC))
	@rm -f $@
	@ar rcs $@ $^
$(BUILD)/unit/fuzz/%_test: $(BUILD)/tests/fuzz/%_target.o $(BUILD)/tests/fuzz/replay.o $(FUZZ_LIBS)
	@mkdir -p $(@D)
	@echo "  TEST $@"
	@$(CC) $(OPT) $(NO_LTO) $(LDFLAGS) $^ $(LDLIBS) -o $@
$(BUILD)/fuzz/%: $(BUILD)/tests/fuzz/%_target.o $(BUILD)/tests/fuzz/guided.o $(FUZZ_LIBS)
	@mkdir -p $(@D)
	@echo "  FUZZ $@"
	@$(CC) $(OPT) $(LDFLAGS) -fsanitize=fuzzer $^ $(LDLIBS) -o $@
.SECONDARY: $(patsubst %,$(BUILD)/tests/fuzz/%_target.o,$(FUZZ_TARGETS))

# What is known of a connection is in all rooms of the proxy: tests of takeover/ have a whole one.
$(BUILD)/unit/proxy/takeover/%: tests/unit/proxy/takeover/%.c $(FUZZ_LIBS)
	@mkdir -p $(@D)
	@echo "  TEST $@"
	@$(CC) $(CPPFLAGS) $(CFLAGS) $(NO_LTO) $(LDFLAGS) $< $(FUZZ_LIBS) -lcmocka $(LDLIBS) -o $@

.PHONY: unit
unit: $(filter $(BUILD)/unit/$(ROOM)%,$(UNIT_BIN)) ## build and run the unit tests (ROOM=cache for one room)
	@ok=0; fail=0; for t in $(filter $(BUILD)/unit/$(ROOM)%,$(UNIT_BIN)); do echo "== $$t"; \
	if $$t; then ok=$$((ok + 1)); else fail=$$((fail + 1)); echo "FAIL $$t"; fi; done; \
	echo "unit: $$ok passed, $$fail failed"; [ $$fail = 0 ]

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)

# ---- running and testing
# Targets that need packages first call `make deps` and then this Makefile again, because what
# pkg-config says is only known once the packages are there.
PYTHON = /usr/bin/python3
JOBS ?= $(shell nproc)
DEPS = gcc make pkg-config libc6-dev libev-dev libpq-dev libpg-query-dev libprotobuf-c-dev \
       libmicrohttpd-dev libsystemd-dev libseccomp-dev libssl-dev libldap-dev libpam0g-dev libxxhash-dev \
       libjemalloc-dev libcmocka-dev postgresql openssl python3 python3-psycopg2
# What tests can do with: real client libraries, and the original to compare with. What cannot be
# installed is done without, and its tests are skipped.
DRIVERS = python3-psycopg python3-asyncpg python3-sqlalchemy python3-django \
          libpostgresql-jdbc-java default-jdk-headless
WELCOME = $(DRIVERS) pgbouncer slapd systemd
RUNNER = $(PYTHON) tests/lib/runner.py --build $(BUILD)
SELF = $(MAKE) --no-print-directory

.PHONY: help deps welcome run test tests-built scenario consistency drivers regress regress-source asan tsan fuzz check
help: ## this list
	@grep -hE '^[a-z-]+:.*## ' Makefile | sort | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

deps: ## install the Debian packages that are missing (DEPS_MORE="..." for more of them)
	@tests/lib/deps.sh $(DEPS) $(DEPS_MORE)

welcome: deps
	@$(SELF) deps DEPS_MORE='$(WELCOME)' 2>/dev/null || \
	    for p in $(WELCOME); do $(SELF) deps DEPS_MORE="$$p" 2>/dev/null || echo "goes without: $$p"; done
	@tests/drivers/node.sh build/node

run: deps ## try it: scratch PostgreSQL, pgweir in front, a sample workload (DSN= names a server, RUN_ONCE=1 ends by itself)
	@$(SELF) -j$(JOBS) all
	@exec $(PYTHON) tests/run.py --build $(BUILD) $(if $(DSN),--dsn '$(DSN)') $(if $(RUN_ONCE),--once)

tests-built: all $(BUILD)/pgweir-unprotected $(UNIT_BIN)

test: regress-source welcome ## unit tests, repository rules and scenarios (T=pattern for some of them)
	@$(SELF) -j$(JOBS) tests-built
	@$(RUNNER) --unit --check --scenario $(if $(T),--filter '$(T)')

scenario: deps ## the scenarios alone (F=pattern of file or test names)
	@$(SELF) -j$(JOBS) all $(BUILD)/pgweir-unprotected
	@$(RUNNER) --scenario $(if $(F),--filter '$(F)')

consistency: deps ## writers and readers against every promise of the cache (MINUTES=3)
	@$(SELF) -j$(JOBS) all
	@CONSISTENCY_SECONDS=$$(( $(or $(MINUTES),3) * 60 )) $(RUNNER) --scenario --filter consistency

REGRESS_SOURCE = build/regress-source
regress-source: deps # PostgreSQL's own regression scripts; without a mirror the tests go without them
	@tests/regress/source.sh $(REGRESS_SOURCE) || echo "the tests with PostgreSQL's own scripts are skipped"

drivers: welcome ## the tests of real client libraries alone (installs a Java and a Node)
	@$(SELF) -j$(JOBS) all
	@$(RUNNER) --scenario --filter 60_drivers

regress: deps regress-source ## PostgreSQL's own regression scripts through pgweir and directly (T=script,script for some)
	@$(SELF) -j$(JOBS) all
	@$(PYTHON) -B tests/regress/regress.py --build $(BUILD) --source $(REGRESS_SOURCE) $(if $(T),--scripts '$(T)')

asan: ## all the tests under AddressSanitizer and UBSan, in build-asan
	@$(SELF) test BUILD=build-asan OPT='-O1 -g -Wno-maybe-uninitialized' ALLOCATOR= SAN='-fsanitize=address,undefined -fno-omit-frame-pointer'

tsan: ## all the tests under ThreadSanitizer, in build-tsan
	@$(SELF) test BUILD=build-tsan OPT='-O1 -g -Wno-maybe-uninitialized' ALLOCATOR= SAN='-fsanitize=thread -fno-omit-frame-pointer'

FUZZ_CC ?= clang
FUZZ_SAN = -fsanitize=address,undefined,fuzzer-no-link -fno-sanitize=pointer-overflow -fno-sanitize-recover=undefined -fno-omit-frame-pointer
FUZZ_CHOSEN = $(strip $(foreach t,$(FUZZ_TARGETS),$(if $(or $(if $(T),,all),$(findstring $(T),$(t))),$(t))))
FUZZ_TIME = $(or $(TIME),60)
fuzz: ## every target of tests/fuzz under libFuzzer, then conversations by dice (T=pattern or session, TIME=60 for each)
	@$(SELF) deps DEPS_MORE='clang libclang-rt-14-dev'
	@$(if $(FUZZ_CHOSEN),$(SELF) -j$(JOBS) BUILD=build-fuzz CC='$(FUZZ_CC)' OPT='-O1 -g' ALLOCATOR= SAN='$(FUZZ_SAN)' LTO= \
	    $(patsubst %,build-fuzz/fuzz/%,$(FUZZ_CHOSEN)))
	@$(if $(FUZZ_CHOSEN),tests/fuzz/run.sh build-fuzz $(FUZZ_TIME) $(FUZZ_CHOSEN))
	@$(if $(findstring $(or $(T),session),session),$(SELF) all && \
	    SESSION_FUZZ_SECONDS=$(FUZZ_TIME) $(RUNNER) --scenario --filter 72_session_fuzz/dice)

check: ## the repository's own rules: layers, includes, sizes, documents
	@$(PYTHON) tests/check/rules.py

# ---- benches
BENCH_KNOBS = $(if $(TARGETS),--targets '$(TARGETS)') $(if $(TRANSPORT),--transport $(TRANSPORT)) \
              $(if $(PGBOUNCER),--pgbouncer '$(PGBOUNCER)') --pgweir $(BUILD)/pgweir --out $(BUILD)/bench

BENCH_ROUNDS = $(if $(PARTS),--parts '$(PARTS)') $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(SECONDS),--seconds $(SECONDS))

# What benches run beside the program: the load generator, the floors of a hit and of a query passed
# through, the time under locks.
BENCH_TOOLS = $(addprefix $(BUILD)/bench/,load bare relay locks.so)
$(BUILD)/bench/load: bench/load.c bench/load_options.c bench/load_talk.c bench/load_meter.c bench/load_inside.h
$(BUILD)/bench/bare: bench/bare.c
$(BUILD)/bench/relay: bench/relay.c
$(BUILD)/bench/load $(BUILD)/bench/bare $(BUILD)/bench/relay:
	@mkdir -p $(@D)
	@$(CC) $(filter-out -MMD -MP,$(CPPFLAGS)) $(CFLAGS) $(LDFLAGS) $(filter %.c,$^) -lm -o $@
$(BUILD)/bench/locks.so: bench/locks.c
	@mkdir -p $(@D)
	@$(CC) $(filter-out -MMD -MP,$(CPPFLAGS)) $(CFLAGS) $(LDFLAGS) -shared -fPIC $< -o $@

.PHONY: bench-passed bench-hits bench-check bench-bulk bench-kept bench-goals
bench-goals: ## all goals of bench/README.md, measured, as one table; 25 minutes (GOALS=3,4 PGBOUNCER= RECORD=1)
	@$(SELF) deps DEPS_MORE='pgbouncer redis-server pgpool2 valgrind strace'
	@$(SELF) -j$(JOBS) all $(BENCH_TOOLS) $(BUILD)/bench/eviction $(BUILD)/bench/events
	@$(PYTHON) -B bench/twelve.py --pgweir $(BUILD)/pgweir --out $(BUILD)/bench \
	    $(if $(PGBOUNCER),--pgbouncer '$(PGBOUNCER)') $(if $(GOALS),--goals '$(GOALS)') \
	    $(if $(RECORD),--record)

bench-check: ## is a hot path longer than its budget? instructions and system calls (RECORD=1 writes it; T=path)
	@$(SELF) deps DEPS_MORE='valgrind strace'
	@$(SELF) -j$(JOBS) all $(BENCH_TOOLS)
	@$(PYTHON) -B bench/budget.py --pgweir $(BUILD)/pgweir $(if $(RECORD),--record) $(if $(T),--paths '$(T)')

bench-passed: ## a query passed through, beside PgBouncer: CPU, latency, counts (ROUNDS= SECONDS= PARTS=)
	@$(SELF) deps DEPS_MORE='pgbouncer valgrind strace'
	@$(SELF) -j$(JOBS) all $(BENCH_TOOLS)
	@$(PYTHON) -B bench/passed.py $(BENCH_KNOBS) $(BENCH_ROUNDS)

bench-hits: ## a hit, beside a bare loop, Redis and Pgpool-II: CPU, rate, latency, counts, workers (ROUNDS= SECONDS= PARTS=)
	@$(SELF) deps DEPS_MORE='pgbouncer redis-server pgpool2 valgrind strace'
	@$(SELF) -j$(JOBS) all $(BENCH_TOOLS)
	@$(PYTHON) -B bench/hits.py $(BENCH_KNOBS) $(BENCH_ROUNDS)

bench-bulk: ## 100 MB results and COPY, beside direct (ROUNDS=)
	@$(SELF) deps DEPS_MORE=pgbouncer
	@$(SELF) -j$(JOBS) all $(BENCH_TOOLS)
	@$(PYTHON) -B bench/bulk.py $(BENCH_KNOBS) $(if $(ROUNDS),--rounds $(ROUNDS))

bench-kept: deps ## hits that remain beside writes; what an entry takes beside its reply
	@$(SELF) -j$(JOBS) all $(BENCH_TOOLS)
	@$(PYTHON) -B bench/kept.py $(BENCH_KNOBS)

.PHONY: bench scenarios bench-hostile bench-logins bench-count bench-events bench-invalidation bench-memory bench-eviction
bench: ## side by side: direct, PgBouncer, pgweir (QUICK=1, ROUNDS= SECONDS= CLIENTS= SCALE= TARGETS= LOADS=; bench/README.md)
	@$(SELF) deps DEPS_MORE=pgbouncer
	@$(SELF) -j$(JOBS) all
	@$(PYTHON) -B bench/run.py $(BENCH_KNOBS) $(if $(QUICK),--quick) $(if $(ROUNDS),--rounds $(ROUNDS)) \
	    $(if $(SECONDS),--seconds $(SECONDS)) $(if $(CLIENTS),--clients '$(CLIENTS)') \
	    $(if $(SCALE),--scale $(SCALE)) $(if $(LOADS),--loads '$(LOADS)')

$(BUILD)/bench/users: bench/scenarios/users.c
	@mkdir -p $(@D)
	@$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) $< -o $@

scenarios: ## systems that fell over, bare, with PgBouncer and with pgweir, with charts (S=streamflow SECONDS= QUICK=1)
	@$(SELF) deps DEPS_MORE=pgbouncer
	@$(SELF) -j$(JOBS) all $(BUILD)/bench/users
	@$(PYTHON) -B bench/scenarios/main.py --pgweir $(BUILD)/pgweir --users $(BUILD)/bench/users \
	    $(if $(PGBOUNCER),--pgbouncer '$(PGBOUNCER)') $(if $(S),--stories '$(S)') \
	    $(if $(QUICK),--quick) $(if $(SECONDS),--seconds $(SECONDS))

bench-count: ## instructions and system calls of one query: PgBouncer and pgweir (callgrind, strace)
	@$(SELF) deps DEPS_MORE='pgbouncer valgrind strace'
	@$(SELF) -j$(JOBS) all $(BENCH_TOOLS)
	@$(PYTHON) -B bench/count.py $(BENCH_KNOBS)

$(BUILD)/bench/events: bench/events.c $(call objects,$(call sources,cache)) $(call objects,$(call sources,base))
	@mkdir -p $(@D)
	@$(CC) $(CPPFLAGS) $(CFLAGS) $(LTO) $(LDFLAGS) $(filter %.c %.o,$^) $(ALLOCATOR) -lm -o $@

bench-events: $(BUILD)/bench/events ## what a row event costs the control thread (ns, and instructions by callgrind; ROUNDS=)
	@$(PYTHON) -B bench/events.py --pgweir $(BUILD)/pgweir --out $(BUILD)/bench $(if $(ROUNDS),--rounds $(ROUNDS))
	@for load in 0 1 2 3 4 5 6 7 8 9; do for n in 2000 22000; do \
	    valgrind --tool=callgrind --callgrind-out-file=/dev/null $< $$n $$load 2>&1 | sed -n 's/.*Collected : //p'; \
	done | { read few; read many; echo "load $$load: $$(( (many - few) / 20000 )) instructions for each row event"; }; done

bench-invalidation: deps ## from a direct commit to the end of an entry; row events taken in (ROUNDS=2000)
	@$(SELF) -j$(JOBS) all
	@$(PYTHON) -B bench/invalidation.py $(BENCH_KNOBS) $(if $(ROUNDS),--rounds $(ROUNDS))

bench-memory: ## bytes of one idle client: PgBouncer and pgweir (CLIENTS=2000,10000)
	@$(SELF) deps DEPS_MORE=pgbouncer
	@$(SELF) -j$(JOBS) all
	@$(PYTHON) -B bench/memory.py $(BENCH_KNOBS) $(if $(CLIENTS),--clients '$(CLIENTS)')

bench-hostile: ## what is left for clients while others hold connections open and send garbage (ROUNDS= SECONDS=)
	@$(SELF) deps DEPS_MORE=pgbouncer
	@$(SELF) -j$(JOBS) all
	@$(PYTHON) -B bench/hostile.py $(BENCH_KNOBS) $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(SECONDS),--seconds $(SECONDS))

bench-logins: ## logins a second, and what one costs: PgBouncer and pgweir (ROUNDS= SECONDS= CLIENTS=8)
	@$(SELF) deps DEPS_MORE=pgbouncer
	@$(SELF) -j$(JOBS) all
	@$(PYTHON) -B bench/logins.py $(BENCH_KNOBS) $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(SECONDS),--seconds $(SECONDS)) \
	    $(if $(CLIENTS),--clients $(CLIENTS))

$(BUILD)/bench/eviction: bench/eviction.c bench/eviction_traces.h $(BUILD)/libcache.a $(BUILD)/libbase.a
	@mkdir -p $(@D)
	@$(CC) $(CPPFLAGS) $(CFLAGS) $(NO_LTO) $(LDFLAGS) $(filter %.c %.a,$^) $(ALLOCATOR) -lm -o $@

bench-eviction: $(BUILD)/bench/eviction ## what the cache keeps, against LRU, other policies and one that knows the future
	@$(BUILD)/bench/eviction $(QUESTIONS)
