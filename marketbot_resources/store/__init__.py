"""The write-once store: objects named by their hash, an append-only index, a reader that knows what was read."""
