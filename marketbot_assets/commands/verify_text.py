"""What `verify` found, in lines for people. Not here: finding it (`verify`)."""

from typing import cast

View = dict[str, object]
SHOWN = 12


def verify_lines(view: View) -> list[str]:
    """Whole or not, the first fault, what rests on it, and what protects what."""
    faults = cast("list[View]", view["faults"])
    ledger = cast("View", view["ledger"])
    lines = _line("ledger", f"{ledger['size']} entries, root {ledger['root']}, {ledger['origin']}")
    lines += _line("store", f"{view['objects']} versions, {view['bodies']} bodies as received, each read again")
    lines += _protection(view)
    if not faults:
        return [*lines, *_line("result", "whole: everything is what it was when it was signed")]
    lines += _line("FAULT", f"{faults[0]['code']} {faults[0]['where']}: {faults[0]['message']}")
    for fault in faults[1:SHOWN]:
        lines += _line("", f"{fault['code']} {fault['where']}: {fault['message']}")
    if len(faults) > SHOWN:
        lines += _line("", f"and {len(faults) - SHOWN} more")
    return lines + _downstream(cast("View", view["downstream"]))


def _protection(view: View) -> list[str]:
    lines = []
    source = {
        "signer": "from the signer",
        "given": "as given",
        "ledger": "taken from the ledger itself: give --key to check against your own copy",
    }[str(view["key_source"])]
    keys = cast("list[str]", view["keys"])
    lines += _line("key", f"{keys[0]} ({source})" if keys else "none: nothing was ever signed here")
    after = f"{view['not_signed']} entries after it are not signed yet" if view["not_signed"] else "nothing after it"
    lines += _line("signed", "nothing" if view["signed"] is None else f"up to entry {view['signed']}; {after}")
    anchors = cast("list[View]", view["anchors"])
    for anchor in anchors:
        state = anchor["problem"] or f"holds, {anchor['kept']} heads, the newest of {anchor['size']} entries"
        lines += _line("anchor", f"{anchor['name']}: {state}")
    if not anchors:
        told = "none: whoever has this home, its signer and its key could rewrite all of it unseen"
        return lines + _line("anchor", told)
    return lines + _line("anchored", f"up to entry {view['anchored']}; {view['not_anchored']} entries after it are not")


def _downstream(found: View) -> list[str]:
    lines = []
    entries = cast("View | None", found["entries"])
    if entries:
        lines += _line("rests on it", f"entries {entries['first']} to {entries['last']} cannot be trusted")
    objects, orders = cast("list[str]", found["objects"]), cast("list[str]", found["orders"])
    for label, names in (("objects", objects), ("orders", orders)):
        if names:
            more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
            lines += _line(label, f"{len(names)} rest on it: {', '.join(names[:SHOWN])}{more}")
    return lines


def _line(label: str, value: object) -> list[str]:
    return [f"{label:<12}{value}"]
