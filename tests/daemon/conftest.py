"""Puts the servers of alerts and the homes of the graph on the path."""

import sys
from pathlib import Path

sys.path += [str(Path(__file__).parents[1] / name) for name in ("notify", "graph")]
