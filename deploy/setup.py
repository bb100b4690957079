"""Makes what the containers need before their first start: secrets, 0600, one per file, and the number of the user who reads them.

    python3 deploy/setup.py [--name NAME]

Nothing that is there is changed, so it may run again. It needs Python alone. Prints the password of the gate, once.
Not here: keys of brokers, data and language models; write those into their files below deploy/secrets.
"""

import argparse
import base64
import hashlib
import json
import os
import secrets
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
EMPTY = (
    "APCA_API_KEY_ID",
    "APCA_API_SECRET_KEY",
    "TIINGO_API_KEY",
    "FRED_API_KEY",
    "OPENAI_API_KEY",
    "ANTHROPIC_API_KEY",
    "MARKETBOT_SLACK_WEBHOOK",
)
IMAGE_USER = 10001


def made(name: str) -> tuple[dict[str, str], str]:
    """Every secret, new, and the gate's password for `name`."""
    admin, dagster, writer, reader, gate = (secrets.token_hex(24) for _ in range(5))
    salt = secrets.token_bytes(8)
    digest = base64.b64encode(hashlib.sha1(gate.encode() + salt, usedforsecurity=False).digest() + salt).decode()
    identity = {
        "name": "marketbot",
        "credentials": [{"accessKey": secrets.token_hex(10), "secretKey": secrets.token_hex(20)}],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }
    values = {
        "postgres_password": admin,
        "MARKETBOT_ADMIN_URL": f"postgresql://postgres:{admin}@postgres:5432/postgres",
        "DAGSTER_POSTGRES_URL": f"postgresql+psycopg2://dagster:{dagster}@postgres:5432/dagster",
        "MARKETBOT_LEDGER": f"postgresql://ledger_writer:{writer}@postgres:5432/marketbot",
        "MARKETBOT_LEDGER_READER": f"postgresql://ledger_reader:{reader}@postgres:5432/marketbot",
        "htpasswd": f"{name}:{{SSHA}}{digest}",  # 192 random bits: no guess reaches them, whatever the hash costs
        "s3.json": json.dumps({"identities": [identity]}),
        **dict.fromkeys(EMPTY, ""),
    }
    return values, gate


def write(path: Path, text: str, user: int) -> None:
    """A new file of mode 0600 that belongs to `user` where we may give it away."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    if os.getuid() == 0:
        os.chown(path, user, user)


def main(words: list[str] | None = None) -> int:
    """0, and 2 when some secrets are there and others are not: new ones would not fit them."""
    told = argparse.ArgumentParser(description=__doc__)
    told.add_argument("--name", default="desk", help="who signs in at the gate")
    told.add_argument("--folder", type=Path, default=FOLDER, help="where `secrets` and `.env` are made")
    given = told.parse_args(words)
    user = os.getuid() or IMAGE_USER
    folder = given.folder / "secrets"
    values, password = made(given.name)
    there = {name for name in values if (folder / name).exists()}
    bound = set(values) - set(EMPTY)
    if there & bound and bound - there:
        print(
            f"setup: expected all secrets or none in {folder}, found no {sorted(bound - there)}; restore them",
            file=sys.stderr,
        )
        return 2
    folder.mkdir(mode=0o700, exist_ok=True)
    if os.getuid() == 0:
        os.chown(folder, user, user)
    for name in sorted(set(values) - there):
        write(folder / name, values[name], user)
    if not (given.folder / ".env").exists():
        (given.folder / ".env").write_text(f"MARKETBOT_UID={user}\n", encoding="ascii")
    if not there & bound:
        print(f"gate: http://127.0.0.1:8080 name {given.name} password {password}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
