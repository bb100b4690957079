"""A seeded mutator of provider bodies: what a vendor, a proxy or an attacker may make of a good body.

`mutated(content, rng)` gives (name of the mutation, bytes). JSON bodies are taken apart and put together again; everything else
is treated as lines of text, or as bytes. The same seed gives the same bytes. Not here: what a parser must do with them.
"""

import copy
import gzip
import json
import random
from collections.abc import Callable, Iterator

Path = tuple[str | int, ...]
HTML = b"<!DOCTYPE html><html><head><title>Attention Required</title></head><body><h1>Are you human?</h1></body></html>"
WORDS = (
    b"Exceeded the daily hits limit",
    b"No data",
    b"",
    b"null",
    b"[]",
    b"{}",
    b'""',
    b"0",
    b"true",
    b'{"detail":"You have run over your hourly request allocation."}',
    b'{"Information":"our standard API rate limit is 25 requests per day"}',
    b'{"code":42910000,"message":"rate limit exceeded"}',
)
TEXTS = (
    "",
    "\ud800",
    "\u202egnp.exe",
    "\x00",
    "x" * 100_000,
    "NaN",
    "-",
    "1e999",
    "1,234.5",
    "\u0661\u0662",
    "<b>1</b>",
    ".",
)
NUMBERS = (0, -1, 1e300, -1e300, 10**400, 1e-320, -0.0, 2**63, 9.999999999e18, 0.1)
FOREIGN = ("EUR", "GBp", "XXX", "ZZZQ", "BTC-USD", "1999-13-45", "2999-01-01", "1970-01-01T00:00:00Z", 4e9, -4e12)


