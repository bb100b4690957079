"""What we depend on and what lies in the tree: `python tools/audit.py` (weekly: `make audit`) or `--quick` (`make check`).

start-up    files in site-packages that Python runs at every start, but for those that `audit_allowed.yaml` names with their hash
licences    of every locked package: none of the GPL or AGPL, none unknown, far-reaching ones named; docs/licences.md in step
secrets     words with the shape of a key, in the tree and in every line that was ever added to the history of HEAD
wide        detect-secrets over the tree against its baseline                              (weekly)
known holes pip-audit over requirements.lock                                               (weekly)
parts list  CycloneDX of the environment, to .services/sbom.cdx.json                       (weekly)
template    cfn-lint and checkov over deploy/aws/template.yaml                             (weekly; `make check` lints)

`--write` writes docs/licences.md and the baseline anew. Exit 0: clean; 1: a finding; 3: none, but something could not be checked.
"""

import argparse
import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import yaml
from licences import findings_of, table_of
from template_audit import checked, lint, reasons

ROOT = Path(__file__).parents[1]
ALLOWED, BASELINE = ROOT / "tools" / "audit_allowed.yaml", ROOT / "tools" / "secrets.baseline"
TABLE, PARTS = ROOT / "docs" / "licences.md", ROOT / ".services" / "sbom.cdx.json"
AUDIT = ROOT / ".services" / "audit" / "bin"
CLEAN, FOUND, NOT_CHECKED = 0, 1, 3
CUSTOM = ("sitecustomize.py", "usercustomize.py")
# Keys of AWS, GitHub, Slack, language models, Google, GitLab, PyPI, npm, Alpaca, signed tokens, Stripe; private keys.
SECRET = re.compile(
    r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b|\bgh[pousr]_[A-Za-z0-9]{36}|\bgithub_pat_[A-Za-z0-9_]{60,}"
    r"|\bxox[abposr]-[A-Za-z0-9-]{10,}|hooks\.slack\.com/services/T[A-Za-z0-9_]+/B[A-Za-z0-9_]+/[A-Za-z0-9_]{20,}"
    r"|\bsk-(?:ant-|proj-)?[A-Za-z0-9_-]{20,}|-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----|\bAIza[0-9A-Za-z_-]{35}"
    r"|\bglpat-[A-Za-z0-9_-]{20}|\bpypi-[A-Za-z0-9_-]{50,}|\bnpm_[A-Za-z0-9]{36}|\bPK[0-9A-Z]{18}\b"
    r"|\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]+|\bwhsec_[A-Za-z0-9]{20,}"
    r"|\b(?:sk|rk)_live_[A-Za-z0-9]{20,}"
)
NOISY = ("HexHighEntropyString", "Base64HighEntropyString")  # a project of hashes is full of them


def main() -> int:
    """The exit code that the docstring names."""
    told = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    told.add_argument("--quick", action="store_true")
    told.add_argument("--write", action="store_true")
    given = told.parse_args()
    allowed = yaml.safe_load(ALLOWED.read_text(encoding="utf-8"))
    if given.write:
        TABLE.write_text(table_of(ROOT, allowed), encoding="utf-8")
        BASELINE.write_text(json.dumps(wide_scan(), indent=1, sort_keys=True) + "\n", encoding="utf-8")
    codes = [
        tell("start-up", start_up(site_packages(), allowed["start_up_files"])),
        tell("licences", licences(allowed)),
        tell("secrets", secrets(allowed["fake_secrets"])),
    ]
    if not given.quick:
        codes += [tell("wide", wide()), known_holes(), parts_list(), template()]
    return FOUND if FOUND in codes else max(codes)


def tell(name: str, found: list[str]) -> int:
    """Prints a part's findings; its exit code."""
    print(f"{name}: {'clean' if not found else f'{len(found)} findings'}")
    for line in found:
        print(f"  {line}")
    return FOUND if found else CLEAN


def site_packages() -> Path:
    """Where the packages of this Python lie."""
    import sysconfig

    return Path(sysconfig.get_paths()["purelib"])


def start_up(folder: Path, allowed: dict[str, dict[str, str]]) -> list[str]:
    """Files that run at every start and are not the ones that we know."""
    found = []
    for file in sorted([*folder.glob("*.pth"), *(folder / name for name in CUSTOM if (folder / name).exists())]):
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        known = allowed.get(file.name)
        if known is None or known["sha256"] != digest:
            why = "nobody allowed it" if known is None else f"expected {known['sha256'][:16]}"
            found.append(f"{file}: {why}, found {digest}; look who wrote it, then name it in {ALLOWED.name}")
    return found


def licences(allowed: dict) -> list[str]:
    """Licences that may not be, and a table that is not in step."""
    found = findings_of(ROOT, allowed)
    if not TABLE.exists() or TABLE.read_text(encoding="utf-8") != table_of(ROOT, allowed):
        found.append(f"{TABLE.name} is not in step with requirements.lock; run: python tools/audit.py --quick --write")
    return found


def secrets(fakes: dict[str, str]) -> list[str]:
    """Secrets in the tree, and in what was ever added up to HEAD."""
    tree = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    places = [name.decode() for name in tree.split(b"\0") if name]
    lines = [
        (name, line)
        for name in places
        if (ROOT / name).is_file()
        for line in (ROOT / name).read_bytes().decode("utf-8", "replace").splitlines()
    ]
    return sorted({*judged("tree", lines, fakes), *judged("history", history(), fakes)})


