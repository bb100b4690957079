"""The HTTP interface: what a token may look at, and the one switch that it may pull."""
