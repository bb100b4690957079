"""The house rules R1 to R6 and the sizes, as tests."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from marketbot_resources.vendors import MODULES

ROOT = Path(__file__).parents[2]
STAGES = (
    "ingestion",
    "normalization",
    "features",
    "insight",
    "book",
    "portfolio",
    "risk",
    "execution",
    "audit",
    "research",
)
FREE = {"decision", "audit", "research"}
WIRING = (
    "definitions",
    "jobs",
    "automation",
    "automation_afterwards",
    "automation_alerts",
    "automation_intraday",
    "automation_orders",
    "cli",
)
PURE_THIRD_PARTY = {
    "numpy",
    "pandas",
    "scipy",
    "pyarrow",
    "pandera",
    "cvxpy",
    "numba",
    "sklearn",
    "threadpoolctl",
    "lightgbm",
    "arch",
    "plotly",
}
PURE_RESOURCES = {
    "model",
    "capabilities",
    "errors",
    "mandate",
    "mandate_limits",
    "llm",
    "llm_exchange",
    "mandate_llm",
    "mandate_model_limits",
    "mandate_section",
    "mandate_portfolio",
    "mandate_trade_limits",
    "calendars",
    "cash_rates",
    "closures",
    "currencies",
    "holidays",
    "jurisdictions",
    "corporate_actions",
    "fillmodel",
    "alert_codes",
    "alert_detection",
    "alerts",
    "alpaca_terms",
    "broker_table",
    "fill_rules",
    "ibkr_terms",
    "mandate_execution",
    "order_slices",
    "order_types",
    "paper_book",
    "paper_terms",
    "heard",
    "paper",
    "paper_market",
    "paper_order",
    "provider",
    "rows",
    "vendors",
}
IMPURE_STDLIB = {
    "os",
    "socket",
    "subprocess",
    "urllib",
    "http",
    "sqlite3",
    "pathlib",
    "shutil",
    "tempfile",
    "time",
    "threading",
}
HEAVY = ("litellm", "cvxpy", "pandera", "scipy", "numba", "exchange_calendars", "pandas", "pyarrow", "numpy")
FILE_LINES_MAX, FUNCTION_LINES_MAX = 400, 70
GENERATED = {"holidays.py"}


def modules(*folders: str) -> Iterator[Path]:
    for folder in folders:
        yield from sorted((ROOT / folder).rglob("*.py"))


def product() -> list[Path]:
    return list(modules("marketbot_assets", "marketbot_resources"))


def imports(path: Path) -> Iterator[str]:
    """Absolute names of everything imported anywhere in a file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module or ""


def stage_of(path: Path) -> str | None:
    parts = path.relative_to(ROOT).parts
    return parts[1] if parts[0] == "marketbot_assets" and len(parts) >= 3 else None


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_r1_resources_never_import_assets() -> None:
    """R1: the outside world knows nothing of the graph."""
    bad = [name(p) for p in modules("marketbot_resources") for i in imports(p) if i.startswith("marketbot_assets")]
    assert bad == []


def pure_violations(path: Path) -> Iterator[str]:
    for imported in imports(path):
        top = imported.split(".")[0]
        if top == "dagster" or top in IMPURE_STDLIB:
            yield imported
        elif top == "marketbot_resources":
            parts = imported.split(".")
            if len(parts) < 2 or (parts[1] not in PURE_RESOURCES and imported != "marketbot_resources.store.table"):
                yield imported
        elif top not in PURE_THIRD_PARTY | {"marketbot_assets"} and top not in sys.stdlib_module_names:
            yield imported


def test_r2_stage_modules_are_pure() -> None:
    """R2: only assets.py and checks.py of a stage know dagster, resources, clock, network, disk or environment."""
    bad = []
    for path in modules("marketbot_assets"):
        if stage_of(path) in STAGES and path.name not in ("assets.py", "checks.py", "__init__.py"):
            bad += [f"{name(path)} imports {imported}" for imported in pure_violations(path)]
    assert bad == []


def test_vendor_modules_are_pure() -> None:
    """What describes a vendor says what to ask and how to read the answer; it asks nothing itself."""
    files = [ROOT / "marketbot_resources" / f"{m.replace('.', '/')}.py" for ms in MODULES.values() for m in ms]
    allowed = {"urllib"}  # urllib.parse puts addresses together
    bad = [f"{name(p)} imports {i}" for p in files for i in imports(p) if i.split(".")[0] in IMPURE_STDLIB - allowed]
    bad += [f"{name(p)} imports {i}" for p in files for i in imports(p) if i.startswith(("httpx", "urllib.request"))]
    assert bad == []


def test_r2_nothing_asks_the_machine_for_the_time() -> None:
    """R2: time comes from the clock port alone."""
    bad = []
    for path in product():
        if name(path) == "marketbot_resources/clock.py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Attribute)
                and node.attr in ("now", "today", "utcnow")
                and isinstance(node.value, ast.Attribute)
            ):
                if node.value.attr in ("datetime", "date"):
                    bad.append(f"{name(path)}:{node.lineno}")
    assert bad == []


