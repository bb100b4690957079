"""Large frames and arrays of a run lie in unnamed files of the home instead of in memory: equal values, paged in when touched.

A file has no name and is gone with the process. Its pages are clean, so the system drops them when memory is short, also
without swap. Where no file can be written the values stay in memory. `rest` gives back what a finished step leaves behind.
Not here: what is stored for good (`objects`), how much is kept in memory (`lake`).
"""

import ctypes
import dataclasses
import functools
import mmap
import os
import sys
import tempfile
import weakref
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from numpy.typing import NDArray

P = ParamSpec("P")
T = TypeVar("T")
FRAME_BYTES, ARRAY_BYTES = 4 << 20, 1 << 18  # what is smaller stays in memory
_ALIGNED = 64
_FOLDERS: list[Path] = []
_MAPS: "weakref.WeakValueDictionary[int, mmap.mmap]" = weakref.WeakValueDictionary()
_SPILLED: "weakref.WeakValueDictionary[int, pd.DataFrame]" = weakref.WeakValueDictionary()


def lie_in(folder: Path) -> None:
    """Names the folder of the files of this process: that of the home opened last."""
    _FOLDERS[:] = [folder]


def held(frame: "pd.DataFrame") -> int:
    """Bytes of memory of a frame; none of one that lies in a file."""
    return 0 if _SPILLED.get(id(frame)) is frame else _bytes(frame)


def joined(frames: "Sequence[pd.DataFrame]") -> "pd.DataFrame":
    """The rows of frames with the same columns, one below the other; in a file when they are many."""
    import pandas as pd

    def whole(name: str) -> "pd.Series":
        return pd.concat([frame[name] for frame in frames], ignore_index=True)

    return _made(frames[0].columns, whole, sum(map(_bytes, frames)))


def in_order(frames: "Sequence[pd.DataFrame]", key: Sequence[str]) -> "pd.DataFrame":
    """The rows of frames with the same columns by a key without nulls, equal keys as they come."""
    import numpy as np
    import pandas as pd

    def whole(name: str) -> "pd.Series":
        return pd.concat([frame[name] for frame in frames], ignore_index=True)

    order = np.lexsort([pd.factorize(whole(name), sort=True)[0] for name in reversed(key)])
    return _made(
        frames[0].columns, lambda name: whole(name).take(order).reset_index(drop=True), sum(map(_bytes, frames))
    )


def frame_of(table: "pa.Table") -> "pd.DataFrame":
    """A stored table as a frame, as `content.to_frame` gives it; in a file when it is large."""
    from marketbot_resources.store.content import to_frame

    if table.nbytes < FRAME_BYTES:
        return to_frame(table)
    return spilled(table.column_names, lambda name: to_frame(table.select([name]))[name])


def parquet_frame(data: bytes) -> "pd.DataFrame":
    """The frame in Parquet bytes; a large one is read column by column into a file."""
    import pyarrow as pa
    from pyarrow import parquet

    from marketbot_resources.store.content import decode, to_frame

    if len(data) < FRAME_BYTES // 4:  # Parquet is compressed
        return to_frame(decode(data, None))
    file = parquet.ParquetFile(pa.BufferReader(data))
    return spilled(file.schema_arrow.names, lambda name: to_frame(file.read(columns=[name], use_threads=False))[name])


def _bytes(frame: "pd.DataFrame") -> int:
    return int(frame.memory_usage(deep=False).sum())


def _made(names: Iterable[str], column: "Callable[[str], pd.Series]", size: int) -> "pd.DataFrame":
    import pandas as pd

    return spilled(names, column) if size >= FRAME_BYTES else pd.DataFrame({name: column(name) for name in names})


def spilled(names: Iterable[str], column: "Callable[[str], pd.Series]") -> "pd.DataFrame":
    """A frame of columns that are made one after another, so that memory holds one of them at a time."""
    import pandas as pd

    sheet, found = _Sheet(), []
    for name in names:
        found.append((name, sheet.column(column(name))))
        rest()
    frame = pd.DataFrame({name: sheet.series(name, place) for name, place in found}, copy=False)
    if sheet.is_mapped:
        _SPILLED[id(frame)] = frame
    return frame


