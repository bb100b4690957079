"""The anchors are read from the mandate as they stand there, whatever else is wrong in it; what is no list is one clear line."""

from pathlib import Path

import pytest

from marketbot_resources.errors import MandateError
from marketbot_resources.mandate_file import anchor_specs


@pytest.fixture
def mandate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "mandate.yaml"
    monkeypatch.setenv("MARKETBOT_MANDATE", str(path))
    return path


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("anchors: [file:/a, 'witness:http://127.0.0.1:1#k']", ["file:/a", "witness:http://127.0.0.1:1#k"]),
        ("anchors: []", []),
        ("anchors:", []),
        ("limits: nonsense", []),
    ],
)
def test_anchors_are_read(mandate: Path, text: str, found: list[str]) -> None:
    """In their order; none where there are none."""
    mandate.write_text(text, encoding="utf-8")
    assert anchor_specs() == found


@pytest.mark.parametrize(
    "text", ["anchors: file:/a", "anchors: [1]", "anchors: {a: b}", "- a", "just text", "", "a: [", "a: !x 1"]
)
def test_other_contents_are_refused(mandate: Path, text: str) -> None:
    """No mapping, no list of texts, no YAML, or a tag that would make an object."""
    mandate.write_text(text, encoding="utf-8")
    with pytest.raises(MandateError, match=r"^mandate: expected [^\n]+$"):
        anchor_specs()


def test_a_missing_mandate_is_refused(mandate: Path) -> None:
    """Nothing there."""
    assert not mandate.exists()
    with pytest.raises(MandateError, match="readable"):
        anchor_specs()
