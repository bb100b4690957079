"""The decision ledger: a transparency log of canonical JSON entries (RFC 8785, RFC 6962), its adapters and its proofs."""