def test_r3_stages_import_contracts_of_earlier_stages_only() -> None:
    """R3: never a later stage, never another stage's assets."""
    bad = []
    for path in modules("marketbot_assets"):
        stage = stage_of(path)
        if stage is None or stage in FREE or stage not in STAGES:
            continue
        for imported in imports(path):
            parts = imported.split(".")
            if parts[0] != "marketbot_assets" or len(parts) < 2 or parts[1] not in STAGES or parts[1] == stage:
                continue
            later = STAGES.index(parts[1]) > STAGES.index(stage)
            if later or parts[-1] in ("assets", "checks"):
                bad.append(f"{name(path)} imports {imported}")
    assert bad == []


def test_r4_nothing_imports_the_wiring() -> None:
    """R4: definitions, jobs, automation and cli import stages; nothing imports them but each other."""
    wiring = {f"marketbot_assets.{module}" for module in WIRING}
    own = {f"marketbot_assets/{module}.py" for module in WIRING}
    bad = [f"{name(p)} imports {i}" for p in product() for i in imports(p) if i in wiring and name(p) not in own]
    assert [line for line in bad if not line.startswith("marketbot_assets/commands/")] == []


def test_r4_only_the_command_imports_the_http_interface() -> None:
    """R4: `serving` is no stage; nothing imports it but `serve` and itself."""
    own = ("marketbot_assets/serving/", "marketbot_assets/commands/serve.py")
    bad = [f"{name(p)} imports {i}" for p in product() for i in imports(p) if i.startswith("marketbot_assets.serving")]
    assert [line for line in bad if not line.startswith(own)] == []


def test_r5_inits_hold_a_docstring_and_nothing_else() -> None:
    """R5: import from the module that owns the name."""
    for path in product():
        if path.name == "__init__.py":
            body = ast.parse(path.read_text(encoding="utf-8")).body
            assert len(body) == 1, name(path)
            assert isinstance(body[0], ast.Expr), name(path)


def test_r6_definitions_are_light() -> None:
    """R6: importing definitions loads none of the heavy libraries and opens no file but the mandate and our own source."""
    script = """
import sys, os
opened = []
def watch(event, args):
    if event == "open" and isinstance(args[0], str):
        opened.append(os.path.abspath(args[0]))
    if event == "socket.connect":
        opened.append("socket")
import dagster
sys.addaudithook(watch)
import marketbot_assets.definitions
root = sys.argv[1]
heavy = [m for m in sys.argv[2].split(",") if m in sys.modules]
skipped = ("/.venv/", "__pycache__")
ours = [p for p in opened if p.startswith(root) and not any(x in p for x in skipped) and not p.endswith((".py", ".pyc"))]
print("heavy", heavy)
print("opened", sorted(set(ours)), "socket" in opened)
"""
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script, str(ROOT), ",".join(HEAVY)],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    assert result.stdout.splitlines() == ["heavy []", f"opened ['{ROOT}/mandate.yaml'] False"]


@pytest.mark.parametrize("path", product(), ids=name)
def test_sizes(path: Path) -> None:
    """A file has at most 400 lines, a function at most 70 without its docstring."""
    text = path.read_text(encoding="utf-8")
    assert path.name in GENERATED or text.count("\n") <= FILE_LINES_MAX
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            doc = node.body[0] if ast.get_docstring(node) else None
            lines = (node.end_lineno or 0) - node.lineno + 1
            lines -= ((doc.end_lineno or 0) - doc.lineno + 1) if doc else 0
            assert lines <= FUNCTION_LINES_MAX, f"{name(path)}:{node.name} has {lines} lines"


@pytest.mark.parametrize("path", product(), ids=name)
def test_public_names_have_docstrings(path: Path) -> None:
    """Every module and every public function and class says what it is."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree), name(path)
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            assert ast.get_docstring(node), f"{name(path)}:{node.name}"


def test_asset_bodies_are_thin() -> None:
    """An asset body has at most 10 statements: inputs, one pure function, materialized."""
    for stage in STAGES:
        path = ROOT / "marketbot_assets" / stage / "assets.py"
        if not path.exists():
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and any(a.arg == "context" for a in node.args.args):
                body = node.body[1:] if ast.get_docstring(node) else node.body
                assert len(body) <= 10, f"{name(path)}:{node.name} has {len(body)} statements"


def test_no_pickle_and_no_unsafe_calls() -> None:
    """S5: nothing is unpickled or evaluated."""
    banned = {"pickle", "joblib", "cloudpickle", "marshal", "shelve"}
    for path in product():
        assert not banned & {i.split(".")[0] for i in imports(path)}, name(path)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in ("eval", "exec"), f"{name(path)}:{node.lineno}"
