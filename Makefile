# Warbler's build. `make help` lists what it can do, `make V=1` shows the commands.
#
# One Makefile, no recursion. Each variant (release, asan, valgrind, fuzz,
# torture) compiles the same sources with its own flags into build/VARIANT/:
# everything but main.o goes into libwarbler.a there, which the program and
# every test link.

ADAPTERS ?= webchat

PREFIX     ?= /usr/local
BINDIR     ?= $(PREFIX)/bin
MANDIR     ?= $(PREFIX)/share/man
DOCDIR     ?= $(PREFIX)/share/doc/warbler
UNITDIR    ?= $(PREFIX)/lib/systemd/system

VERSION := $(shell cat VERSION)
PYTHON  ?= $(firstword $(wildcard /usr/bin/python3) python3)
CLANG   ?= clang
AR      ?= ar
SECONDS ?= 60

# Below, `X = $(call once,X,…)` works X out at its first use and keeps it. Not
# earlier, because `make run` and `make test` may have to install the compiler
# and pkg-config first.
once = $(eval $(1) := $(2))$($(1))

ifeq ($(filter -j%,$(MAKEFLAGS)),)
MAKEFLAGS += -j$(shell getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)
endif
MAKEFLAGS += --no-builtin-rules
.SUFFIXES:
.DELETE_ON_ERROR:
.SECONDARY:

ifeq ($(V),)
Q = @
say = @printf '  %-7s %s\n' '$(1)' '$(2)'
endif

.DEFAULT_GOAL := all

# --- sources ---------------------------------------------------------------

