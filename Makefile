# Each target sets up what it needs by itself, from the pinned and hashed requirements/*.txt into .venv; only a Python
# of at least 3.11 must be there. Which one: make PYTHON=/path/to/python3, else the newest on the PATH.
.DEFAULT_GOAL := help
.PHONY: help demo check test test-long e2e simulate bench docs reference lint typecheck format lock clean runtime testing
BIN := .venv/bin
export PYTHONPATH := $(CURDIR)
# What a change is answered by within a minute and a half.
UNIT := tests/unit
# What starts real processes and measures times runs after what keeps both cores busy; it mostly waits, so more files at a time than there are cores.
MEASURED := tests/apiserver tests/demo
# Ratios of measured times: alone on the machine, one after the other.
RATIOS := tests/bench
# A whole node, as root: by make e2e alone.
E2E := tests/e2e
BUSY := $(addprefix --ignore=,$(MEASURED) $(RATIOS) $(E2E)) tests
# What looks for schedules whole, or waits for minutes, is marked `long`; beside it stands a share that is not.
SHARE := -m 'not long'
LONG := -m long
PYTEST := $(BIN)/python -m pytest
# A time limit that is raised inside an event loop may be lost there, and the test never ends: so it ends the worker, and with it the run.
ENDS := --timeout-method=thread --max-worker-restart=0

help:
	@echo 'make demo       three sidecars on this machine, a graceful and a crash handover, live in the terminal'
	@echo 'make check      lint, types, docs and unit tests: a minute and a half'
	@echo 'make test       every check and every test, on a real Kubernetes API server (built the first time): a quarter of an hour'
	@echo 'make test-long  what looks for schedules whole, and what waits for minutes: a quarter of an hour'
	@echo 'make e2e        the image and k8s/ on a whole Kubernetes node made here (root on Linux), or on KUBECONFIG= and IMAGE='
	@echo 'make simulate   random schedules of faults on every core: HOURS=10000 candidate-hours, from a fresh seed or SEED=...'
	@echo 'make bench      speed and memory beside client-go and the theoretical minimum, into docs/internals/speed-and-memory.md; BENCH="--short", BENCH=--help'
	@echo 'make docs       the site of docs/ into site/, each link checked'
	@echo 'make reference  write the generated parts of docs/reference/ anew'
	@echo 'make lint       ruff and the rules of which module may import which'
	@echo 'make typecheck  mypy'
	@echo 'make format     put the code into its one format'
	@echo 'make lock       write requirements/*.txt anew after pyproject.toml changed (UPGRADE=1: newest versions)'
	@echo 'make clean      remove .venv and what the tools keep'

demo: runtime
	@$(BIN)/python -m demo

check: lint typecheck docs
	$(PYTEST) -n 2 $(ENDS) $(SHARE) $(UNIT)

test: lint typecheck docs
	$(BIN)/python -m tests.binaries.build
	$(PYTEST) -n 4 --dist loadgroup $(ENDS) $(SHARE) --durations=10 $(BUSY)
	$(PYTEST) -n 3 --dist loadfile $(ENDS) $(SHARE) --durations=10 $(MEASURED)
	$(PYTEST) --timeout-method=thread $(SHARE) --durations=10 $(RATIOS)

test-long: testing
	$(BIN)/python -m tests.binaries.build
	$(PYTEST) -n 2 --dist loadgroup $(ENDS) $(LONG) --durations=10 $(BUSY)
	$(PYTEST) -n 2 --dist loadfile $(ENDS) $(LONG) --durations=10 $(MEASURED)

e2e: testing
	$(PYTEST) -n 2 --dist loadfile $(ENDS) --durations=10 $(E2E)

simulate: testing
	$(BIN)/python -m tests.simulation --hours $(or $(HOURS),10000) $(if $(SEED),--first-seed $(SEED))

bench: testing
	$(BIN)/python -m tests.bench $(BENCH)

docs: testing
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

reference: testing
	$(BIN)/python -m tools.reference

lint: testing
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

typecheck: testing
	$(BIN)/mypy

format: testing
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

runtime:
	@requirements/install runtime

testing:
	@requirements/install test

# Hashes of every file of every pinned version, for each platform and Python from 3.11 on; no index addresses.
COMPILE = $(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes $(if $(UPGRADE),--upgrade) \
	--no-emit-index-url --no-emit-find-links --quiet --custom-compile-command 'make lock'
lock:
	@requirements/install lock
	$(COMPILE) pyproject.toml --output-file requirements/runtime.txt
	$(COMPILE) pyproject.toml --constraint requirements/runtime.txt --group test --group lint --group docs --output-file requirements/test.txt
	$(COMPILE) --group fencing --output-file requirements/fencing.txt
	$(COMPILE) --group go --output-file requirements/go.txt
	$(COMPILE) --group build --output-file requirements/build.txt
	$(COMPILE) --group lock --output-file requirements/lock.txt

clean:
	rm -rf site .venv .venv.half .venv.lock .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .schemathesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
