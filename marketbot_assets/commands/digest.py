"""The digest of a session or of a week, made now from what is stored: `digest`. Nothing is recorded or sent.

Not here: its words (`audit.digest`), its facts (`digests`), when it is sent (`marketbot_resources.delivery_digest`).
"""

import datetime as dt
import json

from marketbot_assets.commands.home import existing_lake
from marketbot_assets.digests import digest_facts, message_of
from marketbot_resources.delivery_digest import DAILY, DIGESTS, WEEKLY
from marketbot_resources.errors import UsageError
from marketbot_resources.redaction import redactor
from marketbot_resources.store.resource import session_from_key

View = dict[str, object]


def digest_now(session: str | None, *, weekly: bool) -> View:
    """The digest in every form, and whether it was sent. `session`: default the newest that has ended.

    Raises UsageError for a session that has not ended, and where nothing has.
    """
    from marketbot_assets.audit.digest import build_digest
    from marketbot_assets.audit.digest_forms import as_html, as_json

    lake = existing_lake()
    ended = {entry.key for entry in lake.ledger.entries("session_end")}
    if not ended:
        raise UsageError(f"no session has ended yet in {lake.home}; run `marketbot run` first")
    day = dt.date.fromisoformat(max(ended)) if session is None else session_from_key(session)
    if day.isoformat() not in ended:
        raise UsageError(f"session {day}: expected one that has ended, found none; choose another --session")
    kind = WEEKLY if weekly else DAILY
    digest = build_digest(digest_facts(lake, kind, day))
    message = message_of(digest)
    key = f"DIGEST/{kind}/{digest.label}"
    recorded = lake.ledger.get(DIGESTS.told, key)
    ends = [entry for kind_ in DIGESTS.ends for entry in lake.ledger.entries(kind_, key) if entry.key == key]
    return {
        **json.loads(json.dumps(as_json(digest))),
        "text": message.text,
        "html": redactor().text(as_html(digest, plots=True)),
        "slack": list(message.blocks),
        "recorded": None if recorded is None else {"at": recorded.body["at"], "blob": recorded.body["blob"]},
        "delivery": None if not ends else {"kind": ends[-1].kind, **ends[-1].body},
    }


def digest_lines(view: View) -> list[str]:
    """The text, and what became of the one that was recorded: it has the words of its own day, not these."""
    told, recorded = view["delivery"], view["recorded"]
    if isinstance(recorded, dict):
        sent = f"made again now; recorded {recorded['at']} as blob {str(recorded['blob'])[:12]}, "
        if isinstance(told, dict):
            way = told.get("channel") or told.get("reason")
            sent += f"{str(told['kind']).removeprefix('digest_')} {told['at']}: {way}"
        else:
            sent += "not acknowledged yet"
    else:
        sent = "made now, not sent"
    return [*str(view["text"]).splitlines(), f"({sent})"]
