"""GraphQL of a running Dagster server, asked as a stranger would: every mutation that it has, with values that fit its types."""

import json
import urllib.error
import urllib.request
from typing import Any

TYPE = "kind name ofType{kind name ofType{kind name ofType{kind name ofType{kind name}}}}"
SCHEMA = (
    "{__schema{mutationType{name} types{kind name enumValues{name}"
    f" inputFields{{name defaultValue type{{{TYPE}}}}}"
    f" fields{{name args{{name defaultValue type{{{TYPE}}}}} type{{{TYPE}}}}}}}}}}}"
)
SCALARS = {"String": "x", "ID": "x", "Int": 1, "Float": 1.0, "Boolean": True, "BigInt": 1, "RunConfigData": {}}


def ask(address: str, query: str, **variables: Any) -> dict[str, Any]:
    """The whole answer, with `errors` when there are any."""
    body = json.dumps({"query": query, "variables": variables}).encode()
    request = urllib.request.Request(f"{address}/graphql", body, {"content-type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            found: dict[str, Any] = json.load(answer)
    except urllib.error.HTTPError as error:
        found = json.load(error)
    return found


def mutations(address: str) -> dict[str, str]:
    """Name of every mutation -> a call with values for all that it must be given."""
    schema = ask(address, SCHEMA)["data"]["__schema"]
    types = {one["name"]: one for one in schema["types"]}
    root = types[schema["mutationType"]["name"]]
    return {field["name"]: _call(field, types) for field in root["fields"]}


def _call(field: dict[str, Any], types: dict[str, Any]) -> str:
    given = [f"{one['name']}: {_literal(one['type'], types)}" for one in field["args"] if _must(one)]
    named = _named(field["type"])
    chosen = "" if named["kind"] in ("SCALAR", "ENUM") else "{__typename ... on Error{message}}"
    if named["kind"] == "OBJECT":
        chosen = "{__typename}"
    return f"mutation {{ {field['name']}{'(' + ', '.join(given) + ')' if given else ''} {chosen} }}"


def _must(one: dict[str, Any]) -> bool:
    return one["type"]["kind"] == "NON_NULL" and one["defaultValue"] is None


def _named(kind: dict[str, Any]) -> dict[str, Any]:
    while kind["ofType"]:
        kind = kind["ofType"]
    return kind


def _literal(kind: dict[str, Any], types: dict[str, Any]) -> str:
    if kind["kind"] == "NON_NULL":
        return _literal(kind["ofType"], types)
    if kind["kind"] == "LIST":
        return f"[{_literal(kind['ofType'], types)}]"
    if kind["kind"] == "ENUM":
        return str(types[kind["name"]]["enumValues"][0]["name"])
    if kind["kind"] == "INPUT_OBJECT":
        fields = types[kind["name"]]["inputFields"]
        told = ", ".join(f"{one['name']}: {_literal(one['type'], types)}" for one in fields if _must(one))
        return f"{{{told}}}"
    return json.dumps(SCALARS.get(kind["name"], "x"))
