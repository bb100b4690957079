"""The kept numbers are empyrical's: asked again, in an environment of its own."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
from peer_series import BENCHMARKS, CHECKOUT, golden, market, peers_folder, series

from marketbot_assets.research.return_measures import measures


def asked(folder: Path) -> dict[str, np.ndarray]:
    """What empyrical says of the twenty series now. Skips where it cannot be installed."""
    from peers import environment

    made = environment(peers_folder(folder) / "empyrical", ("empyrical-reloaded", "pyfolio-reloaded"))
    if not made.has("empyrical-reloaded"):
        pytest.skip("empyrical-reloaded cannot be installed here")
    np.save(folder / "returns.npy", series())
    np.save(folder / "benchmark.npy", market())
    command = [
        str(made.python),
        str(BENCHMARKS / "analytics_peers.py"),
        "empyrical",
        str(folder),
        str(folder / "out.npz"),
    ]
    subprocess.run(command, check=True, capture_output=True, env={"PYTHONPATH": f"{CHECKOUT}:{BENCHMARKS}"})
    with np.load(folder / "out.npz") as found:
        return {name: found[name] for name in found.files}


@pytest.mark.long
def test_empyrical_says_so_still(tmp_path: Path) -> None:
    """Its numbers are the kept ones, and ours, to 1e-10."""
    said, ours, kept = asked(tmp_path), measures(series(), market()), golden()
    assert set(said) == set(ours) == set(kept)
    for name, values in said.items():
        assert values == pytest.approx(kept[name], rel=1e-10, abs=1e-10), name
        assert values == pytest.approx(ours[name], rel=1e-10, abs=1e-10), name
