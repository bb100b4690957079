"""Stage 6: mandate to optimizer to target portfolio to order plan, with its explanation."""
