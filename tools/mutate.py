"""Mutation testing of the controls: changes one thing in one module, runs the tests that should notice, counts who did.

Usage: python tools/mutate.py [--module NAME]... [--sample N] [--seed S] [--jobs J]. A mutant lives in the
memory of one forked child with a time limit; no file is written. Mutants that change nothing that anybody can see stand in
`tools/mutants_equivalent.txt`, each with its reason; they are not run. Exit code 1 below 90 % killed.
"""

import argparse
import ast
import contextlib
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import os
import random
import signal
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, ModuleType

ROOT = Path(__file__).parents[1]
EQUIVALENT = ROOT / "tools" / "mutants_equivalent.txt"
KILLED_MIN = 0.90
LIMIT_FACTOR, LIMIT_LEAST_SECONDS = 5.0, 30.0
# Exit codes of a child. A failed test, a test file that cannot even be imported and a time limit are mutants that were noticed.
NOTICED, BROKEN = (1, 2, -signal.SIGPROF), 99
RISK = ("test_risk_boundaries.py", "test_risk_answers.py", "test_risk_matrix.py")
ORDERS, ACCOUNT, OPERATIONS, PERMISSIONS = (
    f"test_risk_answers_{word}.py" for word in ("orders", "account", "operations", "permissions")
)
BOOK, TAIL, STATE, PLATFORM, MODELS, ENGINE = (
    f"test_risk_answers_{word}.py" for word in ("book", "tail", "state", "platform", "models", "engine")
)
SENDING = tuple(f"../execution/test_{word}.py" for word in ("second_attempt", "sending", "sending_doubt"))
ANSWERS = tuple(f"test_llm_gate{word}.py" for word in ("", "_refusals", "_schema", "_pack", "_mutations"))
# Module -> its tests, the quickest to notice first. What runs for minutes (properties) comes last.
TESTS: dict[str, tuple[str, ...]] = {
    "risk/control.py": (BOOK, "test_risk_verdict.py", *RISK, "test_risk_book_controls.py"),
    "risk/funding.py": (ACCOUNT, OPERATIONS, "test_risk_order_controls.py", *RISK, "test_risk_size_controls.py"),
    "risk/verdict.py": (ENGINE, "test_risk_verdict.py", "test_risk_accounted.py", *RISK, "test_risk_properties.py"),
    "risk/stress.py": (TAIL, "test_risk_stress.py", "test_risk_report.py", *RISK),
    "risk/account_controls.py": (ACCOUNT, OPERATIONS, "test_risk_size_controls.py", *RISK),
    "risk/book_controls.py": (BOOK, "test_risk_book_controls.py", *RISK, "test_model_controls.py"),
    "risk/exposure_controls.py": (TAIL, "test_model_controls.py", *RISK),
    "risk/model_controls.py": (MODELS, "test_model_controls.py", *RISK),
    "risk/order_controls.py": (ORDERS, "test_risk_order_controls.py", *RISK, "test_risk_verdict.py"),
    "risk/order_answers.py": (PERMISSIONS, "test_risk_permission_controls.py", "test_risk_jurisdiction.py", *RISK),
    "risk/permission_controls.py": (
        *(PERMISSIONS, ORDERS, "test_risk_permission_controls.py", "test_risk_jurisdiction.py"),
        *RISK,
    ),
    "risk/platform_controls.py": (OPERATIONS, "test_risk_operations.py", *RISK),
    "risk/post_trade_controls.py": (OPERATIONS, "test_risk_operations.py", *RISK),
    "risk/size_controls.py": (ORDERS, "test_risk_size_controls.py", *RISK),
    "risk/state_controls.py": (STATE, "test_risk_state_controls.py", *RISK),
    "risk/system_controls.py": (PLATFORM, "test_risk_state_controls.py", *RISK, "test_risk_order_controls.py"),
    "risk/tail_controls.py": (TAIL, "test_tail_controls.py", *RISK),
    "execution/gate.py": ("test_gate.py", "test_gate_types.py"),
    "execution/gate_orders.py": ("test_gate_types.py", "test_gate.py"),
    **{f"insight/gate{word}.py": ANSWERS for word in ("", "_draft", "_pack", "_rules", "_schema", "_text")},
    "insight/context.py": ("test_llm_context.py",),
    "insight/context_pack.py": ("test_context_pack.py",),
    "insight/prompt.py": ("test_views_prompt.py",),
    "insight/quoting.py": ("test_quoting.py",),
    "insight/stories.py": ("test_news_stories.py", "test_context_pack.py"),
    "broker/desk.py": ("test_settling.py", *SENDING, "../execution/test_fencing.py"),
    "broker/settling.py": ("test_settling.py", *SENDING[::-1]),
    "broker/fencing.py": ("test_settling.py", "../execution/test_fencing.py", *SENDING),
    "broker/order_states.py": ("test_order_states.py", *SENDING),
    "broker/following.py": ("test_following_edges.py", "test_following.py"),
}
SWAPS: dict[type[ast.AST], tuple[type[ast.AST], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
    ast.And: (ast.Or,),
    ast.Or: (ast.And,),
    ast.Add: (ast.Sub,),
    ast.Sub: (ast.Add,),
    ast.Mult: (ast.Div,),
    ast.Div: (ast.Mult,),
    ast.BitAnd: (ast.BitOr,),
    ast.BitOr: (ast.BitAnd,),
}
NAMES = {"min": "max", "max": "min", "any": "all", "all": "any", "maximum": "minimum", "minimum": "maximum"}
KEYWORDS: dict[str, object] = {"order_ids": (), "keep": 1.0}


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change: the `place`-th node of a module in the order of `ast.walk`, and which of its changes.

    `around`: the code of the node that holds it, and the place when one node has the same change twice.
    """

    module: str
    place: int
    change: int
    line: int
    text: str
    around: str

    @property
    def name(self) -> str:
        """What the list of equivalents knows it by: module, source line, change. A moved line keeps its name."""
        return f"{self.module} | {self.text}"

    @property
    def exact_name(self) -> str:
        """The name with the code around it: what tells one `0 -> 1` of a module from another one. The list may use either."""
        return f"{self.module} | {self.text} in {self.around}"


def _constant(value: object) -> list[ast.expr]:
    if isinstance(value, bool):
        return [ast.Constant(not value)]
    if isinstance(value, int | float):
        return [ast.Constant(value + 1)]
    return []


def _operators(ops: Sequence[ast.AST], place: int) -> list[tuple[int, type[ast.AST]]]:
    return [(place, new) for new in SWAPS.get(type(ops[place]), ())]


def changes(node: ast.AST) -> list[tuple[str, ast.AST]]:
    """(what changes, the node in its place) for every change of one node; the node itself stays as it is."""
    found: list[tuple[str, ast.AST]] = []
    if isinstance(node, ast.Compare):
        for place in range(len(node.ops)):
            for new in SWAPS.get(type(node.ops[place]), ()):
                ops = [*node.ops[:place], new(), *node.ops[place + 1 :]]
                found.append((new.__name__, ast.Compare(node.left, ops, node.comparators)))  # type: ignore[arg-type]
    elif isinstance(node, ast.BoolOp):
        found += [(new.__name__, ast.BoolOp(new(), node.values)) for new in SWAPS[type(node.op)]]  # type: ignore[arg-type]
    elif isinstance(node, ast.BinOp):
        found += [
            (new.__name__, ast.BinOp(node.left, new(), node.right))  # type: ignore[arg-type]
            for new in SWAPS.get(type(node.op), ())
        ]
    elif isinstance(node, ast.UnaryOp) and not isinstance(node.op, ast.UAdd):
        found.append((f"without {type(node.op).__name__}", node.operand))
    elif isinstance(node, ast.Constant):
        found += [(f"{new.value!r}", new) for new in _constant(node.value) if isinstance(new, ast.Constant)]
    elif isinstance(node, ast.Call):
        found += _calls(node)
    elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        found += _statuses(node)
    elif isinstance(node, ast.If | ast.IfExp) and not isinstance(node.test, ast.Compare | ast.BoolOp | ast.UnaryOp):
        kind, test = type(node), ast.UnaryOp(ast.Not(), node.test)
        found.append(("Not", kind(test, node.body, node.orelse)))  # type: ignore[arg-type]
    return found


def _calls(node: ast.Call) -> list[tuple[str, ast.AST]]:
    found: list[tuple[str, ast.AST]] = []
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    if name in NAMES:
        new = NAMES[name]
        func = ast.Attribute(node.func.value, new, ast.Load()) if isinstance(node.func, ast.Attribute) else _name(new)
        found.append((new, ast.Call(func, node.args, node.keywords)))
    if name == "abs" and len(node.args) == 1:
        found.append(("without abs", node.args[0]))
    for place, keyword in enumerate(node.keywords):
        if keyword.arg in KEYWORDS and not isinstance(keyword.value, ast.Constant):
            value = ast.Tuple([], ast.Load()) if keyword.arg == "order_ids" else ast.Constant(1.0)
            others = [*node.keywords[:place], ast.keyword(keyword.arg, value), *node.keywords[place + 1 :]]
            found.append((f"no {keyword.arg}", ast.Call(node.func, node.args, others)))
    return found


def _name(text: str) -> ast.Name:
    return ast.Name(text, ast.Load())


def _statuses(node: ast.Attribute) -> list[tuple[str, ast.AST]]:
    owner = getattr(node.value, "id", "")
    if owner == "Status" and node.attr != "PASS":
        return [("PASS", ast.Attribute(_name("Status"), "PASS", ast.Load()))]
    if owner == "Status":
        return [("HALT", ast.Attribute(_name("Status"), "HALT", ast.Load()))]
    if node.attr == "fail" and owner.isupper():
        return [("PASS", ast.Attribute(_name("Status"), "PASS", ast.Load()))]
    return []


def _judged(tree: ast.Module) -> Iterator[tuple[int, ast.AST]]:
    """(place, node) of every node that may change: no words, no types, no `NamedTuple`s of the import section."""
    silent: set[int] = set()
    for node in ast.walk(tree):
        parts: list[ast.AST | None] = []
        if isinstance(node, ast.JoinedStr | ast.Import | ast.ImportFrom | ast.Raise):
            parts = [node]
        elif isinstance(node, ast.AnnAssign):
            parts = [node.annotation]
        elif isinstance(node, ast.FunctionDef):
            parts = [node.returns, *(argument.annotation for argument in node.args.args + node.args.kwonlyargs)]
            parts += node.decorator_list
        elif isinstance(node, ast.ClassDef):
            parts = list(node.decorator_list)
        silent |= {id(inner) for part in parts if part is not None for inner in ast.walk(part)}
    for place, node in enumerate(ast.walk(tree)):
        if id(node) not in silent:
            yield place, node


def path_of(module: str) -> Path:
    """The file of a module: of the broker among the resources, else of a stage."""
    package = "marketbot_resources" if module.startswith("broker/") else "marketbot_assets"
    return ROOT / package / module


def mutants(module: str) -> list[Mutant]:
    """Every mutant of a module, in the order of its lines."""
    source = path_of(module).read_text(encoding="utf-8")
    tree = ast.parse(source)
    holders = {id(inner): outer for outer in ast.walk(tree) for inner in ast.iter_child_nodes(outer)}
    found = []
    for place, node in _judged(tree):
        kinds = Counter[str]()
        for number, (what, _) in enumerate(changes(node)):
            kinds[what] += 1
            holder = holders[id(node)]
            around = _code(source, holders[id(holder)] if isinstance(holder, ast.keyword) else holder)
            around += f", place {kinds[what]}" if kinds[what] > 1 else ""
            line = getattr(node, "lineno", 0)
            found.append(Mutant(module, place, number, line, f"{_code(source, node)} -> {what}", around))
    return sorted(found, key=lambda m: (m.line, m.place, m.change))


def _code(source: str, node: ast.AST) -> str:
    shown = node.test if isinstance(node, ast.If) else node
    return " ".join((ast.get_source_segment(source, shown) or "").split())[:100]


def compiled(mutant: Mutant) -> CodeType:
    """The module's code with the one change."""
    path = path_of(mutant.module)
    tree = ast.parse(path.read_text(encoding="utf-8"))
    old = list(ast.walk(tree))[mutant.place]
    _, new = changes(old)[mutant.change]
    ast.copy_location(new, old)

    class Put(ast.NodeTransformer):
        def visit(self, node: ast.AST) -> ast.AST:
            return new if node is old else self.generic_visit(node)

    return compile(ast.fix_missing_locations(Put().visit(tree)), str(path), "exec")


class Changed(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Hands out the changed code for one module's name."""

    def __init__(self, name: str, code: CodeType) -> None:
        self._name, self._code = name, code

    def find_spec(self, name: str, path: object = None, target: object = None) -> importlib.machinery.ModuleSpec | None:
        """The changed module alone."""
        return importlib.util.spec_from_loader(name, self) if name == self._name else None

    def exec_module(self, module: ModuleType) -> None:
        """Runs the changed code."""
        exec(self._code, module.__dict__)


def _child(mutant: Mutant | None, tests: Sequence[str], limit: float) -> None:
    """Runs the tests on the changed module and ends: 0 when none noticed."""
    import hypothesis
    import pytest

    signal.setitimer(signal.ITIMER_PROF, limit)
    with open(os.devnull, "w") as nothing:
        os.dup2(nothing.fileno(), 1 if mutant is not None else 2)
        os.dup2(nothing.fileno(), 2)
    if mutant is not None:
        name = ".".join(path_of(mutant.module).relative_to(ROOT).with_suffix("").parts)
        sys.meta_path.insert(0, Changed(name, compiled(mutant)))
    # A counterexample is enough: nobody reads the smallest one.
    phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
    # A busy machine breaks deadlines, which is nobody's notice of a mutant.
    hypothesis.settings.register_profile("mutate", phases=phases, database=None, deadline=None)
    hypothesis.settings.load_profile("mutate")
    code = BROKEN
    with contextlib.suppress(BaseException):
        code = int(pytest.main([*tests, "-x", "-q", "--assert=plain", "-p", "no:cacheprovider"]))
    os._exit(code)


def paths(module: str) -> list[str]:
    """The test files of a module."""
    folder = ROOT / "tests" / module.split("/")[0]
    return [str(folder / name) for name in TESTS[module]]


def run(waiting: Sequence[tuple[Mutant | None, Sequence[str]]], jobs: int, limit: float) -> Iterator[tuple[int, int]]:
    """(place in `waiting`, exit code of its child) as they end. A child's own timer ends it; it counts CPU time, so a busy
    machine ends nobody.
    """
    running: dict[int, int] = {}
    place = 0
    while place < len(waiting) or running:
        while place < len(waiting) and len(running) < jobs:
            pid = os.fork()
            if pid == 0:
                _child(*waiting[place], limit)
            running[pid] = place
            place += 1
        pid, status = os.wait()
        yield running.pop(pid), os.waitstatus_to_exitcode(status)


def preload() -> None:
    """Imports once what every child needs, and forgets the stages again that are changed and what may read them."""
    for name in ("pytest", "hypothesis", "numpy", "pandas", "marketbot_assets.risk.verdict_frame"):
        importlib.import_module(name)
    changed = (
        "marketbot_assets.risk",
        "marketbot_assets.insight",
        "marketbot_assets.exec",
        "marketbot_resources.broker.",
    )
    for name in [name for name in sys.modules if name.startswith(changed)]:
        del sys.modules[name]


def equivalents() -> dict[str, str]:
    """Name or exact name of a mutant -> why nobody can see it; lines `module | code -> change [in code around it] # reason`."""
    lines = EQUIVALENT.read_text(encoding="utf-8").splitlines() if EQUIVALENT.exists() else []
    pairs = (line.rsplit(" # ", 1) for line in lines if line.strip() and not line.startswith("#"))
    return {name.strip(): reason for name, reason in pairs}


def chosen(modules: Sequence[str], sample: int | None, seed: int) -> list[Mutant]:
    """The mutants to run: all, or of each module its share of a sample."""
    known = equivalents()
    every = {module: [m for m in mutants(module) if not {m.name, m.exact_name} & known.keys()] for module in modules}
    if sample is None:
        return [m for found in every.values() for m in found]
    total, rng = sum(map(len, every.values())), random.Random(seed)
    picked = []
    for found in every.values():
        size = min(len(found), max(10, round(sample * len(found) / max(total, 1))))
        picked += sorted(rng.sample(found, size), key=lambda m: (m.line, m.place, m.change))
    return picked


def main() -> int:
    """Runs, prints a table per module and the survivors."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--module", action="append", choices=sorted(TESTS))
    parser.add_argument("--sample", type=int)
    parser.add_argument("--seed", type=int, default=15)
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    modules = options.module or sorted(TESTS)
    preload()
    limits = LIMIT_LEAST_SECONDS
    for module in modules:
        started = sum(os.times()[:4])
        (_, code), *_ = run([(None, paths(module))], 1, 600.0)
        if code != 0:
            print(f"{module}: its tests fail without any mutant")
            return 2
        limits = max(limits, LIMIT_FACTOR * (sum(os.times()[:4]) - started))
    todo = chosen(modules, options.sample, options.seed)
    killed, alive = Counter[str](), Counter[str]()
    for place, code in run([(mutant, paths(mutant.module)) for mutant in todo], options.jobs, limits):
        mutant = todo[place]
        if code not in (0, *NOTICED):
            print(f"exit code {code}: line {mutant.line}: {mutant.name}")
            return 2
        (alive if code == 0 else killed)[mutant.module] += 1
        if code == 0:
            print(f"survived: line {mutant.line}: {mutant.exact_name}", flush=True)
    print(f"\n| module | mutants | killed | share |\n|---|---|---|---|\n{_table(modules, killed, alive)}")
    return 0 if sum(killed.values()) >= KILLED_MIN * len(todo) else 1


def _table(modules: Sequence[str], killed: Counter[str], alive: Counter[str]) -> str:
    rows = [(module, killed[module] + alive[module], killed[module]) for module in modules]
    rows.append(("all", sum(n for _, n, _ in rows), sum(k for _, _, k in rows)))
    return "\n".join(f"| {name} | {n} | {k} | {k / n if n else 0.0:.1%} |" for name, n, k in rows)


if __name__ == "__main__":
    sys.exit(main())
