"""The section of the report about alerts: what the session's verdict calls for, each with what to do. Pure.

It is found in the stored verdict and not in who was told when, so that a replay gives the same page. Not here: delivery, which
`marketbot alerts list` shows.
"""

from marketbot_assets.audit.report_facts import ReportFacts, rows_of
from marketbot_assets.audit.report_parts import Markup, section, table, tag
from marketbot_resources.alert_codes import CODES
from marketbot_resources.alert_detection import SessionRows, alerts_due
from marketbot_resources.alerts import Alert


def alerts_of(facts: ReportFacts) -> list[Alert]:
    """Alerts of the session's verdict, the most severe first."""
    return alerts_due((), [SessionRows(facts.session.isoformat(), rows_of(facts.risk_verdict))])


def alerts_section(facts: ReportFacts) -> Markup:
    """One row per alert; none is said in words."""
    found = alerts_of(facts)
    rows = [
        (one.severity.name, one.code, facts.named(one.subject), facts.named(one.message), CODES[one.code].do)
        for one in found
    ]
    lede = f"{len(found)} from this session's verdict; who was told stands in marketbot alerts list."
    heads = ("severity<", "alert", "about", "message~", "do this~")
    content = table(heads, rows) if rows else tag("p", "Nothing in the verdict calls for one.", css="soft")
    return section("alerts", "Alerts", lede, content)
