#!/bin/sh
# Builds .venv from the hashed lock, with uv when it is there, else with venv and pip, and compiles the solvers. Argument: the Python to use.
set -eu
python=${1:-python3}
command -v "$python" >/dev/null 2>&1 || python=python3
"$python" - <<'PY'
import sys
if not (3, 11) <= sys.version_info[:2] <= (3, 14):
    sys.exit(f"marketbot: expected Python 3.11 to 3.14, found {sys.version.split()[0]}; run: make demo PYTHON=python3.11")
PY
if command -v uv >/dev/null 2>&1; then
  [ -x .venv/bin/python ] || uv venv -q --python "$(command -v "$python")" .venv
  uv pip install -q --python .venv/bin/python --require-hashes -r requirements.lock
  uv pip install -q --python .venv/bin/python --no-deps --no-build-isolation -e .
else
  [ -x .venv/bin/python ] || "$python" -m venv .venv
  .venv/bin/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements.lock
  .venv/bin/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
fi
.venv/bin/python -m marketbot_assets.portfolio.machine_code
