# Warbler's build. `make help` lists what it can do; V=1 shows the commands.
#
# One Makefile, no recursion. Each variant (release, asan, valgrind, fuzz, thread,
# coverage) compiles the same sources with its own flags into build/VARIANT/: all but
# main.o goes into libwarbler.a there, which the program and every test link.

ADAPTERS ?= webchat matrix lanying

PREFIX  ?= /usr/local
BINDIR  ?= $(PREFIX)/bin
MANDIR  ?= $(PREFIX)/share/man
DOCDIR  ?= $(PREFIX)/share/doc/warbler
UNITDIR ?= $(PREFIX)/lib/systemd/system

VERSION := $(shell cat VERSION)
CLANG   ?= clang
# A python3 that comes earlier in PATH may lack the system's modules.
PYTHON  ?= $(firstword $(wildcard /usr/bin/python3) python3)
INSTALL ?= install
SECONDS ?= 60

ifeq ($(MAKELEVEL)$(filter -j%,$(MAKEFLAGS)),0)
MAKEFLAGS += -j$(shell getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)
endif
# `make clean all` is one after the other, not clean beside what all makes.
ifneq ($(filter clean,$(MAKECMDGOALS)),)
.NOTPARALLEL:
endif
MAKEFLAGS += --no-builtin-rules
.DELETE_ON_ERROR:
.SECONDARY:
.DEFAULT_GOAL := all

ifeq ($(V),)
Q = @
say = @printf '  %-3s %s\n' '$(1)' '$(2)'
endif

# --- sources ---------------------------------------------------------------

