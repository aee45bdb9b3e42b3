# Needs python3 with venv, and make. Everything else goes into .venv.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.made-from-pyproject
TOOLS  := $(VENV)/.has-packaging-tools
# Two workers a core: a test waits for processes and sockets half of its time.
WORKERS ?= $(shell expr 2 '*' $$(getconf _NPROCESSORS_ONLN))
PYTEST := $(BIN)/pytest -q -n $(WORKERS) --dist loadgroup

# What a shell was set up with for other work must not change what is tested here.
unexport $(filter PYTHON% PYTEST%,$(.VARIABLES))

.DEFAULT_GOAL := help
.PHONY: help venv demo demo-fleet demo-web screenshots test test-system fuzz campaign campaign-fleet coverage check \
	format completions schema bench clean dist deb rpm single-file lock

help:
	@echo 'make demo      three jobs, a throw-away mail server, and the mails as they arrived'
	@echo 'make demo-fleet  three hosts on a throw-away PostgreSQL, one of them dying'
	@echo 'make demo-web  the page, with thirty jobs of all fates on a throw-away state'
	@echo 'make screenshots  pictures of every page, by Debian'"'"'s Chromium, into docs/images'
	@echo 'make test      every test that this machine has the means for; installs nothing outside of .venv'
	@echo 'make test-system  the others: installs programs by apt-get, as root, and leaves out nothing'
	@echo 'make fuzz      what reads from outside, for SECONDS=60, or one TARGET alone'
	@echo 'make campaign  kills and faults at every system call, and what became of job, status and report'
	@echo 'make campaign-fleet  kills of shippers and of the database: nothing lost, doubled, or run twice'
	@echo 'make check     lint, format, types, and the layers of the design'
	@echo 'make bench     what it costs, against what people use today'
	@echo 'make coverage  the tests again, with what they leave out'
	@echo 'make dist      wheel and sdist, into dist/'
	@echo 'make deb       Debian packages, into dist/ (needs dpkg-deb); likewise make rpm, make single-file'
	@echo 'make lock      the versions of the libraries in those packages anew'
	@echo 'make format    let ruff put the code into shape'
	@echo 'make completions  write the files for shell completion anew'
	@echo 'make schema    write the JSON schema of the configuration anew'
	@echo 'make clean     remove .venv and whatever the other targets left'

venv: $(STAMP)

# pip learnt --group in 25.1; Debian 12's venv still brings 23. The scripts are copied into the
# environment when the project is installed, hence the dependency on them.
$(STAMP): pyproject.toml scripts/cronwrap scripts/cronwrap-shell
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable . --group dev
	@touch $@

demo-web: $(STAMP)
	@PYTHONPATH=tests $(BIN)/python tools/demo_web.py $(ARGS)

screenshots: $(STAMP)
	@PYTHONPATH=tests $(BIN)/python tools/screenshots.py

demo: $(STAMP)
	@PYTHONPATH=tests $(BIN)/python tools/demo.py

demo-fleet: $(STAMP)
	@PYTHONPATH=tests $(BIN)/python tools/demo_fleet.py

test: $(STAMP)
	@$(PYTEST)

test-system: $(TOOLS)
	@$(BIN)/pytest -q -m system --complete

fuzz: $(STAMP)
	@PYTHONPATH=tests $(BIN)/python tools/fuzz.py --seconds $(or $(SECONDS),60) $(if $(TARGET),--target $(TARGET))

campaign: $(STAMP)
	@PYTHONPATH=tests $(BIN)/python tests/campaign/campaign.py $(ARGS)

campaign-fleet: $(STAMP)
	@PYTHONPATH=tests $(BIN)/python tests/campaign/fleet.py $(ARGS)

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

schema: $(STAMP)
	$(BIN)/python tools/schema.py

completions: $(STAMP)
	$(BIN)/python tools/completions.py

bench: $(STAMP)
	@PYTHONPATH=tests $(BIN)/python -m benchmarks

# Tools that only packages need stay out of .venv until then.
$(TOOLS): $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --group packaging
	@touch $@

dist: $(TOOLS)
	$(BIN)/python -m build --quiet
	$(BIN)/twine check --strict dist/*.whl dist/*.tar.gz

deb: $(STAMP)
	@$(BIN)/python packaging/deb.py $(ARCH)

rpm: $(TOOLS)
	@$(BIN)/python packaging/rpm.py $(ARCH)

single-file: $(STAMP)
	@$(BIN)/python packaging/single_file.py

lock: $(STAMP)
	$(BIN)/python packaging/libraries.py

clean:
	rm -rf $(VENV) .bench dist htmlcov .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache \
		.hypothesis .import_linter_cache
	find src tests benchmarks tools packaging -name __pycache__ -type d -prune -exec rm -rf {} +
