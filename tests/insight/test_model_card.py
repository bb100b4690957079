"""Files of fits: exact, plain, and refused when one byte differs."""

import datetime as dt
import hashlib
import json
import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketbot_assets.insight.model_card import Fit, ModelCard, ModelSpec, fit_of, parse_canonical, spec_of

SPEC = ModelSpec("ridge", ("momentum_12_1", "reversal_5d"), {"penalty": 320.0}, {"horizon_sessions": 21, "seed": 0})
CARD = ModelCard("tilts", "d" * 64, 0.995, 200, SPEC.features, 0, "c" * 16, {"ic": 0.04, "gap": None}, "one world")
FIT = Fit(SPEC.sha256, dt.date(2018, 12, 24), {"momentum_12_1": 0.45, "reversal_5d": 0.2}, {"residual_sd": 0.98}, CARD)


def test_a_fit_survives_its_file() -> None:
    """The file is JSON that anybody reads, named by the hash of its bytes; reading gives the fit back."""
    data = FIT.to_bytes()
    assert FIT.sha256 == hashlib.sha256(data).hexdigest()
    assert fit_of(data, FIT.sha256) == FIT
    told = json.loads(data)
    assert told["coefficients"] == {"momentum_12_1": 0.45, "reversal_5d": 0.2}
    assert told["card"]["metrics"] == {"gap": None, "ic": 0.04}
    assert spec_of(json.loads(json.dumps(SPEC.body()))).sha256 == SPEC.sha256


def test_every_byte_counts() -> None:
    """Each byte changed, left out or added makes a file that is refused under the old name."""
    data = FIT.to_bytes()
    for place in range(len(data)):
        changed = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
        for other in (changed, data[:place] + data[place + 1 :], data[:place] + b" " + data[place:]):
            if other != data:
                with pytest.raises(ValueError, match="altered"):
                    fit_of(other, FIT.sha256)


@pytest.mark.parametrize(
    "change",
    [
        lambda body: body.update(extra=1),
        lambda body: body.pop("card"),
        lambda body: body.pop("parameters"),
        lambda body: body["card"].update(seed=1.5),
        lambda body: body["card"].update(seed=True),
        lambda body: body["card"].update(coverage="1"),
        lambda body: body["card"].update(note="more"),
        lambda body: body["coefficients"].update(momentum_12_1=None),
        lambda body: body["coefficients"].update(momentum_12_1=True),
        lambda body: body.update(fitted_on="yesterday"),
        lambda body: body.update(coefficients=[0.1]),
        lambda body: body["card"].update(metrics=[]),
    ],
)
def test_a_file_that_is_no_fit_is_refused(change) -> None:  # type: ignore[no-untyped-def]
    """Also under its own name: something extra, missing or of another kind."""
    body = json.loads(FIT.to_bytes())
    change(body)
    data = json.dumps(body, sort_keys=True, separators=(",", ":")).encode()
    with pytest.raises(ValueError, match="expected a fit"):
        fit_of(data, hashlib.sha256(data).hexdigest())


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b"1",
        b'{"a":NaN}',
        b'{"a":1,"a":2}',
        b'{"b":1,"a":2}',
        b'{"a": 1}',
        b"\xff",
        b'{"a":1.0e0}',
        b"[" * 5000,
    ],
)
def test_json_in_another_form_is_refused(data: bytes) -> None:
    """NaN, a key twice, another order, blanks, no text."""
    with pytest.raises(ValueError, match="canonical"):
        parse_canonical(data)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_none_has_no_file(value: float) -> None:
    """A coefficient, a metric or a coverage that is not finite is never stored."""
    for broken in (
        replace(FIT, coefficients={"a": value}),
        replace(FIT, card=replace(CARD, metrics={"ic": value})),
        replace(FIT, card=replace(CARD, coverage=value)),
        replace(FIT, parameters={"tree": [value]}),
    ):
        with pytest.raises(ValueError, match="JSON"):
            broken.to_bytes()


@pytest.mark.parametrize(
    "other",
    [
        replace(SPEC, family="lasso"),
        replace(SPEC, features=("reversal_5d", "momentum_12_1")),
        replace(SPEC, hyper={"penalty": 321.0}),
        replace(SPEC, training={"horizon_sessions": 21, "seed": 1}),
    ],
    ids=["family", "order of features", "hyper-parameter", "seed"],
)
def test_a_specification_is_everything_but_the_data(other: ModelSpec) -> None:
    """A change of any of it is another model."""
    assert other.sha256 != SPEC.sha256


@given(
    st.dictionaries(
        st.text("ab_é'/", min_size=1, max_size=8),
        st.floats(allow_nan=False, allow_infinity=False),
    ),
    st.floats(0, 1),
    st.integers(0, 2**40),
)
@settings(max_examples=60)
def test_any_fit_survives_its_file(coefficients: dict[str, float], coverage: float, seed: int) -> None:
    """Whatever the numbers: to the last bit, and writing again gives the same bytes."""
    fit = replace(FIT, coefficients=coefficients, card=replace(CARD, coverage=coverage, seed=seed))
    back = fit_of(fit.to_bytes(), fit.sha256)
    assert back == fit
    assert back.to_bytes() == fit.to_bytes()


@pytest.mark.parametrize(
    "body", [{}, {**SPEC.body(), "more": 1}, {**SPEC.body(), "family": ""}, {**SPEC.body(), "features": [1]}], ids=str
)
def test_a_body_that_is_no_specification_is_refused(body: dict[str, object]) -> None:
    """Something missing, extra or of another kind."""
    with pytest.raises(ValueError, match="specification"):
        spec_of(body)  # type: ignore[arg-type]
