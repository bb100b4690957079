"""The units of deploy/systemd: accepted by systemd, one user and one set of secrets each, hardened."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from compose_runner import ROOT

UNITS = {
    unit.stem: unit.read_text(encoding="utf-8") for unit in sorted((ROOT / "deploy" / "systemd").glob("*.service"))
}
NAMES = ("marketbot-code", "marketbot-daemon", "marketbot-webserver")
EXPOSURE_MAX = 25  # tenths of systemd's scale from 0 (safe) to 10; a unit without a line of hardening has 9.6


def settings(name: str) -> Iterator[tuple[str, str]]:
    for line in UNITS[name].splitlines():
        if "=" in line and not line.startswith("#"):
            key, _, value = line.partition("=")
            yield key, value


@pytest.mark.parametrize("name", NAMES)
def test_a_unit_is_confined(name: str) -> None:
    """A user of its own, a memory limit, no new privileges, a file system that it cannot write, its own folder of secrets."""
    found = dict(settings(name))
    assert found["User"] == name
    assert re.fullmatch(r"\d+M", found["MemoryMax"])
    assert found["Restart"] == "on-failure"
    assert (found["NoNewPrivileges"], found["ProtectSystem"], found["CapabilityBoundingSet"]) == ("yes", "strict", "")
    told = [word for key, value in settings(name) if key == "Environment" for word in value.split()]
    assert [word for word in told if "SECRET" in word] == [f"MARKETBOT_SECRET_FILES=/etc/{name.replace('-', '/')}"]
    assert "MARKETBOT_BIND=127.0.0.1" in told


def test_every_unit_is_known() -> None:
    """A new one is added to the table by hand."""
    assert set(UNITS) == set(NAMES)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze here")
def test_systemd_accepts_the_units_and_finds_them_closed(tmp_path: Path) -> None:
    """`verify` has no complaint; the exposure of each is low."""
    paths = []
    for name, text in UNITS.items():
        paths.append(tmp_path / f"{name}.service")
        paths[-1].write_text(text.replace("/opt/marketbot/.venv/bin/python", "/bin/true"), encoding="utf-8")
    done = subprocess.run(["systemd-analyze", "verify", *map(str, paths)], capture_output=True, text=True, timeout=60)
    ours = [line for line in (done.stdout + done.stderr).splitlines() if "marketbot" in line]
    assert (done.returncode, ours) == (0, [])
    for path in paths:
        words = ["systemd-analyze", "security", "--offline=yes", f"--threshold={EXPOSURE_MAX}", str(path)]
        judged = subprocess.run(words, capture_output=True, text=True, timeout=60)
        assert judged.returncode == 0, judged.stdout[-300:]
