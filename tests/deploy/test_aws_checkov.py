"""cfn-lint and checkov on the template of each variant with every option on: nothing but what has a reason."""

import sys
from pathlib import Path

import pytest
from aws_template import TEMPLATE

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tools"))

import template_audit  # noqa: E402

CHECKOV = ROOT / ".services" / "audit" / "bin" / "checkov"
LINT = Path(sys.executable).with_name("cfn-lint")
SKIPS = TEMPLATE.with_name("checkov.yaml")


def test_every_skip_has_a_reason() -> None:
    """A row is a check and why it stays; none stands twice or without words."""
    text, known = SKIPS.read_text(encoding="utf-8"), template_audit.reasons(ROOT)
    assert len(template_audit.ROW.findall(text)) == len(known) == text.count("  - ")
    assert all(len(reason.split()) >= 6 for reason in known.values())


@pytest.mark.long
def test_checkov_finds_nothing_that_is_not_explained() -> None:
    """Over the variants: what it finds is exactly what the list leaves out."""
    if not CHECKOV.exists():
        pytest.skip(f"no checkov in {CHECKOV.parent}; install tools/audit.lock there")
    assert template_audit.checked(ROOT, CHECKOV) == []


@pytest.mark.long
def test_a_hole_in_the_template_is_found(tmp_path: Path) -> None:
    """A bucket that the public may read, an unknown property, a reason that is stale: each is told."""
    if not CHECKOV.exists() or not LINT.exists():
        pytest.skip("no checkov or no cfn-lint here")
    folder = tmp_path / "deploy" / "aws"
    folder.mkdir(parents=True)
    text = TEMPLATE.read_text(encoding="utf-8").replace("BlockPublicAcls: true", "BlockPublicAcls: false", 1)
    (folder / "template.yaml").write_text(text.replace("EnableDnsSupport: true", "EnableDnsHelp: true"), "utf-8")
    (folder / "checkov.yaml").write_text(
        SKIPS.read_text(encoding="utf-8") + "  - CKV_AWS_999  # nothing that has ever been found by it\n", "utf-8"
    )
    assert any("EnableDnsHelp" in line for line in template_audit.lint(tmp_path, LINT))
    found = template_audit.checked(tmp_path, CHECKOV)
    assert any(line.startswith("CKV_AWS_53 AWS::S3::Bucket.Store") for line in found)
    assert "CKV_AWS_999: nothing has it any more; take its row out" in found


@pytest.mark.long
def test_cfn_lint_has_nothing_to_say() -> None:
    """No error and no warning."""
    if not LINT.exists():
        pytest.skip("no cfn-lint here")
    assert template_audit.lint(ROOT, LINT) == []
