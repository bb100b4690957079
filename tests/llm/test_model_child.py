"""The door before the small model changes the schema of a request and nothing else."""

import json

import pytest
from model_child import with_schema

LIST = {"type": "array", "items": {"type": "string"}}
SCHEMA = {
    "type": "object",
    "properties": {
        "themes": {"type": "array", "items": {"type": "object", "properties": {"evidence": LIST}}},
        "risk_on": {"anyOf": [{"type": "object", "properties": {"evidence": LIST}}, {"type": "null"}]},
        "notes": LIST,
    },
}
REQUEST = {"model": "m", "temperature": 0, "messages": [{"role": "user", "content": "themes"}], "max_tokens": 5}
ASKED = {**REQUEST, "response_format": {"type": "json_schema", "json_schema": {"name": "views", "schema": SCHEMA}}}


def changed(decoding: str, request: object = ASKED) -> dict:
    """What llama.cpp is sent."""
    return json.loads(with_schema(json.dumps(request).encode(), decoding))


def test_each_decoding_has_its_schema() -> None:
    """Free: none. Constrained: the request's. Bounded: lists that are known to run on have an end, at any depth."""
    short = {**LIST, "minItems": 1, "maxItems": 2}
    assert changed("free") == REQUEST
    assert changed("constrained") == ASKED
    bounded = changed("bounded")
    schema = bounded["response_format"]["json_schema"].pop("schema")
    assert schema["properties"]["themes"] == {
        "type": "array",
        "minItems": 0,
        "maxItems": 2,
        "items": {"type": "object", "properties": {"evidence": short}},
    }
    assert schema["properties"]["risk_on"]["anyOf"][0]["properties"] == {"evidence": short}
    assert schema["properties"]["notes"] == LIST
    assert bounded == {**REQUEST, "response_format": {"type": "json_schema", "json_schema": {"name": "views"}}}


@pytest.mark.parametrize("decoding", ["free", "constrained", "bounded"])
@pytest.mark.parametrize("body", [b"", b"no json", b"[1]", b"\xff", b'{"model": "m"}'])
def test_what_has_no_schema_goes_on_as_it_is(decoding: str, body: bytes) -> None:
    """llama.cpp answers for itself what it cannot read."""
    assert with_schema(body, decoding) == body
