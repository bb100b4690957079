"""Providers of instruments, prices, corporate actions and exchange rates."""
