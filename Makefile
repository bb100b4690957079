# Two words set everything up: `make demo` and `make test`.
PYTHON ?= python3.11
BIN := .venv/bin
export DAGSTER_HOME ?= $(CURDIR)/dagster_home
export DAGSTER_EVENT_BATCH_SIZE ?= 50
export OPENBLAS_NUM_THREADS ?= 1
export OMP_NUM_THREADS ?= 1

.PHONY: demo test check ui install lock holidays services clean

demo: install
	$(BIN)/marketbot backfill 2018-12-11 2018-12-24

test: install services
	$(BIN)/python -m pytest

ui: install
	$(BIN)/dagster dev -w workspace.yaml -h 127.0.0.1 -p 3000

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest tests/style
	sh tools/lock_in_step.sh

install: .venv/.installed

.venv/.installed: requirements.lock pyproject.toml
	sh tools/install.sh $(PYTHON)
	touch .venv/.installed

lock:
	uv pip compile --universal --generate-hashes --no-strip-extras --python-version 3.11 --no-header --all-extras --exclude-newer "$$(date -u -d '7 days ago' +%F)" pyproject.toml -o requirements.lock

holidays: install
	$(BIN)/python -m marketbot_resources.make_holidays > marketbot_resources/holidays.new
	mv marketbot_resources/holidays.new marketbot_resources/holidays.py

services:
	sh tools/services.sh

clean:
	rm -rf .venv dagster_home/state
