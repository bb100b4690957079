"""Where things lie: the environment variables and paths of an installation. The only reader of the environment beside `secrets`.

MARKETBOT_HOME     all state of an installation (default: $DAGSTER_HOME/state)
MARKETBOT_MANDATE  the mandate file (default: mandate.yaml beside the code)
MARKETBOT_STORE    s3://bucket/prefix of the store's objects (default: a folder in the home); endpoint, region and keys by the AWS_
                   variables, MARKETBOT_STORE_CACHE_MB how much of it is kept on this disk (default: 1024)
MARKETBOT_LEDGER   a postgresql:// address of the ledger (default: a file in the home)
MARKETBOT_INDEX    a postgresql:// address of the store's index (default: a file in the home)
MARKETBOT_BROKER_URL  for tests: http://127.0.0.1:PORT instead of the broker's own address
DAGSTER_HOME       Dagster's instance (default: dagster_home beside the code)
MARKETBOT_HALT_PARAMETER  name of an AWS SSM parameter that can halt trading, too (default: none)
MARKETBOT_LIVE_ACCOUNTS   the broker's ids of accounts that may trade live money, separated by commas (default: none)
MARKETBOT_AUTOMATION  which sensors and schedules start switched on: alerts, daily, intraday, orders or all (default: none)
MARKETBOT_SIGNER   the signer's own folder, key and last head (default: signer in the home)
MARKETBOT_SIGNER_COMMAND  the command line that starts the signer, to run it as another user (default: this Python)
MARKETBOT_LLM_URL  for tests: http://127.0.0.1:PORT instead of the addresses of OpenAI, Anthropic and Bedrock
MARKETBOT_LLM_CACHE  redis:// address of litellm's cache, for a mandate that says `llm.cache: redis`
MARKETBOT_LLM_LOCAL_KEY  the key of a local language model that wants one; OPENAI_API_KEY, ANTHROPIC_API_KEY and the
                   AWS_ variables of an access key are the other providers' own
MARKETBOT_SMTP_USER, MARKETBOT_SMTP_PASSWORD, MARKETBOT_SLACK_WEBHOOK, MARKETBOT_APPRISE_URLS  secrets of the channels of alerts;
                   with _NAME behind them for the channel NAME alone
MARKETBOT_RELAY    the private address of the relay that all names of the outside resolve to, where there is no other way out
MARKETBOT_SIGNALS_TABLE  name of a DynamoDB table that is given each session's signals (default: none), MARKETBOT_SIGNALS_CONFIG the
                   configuration file of AWS with the publisher's own credentials (default: the AWS_ variables)
MARKETBOT_DASK_TLS  the folder of ca.pem, cert.pem and key.pem of a Dask cluster at a tls:// address (docs/scale.md)
MARKETBOT_HEARTBEAT_URL  address of the watcher that is told of each session's end
MARKETBOT_PAGES_URL  address at which people reach `marketbot serve`: links on asset pages lead there (default: to files)
MARKETBOT_SECRET_FILES, MARKETBOT_SECRETS_SSM  where secrets stand that are not in the environment: folders, parameters (`secrets`)

Values of variables whose names say secret (`redaction.environment_secrets`) are kept out of evidence and logs.
"""

import os
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from marketbot_resources.errors import HomeError
from marketbot_resources.secrets import Process, Secrets

_SECRETS = Secrets()
CHECKOUT = Path(__file__).parents[1]
STORE_CACHE_MB, STORE_CACHE_MB_MAX = 1024, 1_048_576


def dagster_home() -> Path:
    """Dagster's instance folder."""
    return Path(os.environ.get("DAGSTER_HOME") or CHECKOUT / "dagster_home").resolve()


def home() -> Path:
    """The installation's folder."""
    given = os.environ.get("MARKETBOT_HOME")
    return Path(given).resolve() if given else dagster_home() / "state"


def mandate_path() -> Path:
    """The mandate file."""
    return Path(os.environ.get("MARKETBOT_MANDATE") or CHECKOUT / "mandate.yaml").resolve()


def signer_home() -> Path:
    """The signer's folder."""
    given = os.environ.get("MARKETBOT_SIGNER")
    return Path(given).resolve() if given else home() / "signer"


def signer_command() -> list[str] | None:
    """The command line that starts the signer, without its folder; None: this Python runs it. Raises HomeError."""
    import shlex

    given = os.environ.get("MARKETBOT_SIGNER_COMMAND", "")
    try:
        return shlex.split(given) or None
    except ValueError as error:
        raise HomeError(f"MARKETBOT_SIGNER_COMMAND: expected a command line, found: {error}") from error


