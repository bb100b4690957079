"""Operators on matrices, sessions down and instruments across: what features are made of. Pure; compiled on first use."""
