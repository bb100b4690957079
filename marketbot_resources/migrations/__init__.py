"""The schemas of our PostgreSQL database, as numbered SQL files, and what applies them."""
