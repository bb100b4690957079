#!/bin/sh
# The programs of `make audit`, from their own hashed lock into an environment of their own.
set -eu
cmp -s tools/audit.lock .services/audit/audit.lock && exit 0
rm -rf .services/audit
.venv/bin/python -m venv .services/audit 2>/dev/null || uv venv -q --python .venv/bin/python .services/audit
if command -v uv >/dev/null 2>&1; then
  uv pip install -q --python .services/audit/bin/python --no-deps --require-hashes -r tools/audit.lock
else
  .services/audit/bin/python -m pip install -q --disable-pip-version-check --no-deps --require-hashes -r tools/audit.lock
fi
cp tools/audit.lock .services/audit/
