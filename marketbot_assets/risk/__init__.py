"""Stage 7: controls, stress, verdict."""
