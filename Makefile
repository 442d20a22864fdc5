# The one door: every target sets up what it needs by itself. Needs Python 3.11 or newer and make.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: help setup demo test browser chart container parity clients clients-update faults faults-long check bench bench-instructions requirements release clean

help:
	@echo "make demo    run the whole stack on a real, tiny model (about a minute after the install)"
	@echo "make test    run the tests"
	@echo "make browser visit every page in Chromium: people's ways, attacks, accessibility; keeps pictures"
	@echo "make faults  kill, cut, fill and corrupt the session log (minutes; as root, on Linux)"
	@echo "make chart   build Helm from its Go modules, lint the chart and render it for the tests"
	@echo "make container  build the image from a bare Debian and run it (ten minutes; as root, on Linux)"
	@echo "make parity  build the Go and Rust runtimes, run their tests, compare all of them"
	@echo "make clients install OpenAI clients for Python and Node, and hold what their users see to expectations"
	@echo "make check   ruff, mypy, import-linter"
	@echo "make bench   measure sessions beside a bare prototype, tracing, the log, replay; results go to benchmarks/runs/"
	@echo "make bench-instructions  count the instructions of a session, by stage, and its system calls"
	@echo "make release build the sdist, the wheel and the bill of materials of a tagged commit, into dist/"
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

# Needs nginx, openssl and systemd-analyze: apt-get install nginx-light openssl systemd. Tests wait
# for much, so that three files of them run at a time.
test: setup
	@$(BIN)/lakehouse models pull smollm2
	$(BIN)/python -m pytest -n 3 --dist loadfile
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

# Needs Chromium: apt-get install chromium. Pictures go to browser-artefacts, or LAKEHOUSE_SCREENSHOTS.
browser: setup
	$(BIN)/python -m pytest -n 2 --dist loadfile tests/browser

# Needs Go 1.26. The build takes minutes the first time.
HELM := helm.sh/helm/v3/cmd/helm@v3.22.0
chart: setup
	test -x .helm/helm || GOBIN=$(CURDIR)/.helm go install $(HELM)
	PYTHONPATH=tests $(BIN)/python -m support.chart
	$(BIN)/python -m pytest tests/container/test_helm.py

# Needs what builds and runs images, and what makes a base for them where none can be fetched:
# apt-get install --no-install-recommends buildah mmdebstrap podman runc
container: setup
	$(BIN)/python -m pytest tests/container/test_image.py

# Needs strace, FUSE 3 and loop devices: apt-get install strace fuse3 e2fsprogs mount. Its tests wait
# for disks and for processes to end, so that two files of them run at a time.
faults: setup
	$(BIN)/python -m pytest -n 2 --dist loadfile tests/faults

# The same scenarios with far larger counts: an hour or two.
faults-long: setup
	LAKEHOUSE_FAULTS=long $(BIN)/python -m pytest tests/faults

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: setup
	$(BIN)/python benchmarks/bench_iterate.py --soak 1000000
	$(BIN)/python benchmarks/bench_tracing.py
	$(BIN)/python benchmarks/bench_log.py
	$(BIN)/python benchmarks/bench_replay.py

# Needs valgrind and strace: apt-get install valgrind strace.
bench-instructions: setup
	$(BIN)/python benchmarks/bench_instructions.py

# Pins every dependency by hash, for all platforms, without naming an index.
requirements:
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-header --all-extras --group test --group check --group build --group release \
	  pyproject.toml --output-file requirements/dev.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-header --extra delta --constraint requirements/dev.txt \
	  pyproject.toml --output-file requirements/run.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-header --group build --constraint requirements/dev.txt \
	  --output-file requirements/build.txt
	echo arize-phoenix | $(BIN)/uv pip compile --quiet --universal --python-version 3.11 \
	  --generate-hashes --no-emit-index-url --no-header - --output-file requirements/phoenix.txt

# From a commit that has the tag of its version: docs/how-to/release.md.
release: setup
	@$(BIN)/python tools/build_release.py dist

clean:
	rm -rf .venv .venv-phoenix .clients .container .helm browser-artefacts demo-data dist parity.html sdk/go/bin sdk/rust/target
