# Every target sets up what it needs, once. `make help` lists them.

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -q
# The release of PyTorch that `make constraints` resolves everything else around.
TORCH ?= $(shell sed -n 's/^torch==//p' constraints.txt)

# Peers of the benchmarks that ask for torchvision, which would tie torch to one build and is not
# used here: they come without what they ask for, and the bench extra has what they need.
PEERS := azula denoising-diffusion-pytorch

# Idle threads sleep instead of spinning: on a machine that other programs use too, spinning ones
# make a step of a small network thirty times slower.
export OMP_WAIT_POLICY ?= PASSIVE

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: demo test check docs site dist bench constraints clean help

demo: .venv/.installed ## train, sample, score and complete, then write runs/demo
	$(BIN)/quasistatic demo --out runs/demo

test: .venv/.installed ## run the tests
	$(BIN)/python -m pytest -n 2 --dist loadfile

check: .venv/.installed ## lint, formatting, types, import layers, and the rules for source and pages
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(BIN)/codespell docs src benchmarks *.md
	$(BIN)/python -m pytest -q -m lint tests/test_docs.py tests/test_layers.py tests/utils/test_references.py

docs: .venv/.installed ## regenerate the pages that are derived from the code
	$(BIN)/python docs/generate.py

site: .venv/.installed-docs ## build the documentation site into build/site
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict -q
	@echo "The site is in build/site: open build/site/index.html"

dist: ## build wheel and sdist into dist/, and run the examples of the README with the wheel alone
	@$(require_python)
	rm -rf dist build/dist
	$(PYTHON) -m venv build/dist
	build/dist/bin/python -m pip --disable-pip-version-check -q install build
	build/dist/bin/python -m build -q
	build/dist/bin/python -m pip --disable-pip-version-check -q install -c constraints.txt dist/*.whl
	cd build && dist/bin/python ../tests/readme_examples.py ../README.md
	@ls -l dist

bench: .venv/.installed-bench ## run the benchmarks
	$(BIN)/python benchmarks/overhead.py
	$(BIN)/python benchmarks/bound.py
	$(BIN)/python benchmarks/train.py step --rounds 5

constraints: ## resolve every dependency anew into constraints.txt (TORCH=x.y.z moves PyTorch)
	@$(require_python)
	rm -rf build/constraints
	$(PYTHON) -m venv build/constraints
	build/constraints/bin/python -m pip --disable-pip-version-check -q install 'torch==$(TORCH)' '.[dev,bench,docs]'
	build/constraints/bin/python -m pip --disable-pip-version-check -q install --no-deps $(PEERS)
	{ sed -n '/^#/p' constraints.txt; \
	  build/constraints/bin/python -m pip --disable-pip-version-check freeze --exclude quasistatic \
	  | sed -E '/^(nvidia-|cuda-|triton)/d; s/\+[a-z0-9.]+$$//'; } > build/constraints.txt
	mv build/constraints.txt constraints.txt
	rm -rf build/constraints

clean: ## remove caches, builds and .venv; runs/ stays
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find src tests docs benchmarks -type d -name __pycache__ -prune -exec rm -rf {} +

help: ## show this list
	@sed -n 's/^\([a-z]*\):.*## /make \1: /p' $(MAKEFILE_LIST)

.venv/.installed: pyproject.toml constraints.txt
	@$(require_python)
	@echo "Setting up .venv: the first time takes a few minutes."
	$(PYTHON) -m venv .venv
	$(PIP) install -c constraints.txt -e '.[dev]'
	@touch $@

.venv/.installed-docs: .venv/.installed
	$(PIP) install -c constraints.txt -e '.[docs]'
	@touch $@

.venv/.installed-bench: .venv/.installed
	$(PIP) install -c constraints.txt -e '.[bench]'
	$(PIP) install -c constraints.txt --no-deps $(PEERS)
	@touch $@

define require_python
$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
  echo "quasistatic needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) --version 2>/dev/null || echo 'not there')." \
       "Name another one: make $(firstword $(MAKECMDGOALS)) PYTHON=/path/to/python3.11" >&2; exit 1; }
endef
