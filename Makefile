# Every target does what it needs first; `make demo` and `make test` work as the first command on a bare Debian 12.
SHELL := /bin/bash
VENV := .venv
PYTHON := $(VENV)/bin/python
STAMP := $(VENV)/.spikevox-ready
DIST := dist
PACKAGES := packages/encoding packages/layers packages/tasks
export OMP_NUM_THREADS ?= 1
ifneq ($(wildcard data),)
export SPIKEVOX_DATA ?= $(CURDIR)/data
endif

.PHONY: help setup demo test test-slow test-oldest coverage mutants sanitize bench lint docs wheels clean check-system

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

check-system:
	@bash tools/check_system.sh

setup: $(STAMP) ## make .venv with everything, MinkowskiEngine included

# The stamp is written last: an interrupted set-up is taken up again. It is made anew when what it installs changes.
$(STAMP): constraints.txt tools/setup.sh tools/install_minkowski.sh $(wildcard tools/minkowski/* tools/minkowski/bin/*) $(addsuffix /pyproject.toml,$(PACKAGES)) packages/layers/setup.py $(wildcard packages/layers/csrc/*) | check-system
	bash tools/setup.sh $(VENV)
	@touch $@

demo: $(STAMP) ## train a small network on generated shapes, test it, compare it with a forest
	bash tools/demo.sh $(VENV)

test: $(STAMP) ## all tests that are not slow
	$(PYTHON) -m pytest -q -n 2 -m "not slow"

test-slow: $(STAMP) ## the slow tests: kills, soak, wheels
	$(PYTHON) -m pytest -q -n 2 --dist loadfile -m "slow and not alone"
	$(PYTHON) -m pytest -q -m "slow and alone"

test-oldest: check-system ## the tests that are not slow, with the oldest versions that the packages accept
	bash tools/setup_oldest.sh .venv-oldest
	.venv-oldest/bin/python -m pytest -q -n 2 -m "not slow" -W default

coverage: $(STAMP) ## lines of the packages that the tests reach
	$(PYTHON) -m pytest -q -n 2 -m "not slow" --cov --cov-report=term-missing:skip-covered

mutants: $(STAMP) ## break the code in 100 small ways and count how many the tests notice
	$(PYTHON) -m pip install -q -c constraints.txt cosmic-ray
	$(PYTHON) tools/mutate.py

sanitize: $(STAMP) ## tests of the compiled library under AddressSanitizer and UndefinedBehaviorSanitizer
	bash tools/sanitize.sh $(VENV)

bench: $(STAMP) ## every benchmark, against peers in the same run; fails where a floor is missed
	$(PYTHON) benchmarks/all.py

lint: $(STAMP) ## formatting, lint, types, import contracts, layout
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports
	$(PYTHON) tools/check_layout.py

docs: $(STAMP) ## build the documentation into site/
	$(PYTHON) -m pip install -q -c constraints.txt mkdocs
	$(VENV)/bin/mkdocs build --strict

wheels: $(STAMP) ## wheels of the three packages and of MinkowskiEngine in dist/
	rm -rf $(DIST)/*.whl $(addsuffix /build,$(PACKAGES))
	mkdir -p $(DIST)
	$(PYTHON) -m pip wheel -q --no-deps --no-build-isolation --wheel-dir $(DIST) $(addprefix ./,$(PACKAGES))
	bash tools/install_minkowski.sh $(PYTHON) wheel $(DIST)

clean: ## remove everything that is made here
	rm -rf $(VENV) .venv-oldest dist build site work_dirs htmlcov .coverage
	rm -rf .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find packages -maxdepth 3 -type d '(' -name '*.egg-info' -o -name build ')' -exec rm -rf {} +