def mutated(content: bytes, rng: random.Random) -> tuple[str, bytes]:
    """One mutation of a body, chosen by `rng`."""
    tree = _tree(content)
    choices: list[Callable[[], bytes]] = [
        lambda: content[: rng.randrange(len(content) + 1)],
        lambda: HTML + content[:100],
        lambda: rng.choice(WORDS),
        lambda: gzip.compress(content, mtime=0),
        lambda: content[: len(content) // 2] + rng.randbytes(8) + content[len(content) // 2 :],
        lambda: _flipped(content, rng),
        lambda: content + content,
        lambda: b"\xef\xbb\xbf" + content,
        lambda: content.decode("utf-8", "replace").encode("utf-16"),
    ]
    names = ["truncated", "html", "words", "gzip", "bytes_inserted", "byte_flipped", "doubled", "bom", "utf16"]
    changes = _JSON if tree is not None else _LINES
    if rng.random() < len(choices) / (len(choices) + 4 * len(changes)):
        at = rng.randrange(len(choices))
        return names[at], choices[at]()
    name, change = changes[rng.randrange(len(changes))]
    return name, change(tree[0] if tree is not None else content, rng)


def mutations(content: bytes, seed: int, count: int) -> Iterator[tuple[str, bytes]]:
    """`count` mutations; every third is mutated twice."""
    rng = random.Random(seed)
    for n in range(count):
        name, body = mutated(content, rng)
        if n % 3 == 2:
            again, body = mutated(body, rng)
            name = f"{name}+{again}"
        yield name, body


def _tree(content: bytes) -> list | None:
    """The JSON value in a list, None when the body is no JSON container."""
    if content[:1] not in (b"{", b"["):
        return None
    try:
        return [json.loads(content)]
    except (ValueError, RecursionError):
        return None


def _flipped(content: bytes, rng: random.Random) -> bytes:
    if not content:
        return b"\xff"
    at = rng.randrange(len(content))
    return content[:at] + bytes([content[at] ^ (1 << rng.randrange(8))]) + content[at + 1 :]


def _paths(value: object, want: Callable[[object], bool], here: Path = ()) -> Iterator[Path]:
    if want(value):
        yield here
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from _paths(inner, want, (*here, key))


def _get(tree: object, path: Path) -> object:
    for key in path:
        tree = tree[key]
    return tree


def _bytes(tree: object) -> bytes:
    return json.dumps(tree).encode()


def _put(tree: object, path: Path, value: object) -> object:
    if not path:
        return value
    parent = _get(tree, path[:-1])
    parent[path[-1]] = value
    return tree


def _change(
    tree: object, rng: random.Random, want: Callable[[object], bool], change: Callable[[object], object]
) -> bytes:
    """The tree with one value, chosen among those that are wanted, changed; as it is when there is none."""
    tree = copy.deepcopy(tree)
    found = list(_paths(tree, want))
    if not found:
        return _bytes(tree)
    path = rng.choice(found)
    return _bytes(_put(tree, path, change(_get(tree, path))))


def _is_dict(value: object) -> bool:
    return isinstance(value, dict) and bool(value)


def _is_list(value: object) -> bool:
    return isinstance(value, list) and bool(value)


def _is_leaf(value: object) -> bool:
    return not isinstance(value, dict | list)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _dropped(tree: object, rng: random.Random) -> bytes:
    return _change(tree, rng, _is_dict, lambda d: {k: d[k] for k in list(d) if k != rng.choice(list(d))})


def _one_dropped(tree: object, rng: random.Random) -> bytes:
    def change(found: dict) -> dict:
        gone = rng.choice(list(found))
        return {key: value for key, value in found.items() if key != gone}

    return _change(tree, rng, _is_dict, change)


def _renamed(tree: object, rng: random.Random) -> bytes:
    def change(found: dict) -> dict:
        old = rng.choice(list(found))
        new = rng.choice((old + "_v2", old.upper(), old.lower(), old[::-1], "", "__proto__"))
        return {new if key == old else key: value for key, value in found.items()}

    return _change(tree, rng, _is_dict, change)


def _key_twice(tree: object, rng: random.Random) -> bytes:
    found = [path for path in _paths(tree, _is_dict)]
    if not found:
        return _bytes(tree)
    inner = _get(tree, rng.choice(found))
    key = rng.choice(list(inner))
    once, twice = f"{json.dumps(key)}: ", f"{json.dumps(key)}: {json.dumps(rng.choice(NUMBERS[:3]))}, "
    return _bytes(tree).replace(once.encode(), (twice + once).encode(), 1)


def _literal(tree: object, rng: random.Random) -> bytes:
    """NaN, Infinity, numbers beyond any float, long integers, written as JSON would not allow."""
    mark = "@@literal@@"
    body = _change(tree, rng, _is_leaf, lambda _: mark)
    wild = rng.choice(
        (b"NaN", b"Infinity", b"-Infinity", b"1e999", b"-1e999", b"9" * 5000, b"01", b"1.", b"+1", b"'1'")
    )
    return body.replace(json.dumps(mark).encode(), wild, 1)


def _nested(tree: object, rng: random.Random) -> bytes:
    mark = "@@nested@@"
    body = _change(tree, rng, _is_leaf, lambda _: mark)
    depth = rng.choice((3, 100, 100_000))
    opening, closing = rng.choice(((b"[", b"]"), (b'{"a":', b"}")))
    return body.replace(json.dumps(mark).encode(), opening * depth + b"1" + closing * depth, 1)


def _list_cut(tree: object, rng: random.Random) -> bytes:
    return _change(tree, rng, _is_list, lambda found: found[: rng.randrange(len(found))])


def _list_longer(tree: object, rng: random.Random) -> bytes:
    return _change(tree, rng, _is_list, lambda found: [*found, *found[: 1 + rng.randrange(len(found))]])


def _list_shuffled(tree: object, rng: random.Random) -> bytes:
    return _change(tree, rng, _is_list, lambda found: rng.sample(found, len(found)))


def _siblings_swapped(tree: object, rng: random.Random) -> bytes:
    def change(found: dict) -> dict:
        keys = list(found)
        moved = rng.sample(keys, len(keys))
        return {key: found[other] for key, other in zip(keys, moved, strict=True)}

    return _change(tree, rng, _is_dict, change)


_JSON: tuple[tuple[str, Callable[[object, random.Random], bytes]], ...] = (
    ("key_dropped", _one_dropped),
    ("keys_dropped", _dropped),
    ("key_renamed", _renamed),
    ("key_twice", _key_twice),
    ("number_to_text", lambda t, r: _change(t, r, _is_number, str)),
    ("text_for_value", lambda t, r: _change(t, r, _is_leaf, lambda _: r.choice(TEXTS))),
    ("null", lambda t, r: _change(t, r, _is_leaf, lambda _: None)),
    ("null_container", lambda t, r: _change(t, r, lambda v: not _is_leaf(v), lambda _: None)),
    ("number", lambda t, r: _change(t, r, _is_number, lambda _: r.choice(NUMBERS))),
    ("scaled", lambda t, r: _change(t, r, _is_number, lambda v: v * r.choice((100, 0.01, -1, 1e9)))),
    ("foreign", lambda t, r: _change(t, r, _is_leaf, lambda _: r.choice(FOREIGN))),
    ("flag", lambda t, r: _change(t, r, _is_leaf, lambda _: r.random() < 0.5)),
    ("container", lambda t, r: _change(t, r, _is_leaf, lambda v: r.choice(([v], {"value": v}, [], {})))),
    ("literal", _literal),
    ("nested", _nested),
    ("list_cut", _list_cut),
    ("list_longer", _list_longer),
    ("list_shuffled", _list_shuffled),
    ("siblings_swapped", _siblings_swapped),
)


def _lines(content: bytes) -> list[bytes]:
    return content.split(b"\n")


def _on_line(content: bytes, rng: random.Random, change: Callable[[bytes], bytes]) -> bytes:
    lines = _lines(content)
    at = rng.randrange(len(lines))
    return b"\n".join([*lines[:at], change(lines[at]), *lines[at + 1 :]])


def _cell(content: bytes, rng: random.Random) -> bytes:
    wild = [text.encode("utf-8", "surrogatepass") for text in TEXTS] + [
        b"NaN",
        b"inf",
        b"1e999",
        b'"',
        b"9" * 400,
        b"-5",
        b"0",
    ]

    def change(line: bytes) -> bytes:
        cells = line.split(b",")
        cells[rng.randrange(len(cells))] = rng.choice(wild)
        return b",".join(cells)

    return _on_line(content, rng, change)


_LINES: tuple[tuple[str, Callable[[bytes, random.Random], bytes]], ...] = (
    ("cell", _cell),
    ("cell_again", _cell),
    ("line_twice", lambda c, r: _on_line(c, r, lambda line: line + b"\n" + line)),
    ("line_gone", lambda c, r: _on_line(c, r, lambda _: b"")),
    ("line_longer", lambda c, r: _on_line(c, r, lambda line: line + b",1")),
    ("line_shorter", lambda c, r: _on_line(c, r, lambda line: line.rpartition(b",")[0])),
    ("line_html", lambda c, r: _on_line(c, r, lambda _: HTML)),
    ("semicolons", lambda c, _: c.replace(b",", b";")),
    ("returns", lambda c, _: c.replace(b"\n", b"\r")),
    ("lines_reversed", lambda c, _: b"\n".join(reversed(_lines(c)))),
    ("lines_shuffled", lambda c, r: b"\n".join(r.sample(_lines(c), len(_lines(c))))),
    (
        "columns_swapped",
        lambda c, _: c.replace(b"Open,High", b"High,Open").replace(b"ticker,exchange", b"exchange,ticker"),
    ),
)
