"""The graph: one folder per stage, in pipeline order."""