PAGES     := $(if $(filter webchat,$(ADAPTERS)),$(wildcard adapters/webchat/pages/*))
GENERATED := build/gen/registry.c $(if $(PAGES),build/gen/webchat_pages.c)
MAIN      := plugin/main.c
SOURCES   := $(filter-out $(MAIN),$(wildcard plugin/*.c plugin/*/*.c config/*.c)) \
             $(foreach a,$(ADAPTERS),$(if $(wildcard adapters/$(a)/),,$(error there is no adapter $(a)))$(wildcard adapters/$(a)/*.c))
TESTS     := $(wildcard tests/unit/test_*.c)
SUPPORT   := $(filter-out $(TESTS),$(wildcard tests/unit/*.c))
FUZZERS   := $(wildcard tests/fuzz/fuzz_*.c)
TOOLS     := $(wildcard tests/tools/*.c tests/torture/care*.c)
E2E       := $(wildcard tests/build tests/e2e tests/conform tests/kill tests/torture tests/endure)

# --- flags -----------------------------------------------------------------

# $(call once,X,…), as X's definition, works X out at its first use and keeps
# it. Not earlier: `make run` and `make test` may first have to install the
# compiler and pkg-config that are asked here.
once = $(eval $(1) := $(2))$($(1))

MODULES       := libwebsockets libcurl libcjson libconfig sqlite3 libutf8proc libpcre2-8 md4c openssl
PKG_CFLAGS     = $(call once,PKG_CFLAGS,$(shell pkg-config --cflags $(MODULES)))
PKG_LIBS       = $(call once,PKG_LIBS,$(shell pkg-config --libs $(MODULES)))
CMOCKA_CFLAGS  = $(call once,CMOCKA_CFLAGS,$(shell pkg-config --cflags cmocka))
CMOCKA_LIBS    = $(call once,CMOCKA_LIBS,$(shell pkg-config --libs cmocka))

WARNINGS := -Wall -Wextra -Wshadow -Wpointer-arith -Wstrict-prototypes -Wmissing-prototypes -Wwrite-strings -Wvla \
            -Wformat=2 -Wundef -Wconversion -Wno-sign-conversion $(if $(CI),-Werror)
HOUSE_CPPFLAGS = -D_GNU_SOURCE -DWARBLER_VERSION='"$(VERSION)"' -I. $(PKG_CFLAGS) $(CPPFLAGS)
HOUSE_CFLAGS   = -std=c17 -pthread $(WARNINGS)

# Hardening that depends on the processor and on the compiler's age.
HARDENING = $(call once,HARDENING,$(foreach f,-fstack-clash-protection -fcf-protection,$(shell \
            printf '' | $(CC) -Werror $(f) -x c -c -o /dev/null - 2>/dev/null && printf '%s' $(f))))

CC_release      = $(CC)
CFLAGS_release  = -O2 -g -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3 -fstack-protector-strong -fPIE $(HARDENING)
LDFLAGS_release = -pie -Wl,-z,relro,-z,now,-z,noexecstack,--as-needed

CC_asan      = $(CC)
CFLAGS_asan  = -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
LDFLAGS_asan = -fsanitize=address,undefined

CC_valgrind      = $(CC)
CFLAGS_valgrind  = -O1 -g -fno-omit-frame-pointer
LDFLAGS_valgrind =

CC_fuzz      = $(CLANG)
CFLAGS_fuzz  = -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined,fuzzer-no-link -fno-sanitize-recover=all
LDFLAGS_fuzz = -fsanitize=address,undefined,fuzzer

CC_thread      = $(CC)
CFLAGS_thread  = -O1 -g -fno-omit-frame-pointer -fsanitize=thread
LDFLAGS_thread = -fsanitize=thread

CC_coverage      = $(CC)
CFLAGS_coverage  = -O0 -g --coverage -fprofile-update=atomic
LDFLAGS_coverage = --coverage

# --- what a machine needs --------------------------------------------------

INSTALLING := $(if $(filter-out 0,$(NO_INSTALL)),,$(filter run test lint deps,$(MAKECMDGOALS)))
DEPS       := build $(filter run lint fuzz,$(MAKECMDGOALS)) $(if $(filter test check long soak isolation tsan coverage torture kill-anywhere conform bench guard,$(MAKECMDGOALS)),test)

# Everything that is compiled waits for this.
deps:
	@CC='$(CC)' CLANG='$(CLANG)' PYTHON='$(PYTHON)' scripts/deps $(if $(INSTALLING),--install) $(DEPS)

# --- generated sources -----------------------------------------------------

quoted = '$(subst ','\'',$(1))'

# Rewritten only when its text changes, so that what depends on it is made anew
# just then: other flags, another compiler, a file more or less.
define keep_text
@mkdir -p $(@D)
@printf '%s\n' $(call quoted,$(1)) | cmp -s - $@ || printf '%s\n' $(call quoted,$(1)) > $@
endef

build/gen/adapters: FORCE
	$(call keep_text,$(ADAPTERS))

build/gen/registry.c: build/gen/adapters scripts/registry
	@scripts/registry $(ADAPTERS) > $@

build/gen/pages: FORCE
	$(call keep_text,$(PAGES))

build/gen/webchat_pages.c: $(PAGES) build/gen/pages scripts/embed
	@scripts/embed adapters/webchat/pages.h webchat_pages $(PAGES) > $@

build/gen/warbler.conf.5: build/warbler
	@$< check --man > $@

# --- variants --------------------------------------------------------------

compile = $(Q)$(CC_$(1)) $(HOUSE_CPPFLAGS) $(2) $(HOUSE_CFLAGS) $(CFLAGS_$(1)) $(CFLAGS) -MMD -MP -c -o $@ $<
link    = $(Q)$(CC_$(1)) $(HOUSE_CFLAGS) $(CFLAGS_$(1)) $(CFLAGS) $(LDFLAGS_$(1)) $(LDFLAGS) -o $@ $(filter %.o %.a,$^) \
          $(PKG_LIBS) -lm $(2)

define variant
$(1)_OBJECTS := $$(SOURCES:%.c=build/$(1)/%.o) $$(GENERATED:build/gen/%.c=build/$(1)/gen/%.o)
$(1)_TESTS   := $$(TESTS:%.c=build/$(1)/%)

build/$(1)/flags: FORCE | deps
	$$(call keep_text,$$(CC_$(1)) $$(HOUSE_CPPFLAGS) $$(HOUSE_CFLAGS) $$(CFLAGS_$(1)) $$(CFLAGS) $$(LDFLAGS_$(1)) $$(LDFLAGS))

build/$(1)/objects: FORCE
	$$(call keep_text,$$($(1)_OBJECTS))

build/$(1)/%.o: %.c build/$(1)/flags | deps
	$$(call say,CC,$$< ($(1)))
	@mkdir -p $$(@D)
	$$(call compile,$(1),$$(if $$(findstring tests/unit,$$<),$$(CMOCKA_CFLAGS)))

build/$(1)/gen/%.o: build/gen/%.c build/$(1)/flags | deps
	$$(call say,CC,$$< ($(1)))
	@mkdir -p $$(@D)
	$$(call compile,$(1))

build/$(1)/libwarbler.a: $$($(1)_OBJECTS) build/$(1)/objects
	$$(call say,AR,$$@)
	@rm -f $$@
	$$(Q)$$(AR) rcs $$@ $$($(1)_OBJECTS)

build/$(1)/warbler: $$(MAIN:%.c=build/$(1)/%.o) build/$(1)/libwarbler.a build/$(1)/flags
	$$(call say,LD,$$@)
	$$(call link,$(1))

# What several tests use; an archive, so that each takes from it what it names.
build/$(1)/libsupport.a: $$(SUPPORT:%.c=build/$(1)/%.o)
	@rm -f $$@
	$$(Q)$$(AR) rcs $$@ $$^

$$($(1)_TESTS): build/$(1)/%: build/$(1)/%.o build/$(1)/libsupport.a build/$(1)/libwarbler.a build/$(1)/flags
	$$(call say,LD,$$@)
	$$(call link,$(1),$$(CMOCKA_LIBS))

# Programs that end-to-end tests call.
$$(TOOLS:%.c=build/$(1)/%): %: %.o build/$(1)/libwarbler.a build/$(1)/flags
	$$(call say,LD,$$@)
	$$(call link,$(1))

-include $$(patsubst %.o,%.d,$$($(1)_OBJECTS)) $$(patsubst %.c,build/$(1)/%.d,$$(MAIN) $$(TESTS) $$(SUPPORT) $$(FUZZERS) $$(TOOLS))
endef
$(foreach v,release asan valgrind fuzz thread coverage,$(eval $(call variant,$(v))))

build/warbler: build/release/warbler
	@ln -f $< $@

fuzz_BINARIES := $(FUZZERS:%.c=build/fuzz/%)
$(fuzz_BINARIES): %: %.o build/fuzz/libwarbler.a build/fuzz/flags
	$(call say,LD,$@)
	$(call link,fuzz)

HASTEN := $(if $(wildcard tests/conform/hasten.c),build/hasten.so)
# What a test loads into a program: so that its time passes faster, or to see what it allocates.
build/hasten.so: tests/conform/hasten.c | deps
build/bench/count.so: tests/bench/count.c | deps
build/hasten.so build/bench/count.so:
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) -D_GNU_SOURCE -std=c17 $(WARNINGS) -O2 $(CFLAGS) -shared -fPIC -o $@ $< -ldl

# What kills a program at one of its system calls, and what those are called. Linux's headers tell; tests skip without it.
STRIKE = $(call once,STRIKE,$(if $(shell echo '\#include <linux/seccomp.h>' | $(CC) -E -x c - 2>/dev/null),build/strike))

build/gen/syscalls.h: | deps
	@mkdir -p $(@D)
	@echo '#include <sys/syscall.h>' | $(CC) -E -dM - | sed -n 's/^#define SYS_\([a-z0-9_]*\) .*/{ SYS_\1, "\1" },/p' | sort > $@

build/strike: tests/kill/strike.c build/gen/syscalls.h
	$(call say,LD,$@)
	$(Q)$(CC) -D_GNU_SOURCE -std=c17 $(WARNINGS) -O2 -I. $(CFLAGS) -o $@ $<

# What refuses a program one allocation. It is written for glibc; tests skip without it.
STARVE = $(call once,STARVE,$(if $(shell echo '\#include <features.h>' | $(CC) -E -dM -x c - 2>/dev/null | grep -w __GLIBC__),build/starve.so))

build/starve.so: tests/torture/starve.c | deps
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) -D_GNU_SOURCE -std=c17 $(WARNINGS) -O2 $(CFLAGS) -shared -fPIC -o $@ $< -ldl

# Without libwarbler.a and the libraries: they are what is measured.
BENCH := $(wildcard tests/bench/*.c)

build/bench/floor: $(patsubst %,build/release/tests/bench/%.o,floor model sha1 wire)
build/bench/load: $(patsubst %,build/release/tests/bench/%.o,load model wire)
build/bench/speaker: $(patsubst %,build/release/tests/bench/%.o,speaker wire)
build/bench/floor build/bench/load build/bench/speaker:
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_release) $(CFLAGS) $(LDFLAGS_release) $(LDFLAGS) -o $@ $^

-include $(BENCH:%.c=build/release/%.d)

# --- targets ---------------------------------------------------------------

.PHONY: all run test check long soak isolation tsan coverage lint analyze fuzz torture kill-anywhere conform bench guard install uninstall deb clean help deps fuzzers FORCE

all: build/warbler ## the program: build/warbler

# With job control, the terminal's Ctrl-C reaches the bot alone: it stops in good
# order and make sees its exit status, instead of being interrupted itself.
# Ctrl-Z is off, because nobody could bring the bot back from it.
DEMO = build/warbler run -c config/demo.conf

run: build/warbler deps ## install what is missing, build, start the bot with config/demo.conf
	@if [ -t 0 ]; then sh -mc 'trap "" TSTP; $(DEMO); exit $$?'; else $(DEMO); fi

E2E_ENV = WARBLER_BIN='$(CURDIR)/build/asan/warbler' WARBLER_RELEASE_BIN='$(CURDIR)/build/warbler' \
          WARBLER_MERGE='$(CURDIR)/build/asan/tests/tools/merge' WARBLER_HASTEN='$(CURDIR)/build/hasten.so' \
          WARBLER_STRIKE='$(CURDIR)/build/strike' WARBLER_STARVE='$(CURDIR)/build/starve.so' \
          WARBLER_CARELESS='$(CURDIR)/build/asan/tests/torture/careless' \
          WARBLER_CAREFUL='$(CURDIR)/build/asan/tests/torture/careful' \
          WARBLER_ADAPTERS='$(ADAPTERS)' CC='$(CC)' CLANG='$(CLANG)'
TEST_PROGRAMS = build/asan/warbler build/warbler $(HASTEN) $(STRIKE) $(STARVE) $(TOOLS:%.c=build/asan/%)

test: $(asan_TESTS) $(valgrind_TESTS) $(TEST_PROGRAMS) ## install what is missing, build with sanitizers, run every test
	@if scripts/deps fuzz 2>/dev/null; then $(MAKE) --no-print-directory fuzzers; fi
	@$(E2E_ENV) $(PYTHON) scripts/test-run --unit $(asan_TESTS) --valgrind $(valgrind_TESTS) --fuzz $(fuzz_BINARIES) \
	    --e2e $(E2E)

long: $(TEST_PROGRAMS) ## the long ones of the end-to-end tests, about half an hour
	@$(E2E_ENV) $(PYTHON) scripts/test-run --e2e $(E2E) --long

check: $(asan_TESTS) $(TEST_PROGRAMS) ## the fast tests, under a minute
	@$(E2E_ENV) $(PYTHON) scripts/test-run --unit $(asan_TESTS) --e2e $(E2E) --fast

lint: deps build/gen/warbler.conf.5 ## what clang-tidy, cppcheck, shellcheck and the house rules find
	@CC='$(CC)' PYTHON='$(PYTHON)' LINT_FLAGS=$(call quoted,-std=c17 $(HOUSE_CPPFLAGS)) scripts/lint

analyze: deps build/gen/registry.c ## what the analyzers of gcc and clang find; takes minutes
	@CC='$(CC)' CLANG='$(CLANG)' LINT_FLAGS=$(call quoted,-std=c17 $(HOUSE_CPPFLAGS)) scripts/analyze

fuzzers: $(fuzz_BINARIES)

fuzz: $(if $(T),build/fuzz/tests/fuzz/fuzz_$(T),$(fuzz_BINARIES)) ## fuzz T=name (all without T) for SECONDS=60
	@scripts/fuzz $(SECONDS) $(filter-out deps,$^)

torture: $(asan_TESTS) $(TEST_PROGRAMS) ## kill the daemon ROUNDS=200 times in the midst of MESSAGES=2000, as SEED= says; refuse memory, to each unit test and the daemon for SPEND=20 seconds (EVERY=1: at every place)
	@$(E2E_ENV) KILL_ROUNDS='$(or $(ROUNDS),200)' KILL_MESSAGES='$(or $(MESSAGES),2000)' $(if $(SEED),KILL_SEED='$(SEED)') \
	    $(PYTHON) scripts/test-run --e2e tests/e2e/test_kill.py
	@$(E2E_ENV) $(PYTHON) tests/torture/run --spend '$(or $(SPEND),20)' --every '$(or $(EVERY),0)' --talk $(asan_TESTS)

kill-anywhere: build/warbler build/strike build/hasten.so build/asan/tests/unit/test_store_faults ## kill the daemon at every system call of two conversations (EVERY=7: at some), fail the store's every operation on disk
	@$(E2E_ENV) $(PYTHON) tests/kill/run --every '$(or $(EVERY),1)' --again '$(or $(AGAIN),200)' $(if $(SEED),--seed '$(SEED)')
	@STORE_FAULTS_EVERY='$(or $(EVERY),1)' build/asan/tests/unit/test_store_faults

# What more than one thread works in, and conversations that pass through all of it.
TSAN_TESTS := $(filter $(addprefix build/thread/tests/unit/test_,loop dns log metric http tls store% chat% journey%),$(thread_TESTS))

tsan: $(TSAN_TESTS) build/thread/warbler $(TEST_PROGRAMS) ## the tests of what threads share, under the thread sanitizer
	@$(E2E_ENV) WARBLER_BIN='$(CURDIR)/build/thread/warbler' $(PYTHON) scripts/test-run --unit $(TSAN_TESTS) \
	    --e2e tests/e2e/test_webchat.py tests/e2e/test_model.py

# A program that is killed notes nothing: what counts is what ran and ended.
coverage: $(coverage_TESTS) build/coverage/warbler $(TEST_PROGRAMS) ## the lines that unit and end-to-end tests run, as a table; LINES=1: those they do not
	@find build/coverage -name '*.gcda' -delete
	@$(E2E_ENV) WARBLER_BIN='$(CURDIR)/build/coverage/warbler' $(PYTHON) scripts/test-run --unit $(coverage_TESTS) --e2e $(E2E); \
	    status=$$?; $(PYTHON) scripts/coverage $(if $(LINES),--lines) build/coverage && exit $$status

soak: build/warbler ## mixed traffic with faults for MINUTES=5 (every night: 60), as SEED= says: nothing grows, nobody waits for ever
	@$(E2E_ENV) $(PYTHON) tests/endure/run soak --minutes '$(or $(MINUTES),5)' $(if $(SEED),--seed '$(SEED)')

isolation: build/warbler ## look for the secret words of each conversation in every other one, over MESSAGES=100000, as SEED= says
	@$(E2E_ENV) $(PYTHON) tests/endure/run isolation --messages '$(or $(MESSAGES),100000)' $(if $(SEED),--seed '$(SEED)')

conform: $(TEST_PROGRAMS) ## ask every adapter for what they all owe, and print the table; WRITE=1: into README.md too
	@$(E2E_ENV) $(PYTHON) tests/conform/run $(if $(WRITE),--write)

bench: build/warbler $(addprefix build/bench/,floor load speaker count.so) ## measure, print the table, write build/bench.json; QUICK=1: the main figures
	@WARBLER_BIN='$(CURDIR)/build/warbler' BENCH_BIN='$(CURDIR)/build/bench' $(PYTHON) tests/bench/run $(if $(QUICK),--quick)
	@$(if $(QUICK),,WARBLER_BIN='$(CURDIR)/build/warbler' $(PYTHON) tests/bench/matrix)

guard: build/warbler ## count instructions per message; WRITE=1 REASON="why": a new number to hold them to
	@CC='$(CC)' WARBLER_RELEASE_BIN='$(CURDIR)/build/warbler' $(PYTHON) -B tests/bench/guard \
	    $(if $(WRITE),--write $(call quoted,$(REASON))) $(if $(REPEAT),--repeat $(REPEAT))

PAGES_7    := $(notdir $(wildcard config/*.7))
PAGES_7_ZH := $(notdir $(wildcard config/zh_CN/*.7))

# The service may write below /var/lib/warbler only, so that is where the sample keeps its data.
install: build/warbler build/gen/warbler.conf.5 ## install below DESTDIR= and PREFIX=/usr/local
	$(INSTALL) -d '$(DESTDIR)$(BINDIR)' '$(DESTDIR)$(MANDIR)/man1' '$(DESTDIR)$(MANDIR)/man5' \
	    '$(DESTDIR)$(MANDIR)/man7' '$(DESTDIR)$(MANDIR)/zh_CN/man7' '$(DESTDIR)$(DOCDIR)/examples' '$(DESTDIR)$(UNITDIR)'
	$(INSTALL) -m 755 build/warbler '$(DESTDIR)$(BINDIR)/warbler'
	$(INSTALL) -m 644 config/warbler.1 '$(DESTDIR)$(MANDIR)/man1/warbler.1'
	$(INSTALL) -m 644 build/gen/warbler.conf.5 '$(DESTDIR)$(MANDIR)/man5/warbler.conf.5'
	$(INSTALL) -m 644 $(PAGES_7:%=config/%) '$(DESTDIR)$(MANDIR)/man7'
	$(INSTALL) -m 644 $(PAGES_7_ZH:%=config/zh_CN/%) '$(DESTDIR)$(MANDIR)/zh_CN/man7'
	$(INSTALL) -m 644 config/examples/*.conf '$(DESTDIR)$(DOCDIR)/examples'
	$(INSTALL) -m 644 README.md README.zh-CN.md SECURITY.md LICENSE '$(DESTDIR)$(DOCDIR)'
	sed 's|^#data_dir = .*|data_dir = "/var/lib/warbler";|' config/warbler.conf.example | $(INSTALL) -m 644 /dev/stdin '$(DESTDIR)$(DOCDIR)/warbler.conf.example'
	$(INSTALL) -m 755 config/make-vocabulary '$(DESTDIR)$(DOCDIR)/make-vocabulary'
	sed 's|@BINDIR@|$(BINDIR)|' config/warbler.service.in | $(INSTALL) -m 644 /dev/stdin '$(DESTDIR)$(UNITDIR)/warbler.service'

uninstall: ## remove what install put there
	rm -f '$(DESTDIR)$(BINDIR)/warbler' '$(DESTDIR)$(MANDIR)/man1/warbler.1' '$(DESTDIR)$(MANDIR)/man5/warbler.conf.5' \
	    $(PAGES_7:%='$(DESTDIR)$(MANDIR)/man7/%') $(PAGES_7_ZH:%='$(DESTDIR)$(MANDIR)/zh_CN/man7/%') \
	    '$(DESTDIR)$(UNITDIR)/warbler.service'
	rm -rf '$(DESTDIR)$(DOCDIR)'

deb: build/warbler ## a Debian package: build/warbler_VERSION_ARCH.deb
	@MAKE='$(MAKE)' scripts/deb '$(VERSION)' build

clean: ## remove build/
	rm -rf build

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' Makefile | while IFS='	' read -r t h; do printf 'make %-13s %s\n' "$$t" "$$h"; done
