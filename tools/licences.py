"""Licences of every package in requirements.lock, by what needs it. Not here: what else is audited (`audit`)."""

import re
import tomllib
from collections import deque
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement

CORE, DEVELOPMENT = "product", "development"
SEVERE = re.compile(r"(?<!L)GPL|(?<!Lesser )General Public|Affero", re.IGNORECASE)
NAMED = re.compile(
    r"LGPL|Lesser|MPL|Mozilla|EPL|Eclipse|EUPL|CDDL|SSPL|BUSL|Business Source|Commons Clause", re.IGNORECASE
)
LOCKED = re.compile(r"^([A-Za-z0-9_.-]+)(?:\[[^]]*\])?==([^ ;\\]+)", re.MULTILINE)
# Other words for the same licence, in lower case.
SPDX = {
    "2-clause bsd": "BSD-2-Clause",
    "3-clause bsd license": "BSD-3-Clause",
    "apache 2.0": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache license version 2.0": "Apache-2.0",
    "apache software license": "Apache-2.0",
    "bsd": "BSD",
    "bsd license": "BSD",
    "isc license": "ISC",
    "mit license": "MIT",
    "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0",
    "psfl": "PSF-2.0",
    "python software foundation license": "PSF-2.0",
}


@dataclass(frozen=True, slots=True)
class Row:
    """One locked package. `needed_by`: `product`, extras of pyproject.toml, or `development`; sorted."""

    name: str
    version: str
    licence: str
    needed_by: tuple[str, ...]


def plain(name: str) -> str:
    """A package's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def rows_of(root: Path, given: dict[str, str]) -> list[Row]:
    """Every locked package, sorted. `given`: licences of packages that do not say theirs; "" where it is unknown."""
    locked = {plain(name): version for name, version in LOCKED.findall((root / "requirements.lock").read_text("utf-8"))}
    needs = needed(tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"])
    return [
        Row(name, version, given.get(name) or licence_of(name), tuple(sorted(needs.get(name, {"another system"}))))
        for name, version in sorted(locked.items())
    ]


def _installed(name: str) -> Distribution | None:
    try:
        return distribution(name)
    except PackageNotFoundError:
        return None


def licence_of(name: str) -> str:
    """In SPDX's words where the package says one that we know; "" when it is not installed or says nothing."""
    found = _installed(name)
    if found is None:
        return ""
    told = found.metadata
    classes = [
        row.rpartition(" :: ")[2]
        for row in told.get_all("Classifier") or []
        if row.startswith("License") and row != "License :: OSI Approved"
    ]
    text = (told.get("License") or "").strip()
    short = text if text and "\n" not in text and len(text) < 60 else ""
    said = told.get("License-Expression") or short or "; ".join(classes) or text.partition("\n")[0]
    return SPDX.get(said.lower(), said)


def needed(project: dict) -> dict[str, set[str]]:
    """Package -> what of the project needs it, directly or through others, on this system."""
    roots = {CORE: project["dependencies"], **project["optional-dependencies"]}
    found: dict[str, set[str]] = {}
    for group, wanted in roots.items():
        label = DEVELOPMENT if group == "dev" else group
        for name in closure(wanted):
            found.setdefault(name, set()).add(label)
    return {name: groups if CORE not in groups else {CORE} for name, groups in found.items()}


def closure(wanted: list[str]) -> set[str]:
    """Names of everything that these requirements bring here."""
    line = deque((Requirement(text), frozenset[str]()) for text in wanted)
    seen: set[tuple[str, frozenset[str]]] = set()
    while line:
        requirement, _ = line.popleft()
        key = (plain(requirement.name), frozenset(requirement.extras))
        if key in seen:
            continue
        seen.add(key)
        package = _installed(requirement.name)
        for text in package.requires or [] if package else []:
            more = Requirement(text)
            if more.marker is None or any(
                more.marker.evaluate({"extra": extra}) for extra in ("", *requirement.extras)
            ):
                line.append((more, frozenset()))
    return {name for name, _ in seen}


def findings_of(root: Path, allowed: dict) -> list[str]:
    """What may not be: unknown licences, the GPL and AGPL in what we ship, far-reaching ones without a reason."""
    found = []
    for row in rows_of(root, allowed["licences"]):
        shipped = row.needed_by != (DEVELOPMENT,)
        if not row.licence:
            found.append(
                f"{row.name} {row.version}: no licence known; read its files and name it in audit_allowed.yaml"
            )
        elif SEVERE.search(row.licence) and shipped:
            found.append(f"{row.name} {row.version}: {row.licence} must not be part of the product")
        elif NAMED.search(row.licence) and not allowed["named_licences"].get(row.name, "").startswith(
            f"{row.licence}:"
        ):
            found.append(f"{row.name} {row.version}: {row.licence} needs a reason in audit_allowed.yaml, licence first")
    return found


def table_of(root: Path, allowed: dict) -> str:
    """docs/licences.md."""
    rows = rows_of(root, allowed["licences"])
    shipped = [row for row in rows if row.needed_by != (DEVELOPMENT,)]
    lines = [
        "# Licences",
        "",
        "Of every package in `requirements.lock`, as the package itself says; written by `python tools/audit.py --write` and"
        " compared in `make check`. The product holds nothing under the GPL or AGPL. Packages of an extra come only with it:"
        " `sample` is the embedded world, `postgres` the production database. `another system`: nothing asks for it on the"
        " system where this was written. Wheels may carry libraries of compilers (numpy and scipy: libgfortran and libquadmath,"
        " under the GPL with the runtime exception and the LGPL); these are not in the table.",
        "",
        "## Terms that reach further than a notice",
        "",
        "| package | why it may be used |",
        "|---|---|",
        *(f"| {name} | {reason} |" for name, reason in sorted(allowed["named_licences"].items())),
        "",
        "## The product and its extras",
        "",
        *_table(shipped),
        "",
        "## Development alone",
        "",
        *_table([row for row in rows if row.needed_by == (DEVELOPMENT,)]),
    ]
    return "\n".join(lines) + "\n"


def _table(rows: list[Row]) -> list[str]:
    body = [f"| {row.name} | {row.version} | {row.licence} | {', '.join(row.needed_by)} |" for row in rows]
    return ["| package | version | licence | needed by |", "|---|---|---|---|", *body]
