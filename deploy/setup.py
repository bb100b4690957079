"""Makes what the containers need before their first start: secrets, 0600, a folder per container, and `.env` for this machine.

    python3 deploy/setup.py [--name NAME] [--without-s3]

Nothing that is there is changed, so it may run again. It needs Python alone. Prints the password of the gate, once.
Keys of brokers, data, language models and chat you write into `secrets/code`: run.env, llm.env, notifier.env, NAME=value lines.
"""

import argparse
import base64
import hashlib
import json
import os
import secrets
import sys
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
# NAME= lines that wait for their values: an empty one is no secret.
KEYS = {
    "run": ("APCA_API_KEY_ID", "APCA_API_SECRET_KEY", "TIINGO_API_KEY", "FRED_API_KEY", "SEC_USER_AGENT"),
    "llm": ("OPENAI_API_KEY", "ANTHROPIC_API_KEY"),
    "notifier": ("MARKETBOT_SLACK_WEBHOOK",),
}
IMAGE_USER = 10001
STORE = "MARKETBOT_STORE=s3://marketbot/store\nAWS_ENDPOINT_URL=http://s3:8333\nCOMPOSE_PROFILES=s3\n"


def made(name: str) -> tuple[dict[str, str], str]:
    """Every file below `secrets`, new, as container/file -> text, and the gate's password for `name`."""
    roles = ("ledger_writer", "ledger_reader", "index_writer", "index_reader")
    admin, gate, *words = (secrets.token_hex(24) for _ in range(7))
    dagster = f"postgresql+psycopg2://dagster:{words.pop()}@postgres:5432/dagster"
    ledger, ledger_reader, index, index_reader = (
        f"postgresql://{role}:{word}@postgres:5432/marketbot" for role, word in zip(roles, words, strict=True)
    )
    salt = secrets.token_bytes(8)
    digest = base64.b64encode(hashlib.sha1(gate.encode() + salt, usedforsecurity=False).digest() + salt).decode()
    doors = {who: Door(who, secrets.token_hex(10), secrets.token_hex(20)) for who in ACTIONS}
    files = {
        "postgres/postgres_password": admin,
        "migrate/migrate.env": lines(
            MARKETBOT_ADMIN_URL=f"postgresql://postgres:{admin}@postgres:5432/postgres",
            DAGSTER_POSTGRES_URL=dagster,
            MARKETBOT_LEDGER=ledger,
            MARKETBOT_LEDGER_READER=ledger_reader,
            MARKETBOT_INDEX=index,
            MARKETBOT_INDEX_READER=index_reader,
        ),
        **{f"{who}/{who}.env": lines(DAGSTER_POSTGRES_URL=dagster) for who in ("code", "webserver", "daemon")},
        "code/run.env": lines(MARKETBOT_LEDGER=ledger, MARKETBOT_INDEX=index) + lines(**dict.fromkeys(KEYS["run"], "")),
        **{f"code/{who}.env": lines(**dict.fromkeys(KEYS[who], "")) for who in ("llm", "notifier")},
        "api/api.env": lines(MARKETBOT_LEDGER=ledger_reader, MARKETBOT_INDEX=index_reader),
        "gate/htpasswd": f"{name}:{{SSHA}}{digest}",  # 192 random bits: no guess reaches them, whatever the hash costs
        "s3/s3.json": json.dumps({"identities": [door.identity() for door in doors.values()]}),
        **{f"{who}/aws_config": door.config() for who, door in doors.items()},
    }
    return files, gate


# What each may do at the S3 server.
ACTIONS = {
    "migrate": ("Admin", "List"),
    "code": ("Read", "Write", "List", "Tagging"),
    "api": ("Read", "List"),
}


@dataclass(frozen=True)
class Door:
    """One container's key to the S3 server, as the server and as boto3 want it."""

    name: str
    key: str
    secret: str

    def identity(self) -> dict[str, object]:
        """For the server's own file."""
        return {
            "name": self.name,
            "credentials": [{"accessKey": self.key, "secretKey": self.secret}],
            "actions": list(ACTIONS[self.name]),
        }

    def config(self) -> str:
        """For AWS_CONFIG_FILE."""
        return f"[default]\nregion = us-east-1\naws_access_key_id = {self.key}\naws_secret_access_key = {self.secret}\n"


def lines(**values: str) -> str:
    """NAME=value lines, as marketbot_resources/secrets.py reads them."""
    return "".join(f"{name}={value}\n" for name, value in values.items())


def write(path: Path, text: str, user: int) -> None:
    """A new file of mode 0600 in a folder of mode 0700, both of `user` where we may give them away."""
    path.parent.mkdir(mode=0o700, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    if os.getuid() == 0:
        os.chown(path, user, user)
        os.chown(path.parent, user, user)


def main(words: list[str] | None = None) -> int:
    """0, and 2 when some secrets are there and others are not: new ones would not fit them."""
    told = argparse.ArgumentParser(description=__doc__)
    told.add_argument("--name", default="desk", help="who signs in at the gate")
    told.add_argument("--folder", type=Path, default=FOLDER, help="where `secrets` and `.env` are made")
    told.add_argument("--without-s3", action="store_true", help="the store is a folder, or a bucket elsewhere")
    given = told.parse_args(words)
    user = os.getuid() or IMAGE_USER
    folder = given.folder / "secrets"
    files, password = made(given.name)
    there = {name for name in files if (folder / name).exists()}
    if lost := sorted(set(files) - there) if there else []:
        print(f"setup: expected all secrets or none in {folder}, found no {lost}; restore them", file=sys.stderr)
        return 2
    folder.mkdir(mode=0o700, exist_ok=True)
    if os.getuid() == 0:
        os.chown(folder, user, user)
    for name in sorted(set(files) - there):
        write(folder / name, files[name], user)
    if not (given.folder / ".env").exists():
        about = f"MARKETBOT_UID={user}\n" + ("" if given.without_s3 else STORE)
        (given.folder / ".env").write_text(about, encoding="ascii")
    if not there:
        print(f"gate: http://127.0.0.1:8080 name {given.name} password {password}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