def bare_environment() -> dict[str, str]:
    """What a child process is given that needs no setting and no secret: where programs are, nothing else."""
    return {"PATH": os.environ.get("PATH", os.defpath)}


# Which variables hold a language model's key: all of the first must be there, the second may be.
_LLM_KEYS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "openai": (("OPENAI_API_KEY",), ()),
    "anthropic": (("ANTHROPIC_API_KEY",), ()),
    "bedrock": (("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), ("AWS_SESSION_TOKEN",)),
    "local": ((), ("MARKETBOT_LLM_LOCAL_KEY",)),
}
# litellm would otherwise read a .env file, load lists from the net and ask AWS for the machine's own role.
_LLM_QUIET = {
    "LITELLM_MODE": "PRODUCTION",
    "LITELLM_LOG": "CRITICAL",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS": "True",
    "LITELLM_LOCAL_BLOG_POSTS": "True",
    "LITELLM_LOCAL_AUTOROUTER_PRESETS": "True",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "HF_HUB_OFFLINE": "1",
    "MALLOC_ARENA_MAX": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "PYTHONUTF8": "1",
}


def llm_environment(provider: str, cache: bool) -> dict[str, str] | None:
    """The whole environment of the process that calls a language model; None when a key is missing.

    It holds that provider's key, where certificates are, and with `cache` the cache's address, which may hold a password.
    Keys are read when it is made, by `secrets`. Raises HomeError when they cannot be.
    """
    needed, more = _LLM_KEYS[provider]
    held = _SECRETS.for_child(Process.LLM)
    names = (*needed, *more, "SSL_CERT_FILE", "SSL_CERT_DIR", "MARKETBOT_LLM_CACHE")
    given = {name: _plain(name) or held.get(name) for name in names}
    if any(given[name] is None for name in needed):
        return None
    given["MARKETBOT_LLM_CACHE"] = given["MARKETBOT_LLM_CACHE"] if cache else None
    return bare_environment() | _LLM_QUIET | {name: value for name, value in given.items() if value is not None}


def llm_key_names(provider: str) -> str:
    """The variables without which a provider is not asked, for people."""
    return " and ".join(_LLM_KEYS[provider][0])


SMTP_USER, SMTP_PASSWORD, SLACK_WEBHOOK, APPRISE_URLS, WATCHER = (
    "MARKETBOT_SMTP_USER",
    "MARKETBOT_SMTP_PASSWORD",
    "MARKETBOT_SLACK_WEBHOOK",
    "MARKETBOT_APPRISE_URLS",
    "MARKETBOT_HEARTBEAT_URL",
)


def notifier_variables() -> dict[str, str]:
    """The secrets of notification, by name: common ones and those of one channel (NAME behind them). Raises HomeError."""
    common = (SMTP_USER, SMTP_PASSWORD, SLACK_WEBHOOK, APPRISE_URLS)
    held = _SECRETS.for_child(Process.NOTIFIER)
    names = {
        name
        for name in (*os.environ, *held)
        if name == WATCHER or any(name == c or name.startswith(f"{c}_") for c in common)
    }
    return {name: found for name in sorted(names) if (found := _plain(name) or held.get(name)) is not None}


_DOOR = (  # of the store's bucket: digests are bodies of the store
    *("MARKETBOT_STORE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION"),
    *("AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"),
    *("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_PROFILE"),
)


def notifier_environment() -> dict[str, str]:
    """The whole environment of the notifier: its secrets, where certificates are, the address of the ledger, a bucket's door."""
    names = ("SSL_CERT_FILE", "SSL_CERT_DIR", "MARKETBOT_LEDGER", "PGSSLROOTCERT")
    places = {name: variable(name) for name in (*names, *(_DOOR if store_url() else ()))}
    return (
        bare_environment() | notifier_variables() | {name: value for name, value in places.items() if value is not None}
    )


_SIGNALS_PLACE = ("SSL_CERT_FILE", "SSL_CERT_DIR", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL")
_SIGNALS_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_CONFIG_FILE", "AWS_PROFILE")


def signals_table() -> str | None:
    """The table of the latest signals, None when nothing is published."""
    return _plain("MARKETBOT_SIGNALS_TABLE")


def signals_environment() -> dict[str, str]:
    """The whole environment of the publisher of signals: where AWS is, and its own credentials or those of this environment."""
    own = _plain("MARKETBOT_SIGNALS_CONFIG")
    names = (*_SIGNALS_PLACE, "AWS_ENDPOINT_URL_DYNAMODB", *(() if own else _SIGNALS_KEYS))
    given = {name: found for name in names if (found := _plain(name)) is not None}
    alone = {"AWS_CONFIG_FILE": own, "AWS_SHARED_CREDENTIALS_FILE": os.devnull, "AWS_EC2_METADATA_DISABLED": "true"}
    return bare_environment() | given | (alone if own else {})


def llm_redirect() -> str | None:
    """For tests: where all providers but a local one are asked. Raises HomeError for another address than 127.0.0.1."""
    given = variable("MARKETBOT_LLM_URL")
    if given is None:
        return None
    port = given.removeprefix("http://127.0.0.1:").removesuffix("/")
    if not given.startswith("http://127.0.0.1:") or not port.isascii() or not port.isdigit():
        raise HomeError("MARKETBOT_LLM_URL: expected http://127.0.0.1:PORT, found another address; unset it")
    return f"http://127.0.0.1:{port}"


def pages_url() -> str | None:
    """Where people reach `marketbot serve`, without a slash at the end; None without the setting.

    Raises HomeError for anything but http:// or https:// with a host and perhaps a port: no user, no path, no query.
    """
    from urllib.parse import urlsplit

    given = variable("MARKETBOT_PAGES_URL")
    if given is None:
        return None
    try:
        parts = urlsplit(given)
        port = f":{parts.port}" if parts.port is not None else ""
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        plain = f"{parts.scheme}://{host}{port}"
    except ValueError:
        plain = ""
    if not plain.startswith(("http://", "https://")) or given.lower().removesuffix("/") != plain or not parts.hostname:
        raise HomeError(
            "MARKETBOT_PAGES_URL: expected an address like https://desk.example:8443, found another; mend it"
        )
    return plain


def variable(name: str) -> str | None:
    """A variable that a provider's request names, without white space around it; None when it is unset or empty.

    A secret of this process may stand outside of the environment (`secrets`). Raises HomeError when it cannot be read there.
    """
    return _SECRETS.value(name)


def _plain(name: str) -> str | None:
    return os.environ.get(name, "").strip() or None


def renew_secrets() -> None:
    """Begins a session: what was loaded is forgotten, so that a changed file or parameter is seen."""
    _SECRETS.renew()


def store_url() -> str | None:
    """Address of the store's objects; None: they lie in the home."""
    return variable("MARKETBOT_STORE")


def store_cache_bytes() -> int:
    """How many bytes of a distant store's objects this disk may keep. Raises HomeError."""
    given = variable("MARKETBOT_STORE_CACHE_MB") or str(STORE_CACHE_MB)
    if not (given.isascii() and given.isdigit() and 1 <= int(given[:9]) <= STORE_CACHE_MB_MAX):
        raise HomeError(
            f"MARKETBOT_STORE_CACHE_MB: expected whole megabytes, 1 to {STORE_CACHE_MB_MAX}, found {given[:20]!r}"
        )
    return int(given) * 1024 * 1024


def ledger_url() -> str | None:
    """Address of the ledger's database, which may hold a password: never shown. None: the ledger is a file in the home."""
    return variable("MARKETBOT_LEDGER")


def index_url() -> str | None:
    """Address of the index's database, which may hold a password: never shown. None: the index is a file in the home."""
    return variable("MARKETBOT_INDEX")


def halt_parameter() -> str | None:
    """Name of the SSM parameter that can halt trading, None without one."""
    return variable("MARKETBOT_HALT_PARAMETER")


def relay() -> str | None:
    """The address of the relay (docs/containers.md), None without one."""
    return variable("MARKETBOT_RELAY")


def automation() -> str:
    """What MARKETBOT_AUTOMATION says; empty when nothing is to start by itself."""
    return variable("MARKETBOT_AUTOMATION") or ""


def live_accounts() -> frozenset[str]:
    """The broker's ids of accounts that may trade live money; none unless they are named."""
    return frozenset(name.strip() for name in os.environ.get("MARKETBOT_LIVE_ACCOUNTS", "").split(",") if name.strip())


def operator() -> str:
    """Who runs this process, by the machine: for entries of what people did."""
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


def secrets() -> list[str]:
    """The secrets among the environment's values, as they are now, and all that this process read elsewhere."""
    # os.environ decodes every value anew, which is too slow for each line of a log
    values = getattr(os.environ, "_data", os.environ)
    held = _secrets_of(_SECRETS.known) if _SECRETS.known else ()
    return [*_secrets_of(tuple(values.items())), *held]


@lru_cache(maxsize=4)
def _secrets_of(variables: tuple[tuple[str | bytes, str | bytes], ...]) -> tuple[str, ...]:
    from marketbot_resources.redaction import environment_secrets

    return tuple(environment_secrets({os.fsdecode(name): os.fsdecode(value) for name, value in variables}))
