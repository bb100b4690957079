"""Fetches each process's secrets into a file that only its container sees: a tmpfs, mode 0600, one file per process.

    python3 fetch_secrets.py FOLDER     reads /etc/marketbot.conf; needs boto3 and the machine's role

The machine's role can read no secret. It becomes one of four roles in turn, each of which may read its own parameters and no
other's. Exact names are asked for, never a path. A parameter that does not exist is left out: the process says what it lacks; but
without one that NEEDS names nothing is written, and what is written is replaced whole or not at all. What is wrong is one line on
stderr and exit code 1, so that no unit that requires this one starts.
`FOLDER/<container>/<process>.env` holds NAME=value lines; `FOLDER/store/credentials.json` what boto3's `credential_process` reads:
the credentials of the role that trades, for an hour, to be fetched anew before they end; `FOLDER/signals` those of the publisher
of signals, where SIGNALS says on.
"""

import json
import os
import sys
from pathlib import Path

import boto3

PAGE = 10  # GetParameters takes so many names
DATA = ("APCA_API_KEY_ID", "APCA_API_SECRET_KEY", "FRED_API_KEY", "SEC_USER_AGENT", "TIINGO_API_KEY")
BROKER = ("APCA_API_KEY_ID", "APCA_API_SECRET_KEY")
LLM = (
    "ANTHROPIC_API_KEY",
    "OPENAI_API_KEY",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "MARKETBOT_LLM_LOCAL_KEY",
    "MARKETBOT_LLM_CACHE",
)
NOTIFY = (
    "MARKETBOT_SMTP_USER",
    "MARKETBOT_SMTP_PASSWORD",
    "MARKETBOT_SLACK_WEBHOOK",
    "MARKETBOT_APPRISE_URLS",
    "MARKETBOT_HEARTBEAT_URL",
)
DATABASE = ("MARKETBOT_LEDGER",)
STORED = ("MARKETBOT_LEDGER", "MARKETBOT_INDEX")
# The container that a process runs in: its folder alone is mounted there. The runs start the other two as children.
CONTAINER = {"run": "code", "llm": "code", "notifier": "code", "signer": "signer"}
# process -> (role, group of parameters, names) in order; a later value replaces an earlier one of the same name
FETCHED = {
    "run": (("ingest", "data", DATA), ("oms", "broker", BROKER), ("oms", "database", STORED)),
    "llm": (("llm", "llm", LLM),),
    "notifier": (("oms", "notify", NOTIFY), ("oms", "database", DATABASE)),
    "signer": (("signer", "signer", ("KEY",)),),
}


def main() -> int:
    """0: every file is written; 1: none is, the old ones stay, and one line says why, without any value."""
    try:
        folder = Path(sys.argv[1])
        settings = read_settings(Path(os.environ.get("MARKETBOT_CONF", "/etc/marketbot.conf")))
        files = fetched(folder, settings)
    except Missing as error:
        print(f"fetch_secrets: {error}", file=sys.stderr)
        return 1
    except Exception as error:  # what AWS or the disk says: its kind and code, never its text
        told = getattr(error, "response", {}).get("Error", {}).get("Code") or getattr(error, "strerror", None) or ""
        print(f"fetch_secrets: nothing was fetched: {type(error).__name__} {told}".rstrip(), file=sys.stderr)
        return 1
    for path, text in files.items():
        write(path, text)
    return 0


class Missing(Exception):
    """What is not there, and how to put it there; in one line."""


def fetched(folder: Path, settings: "dict[str, str]") -> "dict[Path, str]":
    """File -> text of everything that the containers are given. Raises Missing, and whatever boto3 raises."""
    roles = ("ingest", "llm", "oms", "signer", *(("signals",) if settings.get("SIGNALS") == "on" else ()))
    sessions = {role: session_of(role, settings) for role in roles}
    values = {process: values_of(parts, sessions, settings) for process, parts in FETCHED.items()}
    found = {f"{group}/{name}" for own in values.values() for group, name in own}
    lacking = [name for name in settings.get("NEEDS", "").split(",") if name and name not in found]
    if lacking:
        names = ", ".join(f"/marketbot/{settings['STAGE']}/{name}" for name in lacking)
        raise Missing(f"expected the parameters {names}, found none; put them, then: systemctl start marketbot-secrets")
    files = {folder / CONTAINER[process] / f"{process}.env": lines(own) for process, own in values.items()}
    for role, name in (("oms", "store"), *((role, role) for role in roles if role == "signals")):
        told = folder / name / "credentials.json"
        files[told] = credentials(sessions[role])
        files[told.with_name("config")] = f"[default]\ncredential_process = cat {told}\n"
    return files


def read_settings(path: Path) -> "dict[str, str]":
    """NAME=value lines."""
    pairs = (line.partition("=") for line in path.read_text(encoding="utf-8").splitlines() if "=" in line)
    return {name.strip(): value.strip() for name, _, value in pairs}


def session_of(role: str, settings: "dict[str, str]") -> "tuple[boto3.session.Session, dict]":
    """A session as one of the four roles, and its credentials."""
    name = f"marketbot-{settings['STAGE']}-{role}-{settings['REGION']}"
    arn = f"arn:{settings['PARTITION']}:iam::{settings['ACCOUNT']}:role/{name}"
    sts = boto3.client("sts", region_name=settings["REGION"])
    got = sts.assume_role(RoleArn=arn, RoleSessionName=role)["Credentials"]
    session = boto3.session.Session(got["AccessKeyId"], got["SecretAccessKey"], got["SessionToken"], settings["REGION"])
    return session, got


def values_of(parts, sessions, settings: "dict[str, str]") -> "dict[tuple[str, str], str]":
    """(group, name) -> value of the parameters of one process that exist and are not empty, in order."""
    values = {}
    for role, group, names in parts:
        ssm = sessions[role][0].client("ssm")
        for begin in range(0, len(names), PAGE):
            asked = {f"/marketbot/{settings['STAGE']}/{group}/{name}": name for name in names[begin : begin + PAGE]}
            for one in ssm.get_parameters(Names=list(asked), WithDecryption=True)["Parameters"]:
                values[group, asked[one["Name"]]] = one["Value"].strip()
    return {key: value for key, value in values.items() if value}


def lines(own: "dict[tuple[str, str], str]") -> str:
    """The file of one process; of two values of one name the later holds. Raises Missing for one that does not fit into a line."""
    if bad := [f"{group}/{name}" for (group, name), value in own.items() if len(value.splitlines()) != 1]:
        raise Missing(f"expected one line in {', '.join(bad)}, found more; put them anew")
    values = {name: value for (_, name), value in own.items()}
    return "".join(f"{name}={value}\n" for name, value in sorted(values.items()))


def credentials(session) -> str:
    """What a credential_process says: boto3 asks again when Expiration is near."""
    got = session[1]
    return json.dumps(
        {
            "Version": 1,
            "AccessKeyId": got["AccessKeyId"],
            "SecretAccessKey": got["SecretAccessKey"],
            "SessionToken": got["SessionToken"],
            "Expiration": got["Expiration"].isoformat(),
        }
    )


def write(path: Path, text: str) -> None:
    """Replaces a file whole; it is 0600 from its first byte, in a folder that is 0700, owned as FOLDER is."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    owner = path.parents[1].stat()
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(handle)
        if os.geteuid() == 0:
            os.fchown(handle, owner.st_uid, owner.st_gid)
    if os.geteuid() == 0:
        os.chown(path.parent, owner.st_uid, owner.st_gid)
    os.replace(new, path)


if __name__ == "__main__":
    sys.exit(main())
