"""Lines for people of `marketbot assess`."""

from collections.abc import Iterator, Mapping, Sequence

View = Mapping[str, object]


def assess_lines(view: View) -> list[str]:
    """The period, its controls, the mandate's rules, what regulation asks, what was found."""
    return [*_head(view), *_controls(view), *_rules(view), *_review(view), *_findings(view)]


def _maps(value: object) -> list[View]:
    assert isinstance(value, Sequence)
    return [one for one in value if isinstance(one, Mapping)]


def _map(value: object) -> View:
    assert isinstance(value, Mapping)
    return value


def _head(view: View) -> Iterator[str]:
    counted = _map(view["counted"])
    found = f"{view['begins']} .. {view['ends']}" if view["begins"] else "no session recorded"
    told = ", ".join(f"{name} {n}" for name, n in _map(counted["verdicts"]).items()) or "none"
    yield f"{view['first']} .. {view['last']}: {found}, {counted['sessions']} sessions, verdicts: {told}"
    if view["path"]:
        yield f"page: {view['path']}"


def _controls(view: View) -> Iterator[str]:
    yield f"{'control':<8} {'judged':>6} {'passed':>6} {'warned':>6} {'fired':>6} {'cut':>5} {'value':>14} {'last fired':<11} name"
    for fact in _maps(view["controls"]):
        count = _map(fact["count"])
        cut = f"{count['smaller']}+{count['dropped']}"
        yield (
            f"{fact['id']:<8} {count['evaluated']:>6} {count['passed']:>6} {count['warned']:>6} {count['fired']:>6} "
            f"{cut:>5} {count['value']:>14} {count['last_fired'] or '-':<11} {fact['name']}"
        )


def _rules(view: View) -> Iterator[str]:
    yield "rules of the mandate, by session:"
    for one in _maps(view["rules"]):
        told = ", ".join(f"{standing} {n}" for standing, n in _map(one["counts"]).items())
        yield f"  {_map(one['rule'])['name']}: {told if one['binds'] else 'not stated'}"


def _review(view: View) -> Iterator[str]:
    yield "what regulation asks of a yearly review:"
    for one in _maps(view["review"]):
        yield f"  {one['rule']} {one['paragraph']:<19} {one['cover']:<12} {one['asks']}"


def _findings(view: View) -> Iterator[str]:
    yield "found:"
    listed = view["findings"]
    assert isinstance(listed, Sequence)
    yield from (f"  {text}" for text in listed)