def kept(value: T) -> T:
    """The value with its large arrays in a file: an array, or a dataclass that holds arrays."""
    arrays: dict[int, NDArray] = {}
    _collect(value, arrays)
    if not arrays:
        return value
    sheet = _Sheet()
    places = {key: sheet.array(array) for key, array in arrays.items()}
    found = {key: sheet.mapped(arrays[key], place) for key, place in places.items()}
    return _replaced(value, found)


def kept_bytes(data: bytes) -> "bytes | memoryview":
    """The bytes in a file when they are many."""
    sheet = _Sheet()
    place = sheet.blob(data) if len(data) >= FRAME_BYTES else None
    return data if place is None else sheet.view(place)


def kept_table(table: "pa.Table") -> "pa.Table":
    """The table in a file when it is large."""
    if table.nbytes < FRAME_BYTES:
        return table
    sheet = _Sheet()
    place = sheet.place(table.combine_chunks())
    return sheet.table(place) if isinstance(place, tuple) else place


def side_by_side(names: Sequence[str], column: "Callable[[str], pa.Table]") -> "pa.Table":
    """Tables of one column each, made one after another, as one table; large ones lie in a file."""
    import pyarrow as pa

    sheet, found = _Sheet(), []
    for name in names:
        made = column(name)
        found.append(sheet.place(made) if made.nbytes >= ARRAY_BYTES else made)
        _let_go()
    parts = [sheet.table(one) if isinstance(one, tuple) else one for one in found]
    return pa.table([part[0] for part in parts], schema=pa.schema([part.schema[0] for part in parts]))


def rest() -> None:
    """Gives back to the system: pages of the files, and what the allocators hold free. Call it when a step has ended."""
    _let_go()
    arrow = sys.modules.get("pyarrow")
    if arrow is not None:
        arrow.default_memory_pool().release_unused()
    trim = _malloc_trim()
    if trim is not None:
        trim(0)


