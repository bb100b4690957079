"""What the language models of the mandate need and do not have: findings of `doctor`. No key is shown, no question asked."""

import datetime as dt
import http.client
import ssl
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from marketbot_assets.commands.finding import Finding
from marketbot_resources import settings

if TYPE_CHECKING:
    from marketbot_resources.mandate_llm import Llm, LlmModel

ANSWER_SECONDS_MAX = 3.0


def llm_findings(llm: "Llm | None", today: dt.date) -> list[Finding]:
    """One finding on the package, one on the budget, and per model on its key or its server, and on its knowledge cut-off."""
    if llm is None:
        return []
    return [_package(), _budget(llm), *(finding for model in llm.chain for finding in _model(model, today))]


def _package() -> Finding:
    from marketbot_resources.llm_worker import PINNED

    try:
        found = version("litellm")
    except PackageNotFoundError:
        found = "not installed"
    mend = "install the extra llm: make install does"
    return Finding("litellm", found == PINNED, found if found == PINNED else f"{found}, {PINNED} is expected", mend)


def _budget(llm: "Llm") -> Finding:
    paid = [model for model in llm.chain if model.usd_per_million_input > 0.0 or model.usd_per_million_output > 0.0]
    good = llm.usd_per_day > 0.0 or not paid
    told = f"{llm.usd_per_day:g} US dollars a day"
    return Finding("llm budget", good, told, "no model with a price is ever asked: set llm.usd_per_day above 0")


def _model(model: "LlmModel", today: dt.date) -> Iterator[Finding]:
    name = f"llm {model.provider}:{model.model}"
    if model.provider == "local":
        yield _server(name, model.address)
    else:
        good = settings.llm_environment(model.provider, False) is not None
        names = settings.llm_key_names(model.provider)
        yield Finding(
            name, good, "its key is set" if good else f"no key: {names} not set", f"export {names.split()[0]}=..."
        )
    mend = "set knowledge_cutoff to the newest day of what it was trained on"
    told = f"until {model.knowledge_cutoff}; sessions up to then count as no evidence"
    yield Finding(f"{name} knowledge", model.knowledge_cutoff < today, told, mend)


def _server(name: str, address: str) -> Finding:
    """Whether something speaks HTTP at a local model's address; redirects are not followed, and no key is sent."""
    parts = urlsplit(address)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=ANSWER_SECONDS_MAX)
    try:
        connection.request("GET", f"{parts.path.rstrip('/')}/models")
        told, good = f"{address} answers with {connection.getresponse().status}", True
    except (OSError, http.client.HTTPException, ssl.SSLError) as error:
        told, good = f"{address} does not answer: {type(error).__name__}", False
    finally:
        connection.close()
    return Finding(name, good, told, f"start the model's server, or mend its address in the mandate: {address}")
