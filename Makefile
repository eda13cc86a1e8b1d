# Everything here sets itself up: a bare clone needs Python >= 3.10, make and a Rust toolchain.
# VENV=path reuses an environment elsewhere.

VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.moclip-$(shell cksum pyproject.toml | cut -d' ' -f1)

CARGO := cargo --quiet
MANIFEST := --manifest-path rust/Cargo.toml

# Processes that share the tests; each holds about 1.5 GB.
TEST_WORKERS ?= 2
PYTEST := $(BIN)/python -m pytest --numprocesses $(TEST_WORKERS) --dist loadgroup

# Tests start many programs: the first one writes its bytecode for the others.
unexport PYTHONDONTWRITEBYTECODE

# highest, or lowest-direct for the oldest versions that pyproject.toml allows.
RESOLUTION ?= highest

.PHONY: help env demo test test-fast test-lowest lint rust docs docs-site bench wheel sdist test-wheel workflows clean

help:
	@echo "make demo    generate clips, train and test on them, offline"
	@echo "make test    all tests; make test-fast leaves out those that take seconds"
	@echo "make test-lowest  all tests with the oldest packages that pyproject.toml allows, in .venv-lowest"
	@echo "make lint    ruff, mypy, the native module's stub and the import layers"
	@echo "make rust    format, clippy and tests of the native parsers"
	@echo "make docs    docs/cli.md from the commands"
	@echo "make docs-site  the documentation as a site, in build/site"
	@echo "make bench   the benchmarks"
	@echo "make wheel   a wheel for every Linux with glibc 2.17, in dist; make sdist: the source distribution"
	@echo "make test-wheel  the wheel in bare environments, without a compiler"
	@echo "make workflows  checks of the GitHub workflows"

env: $(STAMP)

SOURCES := $(shell find rust -name "*.rs" -not -path "*/target/*") rust/Cargo.lock

$(BIN)/uv:
	test -x $(BIN)/python || python3 -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade uv

$(STAMP): pyproject.toml $(SOURCES) | $(BIN)/uv
	$(BIN)/uv pip install --quiet --compile-bytecode --resolution $(RESOLUTION) --python $(BIN)/python --editable ".[dev]"
	touch $@

demo: env
	$(BIN)/moclip demo --out demo

test: env
	$(PYTEST)

test-fast: env
	$(PYTEST) --fast

# Old packages warn of what newer ones changed. --upgrade chooses anew in an environment that is there.
test-lowest:
	PYTEST_ADDOPTS="-o filterwarnings=" $(MAKE) test VENV=.venv-lowest RESOLUTION="lowest-direct --upgrade"

lint: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m mypy.stubtest mv_tools._native
	$(BIN)/lint-imports

rust:
	$(CARGO) fmt $(MANIFEST) --all --check
	$(CARGO) clippy $(MANIFEST) --all-targets -- -D warnings
	$(CARGO) test $(MANIFEST) -p bitstream -p h264mv -p h265mv -p mpeg4mv

docs: env
	$(BIN)/python docs/make_cli.py > docs/cli.md

docs-site: env
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# zig links against the symbols of an old glibc; maturin checks the result as auditwheel does.
MATURIN := $(BIN)/uv tool run --quiet --from "maturin[zig]>=1.7,<2" maturin

wheel: $(BIN)/uv
	rm -f dist/*.whl
	$(MATURIN) build --quiet --release --zig --compatibility manylinux2014 --auditwheel check --out dist
	$(BIN)/uv tool run --quiet auditwheel show dist/*.whl

sdist: $(BIN)/uv
	rm -f dist/*.tar.gz
	$(MATURIN) sdist --out dist

test-wheel: env wheel sdist
	MOCLIP_WHEELS=dist $(BIN)/python -m pytest tests/release

workflows: $(BIN)/uv
	$(BIN)/uv tool run --quiet check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/uv tool run --quiet zizmor --quiet --offline .github/workflows
	if command -v actionlint >/dev/null; then actionlint; else echo "actionlint is not installed, the workflow Check runs it"; fi

bench: env
	$(BIN)/python benchmarks/fusion_epoch.py
	$(BIN)/python benchmarks/stream_memory.py
	$(BIN)/python benchmarks/read_motion.py
	$(BIN)/python benchmarks/mobileviclip.py
	$(BIN)/python benchmarks/random_access.py
	$(BIN)/python benchmarks/fusion_grid.py
	$(BIN)/python benchmarks/thousand_clips.py

clean:
	rm -rf demo .pytest_cache .mypy_cache .ruff_cache .hypothesis
