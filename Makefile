# Two commands: `make demo` shows the bot working, `make test` proves it. The others are below.
# Written for GNU make 3.81 (macOS) and newer; needs Python 3.11 or newer and a package index, nothing else.

VENV := .venv
PY := $(VENV)/bin/python
PORT ?= 8000
ARGS ?=
SIZE ?= small
SEED ?= 1
PIP := $(PY) -m pip --disable-pip-version-check --no-input install -qq --require-hashes --only-binary :all: -r
PIP_COMPILE := $(PY) -m piptools compile --quiet --strip-extras --allow-unsafe --generate-hashes --no-header --resolver=backtracking \
	--no-emit-index-url --no-emit-trusted-host --no-emit-find-links

# The first of these that is new enough; say PYTHON=… to choose another.
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11 python3.14 python; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo $$python && break; done)

.PHONY: help demo up manage test coverage explore chaos balance bench-gateway lint format lock screenshots install clean
.DEFAULT_GOAL := help

help:
	@echo "make demo [PORT=8000]            everything on this machine, with emulated servers and an emulated chat"
	@echo "make up [CONFIG=file] [PORT=…]   the same for your own servers and feed"
	@echo "make manage ARGS='doctor'        any management command: doctor, trace ID, importconfig FILE, changepassword admin …"
	@echo "make test [ARGS=tests/logic]     the whole suite, or a part of it"
	@echo "make coverage                    the whole suite, and which lines it reaches (at least 90 %)"
	@echo "make explore [ARGS=tests/logic]  the rules that hold for every input, tried with thousands of new inputs"
	@echo "make chaos [SIZE=small] [SEED=1] a minute in which everything fails, and nothing is lost (SIZE=night: two hours)"
	@echo "make balance                     ten thousand answers over four equal servers, by 1, 2 and 4 engines"
	@echo "make bench-gateway               what a request through the gateway costs, beside the same one asked directly"
	@echo "make lint                        style, types, rules of the house"
	@echo "make format                      put the source into the house's form"
	@echo "make screenshots                 take the pictures of the documentation anew (needs Chromium)"
	@echo "make lock [ARGS=--upgrade]       choose the dependencies' versions anew"
	@echo "make clean                       remove what make made; var/ with your data stays"

demo: $(VENV)/base.stamp
	@exec $(PY) manage.py up --demo --port $(PORT) $(ARGS)

up: $(VENV)/base.stamp
	@exec $(PY) manage.py up --port $(PORT) $(ARGS)

manage: $(VENV)/base.stamp
	@exec $(PY) manage.py $(ARGS)

# The whole suite without counting the lines it reaches, which `make coverage` does and which takes longer.
test: $(VENV)/dev.stamp
	$(PY) -m pytest $(if $(ARGS),$(ARGS),-n 2 --dist worksteal)

coverage: $(VENV)/dev.stamp
	$(PY) -m pytest -n 2 --dist worksteal --cov --cov-report=term

explore: $(VENV)/dev.stamp
	EXAMPLES=new $(PY) -m pytest -q $(if $(ARGS),$(ARGS),tests/logic -n 2)

chaos: $(VENV)/dev.stamp
	CHAOS_SIZE=$(SIZE) CHAOS_SEED=$(SEED) $(PY) -m pytest -q tests/chaos $(ARGS)

balance: $(VENV)/dev.stamp
	BALANCE=10000 $(PY) -m pytest -q -s tests/simulation/test_balance.py $(ARGS)

bench-gateway: $(VENV)/base.stamp
	$(PY) manage.py bench gateway $(ARGS)

lint: $(VENV)/dev.stamp
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(PY) -c "from importlinter.cli import lint_imports_command as lint; lint()" --no-logo
	$(PY) manage.py makemigrations --check --dry-run
	$(PY) manage.py check --fail-level WARNING
	$(PY) -m pytest -q tests/architecture

format: $(VENV)/dev.stamp
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

screenshots: $(VENV)/dev.stamp
	PICTURES=docs/images $(PY) -m pytest -q tests/browser -k pictures

lock: $(VENV)/dev.stamp
	$(PIP_COMPILE) $(ARGS) --output-file requirements/base.txt pyproject.toml
	$(PIP_COMPILE) $(ARGS) --extra dev --constraint requirements/base.txt --output-file requirements/dev.txt pyproject.toml

install: $(VENV)/base.stamp

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage .coverage.* htmlcov
	find . -name __pycache__ -type d -not -path './var/*' -prune -exec rm -rf {} +

$(VENV)/base.stamp: requirements/base.txt | $(PY)
	@echo "Installing what the bot needs (once) …"
	@$(PIP) requirements/base.txt
	@touch $@

$(VENV)/dev.stamp: requirements/dev.txt | $(PY)
	@echo "Installing what development needs (once) …"
	@$(PIP) requirements/dev.txt
	@touch $@

$(PY):
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed; none was found. Install it, or say make PYTHON=/path/to/python3"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "$(PYTHON) cannot make virtual environments: install its venv package (Debian, Ubuntu: apt-get install python3-venv)"; exit 1; }
	@echo "Making $(VENV) with $(PYTHON) …"
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }
