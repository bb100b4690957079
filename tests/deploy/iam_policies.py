"""What IAM would answer, by its published order: an explicit deny wins, then an allow, else no. A small evaluator for tests.

Source: the IAM User Guide, "Policy evaluation logic" and "IAM JSON policy elements". A condition operator that it does not
know raises, so that no test passes by what was not understood. Within one account, an allow of either side is enough.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any


@dataclass(frozen=True)
class Asked:
    """One request: who, what, on what, with which condition keys."""

    principal: str
    action: str
    resource: str
    keys: Mapping[str, str] = field(default_factory=dict)


def allowed(asked: Asked, own: Iterable[Mapping[str, Any]], of_resource: Iterable[Mapping[str, Any]] = ()) -> bool:
    """Whether it is let through. `own`: the role's statements; `of_resource`: the bucket's, which also name a principal."""
    found = [one for one in own if _matches(one, asked)]
    found += [one for one in of_resource if _named(one["Principal"], asked.principal) and _matches(one, asked)]
    assert all(one["Effect"] in ("Allow", "Deny") for one in found)
    return bool(found) and all(one["Effect"] == "Allow" for one in found)


def _matches(statement: Mapping[str, Any], asked: Asked) -> bool:
    assert not {"NotAction", "NotResource", "NotPrincipal"} & set(statement), "never used here"
    return (
        any(_like(asked.action.lower(), one.lower()) for one in _list(statement["Action"]))
        and any(_like(asked.resource, one) for one in _list(statement.get("Resource", "*")))
        and all(
            _holds(operator, key, _list(values), asked.keys)
            for operator, wanted in statement.get("Condition", {}).items()
            for key, values in wanted.items()
        )
    )


def _holds(operator: str, key: str, values: list[Any], keys: Mapping[str, str]) -> bool:
    found = keys.get(key)
    if operator == "Null":
        return str(found is None).lower() in [str(one).lower() for one in values]
    if found is None:
        return False  # a missing key matches no operator without IfExists
    if operator == "Bool":
        return found.lower() in [str(one).lower() for one in values]
    if operator in ("StringEquals", "ArnEquals"):
        return found in [str(one) for one in values]
    raise AssertionError(f"unknown condition operator {operator}")


def _named(principal: Any, who: str) -> bool:
    if principal == "*":
        return True
    return any(one in ("*", who) for one in _list(principal.get("AWS", [])))


def _like(text: str, pattern: str) -> bool:
    return fnmatchcase(text, pattern.replace("[", "[[]"))


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
