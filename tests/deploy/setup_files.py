"""What deploy/setup.py makes, as texts: for machines that lay their files out elsewhere."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from compose_runner import ROOT


def files_of_setup(folder: Path, changed: Callable[[str], str]) -> dict[str, dict[str, str]]:
    """container -> file -> text, each changed; `folder` is made."""
    folder.mkdir()
    command = [sys.executable, "-I", str(ROOT / "deploy" / "setup.py"), "--folder", str(folder), "--without-s3"]
    subprocess.run(command, capture_output=True, check=True, timeout=30)
    found: dict[str, dict[str, str]] = {}
    for path in sorted((folder / "secrets").rglob("*")):
        if path.is_file() and os.access(path, os.R_OK):
            found.setdefault(path.parent.name, {})[path.name] = changed(path.read_text(encoding="utf-8"))
    return found
