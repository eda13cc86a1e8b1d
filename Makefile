# Everything here sets itself up: a bare clone needs Python >= 3.10 and make.
# VENV=path reuses an environment elsewhere.

VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.moclip-$(shell cksum pyproject.toml | cut -d' ' -f1)

.PHONY: help env demo test lint types layers docs bench clean

help:
	@echo "make demo    generate clips, train and test on them, offline"
	@echo "make test    the tests"
	@echo "make lint    ruff, mypy and the import layers"
	@echo "make docs    docs/cli.md from the commands"
	@echo "make bench   the benchmarks"

env: $(STAMP)

$(STAMP): pyproject.toml
	test -x $(BIN)/python || python3 -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --editable ".[dev]"
	touch $@

demo: env
	$(BIN)/moclip demo --out demo

test: env
	$(BIN)/python -m pytest

lint: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: env
	$(BIN)/python docs/make_cli.py > docs/cli.md

bench: env
	$(BIN)/python benchmarks/fusion_epoch.py
	$(BIN)/python benchmarks/stream_memory.py
	$(BIN)/python benchmarks/read_motion.py

clean:
	rm -rf demo .pytest_cache .mypy_cache .ruff_cache .hypothesis
