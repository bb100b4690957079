#!/bin/sh
# requirements.lock must satisfy pyproject.toml; it and the locks of services hold hashes only: no download address, no other registry.
set -eu
if grep -nE '(https?://|file://|--index-url|--extra-index-url|--find-links)' requirements.lock tools/services.lock tools/model.lock tools/audit.lock; then
  echo "locks: expected names, versions and hashes only, found the lines above" >&2
  exit 1
fi
.venv/bin/python -m pip --version >/dev/null 2>&1 || true
.venv/bin/python - <<'PY'
import re, sys, tomllib
from packaging.markers import Marker
from packaging.requirements import Requirement
project = tomllib.load(open("pyproject.toml", "rb"))["project"]
wanted = [*project["dependencies"], *(r for rows in project["optional-dependencies"].values() for r in rows)]
locked = {}
for line in open("requirements.lock", encoding="utf-8"):
    found = re.match(r"([A-Za-z0-9_.-]+)(?:\[[^]]*\])?==([^ ;]+)", line)
    if found:
        locked.setdefault(re.sub(r"[-_.]+", "-", found[1]).lower(), []).append(found[2])
bad = []
for text in wanted:
    requirement = Requirement(text)
    versions = locked.get(re.sub(r"[-_.]+", "-", requirement.name).lower(), [])
    if not any(requirement.specifier.contains(version) for version in versions):
        bad.append(f"{text} (locked: {', '.join(versions) or 'nothing'})")
if bad:
    sys.exit("requirements.lock is out of step with pyproject.toml: " + "; ".join(bad) + "; run: make lock")
PY
