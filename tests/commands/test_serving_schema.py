"""The interface against its own OpenAPI document, by schemathesis: what is documented is what comes."""

import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
import schemathesis
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks
from serving_world import HOST, Served, fingerprint
from views_world import FIRST, intents

pytestmark = pytest.mark.graph
CHECKS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
    checks.response_headers_conformance,
]
EXAMPLES = 400  # per operation and mode
MODES = (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE)


@pytest.fixture(scope="module")
def served(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    home = tmp_path_factory.mktemp("schema") / "home"
    shutil.copytree(finished, home)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MARKETBOT_HOME", str(home))
        world = Served(home)
        yield world
        world.close()


def conform(served: Served, examples: int) -> Counter[int]:
    """Statuses of all answers; every one as documented. Half of the paths name what the home has."""
    known = {"session": FIRST, "order": str(intents(served.home)[0]["client_order_id"])}
    said: Counter[int] = Counter()
    schema = schemathesis.openapi.from_dict(served.app.document())

    def ask(case: schemathesis.Case, real: bool) -> None:
        if real:
            case.path_parameters = {name: known[name] for name in case.path_parameters or {}}
        # the reader's token: a stop would change every later answer
        headers = {"Authorization": f"Bearer {served.token['reader']}"}
        response = case.call(app=served.app, base_url=f"http://{HOST}", headers=headers)
        said[response.status_code] += 1
        case.validate_response(response, checks=CHECKS, headers=headers)

    for operation in (found.ok() for found in schema.get_all_operations()):
        for mode in MODES:
            if mode is MODES[1] and not (operation.body or operation.query or operation.path_parameters):
                continue  # nothing that could be wrong
            run = hypothesis.given(operation.as_strategy(mode), hypothesis.strategies.booleans())(ask)
            hypothesis.settings(
                max_examples=examples,
                database=None,
                derandomize=True,
                suppress_health_check=list(hypothesis.HealthCheck),
                phases=[hypothesis.Phase.generate],
            )(run)()
    return said


@pytest.mark.long
def test_answers_are_as_documented(served: Served) -> None:
    """More than 5,000 right and wrong requests of every operation: statuses, types and bodies as documented, no file changed."""
    before = fingerprint(served.home)
    said = conform(served, EXAMPLES)
    assert {200, 403, 404, 422} <= set(said)
    assert said.total() > 5_000
    assert fingerprint(served.home) == before
