"""The tree of evidence and the ledger's entries of an order's dossier, every hash in full. Pure.

The tree is the object that `marketbot explain ORDER --json` prints as `tree`. Not here: the page (`dossier`).
"""

from collections.abc import Mapping, Sequence
from typing import cast

from marketbot_assets.audit.charts import safe
from marketbot_assets.audit.report_evidence import code
from marketbot_assets.audit.report_parts import Markup, joined, section, table, tag

View = Mapping[str, object]
TREE_STYLE = """
.tree,.tree ul{list-style:none;margin:0;padding-left:18px;border-left:1px solid var(--line)}
.tree{padding-left:0;border-left:0}
.tree li{margin:0;padding:3px 0 2px}
.tree b{font-weight:600}
.tree .sign{display:inline-block;width:16px;color:var(--good)}
.tree .sign.down{color:var(--bad)}
.tree .sign.soft{color:var(--soft)}
.tree .row{color:var(--calm);padding-left:16px;font-size:13px}
.tree .hashes{padding-left:16px;color:var(--soft);font-size:12px;line-height:1.45}
.tree .fault{padding-left:16px;color:var(--bad);font-weight:600}
.tree details{margin:0 0 0 16px}
""".strip()
_HASHES = (
    ("leaf_sha256", "leaf"),
    ("batch_sha256", "batch"),
    ("file_sha256", "file"),
    ("content_sha256", "content"),
    ("manifest_sha256", "manifest"),
    ("blob_sha256", "body"),
    ("sha256", "hash"),
    ("ledger_root", "root"),
)
_FOLDED = ("earlier", "bodies")


def tree_section(view: View) -> Markup:
    """The way from the order to the bytes."""
    chain, blobs = cast("Sequence[object]", view["chain"]), cast("Sequence[object]", view["blobs"])
    faults = cast("int", view["faults"])
    state = "all whole" if not faults else f"{faults} not whole"
    lede = (
        f"{len(chain)} objects and {len(blobs)} bodies as received, each read again and hashed when this page was made: "
        f"{state}. Each stands in full once; where it was used again, it is named."
    )
    return section("evidence", "Evidence", lede, Markup(f'<ul class="tree">{_item(cast("View", view["tree"]))}</ul>'))


def _item(node: View) -> Markup:
    members = cast("Sequence[View]", node.get("nodes", ()))
    show = _member if node["kind"] in _FOLDED else _item
    below = Markup(f"<ul>{joined(map(show, members))}</ul>") if members else Markup("")
    if node["kind"] in _FOLDED:
        below = tag("details", tag("summary", f"{node['objects']} with their hashes"), below)
    parts = [_sign(node), tag("b", _name(node)), _small(node)]
    parts += [tag("div", f"{node['fault']}", css="fault")] if node.get("fault") else []
    parts += [tag("div", f"{node['row']}", css="row")] if node.get("row") else []
    return tag("li", *parts, _hashes(node), below, _again(node))


def _member(node: View) -> Markup:
    """One of many of a kind: a line."""
    hashes = " ".join(f"{label} <code>{safe(node[name])}</code>" for name, label in _HASHES if name in node)
    fault = tag("div", node["fault"], css="fault") if node.get("fault") else ""
    name = safe(node.get("partition") or f"{node.get('url', '')} {node.get('fetched_at', '')}")
    return Markup(f'<li class="hashes">{_sign(node)}{name} {hashes}{fault}</li>')


def _sign(node: View) -> Markup:
    if node.get("fault"):
        return tag("span", "✗", css="sign down")
    unchecked = node["kind"] in ("order", "more") or (node["kind"] == "fact" and not node.get("row"))
    return tag("span", "·" if unchecked else "✓", css="sign soft" if unchecked else "sign")


def _name(node: View) -> str:
    if node["kind"] == "earlier":
        first, last = node["first_partition"], node["last_partition"]
        span = f"{first} .. {last}" if first != last else f"{first}"
        return f"{node['name']} of earlier sessions, {span}"
    return str(node["name"])


def _small(node: View) -> Markup:
    """What is known beside the hashes."""
    told = []
    if "entry" in node:
        told.append(f"entry {node['entry']}")
    if "rows" in node:
        told.append(f"{node['rows']} row{'' if node['rows'] == 1 else 's'}, code {node['code_version']}")
    if "provider" in node:
        told.append(f"{node['bytes']:,} bytes from {node['provider']}, received {node['fetched_at']}, {node['url']}")
    if "ledger_size" in node:
        told.append(f"ledger of {node['ledger_size']} entries")
    return tag("span", " ", ", ".join(told), css="soft") if told else Markup("")


def _hashes(node: View) -> Markup:
    """The node's own hashes; a folded node has those of its members only."""
    found = [(label, node[name]) for name, label in _HASHES if name in node]
    lines = joined((joined([label, " ", code(digest)]) for label, digest in found), "<br>")
    return tag("div", lines, css="hashes") if found else Markup("")


def _again(node: View) -> Markup:
    names = cast("Sequence[str]", node.get("again", ()))
    return tag("div", f"used again, see above: {', '.join(names)}", css="hashes") if names else Markup("")


def ledger_section(view: View) -> Markup:
    """The ledger's entries about the order, and the head under which they were read."""
    ledger = cast("View", view["ledger"])
    rows = [_entry("intent", ledger["intent"]), _entry("frozen batch", ledger["batch"])]
    rows.append(_entry("decision", ledger["decision"]))
    rows += [_entry(f"event: {event['state']}", event) for event in cast("Sequence[View]", ledger["events"])]
    rows += [_entry("final", ledger["final"])] if ledger["final"] else []
    decision, verdict = cast("View", ledger["decision"]), cast("View", view["verdict"])
    others = [
        ("root of the ledger", f"{ledger['size']} entries", code(ledger["root"])),
        ("decision record", "hash over all its rows", code(decision["record_sha256"])),
        ("mandate", "canonical JSON", code(verdict["mandate_sha256"])),
        ("batch that was judged", f"in {verdict['rounds']} round(s)", code(verdict["batch_seen_sha256"])),
        ("batch that was approved", "its orders, sorted by id", code(verdict["batch_approved_sha256"])),
    ]
    versions = cast("View", decision["versions"] or {})
    others += [(name, "version that the decision names", code(versions[name])) for name in sorted(versions)]
    lede = "Entries are counted from 0; an entry's leaf hash covers its kind, its key and its whole body (RFC 6962, RFC 8785)."
    entries = table(("what<", "entry>", "leaf hash"), rows, caption="Entries")
    return section("ledger", "Ledger", lede, entries, table(("what<", "of<", "hash"), others, caption="Hashes"))


def _entry(name: str, entry: object) -> tuple[object, ...]:
    if not entry:
        return (name, "none", "")
    found = cast("View", entry)
    return (name, found["seq"], code(found["hash"]))