def resting(function: Callable[P, T]) -> Callable[P, T]:
    """Decorator: `rest` when the function has ended, one way or the other."""

    @functools.wraps(function)
    def rested(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return function(*args, **kwargs)
        finally:
            rest()

    return rested


def _let_go() -> None:
    """Pages of the files leave the process; the system keeps them as long as it has room."""
    for mapped in list(_MAPS.values()):
        mapped.madvise(mmap.MADV_DONTNEED)


@functools.lru_cache(maxsize=1)
def _malloc_trim() -> "Callable[[int], int] | None":
    """glibc's; other systems' allocators have none."""
    return getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None


def _collect(value: object, found: "dict[int, NDArray]") -> None:
    import numpy as np

    if isinstance(value, np.ndarray):
        plain = value.dtype.kind in "fiub" and (value.flags.c_contiguous or value.flags.f_contiguous)
        if plain and value.nbytes >= ARRAY_BYTES:
            found[id(value)] = value
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            _collect(getattr(value, field.name), found)


def _replaced(value: T, found: "dict[int, NDArray]") -> T:
    if id(value) in found:
        return found[id(value)]  # type: ignore[return-value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = [field.name for field in dataclasses.fields(value) if field.init]
        new = {name: _replaced(getattr(value, name), found) for name in fields}
        changed = {name: one for name, one in new.items() if one is not getattr(value, name)}
        return dataclasses.replace(value, **changed) if changed else value  # type: ignore[type-var]
    return value


class _Sheet:
    """One file that is written first and mapped then. What cannot be written, or not read back as it was, stays as it is."""

    def __init__(self) -> None:
        self._file: _Unbuffered | None = None
        self._map: mmap.mmap | None = None

    @property
    def is_mapped(self) -> bool:
        """Whether something lies in the file."""
        return self._map is not None

    def column(self, series: "pd.Series") -> "tuple[int, int, object] | pd.Series":
        """Where a column lies: begin, end and type; the column itself when it stays in memory."""
        import pyarrow as pa

        if series.dtype == object:
            return series
        values = pa.array(series.to_numpy(), from_pandas=False) if series.dtype.kind == "f" else pa.array(series)
        if isinstance(values, pa.ChunkedArray):
            values = values.combine_chunks()
        place = self.place(pa.table({str(series.name): values}))
        return (*place, series.dtype) if isinstance(place, tuple) else series

    def place(self, table: "pa.Table") -> "tuple[int, int] | pa.Table":
        """Where a table lies, begin and end; the table itself when it stays in memory."""
        return self._write(lambda file: _stream(table, file)) or table

    def table(self, place: tuple[int, int]) -> "pa.Table":
        """The table that lies there, without a copy."""
        import pyarrow as pa

        begin, end = place
        return pa.ipc.open_stream(pa.py_buffer(self._mapped()).slice(begin, end - begin)).read_all()

    def blob(self, data: bytes) -> tuple[int, int] | None:
        """Where bytes lie; None when they stay in memory."""
        return self._write(lambda file: file.write(data))

    def view(self, place: tuple[int, int]) -> memoryview:
        """The bytes that lie there."""
        return memoryview(self._mapped())[slice(*place)]

    def array(self, values: "NDArray") -> "tuple[int, int] | None":
        """Where an array lies; None when it stays in memory."""
        data = values if values.flags.c_contiguous else values.T
        return self._write(lambda file: file.write(data.data.cast("B")))

    def series(self, name: str, place: "tuple[int, int, object] | pd.Series") -> "pd.Series":
        """The column that lies there. Read back by Arrow without a copy, where pandas can do without one."""
        if not isinstance(place, tuple):
            return place
        begin, end, dtype = place
        series = (
            self.table((begin, end)).to_pandas(split_blocks=True, date_as_object=False, use_threads=False).iloc[:, 0]
        )
        series = series if series.dtype == dtype else series.astype(dtype)
        return series.rename(name)

    def mapped(self, values: "NDArray", place: "tuple[int, int] | None") -> "NDArray":
        """The array that lies there, in the order of the one given."""
        import numpy as np

        if place is None:
            return values
        flat = np.frombuffer(self._mapped(), dtype=values.dtype, count=values.size, offset=place[0])
        return flat.reshape(values.shape) if values.flags.c_contiguous else flat.reshape(values.shape[::-1]).T

    def _write(self, write: "Callable[[_Unbuffered], object]") -> tuple[int, int] | None:
        assert self._map is None, "a file is written first and mapped then"
        try:
            file = self._file = self._file or _unnamed()
            if file is None:
                return None
            begin = -(-file.tell() // _ALIGNED) * _ALIGNED
            file.seek(begin)
            write(file)
        except OSError:  # the disk is full: what was written is good, the rest stays in memory
            return None
        return begin, file.tell()

    def _mapped(self) -> mmap.mmap:
        if self._map is None:
            assert self._file is not None, "only what was written is mapped"
            self._map = mmap.mmap(self._file.fileno(), os.fstat(self._file.fileno()).st_size, access=mmap.ACCESS_READ)
            _MAPS[id(self._map)] = self._map
            self._file.close()
        return self._map

    def __del__(self) -> None:
        if self._file is not None:
            self._file.close()


def _stream(table: "pa.Table", file: "_Unbuffered") -> None:
    import pyarrow as pa

    with pa.ipc.new_stream(pa.PythonFile(file, mode="w"), table.schema) as sink:
        sink.write_table(table)


class _Unbuffered:
    """An unnamed file. What was not written is not tried again when it is closed, as a buffer's rest would be."""

    def __init__(self, folder: Path) -> None:
        self._file = tempfile.TemporaryFile(dir=folder, prefix=".tmp-", buffering=0)
        self.tell, self.seek, self.fileno = self._file.tell, self._file.seek, self._file.fileno
        self.close = self._file.close

    @property
    def closed(self) -> bool:
        """Whether it is."""
        return self._file.closed

    def flush(self) -> None:
        """Nothing waits."""

    def write(self, data: "bytes | memoryview") -> int:
        """All of it. Raises OSError when there is no room."""
        rest = memoryview(data).cast("B")
        while rest:
            rest = rest[self._file.write(rest) :]
        return memoryview(data).nbytes


def _unnamed() -> _Unbuffered | None:
    try:
        return _Unbuffered(_FOLDERS[0]) if _FOLDERS else None
    except OSError:
        return None
