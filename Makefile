# The one task runner. Each target is a line or two; what is longer lies in tools/.
#
#   PYTHON=python3.12   another interpreter (each has an environment of its own below build/)
#   CC=clang            another compiler (likewise)

PYTHON ?= python3
ENV = @$(PYTHON) tools/env.py
# Each target begins by printing its line of the list, which says how long it takes.
BEGIN = @sed -n 's/^\($@\): *\#\# /\1: /p' Makefile

.DEFAULT_GOAL := help
.PHONY: help setup demo check test greenlet torture natives clients core asan valgrind matrix
.PHONY: soak check-stdlib gevent-suite eventlet-suite api-diff check-aarch64 wheels bench fix clean

help:   ## Show this list
	@sed -n 's/^\([a-z0-9-]*\): *## /  make \1\t/p' Makefile | expand -t 22

setup:  ## Set up for work on fibril: build, tools, compiler warnings are errors; a minute
	$(BEGIN)
	$(ENV) check --developer

demo:   ## Set up, then run the demonstration; half a minute, and another the first time
	$(BEGIN)
	$(ENV) demo -- python examples/demo/demo.py

check:  ## Set up, then run every check: style, types, C tests, tests; about 5 minutes
	$(BEGIN)
	$(ENV) check -- python tools/check.py

test:   ## Run the tests whose names contain K=…, or all: about 3 minutes; LEAKS=5: those of tests/unit, 5 times each
	$(BEGIN)
	$(ENV) check -- python -m pytest -q $(if $(K),-k "$(K)") $(if $(LEAKS),-p tools.leaks --leaks=$(LEAKS) tests/unit)

greenlet: ## Run greenlet's own tests on fibril's greenlet; K=… as above; 3 minutes
	$(BEGIN)
	$(ENV) check -- python -m pytest -q -m greenlet_suite tests/compat $(if $(K),-k "$(K)")

torture: ## Run C libraries in tasks as hard as in threads; K=… as above; PART=3/7: a seventh of them; 10 minutes
	$(BEGIN)
	$(ENV) torture -- env TORTURE_PART=$(PART) \
	  python -m pytest -v -m torture tests/torture $(if $(K),-k "$(K)")

soak:   ## Let 2,000 connections and 50 children come and go, and compare what is left; SECONDS=600, SEED=1; 12 minutes
	$(BEGIN)
	$(ENV) check -- env PYTHONPATH=. python -X faulthandler -m tests.soak.soak \
	  $(or $(SEED),1) $(or $(SECONDS),600) 2000 50

natives: ## Run tests with large libraries of C code: scipy, Java, polars; K=… as above; a minute
	$(BEGIN)
	$(ENV) natives -- python -m pytest -q -m natives tests/natives $(if $(K),-k "$(K)")

clients: ## Run clients of databases, brokers and other servers, which it starts; PART=2/5: a fifth; ALL=1: none may be missing; 8 minutes
	$(BEGIN)
	$(ENV) clients -- env CLIENTS_PART=$(PART) CLIENTS_ALL=$(ALL) \
	  python -m pytest -v -m clients tests/clients $(if $(K),-k "$(K)")

core:   ## Run the tests of the native core, plain and under sanitizers; K=… as above; a minute
	$(BEGIN)
	$(ENV) check -- python tools/core_tests.py $(K)

asan:   ## Run the tests with the extension under AddressSanitizer; about 10 minutes
	$(BEGIN)
	$(ENV) asan -- python -m pytest -q --ignore=tests/tidy --ignore=tests/soak --timeout=300 $(if $(K),-k "$(K)")

valgrind: ## Run the unit tests under valgrind; K=… as above; about an hour
	$(BEGIN)
	$(ENV) valgrind -- python tools/valgrind_tests.py $(K)

check-stdlib: ## Run CPython's own tests under the patch; PART=3/7: a seventh of them; FILES=test_ssl: that; 20 minutes
	$(BEGIN)
	$(ENV) release -- python -m tests.stdlib.check_stdlib $(PART) $(FILES)

gevent-suite: ## Run gevent's own tests on fibril's gevent, and once on the real one; PART=3/7: a seventh of them; FILES=test__pool: that; 5 minutes
	$(BEGIN)
	$(ENV) release -- python -m tests.gevent_suite.check_gevent $(PART) $(FILES)

api-diff: ## List how the names and signatures that fibril serves differ from those of gevent and greenlet; half a minute
	$(BEGIN)
	$(ENV) api -- python -m tests.api.api_diff

eventlet-suite: ## Run eventlet's own tests on fibril's eventlet, and once on the real one; PART, FILES as above; 6 minutes
	$(BEGIN)
	$(ENV) release -- python -m tests.eventlet_suite.check_eventlet $(PART) $(FILES)

matrix: ## Run the tests on every CPython, C library and compiler found here; ALL=1: none may be missing; PART=3/7: a seventh of check-stdlib and gevent-suite; an hour, half without those
	$(BEGIN)
	@$(PYTHON) tools/matrix.py $(if $(ALL),--all) $(if $(PART),--part=$(PART))

check-aarch64: ## Build for aarch64, and run the core's tests and a part of the others, emulated; 5 minutes
	$(BEGIN)
	$(ENV) check -- python tools/aarch64.py

wheels: ## Build a wheel for each CPython here, or ONLY=3.13, and run the seed programs with nothing else installed; 4 minutes
	$(BEGIN)
	$(ENV) check -- python -m tools.wheels $(ONLY)

bench:  ## Measure fibril and its rivals, about half an hour; ONLY=… measures only that
	$(BEGIN)
	$(ENV) release -- python bench/run.py $(ONLY)

fix:    ## Format the sources and mend what the linters can mend
	$(ENV) check -- python tools/check.py --fix

clean:  ## Delete everything that was built
	rm -rf build .venv
