"""Anchors: places outside of the home that keep signed checkpoints, so that a changed ledger contradicts someone else's copy."""
