"""The kept numbers are empyrical's: asked again, in an environment of its own."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
from peer_series import BENCHMARKS, CHECKOUT, golden, market, peers_folder, series, uneven

from marketbot_assets.research.return_measures import measures

EACH = """
import sys
import empyrical as ep, numpy as np
from analytics_peers import empyrical
found = []
with np.load(sys.argv[1]) as held:
    for n in range(len(held.files) // 2):
        r, b = held[f"returns{n}"], held[f"benchmark{n}"]
        whole = {name: values[0] for name, values in empyrical(r[:, None], b).items()}
        found.append(whole | {"up_capture": ep.up_capture(r, b), "down_capture": ep.down_capture(r, b)})
np.savez(sys.argv[2], **{name: np.array([one[name] for one in found]) for name in found[0]})
"""


def python(folder: Path) -> Path:
    """The Python of an environment with empyrical. Skips where it cannot be installed."""
    from peers import environment

    made = environment(peers_folder(folder) / "empyrical", ("empyrical-reloaded", "pyfolio-reloaded"))
    if not made.has("empyrical-reloaded"):
        pytest.skip("empyrical-reloaded cannot be installed here")
    return made.python


def answers(folder: Path, command: list[str]) -> dict[str, np.ndarray]:
    """What the command wrote."""
    subprocess.run(command, check=True, capture_output=True, env={"PYTHONPATH": f"{CHECKOUT}:{BENCHMARKS}"})
    with np.load(folder / "out.npz") as found:
        return {name: found[name] for name in found.files}


def asked(folder: Path) -> dict[str, np.ndarray]:
    """What empyrical says of the twenty series of one length now."""
    np.save(folder / "returns.npy", series())
    np.save(folder / "benchmark.npy", market())
    command = [
        str(python(folder)),
        str(BENCHMARKS / "analytics_peers.py"),
        "empyrical",
        str(folder),
        str(folder / "out.npz"),
    ]
    return answers(folder, command)


@pytest.mark.long
def test_empyrical_says_so_still(tmp_path: Path) -> None:
    """Its numbers are the kept ones, and ours, to 1e-10."""
    said, ours, kept = asked(tmp_path), measures(series(), market()), golden()
    assert set(said) == set(ours) == set(kept)
    for name, values in said.items():
        assert values == pytest.approx(kept[name], rel=1e-10, abs=1e-10), name
        assert values == pytest.approx(ours[name], rel=1e-10, abs=1e-10), name


@pytest.mark.long
def test_empyrical_says_so_still_of_every_length(tmp_path: Path) -> None:
    """Twenty series of 60 to 1,000 sessions: its numbers are the kept ones to 1e-10 of their size."""
    pairs, kept = uneven(), golden("uneven")
    held = {
        f"{name}{n}": values
        for n, pair in enumerate(pairs)
        for name, values in zip(("returns", "benchmark"), pair, strict=True)
    }
    np.savez(tmp_path / "pairs.npz", **held)
    said = answers(
        tmp_path,
        [str(python(tmp_path)), "-W", "ignore", "-c", EACH, str(tmp_path / "pairs.npz"), str(tmp_path / "out.npz")],
    )
    assert set(said) == set(kept)
    for name, values in said.items():
        assert values == pytest.approx(kept[name], rel=1e-10, abs=1e-12), name
