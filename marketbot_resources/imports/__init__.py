"""Data that users bring themselves: files become write-once objects with an entry in the ledger; a provider serves them."""
