# Needs python3 with venv, and make. Everything else goes into .venv.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.made-from-pyproject
PYTEST := $(BIN)/pytest -q -n auto --dist loadgroup

.DEFAULT_GOAL := help
.PHONY: help venv demo test campaign coverage check format completions bench clean

help:
	@echo 'make demo      three jobs, a throw-away mail server, and the mails as they arrived'
	@echo 'make test      every test, in parallel'
	@echo 'make campaign  kills and faults at every system call, and what became of job, status and report'
	@echo 'make check     lint, format, types, and the layers of the design'
	@echo 'make bench     what it costs, against what people use today'
	@echo 'make coverage  the tests again, with what they leave out'
	@echo 'make format    let ruff put the code into shape'
	@echo 'make completions  write the files for shell completion anew'
	@echo 'make clean     remove .venv and whatever the other targets left'

venv: $(STAMP)

# pip learnt --group in 25.1; Debian 12's venv still brings 23. The scripts are copied into the
# environment when the project is installed, hence the dependency on them.
$(STAMP): pyproject.toml scripts/cronwrap scripts/cronwrap-shell
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable . --group dev
	@touch $@

demo: $(STAMP)
	@PYTHONPATH=tests $(BIN)/python tools/demo.py

test: $(STAMP)
	@$(PYTEST)

campaign: $(STAMP)
	@PYTHONPATH=tests $(BIN)/python tests/campaign/campaign.py $(ARGS)

coverage: $(STAMP)
	@$(PYTEST) --cov --cov-report=term

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

completions: $(STAMP)
	$(BIN)/python tools/completions.py

bench: $(STAMP)
	@PYTHONPATH=tests $(BIN)/python -m benchmarks

clean:
	rm -rf $(VENV) .bench dist htmlcov .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache \
		.hypothesis .import_linter_cache
	find src tests benchmarks tools -name __pycache__ -type d -prune -exec rm -rf {} +
