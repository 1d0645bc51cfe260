# `make` sets up the environment and runs the pipeline; `make help` lists what else there is.
.DEFAULT_GOAL := repro
SHELL := /bin/bash
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export DVC_NO_ANALYTICS := 1
export MLFLOW_DISABLE_TELEMETRY := true

# The first of these that is there and of a supported version; PYTHON=... chooses another.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null \
	&& echo $$p && break; done)

PORT ?= 5000

.PHONY: free-port help setup tools repro test test-slow reproduce-check reliability-docs lint format ui \
	backtest compare promote rollback serve walkthrough check lock clean bench bench-peers

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

# requirements-cuda.lock has NVIDIA's libraries beside the packages of requirements-dev.lock.
LOCK ?= requirements.lock
CUDA = $(findstring cuda,$(LOCK))
INSTALL = .venv/bin/python -m pip install -qq --disable-pip-version-check --no-compile --require-hashes -r

setup: .venv/.installed ## create the locked environment in .venv (LOCK=requirements-cuda.lock for a GPU)

tools: .venv/.tools ## add Ray, and what tests and development need

.venv/.installed: $(LOCK)
	@test -n "$(PYTHON)" || { echo "error: Python 3.11, 3.12 or 3.13 is needed, found none on PATH" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	@echo "installing the locked packages; the first time takes some minutes"
	@# Nothing is compiled here: Python compiles what it imports as it does, and most is never imported.
	@# Two builds of TensorFlow in one environment overwrite each other: the other lock's goes first.
	@.venv/bin/python -m pip uninstall -qqy tensorflow$(if $(CUDA),-cpu)
	$(INSTALL) $(LOCK)
	@# Eleven thousand headers, with which one may write operations for TensorFlow in C++.
	@rm -rf .venv/lib/python*/site-packages/tensorflow/include
	@touch $@

.venv/.tools: requirements-dev.lock .venv/.installed
	$(if $(CUDA),,$(INSTALL) $<)
	@touch $@

# Without what Python would read from the shell, as stages run in dvc.yaml.
PY = python -E -m
CHECK = $(PY) pipeline check

check: setup ## check params.yaml, the data set's card and dvc.lock
	@$(CHECK)

repro: setup ## run the stages that are out of date (the default)
	@$(PY) pipeline unchanged || { $(CHECK) && $(PY) dvc repro && $(PY) pipeline committed-results \
		&& mv .dvc/tmp/asked.now .dvc/tmp/asked; }

test: tools ## run the tests
	$(PY) pytest -n 2 --dist loadgroup

test-slow: tools ## run the slow tests, which `make test` skips
	$(PY) pytest -m slow -n 2 --dist loadgroup

reproduce-check: setup ## reproduce the committed results from a clean clone and compare
	@$(PY) pipeline reproduce-check

reliability-docs: tools ## write docs/reliability.md from the tests
	$(PY) tests.reliability

lint: tools ## check style and types
	ruff check .
	ruff format --check .
	mypy

format: tools ## fix style
	ruff check --fix .
	ruff format .

walkthrough: tools ## write docs/walkthrough.md again, with its screenshots (about ten minutes)
	$(PY) tests.walkthrough

# Ends with one line if somebody listens on PORT: MLflow's servers would end with exit code 0.
free-port:
	@! (exec 3<>/dev/tcp/127.0.0.1/$(PORT)) 2>/dev/null \
		|| { echo "error: port $(PORT) is in use; choose another one with PORT=..." >&2; exit 1; }

ui: setup free-port ## open the MLflow UI on http://127.0.0.1:5000 (PORT=... for another port)
	@store=$$($(PY) pipeline store-uri) && exec $(PY) mlflow ui --backend-store-uri "$$store" \
		--workers 1 --host 127.0.0.1 --port $(PORT) --allowed-hosts "127.0.0.1:*,localhost:*"

COMPILE = uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
	--no-annotate --no-emit-index-url
USED = excel holidays s3 server

lock: ## write the lock files from pyproject.toml (needs uv)
	$(COMPILE) $(USED:%=--extra %) pyproject.toml --output-file requirements.lock
	$(COMPILE) --extra dev --constraint requirements.lock pyproject.toml \
		--output-file requirements-dev.lock
	$(COMPILE) --group numpy --constraint requirements.lock --output-file requirements-numpy.lock
	$(COMPILE) --extra dev --group cuda --no-emit-package tensorflow-cpu \
		--constraint requirements-dev.lock pyproject.toml \
		--output-file requirements-cuda.lock
	$(COMPILE) --group serve --constraint requirements.lock --output-file requirements-serve.lock

# One fit, so that it takes as long as one training; ARGS says another plan.
backtest: setup ## test params.yaml on four folds of a month of hours (ARGS="--folds 6 --step 720")
	@$(PY) pipeline backtest $(or $(ARGS),--folds 4 --step 720 --refit never)

compare: setup ## put the newest runs side by side: comparison.html (RUNS="ID ID" chooses, BY=backtest)
	@$(PY) pipeline compare $(RUNS) $(BY:%=--by %)

promote: setup ## make RUN=ID (or a DVC experiment's name) the champion if it is the best (DRY=--dry-run only says what would happen)
	@test -n "$(RUN)" || { echo "error: which run? make promote RUN=ID; make compare lists ids" >&2; exit 1; }
	@$(PY) pipeline promote $(RUN) $(DRY) $(BY:%=--by %)

rollback: setup ## go back to the previous champion
	@$(PY) pipeline promote --rollback $(DRY)

serve: PORT = 5001
serve: setup ## serve the champion on http://127.0.0.1:5001/invocations (BACKEND=numpy: no TensorFlow; LOG=folder)
	@$(PY) pipeline serve --port $(PORT) --backend $(or $(BACKEND),tensorflow)$(if $(LOG), --log $(LOG))

bench: tools ## measure speed, memory and growth, beside peers if installed (70 minutes)
	$(PY) benchmarks

# Each peer has an environment of its own, since they agree neither with ours nor with one another.
PEERS = $(basename $(notdir $(wildcard benchmarks/peers/*.txt)))

bench-peers: $(PEERS:%=.venv-bench-%/.installed) ## create the environments that make bench compares with

.venv-bench-%/.installed: benchmarks/peers/%.txt
	@test -n "$(PYTHON)" || { echo "error: Python 3.11, 3.12 or 3.13 is needed, found none on PATH" >&2; exit 1; }
	$(PYTHON) -m venv .venv-bench-$*
	.venv-bench-$*/bin/python -m pip install -qq --disable-pip-version-check -r $<
	@touch $@

clean: ## remove the environment and what the stages wrote
	rm -rf .venv data/calibration data/checkpoint data/ingested data/prepared data/windows data/model
