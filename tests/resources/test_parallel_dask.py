"""A real Dask cluster of scheduler and workers in processes of their own: killed workers, a lost scheduler, foreign code, TLS."""

import datetime as dt
import ipaddress
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import parallel_tasks as tasks
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from server_process import Server, children

from marketbot_resources.errors import UsageError, WorkError
from marketbot_resources.ledger.record import Json
from marketbot_resources.parallel import Here, open_pool
from marketbot_resources.parallel_dask import Cluster, existing_cluster

pytest.importorskip("distributed")
pytestmark = [pytest.mark.long, pytest.mark.filterwarnings("ignore")]
ROOT, HERE = Path(__file__).parents[2], Path(__file__).parent
COUNT, SECONDS = 12, 0.4


class DaskProcess(Server):
    """A scheduler or a worker with its nanny. `code`: the folder of the packages; `tls`: a folder of keys."""

    def __init__(self, name: str, *, code: Path = ROOT, tls: Path | None = None, worker_ttl: str = "5 minutes") -> None:
        super().__init__(name, 1)
        self._code, self.tls, self._ttl = code, tls, f"DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL={worker_ttl}"

    def program(self, module: str, *words: str) -> list[str]:
        path = f"PYTHONPATH={self._code}:{HERE}"
        keys = []
        if self.tls is not None:
            keys = [
                "--tls-ca-file",
                f"{self.tls}/ca.pem",
                "--tls-cert",
                f"{self.tls}/cert.pem",
                "--tls-key",
                f"{self.tls}/key.pem",
            ]
        return ["/usr/bin/env", path, self._ttl, sys.executable, "-m", f"distributed.cli.{module}", *words, *keys]


class Scheduler(DaskProcess):
    @property
    def address(self) -> str:
        return f"{'tls' if self.tls else 'tcp'}://127.0.0.1:{self.ports[0]}"

    def command(self) -> Sequence[str | Path]:
        words = ["--host", self.address.rpartition(":")[0], "--port", str(self.ports[0]), "--no-dashboard"]
        return self.program("dask_scheduler", *words)

    def answers(self) -> bool:
        return "Scheduler at:" in self.log


class Worker(DaskProcess):
    def __init__(self, scheduler: Scheduler, **more: Path) -> None:
        super().__init__("dask-worker", tls=scheduler.tls, **more)
        self._scheduler = scheduler.address

    def command(self) -> Sequence[str | Path]:
        words = [self._scheduler, "--nthreads", "1", "--no-dashboard", "--local-directory", str(self.folder)]
        return self.program("dask_worker", *words)

    def answers(self) -> bool:
        return "Registered to:" in self.log


@pytest.fixture
def scheduler() -> Iterator[Scheduler]:
    with Scheduler("dask-scheduler") as server:
        yield server


def runs(folder: Path, name: int) -> int:
    """How often a task ran."""
    return len((folder / str(name)).read_text(encoding="ascii").split())


def test_the_cluster_of_this_machine_gives_the_same_bits_and_a_killed_worker_loses_nothing(tmp_path: Path) -> None:
    """`dask:2`: floats equal to those of this process, features of blocks, too; a task that kills its worker runs again."""
    blocks: list[Json] = [[5, 40, 0, 20], [5, 40, 20, 40]]
    with open_pool("dask:2") as pool:
        for task, arguments in ((tasks.floats, list(range(6))), (tasks.block_of_features, blocks)):
            assert list(pool.results(task, arguments)) == list(Here().results(task, arguments))
        assert list(pool.results(tasks.kills_its_process_once, [str(tmp_path / "flag")])) == ["flag"]
        with pytest.raises(WorkError, match=r"argument 0 failed: ValueError: no answer for 1$"):
            list(pool.results(tasks.fails, [1]))
        assert isinstance(pool, Cluster)
        address = pool.client.scheduler.address
        assert address.startswith("tls://127.0.0.1:")
        with pytest.raises(UsageError, match="expected a Dask scheduler at tcp://127"):  # another user of this machine
            open_pool(address.replace("tls://", "tcp://"))
        assert list(pool.results(tasks.threads_and_names, [0])) == list(Here().results(tasks.threads_and_names, [0]))


def test_a_task_that_takes_worker_after_worker_is_given_up() -> None:
    """One line after the fourth, instead of a cluster that dies for ever."""
    with open_pool("dask:1") as pool, pytest.raises(WorkError, match="argument 0 took 4 workers with it"):
        list(pool.results(tasks.kills_its_process, [1]))


