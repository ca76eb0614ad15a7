# Every target installs what it needs into .venv from constraints.txt.
# PIP_INSTALL_ARGS is passed to pip, e.g. to prefer PyTorch's CPU wheels.
PYTHON ?= python3
PIP_INSTALL_ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
OUT ?= runs/first
TEST_WORKERS ?= 2
PYTEST := OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses $(TEST_WORKERS) --dist loadfile
STAMP := $(VENV)/.installed
export HF_HUB_OFFLINE ?= 1

.PHONY: install train test test-all check lint gpu-check bench format clean

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version) if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet $(PIP_INSTALL_ARGS) --constraint constraints.txt --editable '.[dev,human]'
	touch $(STAMP)

train: install
	$(BIN)/distrl-train train --out $(OUT)

lint: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright

check: lint
	$(PYTEST) -m 'not slow and not thorough and not gpu and not device and not network'

test: install
	$(PYTEST) -m 'not thorough and not gpu and not device and not network'

test-all: install
	$(PYTEST) -m 'not gpu and not device and not network'

# Fails where there is no GPU: a check that skips everything would say that all is well.
gpu-check: install
	$(BIN)/python -c 'import sys, torch; sys.exit(None if torch.cuda.is_available() else "no GPU: torch " + torch.__version__ + " finds no CUDA device; see nvidia-smi, or install the CUDA build of torch")'
	$(BIN)/pytest -m gpu

bench: install
	$(BIN)/python -m benchmarks.phone_speed --json
	$(BIN)/python -m benchmarks.collection --json
	$(BIN)/python -m benchmarks.vector_speed --json
	$(BIN)/python -m benchmarks.adb_speed --json
	$(BIN)/python -m benchmarks.adb_oracle --json
	$(BIN)/python -m benchmarks.adb_faults --json
	$(BIN)/python -m benchmarks.crash --json
	$(BIN)/python -m benchmarks.replay_cost --json
	$(BIN)/python -m benchmarks.legibility --json

format: install
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) build dist *.egg-info
