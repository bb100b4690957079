"""Stage 5: what is held and in which state."""
