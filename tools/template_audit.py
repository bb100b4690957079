"""The AWS template under cfn-lint and checkov: nothing but what deploy/aws/checkov.yaml names, each with its reason.

Used by `tools/audit.py` (weekly) and by tests/deploy/test_aws_checkov.py. checkov reads the template once per variant with every
option on, since it does not resolve conditions.
"""

import json
import os
import re
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

VARIANTS = "abc"
ROW = re.compile(r"^  - (CKV\w+) +# (.+)$", re.MULTILINE)
PASSED_MIN = 100  # fewer: it has not read the template


def reasons(root: Path) -> Mapping[str, str]:
    """Check -> why it stays."""
    return dict(ROW.findall((root / "deploy" / "aws" / "checkov.yaml").read_text(encoding="utf-8")))


def lint(root: Path, program: Path) -> list[str]:
    """What cfn-lint says of the template."""
    command = [program, root / "deploy" / "aws" / "template.yaml"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env={"PATH": os.environ["PATH"]})
    lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    return lines or ([f"cfn-lint ended with {done.returncode}"] if done.returncode else [])


def checked(root: Path, program: Path) -> list[str]:
    """What checkov finds that has no reason, and reasons for what it does not find."""
    text, found = (root / "deploy" / "aws" / "template.yaml").read_text(encoding="utf-8"), set()
    with tempfile.TemporaryDirectory() as folder:
        for variant in VARIANTS:
            path = Path(folder) / f"{variant}.yaml"
            given = text.replace("Default: b\n", f"Default: {variant}\n", 1).replace('Default: "off"', 'Default: "on"')
            path.write_text(given, encoding="utf-8")
            command = [program, "-f", path, "--framework", "cloudformation", "--compact", "-o", "json"]
            done = subprocess.run(command, capture_output=True, text=True, timeout=600)
            try:
                told = json.loads(done.stdout)
                whole = told["summary"]["parsing_errors"] == 0 and told["summary"]["passed"] > PASSED_MIN
                found |= {(one["check_id"], one["resource"]) for one in told["results"]["failed_checks"]}
            except (ValueError, KeyError, TypeError):
                whole = False
            if not whole:
                return [f"checkov did not read variant {variant}: {done.stderr.strip()[-200:]}"]
    known = reasons(root)
    lines = [
        f"{check} {resource}: mend it, or give a reason" for check, resource in sorted(found) if check not in known
    ]
    return lines + [
        f"{check}: nothing has it any more; take its row out" for check in sorted(set(known) - dict(found).keys())
    ]
