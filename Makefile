# make demo | test | test-all | check | bench | docs. Each sets up .venv for itself.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test test-all check bench docs clean

demo: .venv/demo
	$(BIN)/python -m mixtura fit examples/data/faithful.csv --output demo-output
	@echo; echo "mixtura is $(BIN)/mixtura, or after: source $(BIN)/activate"

test: .venv/test
	$(BIN)/python -m mixtura.kernels
	$(BIN)/python -m pytest -n 2 -m "not slow and not engines"

# make test-all ONLY=engines: what needs torch, Spark or processes of its own, without the sweeps
test-all: .venv/test-all
	$(BIN)/python -m mixtura.kernels
	$(BIN)/python -m pytest -n 2 --dist loadfile $(if $(ONLY),-m $(ONLY))

check: .venv/check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest --doctest-modules src/mixtura README.md docs --doctest-glob="*.md"

bench: .venv/bench
	$(BIN)/python benchmarks/run.py

docs: .venv/docs
	$(BIN)/sphinx-build -W --keep-going -b html docs docs/_build/html

.venv/pip:
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	touch $@

.venv/demo: .venv/pip pyproject.toml
	$(BIN)/python -m pip install --quiet -e ".[all]"
	touch $@

.venv/test: .venv/pip pyproject.toml
	$(BIN)/python -m pip install --quiet -e ".[test]"
	touch $@ .venv/demo

.venv/test-all: .venv/test
	$(BIN)/python -m pip install --quiet -e ".[all-tests]"
	touch $@

.venv/check: .venv/test
	$(BIN)/python -m pip install --quiet -e ".[test,check]"
	touch $@

.venv/bench: .venv/test
	$(BIN)/python -m pip install --quiet -e ".[test,bench]"
	touch $@

.venv/docs: .venv/test
	$(BIN)/python -m pip install --quiet -e ".[test,docs]"
	touch $@

clean:
	rm -rf .venv demo-output docs/_build
