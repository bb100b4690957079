"""The tool of mutation testing: it changes what decides, leaves words and types alone, and its lists are in step."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tools"))

import mutate  # noqa: E402

CHANGES = [
    ("a <= b", ["a < b", "a > b"]),
    ("a == b", ["a != b"]),
    ("a and b", ["a or b"]),
    ("not a", ["a"]),
    ("a + b", ["a - b"]),
    ("min(a, b)", ["max(a, b)"]),
    ("np.any(a)", ["np.all(a)"]),
    ("abs(a)", ["a"]),
    ("Status.HALT", ["Status.PASS"]),
    ("RULE.fail", ["Status.PASS"]),
    ("RULE.result(order_ids=a)", ["RULE.result(order_ids=())"]),
    ("RULE.result(keep=a)", ["RULE.result(keep=1.0)"]),
    ("b if a else c", ["b if not a else c"]),
    ("0.5", ["1.5"]),
    ("'a word'", []),
]


@pytest.mark.parametrize(("source", "wanted"), CHANGES)
def test_one_change_of_one_node(source: str, wanted: list[str]) -> None:
    """Every kind of change, of the outermost node alone."""
    node = ast.parse(source, mode="eval").body
    assert [ast.unparse(ast.fix_missing_locations(new)) for _, new in mutate.changes(node)] == wanted


def test_every_module_has_its_tests_and_every_equivalent_is_a_mutant_of_today() -> None:
    """No module without tests, no test file that is gone, no reason for a mutant that no longer exists."""
    for module in mutate.TESTS:
        assert all(Path(path).is_file() for path in mutate.paths(module))
    every = [mutant for module in mutate.TESTS for mutant in mutate.mutants(module)]
    names = {mutant.name for mutant in every} | {mutant.exact_name for mutant in every}
    assert [name for name, reason in mutate.equivalents().items() if name not in names or not reason] == []
    controls = {f"risk/{path.name}" for path in (ROOT / "marketbot_assets" / "risk").glob("*_controls.py")}
    assert controls <= set(mutate.TESTS)


def test_a_mutant_compiles_and_differs() -> None:
    """The change reaches the code."""
    whole = mutate.mutants("risk/control.py")
    assert len(whole) > 30
    path = ROOT / "marketbot_assets" / "risk" / "control.py"
    intact = compile(path.read_text(encoding="utf-8"), str(path), "exec")
    assert [mutant for mutant in whole[::7] if mutate.compiled(mutant) == intact] == []