def test_a_node_that_is_killed_in_the_middle_loses_nothing(scheduler: Scheduler, tmp_path: Path) -> None:
    """Two nodes, twelve tasks; one node is gone after the second result: all results are there once, in order."""
    with Worker(scheduler), Worker(scheduler) as second, open_pool(scheduler.address) as pool:
        taken = []
        for place, result in pool.finished(tasks.slow, [[SECONDS, str(tmp_path), n] for n in range(COUNT)]):
            taken.append((place, result))
            if len(taken) == 2:
                second.kill()
        assert sorted(taken) == [(n, str(n)) for n in range(COUNT)]
        assert sum(runs(tmp_path, n) for n in range(COUNT)) > COUNT, "the killed node was at work"


def test_results_on_a_worker_that_stands_still_run_again(tmp_path: Path) -> None:
    """Its tasks are done and their results not fetched when it stops without a word, as behind a cut cable: when the scheduler
    gives it up (`worker-ttl`, here 15 s), they run on the other one. It is not the scheduler that is gone.
    """
    with Scheduler("dask-scheduler", worker_ttl="15s") as scheduler, Worker(scheduler), Worker(scheduler) as second:
        with open_pool(scheduler.address) as pool:
            coming = pool.finished(tasks.slow, [[SECONDS, str(tmp_path), n] for n in range(COUNT)])
            taken = [next(coming)]
            time.sleep(COUNT * SECONDS)  # all are done; nobody fetches while the caller keeps what it has
            family = [second.pid, *children(second.pid)]
            for one in family:
                os.kill(one, signal.SIGSTOP)
            begun = time.monotonic()
            taken += coming
            assert time.monotonic() - begun < 90
            for one in family:
                os.kill(one, signal.SIGKILL)
    assert sorted(taken) == [(n, str(n)) for n in range(COUNT)]
    assert sum(runs(tmp_path, n) for n in range(COUNT)) > COUNT, "the worker held results"


def test_a_scheduler_that_stands_still_is_one_line(scheduler: Scheduler, tmp_path: Path) -> None:
    """It does not answer, and its system keeps the line open: the wait has an end."""
    with Worker(scheduler), existing_cluster(scheduler.address) as pool:
        pool.silent_seconds = 5.0
        coming = pool.finished(tasks.slow, [[SECONDS, str(tmp_path), n] for n in range(COUNT)])
        next(coming)
        os.kill(scheduler.pid, signal.SIGSTOP)
        begun = time.monotonic()
        with pytest.raises(WorkError, match="found that it is gone or does not answer; what was finished is kept"):
            list(coming)
        assert time.monotonic() - begun < 60
        os.kill(scheduler.pid, signal.SIGCONT)


def test_a_lost_scheduler_is_one_line_and_what_was_done_stays(scheduler: Scheduler, tmp_path: Path) -> None:
    """The caller stores results as they come; with a new scheduler it asks for the rest alone, and nothing runs twice."""
    with Worker(scheduler), existing_cluster(scheduler.address) as pool:
        arguments: list[Json] = [[SECONDS, str(tmp_path), n] for n in range(COUNT)]
        coming = pool.finished(tasks.slow, arguments)
        done = dict(islice(coming, 3))
        scheduler.kill()
        begun = time.monotonic()
        with pytest.raises(
            WorkError, match=rf"the scheduler at {scheduler.address}, found that it is gone or .* again$"
        ):
            done |= dict(coming)
        assert time.monotonic() - begun < 60
    scheduler.start()
    before = set(done)
    left = [n for n in range(COUNT) if n not in done]
    with Worker(scheduler), open_pool(scheduler.address) as pool:
        done |= dict(zip(left, pool.results(tasks.slow, [arguments[n] for n in left]), strict=True))
    assert done == {n: str(n) for n in range(COUNT)}
    assert all(runs(tmp_path, n) == 1 for n in before)


def test_a_cluster_without_workers_is_one_line(scheduler: Scheduler) -> None:
    """It is waited for, and not for ever."""
    with existing_cluster(scheduler.address) as pool:
        pool.idle_seconds = 3.0
        with pytest.raises(WorkError, match=r"expected workers at .*, found none for 3 s; 2 tasks are not done"):
            list(pool.results(tasks.square, [1, 2]))


