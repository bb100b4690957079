"""Stage 1: bytes as received, then parsed, never repaired; the broker's snapshot."""
