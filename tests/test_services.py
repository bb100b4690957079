"""The servers that tests stand on do what those tests take for granted."""

import base64
import datetime as dt
import hashlib
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import psycopg
import pytest
from botocore.exceptions import ClientError
from server_process import ended
from services import S3, Go, Postgres

BODY = b"an object"
LOCKED_UNTIL = dt.datetime(2100, 1, 1, tzinfo=dt.UTC)

# RFC 6962 as published with the reference implementation of Certificate Transparency: eight leaves and their root.
LEAVES = "- 00 10 2021 3031 40414243 5051525354555657 606162636465666768696a6b6c6d6e6f"
ROOT_OF_LEAVES = "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"
TREE_HEAD = """
package main

import (
	"encoding/hex"
	"fmt"
	"os"

	"golang.org/x/mod/sumdb/tlog"
)

func main() {
	var stored []tlog.Hash
	read := tlog.HashReaderFunc(func(at []int64) ([]tlog.Hash, error) {
		out := make([]tlog.Hash, len(at))
		for i, index := range at {
			out[i] = stored[index]
		}
		return out, nil
	})
	for n, word := range os.Args[1:] {
		leaf, _ := hex.DecodeString(word)
		hashes, err := tlog.StoredHashes(int64(n), leaf, read)
		if err != nil {
			panic(err)
		}
		stored = append(stored, hashes...)
	}
	root, err := tlog.TreeHash(int64(len(os.Args)-1), read)
	if err != nil {
		panic(err)
	}
	fmt.Println(hex.EncodeToString(root[:]))
}
"""

# Starts a server and is then killed: says the server's process and folder first.
ORPHAN = """
import sys
sys.path.insert(0, sys.argv[1])
from services import Postgres
server = Postgres()
server.start()
print(server.pid, server.folder, flush=True)
sys.stdin.read()
"""


def error(raised: pytest.ExceptionInfo[ClientError]) -> tuple[int, str]:
    """Status and code of a refusal."""
    response = raised.value.response
    return response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"]


def sha256(body: bytes) -> str:
    """As S3 writes it."""
    return base64.b64encode(hashlib.sha256(body).digest()).decode()


def test_postgres_keeps_committed_rows_through_a_kill(postgres: Postgres) -> None:
    """What was committed is there after SIGKILL of all its processes and a recovery; what was not is not."""
    name = postgres.database()
    postgres.execute("create table kept (row int)", name)
    with psycopg.connect(postgres.url("postgres", name)) as connection:
        connection.execute("insert into kept values (1)")
        connection.commit()
        connection.execute("insert into kept values (2)")
        before = postgres.pid
        postgres.kill()
        try:
            with pytest.raises(psycopg.OperationalError):
                connection.execute("select 1")
            with pytest.raises(psycopg.OperationalError):
                psycopg.connect(postgres.admin)
        finally:
            postgres.start()
    assert postgres.pid != before
    assert "was not properly shut down; automatic recovery in progress" in postgres.log
    with psycopg.connect(postgres.url("postgres", name)) as connection:
        assert connection.execute("select row from kept").fetchall() == [(1,)]


def test_postgres_is_as_durable_as_it_comes(postgres: Postgres) -> None:
    """Nothing that protects a commit is switched off for speed."""
    rows = postgres.execute(
        "select name, setting from pg_settings where name in ('fsync', 'full_page_writes', 'synchronous_commit')"
    )
    assert dict(rows) == {"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on"}
    assert postgres.execute(
        "select count(*) from pg_settings where name = 'wal_sync_method' and source <> 'default'"
    ) == [(0,)]


def test_postgres_databases_and_roles_are_apart(postgres: Postgres) -> None:
    """Every database is new; a role logs in as itself, and with no other password."""
    first, second = postgres.database(), postgres.database()
    postgres.execute("create table here (row int)", first)
    assert postgres.execute("select to_regclass('here')", second) == [(None,)]
    url = postgres.url(postgres.login("services reader"), second)
    with psycopg.connect(url) as connection:
        assert connection.execute("select current_user, current_database()").fetchone() == ("services reader", second)
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(url.replace(postgres.password, "wrong"))


