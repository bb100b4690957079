"""The tree of evidence as lines for a terminal, at most 120 columns wide; hashes are cut, the dossier has them in full.

Not here: the tree itself (`evidence_tree`).
"""

import textwrap
from collections.abc import Callable, Mapping
from typing import cast

from marketbot_assets.commands.evidence_tree import BODIES, BODY, EARLIER, ENTRY, FACT, MORE, OBJECT, ORDER

View = dict[str, object]
WIDTH, DIGITS = 120, 12
GOOD, BAD, NEITHER = "✓", "✗", "·"
FOLDED = (EARLIER, BODIES)


def tree_lines(node: View) -> list[str]:
    """The node and everything below it. A tick: read again and whole; a cross: what does not hold stands below it."""
    return [_cut(f"{mark(node)} {_told(node)}"), *_below(node, "")]


def mark(node: View) -> str:
    """Tick, cross, or a dot for what has nothing to hash."""
    if node.get("fault"):
        return BAD
    unchecked = node["kind"] in (ORDER, MORE) or (node["kind"] == FACT and not node.get("row"))
    return NEITHER if unchecked else GOOD


def _below(node: View, indent: str) -> list[str]:
    nodes = [] if node["kind"] in FOLDED else cast("list[View]", node.get("nodes", []))
    again = see_above(node)
    guide = indent + ("│ " if nodes or again else "  ")
    lines = _wrapped(str(node.get("fault", "")), guide, guide)
    lines += _wrapped(str(node.get("row", "")), guide, guide)
    for place, child in enumerate(nodes):
        last = place == len(nodes) - 1 and not again
        lines.append(_cut(f"{indent}{'└' if last else '├'} {mark(child)} {_told(child)}"))
        lines += _below(child, indent + ("  " if last else "│ "))
    return lines + _wrapped(again, f"{indent}└ ", f"{indent}  ")


def see_above(node: View) -> str:
    """What else a node used that stands above in full: the nearest by name, what stands behind these as a number."""
    again, nearest = (cast("list[str]", node.get(name, [])) for name in ("again", "nearest"))
    if not again:
        return ""
    more = len(again) - len(nearest)
    told = [*nearest, *([f"{more} of what stands behind {'it' if len(nearest) == 1 else 'these'}"] if more else [])]
    return f"see above: {', '.join(told)}"


def _told(node: View) -> str:
    return _TOLD[str(node["kind"])](node)


def _object(node: View) -> str:
    hashes = f"file {_short(node['file_sha256'])} content {_short(node['content_sha256'])}"
    return f"{node['name']}  {hashes}  {node['rows']} row{'' if node['rows'] == 1 else 's'}"


def _entry(node: View) -> str:
    if "entry" not in node:
        return str(node["name"])
    batch = f"  batch {_short(node['batch_sha256'])}" if "batch_sha256" in node else ""
    return f"{node['name']}  entry {node['entry']}, leaf {_short(node['leaf_sha256'])}{batch}"


def _earlier(node: View) -> str:
    first, last = node["first_partition"], node["last_partition"]
    if node["objects"] == 1:
        return f"{node['name']} {first}, of an earlier session  file {_short(node['first_file_sha256'])}"
    told = f"{node['name']}: {node['objects']} earlier sessions {first} .. {last}"
    return f"{told}, file {_short(node['first_file_sha256'])} .. {_short(node['last_file_sha256'])}"


def _body(node: View) -> str:
    told = f"body {_short(node['blob_sha256'])}"
    if "provider" not in node:
        return told
    url, provider = str(node["url"]), str(node["provider"])
    source = url if url.startswith(provider) else f"{provider} {url}"
    return f"{told}  {node['bytes']:,} bytes received {node['fetched_at']} from {source}"


def _bodies(node: View) -> str:
    return (
        f"{node['objects']} {node['name']}  {_short(node['first_blob_sha256'])} .. {_short(node['last_blob_sha256'])}"
    )


_TOLD: Mapping[str, Callable[[View], str]] = {
    ORDER: lambda node: f"{node['name']}  ledger of {node['ledger_size']} entries, root {_short(node['ledger_root'])}",
    ENTRY: _entry,
    OBJECT: _object,
    EARLIER: _earlier,
    BODY: _body,
    BODIES: _bodies,
    FACT: lambda node: f"{node['name']}  {_short(node['sha256'])}",
    MORE: lambda node: str(node["name"]),
}


def _short(digest: object) -> str:
    return str(digest)[:DIGITS]


def _cut(line: str) -> str:
    return line if len(line) <= WIDTH else line[: WIDTH - 1] + "…"


def _wrapped(text: str, first: str, more: str) -> list[str]:
    """The text after `first`, its further lines after `more`."""
    return textwrap.wrap(text, WIDTH, initial_indent=first, subsequent_indent=more) if text else []
