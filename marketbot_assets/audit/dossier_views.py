"""What views of language models say of an order's name, on its dossier. Pure. Not here: where it comes from (`explain_views`)."""

from collections.abc import Callable, Mapping, Sequence
from typing import cast

from marketbot_assets.audit.llm_numbers import Item
from marketbot_assets.audit.report_facts import number
from marketbot_assets.audit.report_parts import Markup, bullets, joined, percent, table, tag

View = Mapping[str, object]


def views_table(found: View | None, names: Callable[[object], str]) -> Markup:
    """Whose views, what they moved, and each with its evidence; nothing when no model was asked."""
    if found is None:
        return Markup("")
    moved, without = number(found["influence"]), number(found["weight_without"])
    told = (
        f"Views moved this weight by {percent(moved)} of NAV; it would be {percent(without)}. {found['note']}".rstrip()
    )
    rows = [
        (
            f"{view['level']} {names(view['subject'])}",
            f"{number(view['score']):+.2f}",
            f"{number(view['confidence']):.2f}",
            bullets([names(Item(**item)) for item in cast("Sequence[Mapping[str, str]]", view["evidence"])]),
        )
        for view in cast("Sequence[View]", found["said"])
    ]
    lines = [tag("p", names(found["sentence"]), css="soft"), tag("p", told, css="soft")]
    return joined(
        [*lines, table(("of<", "score>", "confidence>", "rests on~"), rows, caption="Views of a language model")]
    )
