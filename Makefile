# make demo | test | test-all | check | bench | docs. Each sets up .venv for itself.
PYTHON ?= python3
BIN := .venv/bin
# Python compiles what is imported; all of it would take as long as the installation.
INSTALL := $(BIN)/python -m pip install --quiet --no-compile

.PHONY: demo test test-all check style doctests bench docs clean

demo: .venv/demo
	$(BIN)/python -m mixtura fit examples/data/faithful.csv --output demo-output
	@echo; echo "mixtura is $(BIN)/mixtura, or after: source $(BIN)/activate"

test: .venv/test .venv/kernels
	$(BIN)/python -m pytest -n 2 -m "not slow and not engines"

# make test-all ONLY=engines: what needs torch, Spark or processes of its own, without the sweeps
test-all: .venv/test-all .venv/kernels
	$(BIN)/python -m pytest -n 2 --dist loadfile \
		$(if $(ONLY),-m "$(ONLY) and not slow" $$(grep -rl --include=*.py "mark.$(ONLY)" tests))

# make -j2 check: the doctests beside the rest
check: style doctests

style: .venv/check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

doctests: .venv/check
	$(BIN)/python -m pytest --doctest-modules src/mixtura README.md docs --doctest-glob="*.md" \
		--ignore-glob="docs/*.py"

bench: .venv/bench
	$(BIN)/python benchmarks/run.py

docs: .venv/docs
	$(BIN)/sphinx-build -W --keep-going -b html docs docs/_build/html

.venv/pip:
	$(PYTHON) -m venv .venv
	$(INSTALL) --upgrade pip
	touch $@

.venv/demo: .venv/pip pyproject.toml
	$(INSTALL) -e ".[all]"
	touch $@

.venv/test: .venv/pip pyproject.toml
	$(INSTALL) -e ".[test]"
	touch $@ .venv/demo

.venv/kernels: .venv/test $(wildcard src/mixtura/kernels/*.py)
	$(BIN)/python -m mixtura.kernels
	touch $@

.venv/test-all: .venv/test
	$(INSTALL) -e ".[all-tests]"
	touch $@

.venv/check: .venv/test
	$(INSTALL) -e ".[check]"
	touch $@

.venv/bench: .venv/test
	$(INSTALL) -e ".[test,bench]"
	touch $@

.venv/docs: .venv/test
	$(INSTALL) -e ".[test,docs]"
	touch $@

clean:
	rm -rf .venv demo-output docs/_build
