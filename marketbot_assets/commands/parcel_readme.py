"""The README.txt of an export or a proof: what lies there and how to check it alone. Not here: the files (`signed_files`)."""

from collections.abc import Mapping, Sequence
from typing import cast

_TEXT = """{title}

How to check it, alone
  You need Python 3.11 or later with the package `cryptography`, nothing else, and no network:

      python verify.py --key KEY

  KEY is the public key of the ledger from your own records, not the one that lies here in vkey.txt: without it the check
  shows that everything here fits together and was signed, but not by whom. A witness's public key can be given the same
  way, with another --key.
  Exit code 0: everything holds. 1: the first fault is named, with what rests on it. verify.py can be read in an hour, and
  marketbot's repository has the same text in two files, auditor.py and auditor_log.py of marketbot_resources.

What lies here
  export.json        what this is: ledger, sessions{order}, size and root of the log, counts
  checkpoint         the newest signed head: origin, number of entries, root, signatures (C2SP tlog-checkpoint)
  checkpoints/       signed heads as the ledger kept them, by number of entries
  anchors/           signed heads as places outside of the installation keep them; ask those places yourself, too
  vkey.txt           the public keys that the log names for itself, newest first
{log}
  index.jsonl        rows of the index of the store, as the log's entries `index_rows` hash them (SHA-256 of each array)
  store/             objects and manifests, named by the SHA-256 of their bytes; store/blobs: bodies as received, gzip
  SHA256SUMS         every file: sha256sum --check SHA256SUMS

How it hangs together
  A signed head stands for every entry of the log. An entry `order_intent` is one order; `batch_frozen` names the orders of
  a session; `decision` names its verdict and the manifest of everything that was decided; a manifest names the object and
  the manifests and bodies that it was made from, down to the bytes as they were received. `versions` names the code and the
  environment that decided. `session_cutoff` is the instant up to which anything was known. `llm_call` names a question to a
  language model and its answer, which lie word for word in the bodies of the asset `llm_answers`.
  Other tools read these files, too: Go's golang.org/x/mod/sumdb (note, tlog), any reader of C2SP logs, sha256sum.

What it does not prove
  That prices and other data were right when they came in. What was never written down. The values inside Parquet files are
  not recomputed by verify.py; the platform does that (`marketbot verify`, `marketbot replay`).
"""
_LOG = {
    "export": "  tile/              the whole log: hashes and bundles of entries (C2SP tlog-tiles)",
    "proof": "  entries/, proofs/  entries of the log, and for each the proof that it is in it (C2SP tlog-proof)",
}


def readme(summary: Mapping[str, object]) -> str:
    """The text for what export.json says."""
    sessions, order = cast("Sequence[str]", summary["sessions"]), summary.get("order")
    span = sessions[0] if len(sessions) == 1 else f"{sessions[0]} to {sessions[-1]}"
    title = f"Proof of order {order} of {span}" if order else f"Audit export of the sessions {span}"
    title += f", ledger {summary['origin']}"
    return _TEXT.format(
        title=f"{title}\n{'=' * len(title)}", order=", order" if order else "", log=_LOG[str(summary["kind"])]
    )
