"""Tasks for the tests of pools: plain functions of a module, as workers import them."""

import os
import signal
import time
from pathlib import Path

import numpy as np

from marketbot_resources.ledger.record import Json


def square(number: Json) -> Json:
    assert isinstance(number, int)
    return number * number


def echo(value: Json) -> Json:
    return value


def floats(seed: Json) -> bytes:
    """Sums, products and an inverse, whose bits depend on the number of threads and on libraries."""
    assert isinstance(seed, int)
    values = np.random.default_rng(seed).normal(size=(40, 40))
    return np.asarray(values @ values.T @ np.linalg.inv(values)).tobytes()


def floats_of_a_mortal(argument: Json) -> bytes:
    """[seed, flag]: the floats of a seed; with a flag, the process is killed the first time."""
    assert isinstance(argument, list)
    seed, flag = argument
    if flag:
        kills_its_process_once(flag)
    return floats(seed)


def large(size: Json) -> bytes:
    assert isinstance(size, int)
    return bytes(size)


def fails(number: Json) -> Json:
    raise ValueError(f"no answer\nfor {number}")


def answers_an_object(number: Json) -> Json:
    return {1, 2}  # type: ignore[return-value]


def kills_its_process_once(flag: Json) -> Json:
    """The first time, the process is killed as by the kernel when memory is short."""
    path = Path(str(flag))
    if not path.exists():
        path.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return path.name


def kills_its_process(number: Json) -> Json:
    os.kill(os.getpid(), signal.SIGKILL)
    return number


def slow(argument: Json) -> Json:
    """[seconds, folder, name]: notes in the folder that it ran, and by which process."""
    assert isinstance(argument, list)
    seconds, folder, name = argument
    with (Path(str(folder)) / str(name)).open("a", encoding="ascii") as file:
        file.write(f"{os.getpid()}\n")
    time.sleep(float(str(seconds)))
    return str(name)


def threads_and_names(_: Json) -> Json:
    return sorted(name for name in os.environ if name.endswith("_NUM_THREADS") and os.environ[name] == "1")


def block_of_features(argument: Json) -> bytes:
    """Price features of the columns first..last of a world of returns that a seed names: instrument-wise, so a block is enough."""
    from marketbot_assets.features.price_features import compound, skewness, volatility

    assert isinstance(argument, list)
    seed, instruments, first, last = (int(str(number)) for number in argument)
    returns = np.random.default_rng(seed).normal(0.0, 0.01, size=(300, instruments))[:, first:last]
    returns = np.ascontiguousarray(returns)
    return np.stack([compound(returns, 252), volatility(returns, 126), skewness(returns, 63)]).tobytes()
