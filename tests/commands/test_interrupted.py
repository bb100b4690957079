"""Ctrl-C, or the signal of whoever ends a process, in the middle of a command: one line, exit 1, no traceback."""

import sys
from pathlib import Path

import pytest

from marketbot_assets import cli
from marketbot_assets.commands import backtest


def test_an_interrupted_command_ends_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def interrupted(*given: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "prepare_environment", lambda: None)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.setattr(backtest, "backtest", interrupted)
    monkeypatch.setattr(sys, "argv", ["marketbot", "backtest", "2018-10-01", "2018-10-05"])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 1
    said = capsys.readouterr()
    assert said.out == ""
    (line,) = (text for text in said.err.splitlines() if text)
    assert line.startswith("marketbot: interrupted; what was finished is kept")
