"""Declared features of blocks of instruments as tasks: on this process, on processes of this machine or on a Dask cluster.

A task gets the paths and hashes of its block's input columns and gives back the newest session's values and the state, as bytes;
the columns are bodies that are mapped (`features.column_file`), so no process holds the inputs of other blocks. On a cluster the
folder of the bodies must be one that every node sees. Not here: which inputs (`declared_features`), the work (`features.engine`).
"""

import mmap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from marketbot_resources.errors import StoreError
from marketbot_resources.ledger.record import Json
from marketbot_resources.parallel import Pool

if TYPE_CHECKING:
    from marketbot_assets.features.column_file import Numbers
    from marketbot_assets.features.plan import Plan
    from marketbot_assets.normalization.window import Floats

_LENGTH, _DIGEST = 8, 32


def plan_with(stamp: str) -> "Plan":
    """The plan of the declared features over inputs of one version."""
    from marketbot_assets.features.catalogue import declared_plan
    from marketbot_assets.features.declaration import INPUTS

    return declared_plan(dict.fromkeys(INPUTS, stamp))


def keep_columns(folder: Path, given: "Mapping[str, Floats]", made_from: Sequence[str]) -> dict[str, str]:
    """Writes a block's inputs as column bodies; input -> its body's hash, which is its name."""
    from marketbot_assets.features import column_file

    found = {}
    for name, values in sorted(given.items()):
        body = column_file.encode(values, [name, *made_from])
        found[name] = body[-_DIGEST:].hex()
        (folder / found[name]).write_bytes(body)
    return found


@dataclass(frozen=True, slots=True)
class Told:
    """What is the same for all blocks. `made_from`: what the columns were made from; `number`: absolute number of the first
    session; `stamp`: version of the code behind the inputs.
    """

    made_from: Sequence[str]
    number: int
    stamp: str


def task_of(folder: Path, columns: Mapping[str, str], instruments: Sequence[str], told: Told) -> Json:
    """The argument of `build_block`."""
    return {
        "folder": str(folder.resolve()),
        "columns": dict(columns),
        "instruments": list(instruments),
        "made_from": list(told.made_from),
        "number": told.number,
        "stamp": told.stamp,
    }


def build_block(argument: Json) -> bytes:
    """The newest session's own matrices and the state of one block. Raises StoreError for a column that is not what it was."""
    from marketbot_assets.features import column_file, state_file
    from marketbot_assets.features.wide_features import build_newest

    told = cast("dict[str, Json]", argument)
    folder, made_from = Path(str(told["folder"])), cast("list[str]", told["made_from"])
    columns = cast("dict[str, str]", told["columns"])
    given = {name: _mapped(folder / digest, digest, [name, *made_from]) for name, digest in sorted(columns.items())}
    plan, names = plan_with(str(told["stamp"])), tuple(cast("list[str]", told["instruments"]))
    own, state = build_newest(plan, cast("dict[str, Floats]", given), int(str(told["number"])))
    values = column_file.encode(own, made_from)
    return len(values).to_bytes(_LENGTH, "little") + values + state_file.encode(state, names)


def _mapped(path: Path, digest: str, made_from: Sequence[str]) -> "Numbers":
    from marketbot_assets.features.column_file import decode

    try:
        with path.open("rb") as file:
            body = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except (OSError, ValueError) as error:
        raise StoreError(
            f"column {digest[:12]}: expected it in a folder that every worker sees, found: {error}"
        ) from error
    if bytes(body[-_DIGEST:]).hex() != digest:
        raise StoreError(f"column {digest[:12]}: expected the body of this hash, found another one")
    return decode(body, made_from)


def built(pool: Pool, tasks: Sequence[Json], made_from: Sequence[str]) -> "Iterator[tuple[Floats, bytes]]":
    """(own matrices (k, n) of the newest session, body of the state) of each block, in order. Raises WorkError as the pool."""
    for reply in pool.results(build_block, tasks):
        assert isinstance(reply, bytes), "a block answers with bytes"
        yield answer_of(reply, made_from)


def answer_of(reply: bytes, made_from: Sequence[str]) -> "tuple[Floats, bytes]":
    """What `build_block` answers: (own matrices, body of the state)."""
    from marketbot_assets.features import column_file

    end = _LENGTH + int.from_bytes(reply[:_LENGTH], "little")
    return column_file.decode(memoryview(reply)[_LENGTH:end], made_from).astype(float), reply[end:]
