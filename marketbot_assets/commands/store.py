"""Where the store's objects lie, whether index and objects know of each other, and how they move: `store`.

`verify` hashes every byte; here only names and sizes are compared, which costs one request per thousand objects.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from marketbot_assets.commands.home import existing_lake
from marketbot_resources import settings
from marketbot_resources.errors import UsageError

if TYPE_CHECKING:
    from marketbot_resources.store.port import Objects

View = dict[str, object]
MANIFESTS, BODIES, IMPORTS, TABLES = "manifests", "bodies", "imports", "objects"
KINDS = {"manifests": MANIFESTS, "blobs": BODIES, "imports": IMPORTS}
SHOWN_MAX = 20


def store_status() -> View:
    """Where the objects of the home lie, how many of each kind, how large they are and what of them is kept near."""
    from marketbot_resources.store.s3_objects import S3Objects

    objects = existing_lake().objects
    counts, sizes = dict.fromkeys((TABLES, MANIFESTS, BODIES, IMPORTS), 0), 0
    for key, size in objects.listing():
        counts[KINDS.get(key.partition("/")[0], TABLES)] += 1
        sizes += size
    cache: View | None = None
    if isinstance(objects, S3Objects) and objects.cache is not None:
        copies, held = objects.cache.size()
        folder = str(objects.cache.folder)
        cache = {"folder": folder, "copies": copies, "bytes": held, "bytes_max": objects.cache.bytes_max}
    return {"place": objects.name, "counts": counts, "bytes": sizes, "cache": cache, "home": str(settings.home())}


def store_status_lines(view: View) -> list[str]:
    """The same for people."""
    counts, cache = view["counts"], view["cache"]
    assert isinstance(counts, Mapping)
    lines = [f"place    {view['place']}"]
    lines += [f"{name:<9}{count}" for name, count in counts.items()]
    lines.append(f"bytes    {view['bytes']:,}")
    if isinstance(cache, Mapping):
        lines.append(
            f"cache    {cache['copies']} copies, {cache['bytes']:,} of {cache['bytes_max']:,} bytes in {cache['folder']}"
        )
    return lines


def fsck() -> View:
    """Objects that nothing names, and names without an object."""
    from marketbot_resources.store.inspection import named

    lake = existing_lake()
    names, held = named(lake), {key for key, _ in lake.objects.at_source().listing()}
    missing, unnamed = sorted(names - held), sorted(held - names)
    return {
        "fine": not missing,
        "place": lake.objects.name,
        "named": len(names),
        "held": len(held),
        "missing": missing,
        "unreferenced": unnamed,
    }


def fsck_lines(view: View) -> list[str]:
    """The same for people."""
    lines = [
        f"{view['place']}: {view['held']} objects, {view['named']} of them expected by index, decisions and imports"
    ]
    lines += _few("missing", view["missing"])
    lines += _few("unreferenced", view["unreferenced"])
    if view["missing"]:
        lines.append("something is gone: `marketbot verify` says what rests on it; docs/store.md how to bring it back")
    elif view["unreferenced"]:
        lines.append("an unreferenced object is what an interrupted run leaves; it does no harm and nothing deletes it")
    else:
        lines.append("index and objects know of each other; `marketbot verify` hashes them, too")
    return lines


def _few(name: str, keys: object) -> list[str]:
    assert isinstance(keys, Sequence)
    more = [f"{name}: {len(keys) - SHOWN_MAX} more"] if len(keys) > SHOWN_MAX else []
    return [f"{name}: {key}" for key in keys[:SHOWN_MAX]] + more


def copy_to(address: str) -> View:
    """Copies every object of the home to a bucket (s3://bucket/prefix) or to the home's own folder (home)."""
    from marketbot_resources.store.moving import copy

    lake = existing_lake()
    target = _target(address)
    if target.name == lake.objects.name:
        raise UsageError(f"--to: expected another place than {target.name}, where the objects lie already")
    found = copy(lake.objects, target)
    lacking = sorted(_names(lake.objects) - _names(target))
    return {
        "fine": not found.faults and not lacking,
        "source": lake.objects.name,
        "target": target.name,
        "copied": found.objects,
        "bytes": found.bytes,
        "already_there": found.there,
        "unnamed": list(found.unnamed),
        "faults": list(found.faults),
        "lacking": [key for key in lacking if key not in found.unnamed],
    }


def _target(address: str) -> "Objects":
    from marketbot_resources.store.objects import LocalObjects
    from marketbot_resources.store.opening import FOLDER, open_place

    if address == "home":
        return LocalObjects(settings.home() / FOLDER)
    return open_place(address, settings.home()).at_source()


def _names(objects: "Objects") -> set[str]:
    return {key for key, _ in objects.at_source().listing()}


def copy_lines(view: View) -> list[str]:
    """The same for people."""
    lines = [f"{view['copied']} objects, {view['bytes']:,} bytes copied from {view['source']} to {view['target']}"]
    lines.append(f"{view['already_there']} were there already")
    lines += _few("not copied, its name is no hash", view["unnamed"])
    lines += _few("not copied", view["faults"])
    if view["fine"]:
        where = str(view["target"])
        use = f"export MARKETBOT_STORE={where}" if where.startswith("s3://") else "unset MARKETBOT_STORE"
        lines.append(f"every object is there; to use them: {use}, then `marketbot verify`")
    else:
        lines.append("not every object is there; the same command goes on where it stands")
    return lines
