"""Providers of fundamentals as filed."""
