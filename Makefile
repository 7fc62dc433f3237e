# The one task runner. Each target is a line; what is longer lies in tools/.
#
#   PYTHON=python3.12   another interpreter (each has an environment of its own below build/)

PYTHON ?= python3
ENV = @$(PYTHON) tools/env.py

.DEFAULT_GOAL := help
.PHONY: help setup demo check test greenlet core asan valgrind matrix check-aarch64 bench fix clean

help:   ## Show this list
	@sed -n 's/^\([a-z0-9-]*\): *## /  make \1\t/p' Makefile | expand -t 22

setup:  ## Set up for work on fibril: build, tools, compiler warnings are errors
	$(ENV) check --developer

demo:   ## Set up, then run the demonstration
	$(ENV) release -- python examples/demo/demo.py

check:  ## Set up, then run every check: style, types, C tests, tests
	$(ENV) check -- python tools/check.py

test:   ## Run the tests whose names contain K=…, or all; LEAKS=5: those of tests/unit, 5 times each
	$(ENV) check -- python -m pytest -q $(if $(K),-k "$(K)") $(if $(LEAKS),-p tools.leaks --leaks=$(LEAKS) tests/unit)

greenlet: ## Run greenlet's own tests on fibril's greenlet; K=… as above
	$(ENV) check -- python -m pytest -q -m greenlet_suite tests/compat $(if $(K),-k "$(K)")

core:   ## Run the tests of the native core, plain and under sanitizers; K=… as above
	$(ENV) check -- python tools/core_tests.py $(K)

asan:   ## Run the tests with the extension under AddressSanitizer
	$(ENV) asan -- python -m pytest -q --ignore=tests/tidy --timeout=300 $(if $(K),-k "$(K)")

valgrind: ## Run the unit tests under valgrind, about an hour; K=… as above
	$(ENV) valgrind -- python tools/valgrind_tests.py $(K)

matrix: ## Run the tests on every supported CPython found here; ALL=1: none may be missing
	@$(PYTHON) tools/matrix.py $(if $(ALL),--all)

check-aarch64: ## Build for aarch64, and run the core's tests and a part of the others, emulated
	$(ENV) check -- python tools/aarch64.py

bench:  ## Measure fibril and its rivals; ONLY=… measures only that
	$(ENV) release -- python bench/run.py $(ONLY)

fix:    ## Format the sources and mend what the linters can mend
	$(ENV) check -- python tools/check.py --fix

clean:  ## Delete everything that was built
	rm -rf build .venv
