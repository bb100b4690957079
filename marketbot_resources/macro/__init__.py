"""Providers of macro series with release times."""
