# The one door: every target sets up what it needs by itself. Needs Python 3.11 or newer and make.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: help setup demo test parity clients clients-update faults faults-long check bench requirements clean

help:
	@echo "make demo    run the whole stack on a real, tiny model (about a minute after the install)"
	@echo "make test    run the tests"
	@echo "make faults  kill, cut, fill and corrupt the session log (minutes; as root, on Linux)"
	@echo "make parity  build the Go and Rust runtimes, run their tests, compare all of them"
	@echo "make clients install OpenAI clients for Python and Node, and hold what their users see to expectations"
	@echo "make check   ruff, mypy, import-linter"
	@echo "make bench   measure /v1/iterate, tracing, the log, replay; results go to benchmarks/runs/"
	@echo "make clean   remove the environment and what the demo wrote"

.venv/.installed: requirements/dev.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

setup: .venv/.installed

demo: setup
	@$(BIN)/lakehouse demo

# Needs nginx: apt-get install nginx-light.
test: setup
	@$(BIN)/lakehouse models pull smollm2
	$(BIN)/python -m pytest
	@$(BIN)/python tools/run_parity.py --tell

parity: setup
	$(BIN)/python tools/run_parity.py

# Needs npm. The clients go to .clients: about 1 GB.
clients: setup
	PYTHONPATH=tests $(BIN)/python -m clients
	$(BIN)/python -m pytest tests/clients/how_to_pages.py tests/clients/come_from_pages.py tests/clients/typed_pages.py

# Takes what the clients do now as expected; read the difference before it is committed.
clients-update: setup
	PYTHONPATH=tests $(BIN)/python -m clients --update
	$(BIN)/python tools/build_clients.py

# Needs strace, FUSE 3 and loop devices: apt-get install strace fuse3 e2fsprogs mount.
faults: setup
	$(BIN)/python -m pytest tests/faults

# The same scenarios with far larger counts: an hour or two.
faults-long: setup
	LAKEHOUSE_FAULTS=long $(BIN)/python -m pytest tests/faults

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: setup
	$(BIN)/python benchmarks/bench_iterate.py
	$(BIN)/python benchmarks/bench_tracing.py
	$(BIN)/python benchmarks/bench_log.py
	$(BIN)/python benchmarks/bench_replay.py

# Pins every dependency by hash, for all platforms, without naming an index.
requirements:
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-header --all-extras --group test --group check --group build \
	  pyproject.toml --output-file requirements/dev.txt
	echo arize-phoenix | $(BIN)/uv pip compile --quiet --universal --python-version 3.11 \
	  --generate-hashes --no-emit-index-url --no-header - --output-file requirements/phoenix.txt

clean:
	rm -rf .venv .venv-phoenix .clients demo-data parity.html sdk/go/bin sdk/rust/target
