"""The outside world: one module per port, and the nouns at its border. Imports nothing of marketbot_assets."""
