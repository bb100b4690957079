"""checkov on the template of each variant with every option on: nothing but what the list of skips names, each with its reason."""

import json
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from aws_template import TEMPLATE

ROOT = Path(__file__).parents[2]
CHECKOV = ROOT / ".services" / "audit" / "bin" / "checkov"
SKIPS = TEMPLATE.with_name("checkov.yaml")
ROW = re.compile(r"^  - (CKV\w+) +# (.+)$", re.MULTILINE)


def reasons() -> Mapping[str, str]:
    return dict(ROW.findall(SKIPS.read_text(encoding="utf-8")))


def test_every_skip_has_a_reason() -> None:
    """A row is a check and why it stays; none stands twice or without words."""
    text = SKIPS.read_text(encoding="utf-8")
    rows = ROW.findall(text)
    assert len(rows) == len(reasons()) == text.count("  - ")
    assert all(len(reason.split()) >= 6 for _, reason in rows)


@pytest.mark.long
def test_checkov_finds_nothing_that_is_not_explained(tmp_path: Path) -> None:
    """Over the variants: what it finds is exactly what the list skips."""
    if not CHECKOV.exists():
        pytest.skip(f"no checkov in {CHECKOV.parent}; install tools/audit.lock there")
    text, found = TEMPLATE.read_text(encoding="utf-8"), set()
    for variant in "abc":
        given = text.replace("Default: b\n", f"Default: {variant}\n", 1).replace('Default: "off"', 'Default: "on"')
        path = tmp_path / f"{variant}.yaml"
        path.write_text(given, encoding="utf-8")
        command = [CHECKOV, "-f", path, "--framework", "cloudformation", "--compact", "-o", "json"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=600)
        told = json.loads(done.stdout)
        assert told["summary"]["parsing_errors"] == 0
        assert told["summary"]["passed"] > 100
        found |= {one["check_id"] for one in told["results"]["failed_checks"]}
    assert found == set(reasons())
