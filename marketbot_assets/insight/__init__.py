"""Stage 4: LLM context and predictive forecasts, with their registry."""