def test_a_worker_with_other_code_refuses(scheduler: Scheduler, tmp_path: Path) -> None:
    """One character in one file of ours: no task runs there, and the line names both hashes."""
    for package in ("marketbot_assets", "marketbot_resources"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    with (tmp_path / "marketbot_resources" / "errors.py").open("a", encoding="utf-8") as file:
        file.write("#\n")
    with Worker(scheduler, code=tmp_path), open_pool(scheduler.address) as pool:
        with pytest.raises(
            WorkError, match=r"expected a worker of the same release and libraries, found .*: code \w{16} for \w{16};"
        ):
            list(pool.results(tasks.square, [1, 2]))


def test_no_cluster_is_one_line() -> None:
    """Nobody listens."""
    with pytest.raises(UsageError, match=r"expected a Dask scheduler at tcp://127\.0\.0\.1:9, found: "):
        open_pool("tcp://127.0.0.1:9")


class Authority:
    """A self-made certificate authority, and the keys that it signs."""

    def __init__(self, name: str) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        limits = x509.BasicConstraints(ca=True, path_length=0)
        self._own = self._unsigned(self._name, self._key).add_extension(limits, critical=True)

    def _unsigned(self, name: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        now, day = dt.datetime.now(dt.UTC), dt.timedelta(days=1)
        number = x509.random_serial_number()
        return x509.CertificateBuilder(self._name, name, key.public_key(), number, now - day, now + day)

    def keys(self, folder: Path) -> Path:
        """ca.pem, cert.pem and key.pem of one holder, in a new folder."""
        folder.mkdir()
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, folder.name)])
        address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        for file, made in (
            ("ca.pem", self._own),
            ("cert.pem", self._unsigned(name, key).add_extension(address, critical=False)),
        ):
            signed = made.sign(self._key, hashes.SHA256())
            (folder / file).write_bytes(signed.public_bytes(serialization.Encoding.PEM))
        kinds = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        (folder / "key.pem").write_bytes(key.private_bytes(*kinds))
        return folder


def test_tls_with_keys_of_our_authority_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Scheduler and worker with one pair of keys, the sender with another, all signed by an authority of our own: results.

    The sender's keys lie in a folder or are named by Dask's own configuration. Keys of another authority, or none: no answer.
    """
    import dask

    ours, theirs = Authority("ours"), Authority("theirs")
    nodes, sender, foreign = (
        ours.keys(tmp_path / "nodes"),
        ours.keys(tmp_path / "sender"),
        theirs.keys(tmp_path / "foreign"),
    )

    def configured(folder: Path) -> dict[str, str]:
        names = {"ca-file": "ca.pem", "client.cert": "cert.pem", "client.key": "key.pem"}
        return {f"distributed.comm.tls.{name}": str(folder / file) for name, file in names.items()}

    with Scheduler("dask-scheduler", tls=nodes) as scheduler, Worker(scheduler):
        for folder, why in (
            (foreign, "expected a Dask scheduler at tls://"),
            (tmp_path, "MARKETBOT_DASK_TLS: expected a folder"),
            ("", "MARKETBOT_DASK_TLS: .* under distributed.comm.tls of Dask's configuration, found neither"),
        ):
            monkeypatch.setenv("MARKETBOT_DASK_TLS", str(folder))
            with pytest.raises(UsageError, match=why):
                open_pool(scheduler.address)
        with (
            dask.config.set(configured(foreign)),
            pytest.raises(UsageError, match="expected a Dask scheduler at tls://"),
        ):
            open_pool(scheduler.address)
        with dask.config.set(configured(sender)), open_pool(scheduler.address) as pool:
            assert list(pool.results(tasks.square, [1, 2, 3])) == [1, 4, 9]
        monkeypatch.setenv("MARKETBOT_DASK_TLS", str(sender))
        with open_pool(scheduler.address) as pool:
            assert list(pool.results(tasks.square, [1, 2, 3])) == [1, 4, 9]


def test_without_the_library_it_is_one_line() -> None:
    """The extra is named; nothing of Dask is imported by the port itself."""
    script = (
        "import sys; sys.modules['distributed'] = None\n"
        "from marketbot_resources.parallel import Here, open_pool\n"
        "from marketbot_resources.errors import UsageError\n"
        "try: open_pool('dask:2')\n"
        "except (UsageError, ValueError) as error: print(error)\n"
        "print('dask' in sys.modules)\n"
    )
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    assert told.splitlines()[-1] == "False"
