"""Stage 10: opening balance and backtests by the same decision."""