def history() -> Iterator[tuple[str, str]]:
    """(file, line) for every line that a commit added."""
    command = ["git", "log", "-p", "--no-color", "--no-ext-diff", "--unified=0", "--no-renames", "HEAD"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        name = ""
        for raw in process.stdout:
            if raw.startswith(b"+++ "):
                name = raw[4:].decode("utf-8", "replace").strip().removeprefix("b/")
            elif raw.startswith(b"+"):
                yield name, raw[1:].decode("utf-8", "replace")
    if process.returncode:
        raise RuntimeError(f"expected the history of HEAD, git ended with {process.returncode}")


def judged(
    where: str, lines: Iterator[tuple[str, str]] | list[tuple[str, str]], fakes: dict[str, str]
) -> Iterator[str]:
    """A finding for each word that looks like a secret and is no known fake in its place. The word itself is never printed."""
    for name, line in lines:
        for word in SECRET.findall(line):
            digest = hashlib.sha256(word.encode()).hexdigest()[:16]
            if digest not in fakes or not name.startswith(fakes[digest]):
                yield f"{where}: {name}: a word like {word[:6]}...; revoke it, or name it in {ALLOWED.name}: {digest}: {name}"


def wide_scan() -> dict:
    """What detect-secrets finds in the tree: file -> kinds and hashes."""
    command = [str(AUDIT / "detect-secrets"), "scan", "--exclude-files", r"\.lock$", "--exclude-files", BASELINE.name]
    command += [word for name in NOISY for word in ("--disable-plugin", name)]
    told = json.loads(subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout)
    return {
        name: sorted({f"{row['type']} {row['hashed_secret']}" for row in rows})
        for name, rows in sorted(told["results"].items())
    }


def wide() -> list[str]:
    """What detect-secrets finds beyond the baseline."""
    known = json.loads(BASELINE.read_text(encoding="utf-8"))
    return [
        f"{name}: {row.rpartition(' ')[0]}; revoke it, or run: python tools/audit.py --write"
        for name, rows in wide_scan().items()
        for row in rows
        if row not in known.get(name, [])
    ]


def ask_holes(lock: Path) -> tuple[list[str], list[str], str]:
    """(known holes, packages that could not be looked up, why nothing could be asked)."""
    command = [AUDIT / "pip-audit", "-r", lock, "--no-deps", "--disable-pip", "--progress-spinner", "off", "-f", "json"]
    told = subprocess.run(list(map(str, command)), cwd=ROOT, capture_output=True, text=True)
    try:
        rows = json.loads(told.stdout)["dependencies"]
    except (json.JSONDecodeError, KeyError):
        lines = told.stderr.strip().splitlines()
        return [], [], lines[-1] if lines else f"pip-audit ended with {told.returncode}"
    holes = [
        f"{row['name']} {row['version']}: {hole['id']}, mended in {', '.join(hole['fix_versions']) or 'nothing yet'}"
        for row in rows
        for hole in row.get("vulns", ())
    ]
    return holes, [f"{row['name']}: {row['skip_reason']}" for row in rows if "skip_reason" in row], ""


def known_holes() -> int:
    """pip-audit calls it clean when nobody answers; here that is "not checked". One package is asked about first."""
    import tempfile

    lock = ROOT / "requirements.lock"
    one = next(line for line in lock.read_text(encoding="utf-8").splitlines() if line.startswith("pydantic=="))
    with tempfile.TemporaryDirectory() as folder:
        probe = Path(folder) / "one.txt"
        probe.write_text(one.partition(" ")[0] + "\n", encoding="utf-8")
        _, skipped, why = ask_holes(probe)
    if why or skipped:
        print(f"known holes: NOT CHECKED: the list of vulnerabilities does not answer ({why or skipped[0]})")
        return NOT_CHECKED
    holes, skipped, why = ask_holes(lock)
    if why or skipped:
        print(f"known holes: NOT CHECKED for {len(skipped) or 'all'} packages ({why or '; '.join(skipped)})")
    code = tell("known holes", holes) if holes or not (why or skipped) else CLEAN
    return max(code, NOT_CHECKED) if (why or skipped) and not holes else code


def parts_list() -> int:
    """Writes the parts list of this environment."""
    PARTS.parent.mkdir(exist_ok=True)
    command = [AUDIT / "cyclonedx-py", "environment", sys.executable, "-o", PARTS]
    told = subprocess.run(list(map(str, command)), cwd=ROOT, capture_output=True, text=True)
    if told.returncode:
        return tell("parts list", [told.stderr.strip()[-500:]])
    count = len(json.loads(PARTS.read_text(encoding="utf-8"))["components"])
    print(f"parts list: {count} packages in {PARTS.relative_to(ROOT)}")
    return CLEAN


def template() -> int:
    """The AWS template of every variant."""
    linter = Path(sys.executable).with_name("cfn-lint")
    if not linter.exists() or not (AUDIT / "checkov").exists():
        print("template: NOT CHECKED: expected cfn-lint beside this Python and checkov of tools/audit.lock")
        return NOT_CHECKED
    code = tell("template", [*lint(ROOT, linter), *checked(ROOT, AUDIT / "checkov")])
    print(f"  checkov: {len(reasons(ROOT))} checks are left out, each with its reason in deploy/aws/checkov.yaml")
    return code


if __name__ == "__main__":
    sys.exit(main())