@pytest.mark.postgres
def test_a_server_ends_with_the_process_that_started_it() -> None:
    """A test process that is killed leaves no server and no files."""
    command = [sys.executable, "-c", ORPHAN, str(Path(__file__).parent)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        pid, folder = process.stdout.readline().split()
        assert not ended(int(pid))
        process.send_signal(signal.SIGKILL)
    until = time.monotonic() + 15
    while not ended(int(pid)) or Path(folder).exists():
        assert time.monotonic() < until, f"process {pid} or {folder} is still there"
        time.sleep(0.02)


def test_s3_puts_only_if_absent(s3: S3) -> None:
    """If-None-Match: the first put wins, the second is told so, and the object stays."""
    client, bucket = s3.client(), s3.bucket()
    client.put_object(Bucket=bucket, Key="key", Body=BODY, IfNoneMatch="*")
    with pytest.raises(ClientError) as raised:
        client.put_object(Bucket=bucket, Key="key", Body=b"another", IfNoneMatch="*")
    assert error(raised) == (412, "PreconditionFailed")
    assert client.get_object(Bucket=bucket, Key="key")["Body"].read() == BODY


def test_s3_refuses_what_does_not_match_its_checksum(s3: S3) -> None:
    """A wrong SHA-256 is refused and nothing is stored; the right one is kept with the object."""
    client, bucket = s3.client(), s3.bucket()
    with pytest.raises(ClientError) as raised:
        client.put_object(Bucket=bucket, Key="key", Body=BODY, ChecksumSHA256=sha256(b"another"))
    assert error(raised) == (400, "BadDigest")
    with pytest.raises(ClientError) as raised:
        client.head_object(Bucket=bucket, Key="key")
    assert error(raised)[0] == 404
    client.put_object(Bucket=bucket, Key="key", Body=BODY, ChecksumSHA256=sha256(BODY))
    assert client.head_object(Bucket=bucket, Key="key", ChecksumMode="ENABLED")["ChecksumSHA256"] == sha256(BODY)


def test_s3_keeps_a_locked_version(s3: S3) -> None:
    """COMPLIANCE: nobody deletes the version or shortens its time, bypass or not; longer is allowed."""
    client, bucket = s3.client(), s3.bucket(lock=True)
    put = client.put_object(
        Bucket=bucket,
        Key="key",
        Body=BODY,
        ChecksumSHA256=sha256(BODY),
        ObjectLockMode="COMPLIANCE",
        ObjectLockRetainUntilDate=LOCKED_UNTIL,
    )
    version = {"Bucket": bucket, "Key": "key", "VersionId": put["VersionId"]}
    shorter = {"Mode": "COMPLIANCE", "RetainUntilDate": LOCKED_UNTIL - dt.timedelta(days=1)}
    longer = {"Mode": "COMPLIANCE", "RetainUntilDate": LOCKED_UNTIL + dt.timedelta(days=1)}
    for bypass in ({}, {"BypassGovernanceRetention": True}):
        with pytest.raises(ClientError) as raised:
            client.delete_object(**version, **bypass)
        assert error(raised) == (403, "AccessDenied")
        with pytest.raises(ClientError) as raised:
            client.put_object_retention(**version, **bypass, Retention=shorter)
        assert error(raised) == (403, "AccessDenied")
    client.put_object_retention(**version, Retention=longer)
    assert client.get_object_retention(**version)["Retention"] == longer
    assert client.get_object(**version)["Body"].read() == BODY


def test_s3_wants_the_key(s3: S3) -> None:
    """Without the secret nothing is read."""
    client, bucket = s3.client(), s3.bucket()
    client.put_object(Bucket=bucket, Key="key", Body=BODY)
    with pytest.raises(urllib.error.HTTPError) as raised:
        urllib.request.urlopen(f"{s3.endpoint}/{bucket}/key")
    raised.value.close()
    assert raised.value.code == 403


def test_go_builds_a_verifier_of_a_transparency_log(go: Go, tmp_path: Path) -> None:
    """golang.org/x/mod/sumdb/tlog computes the published root of eight known leaves."""
    source = tmp_path / "head.go"
    source.write_text(TREE_HEAD, encoding="utf-8")
    program = go.build(source, tmp_path / "head")
    leaves = [word.strip("-") for word in LEAVES.split()]
    assert subprocess.check_output([program, *leaves], text=True).strip() == ROOT_OF_LEAVES


def test_go_says_why_a_program_does_not_build(go: Go, tmp_path: Path) -> None:
    """The compiler's words are in the error."""
    source = tmp_path / "broken.go"
    source.write_text("package main\n\nfunc main() { missing() }\n", encoding="utf-8")
    with pytest.raises(RuntimeError, match="undefined: missing"):
        go.build(source, tmp_path / "broken")