GENERATED := $(if $(wildcard plugin/adapter.h),build/gen/registry.c) \
             $(if $(and $(filter webchat,$(ADAPTERS)),$(wildcard adapters/webchat/pages/*)),build/gen/webchat_pages.c)
MAIN      := plugin/main.c
SOURCES   := $(filter-out $(MAIN),$(wildcard plugin/*.c plugin/*/*.c config/*.c)) \
             $(foreach a,$(ADAPTERS),$(wildcard adapters/$(a)/*.c))
TESTS     := $(wildcard tests/unit/test_*.c tests/conform/test_*.c)
SUPPORT   := $(filter-out $(TESTS),$(wildcard tests/unit/*.c tests/conform/*.c))
FUZZERS   := $(wildcard tests/fuzz/fuzz_*.c)

# --- flags -----------------------------------------------------------------

MODULES := libwebsockets libcurl libcjson libconfig sqlite3 md4c libutf8proc libpcre2-8 libssl libcrypto

PKG_CFLAGS    = $(call once,PKG_CFLAGS,$(shell pkg-config --cflags $(MODULES)))
PKG_LIBS      = $(call once,PKG_LIBS,$(shell pkg-config --libs $(MODULES)))
CMOCKA_CFLAGS = $(call once,CMOCKA_CFLAGS,$(shell pkg-config --cflags cmocka))
CMOCKA_LIBS   = $(call once,CMOCKA_LIBS,$(shell pkg-config --libs cmocka))

WARNINGS := -Wall -Wextra -Wshadow -Wpointer-arith -Wstrict-prototypes -Wmissing-prototypes -Wwrite-strings -Wvla \
            -Wformat=2 -Wundef -Wconversion -Wno-sign-conversion $(if $(CI),-Werror)
CPPFLAGS_ALL = -D_GNU_SOURCE -DWARBLER_VERSION='"$(VERSION)"' -I. $(PKG_CFLAGS) $(CPPFLAGS)
CFLAGS_ALL    = -std=c17 -pthread $(WARNINGS)

# What this compiler supports of the hardening flags that not all know.
HARDENING = $(call once,HARDENING,$(foreach f,-fstack-clash-protection -fcf-protection,$(shell \
            printf '' | $(CC) -Werror $(f) -x c -c -o /dev/null - 2>/dev/null && printf '%s' $(f))))

CC_release      = $(CC)
CFLAGS_release  = -O2 -g -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3 -fstack-protector-strong -fPIE $(HARDENING)
LDFLAGS_release = -pie -Wl,-z,relro,-z,now,-z,noexecstack,--as-needed

CC_asan      = $(CC)
CFLAGS_asan  = -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
LDFLAGS_asan = -fsanitize=address,undefined

CC_valgrind     = $(CC)
CFLAGS_valgrind = -O1 -g -fno-omit-frame-pointer

CC_fuzz      = $(CLANG)
CFLAGS_fuzz  = -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined,fuzzer-no-link -fno-sanitize-recover=all
LDFLAGS_fuzz = -fsanitize=address,undefined,fuzzer

# --- variants --------------------------------------------------------------

# Rebuilt when its text changes: a new flag, compiler or list of sources makes
# what was built with the old one stale.
define write_if_changed
	@mkdir -p $(@D)
	@printf '%s\n' '$(subst ','\'',$(1))' | cmp -s - $@ || printf '%s\n' '$(subst ','\'',$(1))' > $@
endef

define variant
$(1)_LIB   := $$(patsubst %.c,build/$(1)/%.o,$$(SOURCES) $$(GENERATED:build/%=%))
$(1)_TESTS := $$(patsubst tests/%.c,build/$(1)/tests/%,$$(TESTS))
-include $$(patsubst %.o,%.d,$$($(1)_LIB)) $$(patsubst %.c,build/$(1)/%.d,$$(MAIN) $$(TESTS) $$(SUPPORT) $$(FUZZERS))

build/$(1)/flags: FORCE | deps
	$$(call write_if_changed,$$(CC_$(1)) $$(CPPFLAGS_ALL) $$(CFLAGS_ALL) $$(CFLAGS_$(1)) $$(CFLAGS) $$(LDFLAGS_$(1)) $$(LDFLAGS) $$(PKG_LIBS))

build/$(1)/libwarbler.list: FORCE
	$$(call write_if_changed,$$($(1)_LIB))

build/$(1)/libwarbler.a: $$($(1)_LIB) build/$(1)/libwarbler.list
	$$(call say,AR,$$@)
	$$(Q)rm -f $$@
	$$(Q)$$(AR) rcs $$@ $$($(1)_LIB)

build/$(1)/tests/%.o: CMOCKA = $$(CMOCKA_CFLAGS)
build/$(1)/tests/fuzz/%.o: CMOCKA =

build/$(1)/%.o: %.c build/$(1)/flags | deps $$(GENERATED)
	$$(call say,CC,$$<$$(if $$(filter release,$(1)),, ($(1))))
	@mkdir -p $$(@D)
	$$(Q)$$(CC_$(1)) $$(CPPFLAGS_ALL) $$(CMOCKA) $$(CFLAGS_ALL) $$(CFLAGS_$(1)) $$(CFLAGS) -MMD -MP -c -o $$@ $$<

build/$(1)/gen/%.o: build/gen/%.c build/$(1)/flags | deps
	$$(call say,CC,$$<$$(if $$(filter release,$(1)),, ($(1))))
	@mkdir -p $$(@D)
	$$(Q)$$(CC_$(1)) $$(CPPFLAGS_ALL) $$(CFLAGS_ALL) $$(CFLAGS_$(1)) $$(CFLAGS) -MMD -MP -c -o $$@ $$<

build/$(1)/warbler: build/$(1)/plugin/main.o build/$(1)/libwarbler.a
	$$(call say,LD,$$@)
	$$(Q)$$(CC_$(1)) $$(CFLAGS_ALL) $$(CFLAGS_$(1)) $$(CFLAGS) $$(LDFLAGS_$(1)) $$(LDFLAGS) -o $$@ $$^ $$(PKG_LIBS)

build/$(1)/tests/%: build/$(1)/tests/%.o $$(patsubst %.c,build/$(1)/%.o,$$(SUPPORT)) build/$(1)/libwarbler.a
	$$(call say,LD,$$@)
	$$(Q)$$(CC_$(1)) $$(CFLAGS_ALL) $$(CFLAGS_$(1)) $$(CFLAGS) $$(LDFLAGS_$(1)) $$(LDFLAGS) -o $$@ $$^ $$(PKG_LIBS) $$(CMOCKA_LIBS)
endef
$(foreach v,release asan valgrind,$(eval $(call variant,$(v))))

# --- targets ---------------------------------------------------------------

.PHONY: all clean deps FORCE unit
all: $(if $(wildcard $(MAIN)),build/warbler,build/release/libwarbler.a)

deps:

build/warbler: build/release/warbler
	@ln -f $< $@

unit: $(asan_TESTS)
	@for t in $^; do $$t || exit 1; done

clean:
	rm -rf build
