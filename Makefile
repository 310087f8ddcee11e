# Two commands on a fresh machine: `make tune` and `make test`.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
UV     := $(VENV)/.uv
RUNS   := $(VENV)/.runs
STAMP  := $(VENV)/.installed
INSTALL = $(BIN)/uv pip install --quiet --python $(BIN)/python -c constraints.txt
SHELL  := /bin/bash -o pipefail

.PHONY: tune test long docs attack audit faults lint types pytest .venv bench findings weights clean

tune: $(RUNS)
	@study=$$($(BIN)/python -m deepsight.tune --experiment quickstart | tail -n 1) \
	  && $(BIN)/python -m deepsight.confirm "$$study" --top 1 > /dev/null \
	  && $(BIN)/python -m analysis.summary "$$study" \
	  && $(BIN)/python -m analysis.report "$$study" >&2 && echo "$$study"

test: lint types pytest

# Kills, deadly trials, full disks; it takes long. docs/robustness.md quotes its figures.
faults: $(STAMP)
	rm -f faults.json
	FAULTS_OUT=faults.json $(BIN)/python -m pytest tests/faults tests/tune/ray_backend/test_cluster.py \
	  tests/test_end_to_end.py -m 'faults or not faults'

# What make test leaves out to stay short: the tutorial, whole benchmarks.
long: $(STAMP)
	$(BIN)/python -m pytest -m long

# Studies, experiments and caches of strangers: docs/security.md has the table. About twenty minutes.
attack: $(STAMP)
	DEEPSIGHT_FUZZ=1000000 $(BIN)/python -m pytest tests/attacks tests/tune/ray_backend/test_start.py \
	  tests/tune/test_cli.py tests/analysis/importance/test_encoding.py -rP --timeout 1800

# Known holes in the versions of constraints.txt, where the database can be reached.
audit: $(STAMP)
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python .ci/audit.py

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check --quiet . || { echo "run: ruff format ." >&2; exit 1; }

types: $(STAMP)
	$(BIN)/mypy

# Two processes at most: several tests start a Ray of their own. One thread each: the threads of two
# would wait for each other. Three processes took no less time, and two tests of killed runs failed.
pytest: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n logical --maxprocesses 2 --dist loadfile

# The documentation as a site, site/index.html; a warning is an error.
docs: $(STAMP)
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict && echo site/index.html

.venv: $(STAMP)

$(UV): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "deepsight needs Python 3.11 or newer; try: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt uv
	@touch $(UV)

# What a search and its analysis need. Python compiles a module when it is first imported. Two processes
# do that here for what will be imported, in half the time of compiling all files of all libraries.
$(RUNS): $(UV)
	$(INSTALL) -e .
	@$(BIN)/python -c 'import torchvision, deepsight.training.trial' & \
	  $(BIN)/python -c 'import deepsight.tune.ray_backend.worker, albumentations, deepsight.tune.driver, analysis.report.build' \
	  && wait $$!
	@touch $(RUNS)

# What tests and documentation need, too.
$(STAMP): $(UV)
	UV_COMPILE_BYTECODE=1 $(INSTALL) -e '.[dev]'
	@touch $(STAMP)

# What docs/performance.md, docs/models.md and docs/toy_objects.md quote; half an hour and more each.
bench: $(STAMP)
	$(BIN)/python benchmarks/augment_speed.py
	$(BIN)/python benchmarks/search_efficiency.py --cold
	$(BIN)/python benchmarks/scheduling_overhead.py
	$(BIN)/python benchmarks/scheduling_overhead.py --flat 1000 --flat-peer 100
	$(BIN)/python benchmarks/embedded_weights.py
	$(BIN)/python benchmarks/toy_difficulty.py

# Search, confirmation, ablation and claims on two data sets: the tables of docs/rounds.md.
findings: $(STAMP)
	$(BIN)/python -m benchmarks.claims_rounds

# The embedded weights that come with the package, anew by their recipe; minutes alone, goes on if cut.
weights: $(STAMP)
	$(BIN)/python -m deepsight.pretrain --model resnet18 --package

clean:
	rm -rf $(VENV)
