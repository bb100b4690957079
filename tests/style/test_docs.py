"""Docs in step with the code: everything that a user meets is named, and the reference names nothing that does not exist."""

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path

import click
import pytest
import yaml

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").glob("*.md"))]
README_LINES_MAX = 120
OUTSIDE = re.compile(
    r"(?<![\w.])/(?:work|root|tmp|home)\b|pypi|pythonhosted|index-url|npmjs|crates\.io|docker\.io|ghcr\.io|proxy\.golang",
    re.IGNORECASE,
)
ADDRESS = re.compile(r"https?://(?!127\.0\.0\.1)")
MODULE = re.compile(r"`((?:[\w-]+/)*[\w-]+\.py)`")
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")
FREE_KEYS = {"universe.listings", "universe.floor", "costs_bps.half_spread_and_fee", "portfolio.score_weights"}


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@lru_cache
def text() -> str:
    return "\n".join(page.read_text(encoding="utf-8") for page in PAGES)


def section(title: str) -> str:
    """The text of one second-level section of the reference."""
    reference = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", reference, re.MULTILINE | re.DOTALL)
    assert found, f"docs/reference.md has no section {title}"
    return found.group(1)


def rows(part: str) -> dict[str, str]:
    """First cell in backticks -> the rest of the row."""
    found = re.findall(r"^\| `([^`]+)` \|(.*)$", part, re.MULTILINE)
    twice = [key for key in dict(found) if [k for k, _ in found].count(key) > 1]
    assert twice == [], f"named twice: {twice}"
    return dict(found)


@lru_cache
def assets() -> dict[str, str]:
    """Asset -> its group, as Dagster knows them."""
    from marketbot_assets.definitions import defs

    graph = defs.resolve_asset_graph()
    return {key.to_user_string(): str(graph.get(key).group_name) for key in graph.get_all_asset_keys()}


def test_every_asset_stands_in_the_reference_under_its_group() -> None:
    """The reference lists exactly the assets of the definitions, each under its own group."""
    groups = re.split(r"^### (\w+)\n", section("Assets"), flags=re.MULTILINE)[1:]
    listed = {asset: group for group, part in zip(groups[::2], groups[1::2], strict=True) for asset in rows(part)}
    assert listed == assets()


def test_the_picture_of_the_graph_shows_every_asset() -> None:
    """README: an asset is in the picture by its name; bootstrap tables by their common ending."""
    words = set(re.findall(r"[\w*]+", README.read_text(encoding="utf-8").split("```")[1]))
    assert [a for a in assets() if a not in words and not (a.endswith("_history") and "*_history" in words)] == []


def test_every_resource_stands_in_the_reference() -> None:
    """The reference lists exactly the resources of the definitions."""
    from marketbot_assets.definitions import defs

    assert set(rows(section("Resources"))) == set(defs.resources or {})


def test_every_job_sensor_and_schedule_stands_in_the_reference() -> None:
    """Whatever starts runs is named."""
    from marketbot_assets.automation import SCHEDULES, SENSORS
    from marketbot_assets.jobs import JOBS

    part = section("Jobs, sensor, schedule")
    assert [started.name for started in (*JOBS, *SENSORS, *SCHEDULES) if f"`{started.name}`" not in part] == []


def commands() -> Mapping[str, click.Command]:
    """Every command by its full name: those of a group as `group name`."""
    from marketbot_assets.cli import commands as group

    found = {}
    for name, command in group.commands.items():
        inner = command.commands.items() if isinstance(command, click.Group) else ()
        found |= {f"{name} {own}": one for own, one in inner} or {name: command}
    return found


def test_every_command_and_option_stands_in_the_reference_and_in_the_readme() -> None:
    """The reference lists exactly the commands, each with exactly its options and arguments; README names each command."""
    listed = rows(section("Commands"))
    assert set(listed) == set(commands())
    for full, command in commands().items():
        cells = listed[full].split("|")[0]
        options = {opt for p in command.params if isinstance(p, click.Option) for opt in p.opts}
        assert set(re.findall(r"--[\w-]+", cells)) == options, full
        arguments = [str(p.name).upper() for p in command.params if isinstance(p, click.Argument)]
        assert re.findall(r"[A-Z]{2,}", re.sub(r"--[\w-]+( [A-Z]+)?", "", cells)) == arguments, full
        assert f"marketbot {full}" in README.read_text(encoding="utf-8"), full


def test_docs_name_no_command_or_option_that_does_not_exist() -> None:
    """Whatever stands behind `marketbot` in code marks is a command of today, with options that it has."""
    for first, more in re.findall(r"`marketbot ([a-z][\w-]*)([^`]*)`", text()):
        second = re.match(r" ([a-z][\w-]*)", more)
        inner = second is not None and f"{first}{second[0]}" in commands()
        command, rest = (f"{first}{second[0]}", more[second.end() :]) if second and inner else (first, more)
        assert command in commands(), command
        options = {opt for p in commands()[command].params for opt in p.opts}
        assert set(re.findall(r"--[\w-]+", rest)) <= options, f"{command}{rest}"


def mandate() -> Mapping[str, object]:
    loaded: Mapping[str, object] = yaml.safe_load((ROOT / "mandate.yaml").read_text(encoding="utf-8"))
    return loaded


def named_inside(path: str, value: object, cells: str) -> Iterator[str]:
    """Keys inside a mandate key that its row does not name."""
    if not isinstance(value, Mapping) or path in ("limits", *FREE_KEYS):
        return
    yield from (f"{path}.{key}" for key in value if f"`{key}`" not in cells)


def test_every_mandate_key_stands_in_the_reference() -> None:
    """Top-level keys and keys under limits have a row of their own, which names the keys inside; no row is stale."""
    top, _, limits = section("Mandate").partition("### Limits\n")
    limits_given = mandate()["limits"]
    assert isinstance(limits_given, Mapping)
    for table, given in ((rows(top), mandate()), (rows(limits), limits_given)):
        assert set(table) == set(given)
        assert [missing for key, value in given.items() for missing in named_inside(key, value, table[key])] == []


def test_every_make_target_is_named() -> None:
    """The reference lists exactly the phony targets of the Makefile; the two words of the house stand in README."""
    phony = re.search(r"^\.PHONY: (.+)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert phony
    targets = phony.group(1).split()
    assert set(rows(section("make"))) >= set(targets)
    told = re.findall(r"(?:^|`)make ([a-z]+)", text(), re.MULTILINE)
    assert set(rows(section("make"))) == set(targets) >= set(told)
    assert all(f"make {word}" in README.read_text(encoding="utf-8") for word in ("demo", "test", "ui"))


def test_readme_is_short() -> None:
    """README has at most 120 lines."""
    assert README.read_text(encoding="utf-8").count("\n") <= README_LINES_MAX


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_a_page_names_nothing_outside(page: Path) -> None:
    """No path of some machine, no registry, no address but the local one."""
    for n, line in enumerate(page.read_text(encoding="utf-8").splitlines(), start=1):
        assert not OUTSIDE.search(line), f"{name(page)}:{n}"
        assert not ADDRESS.search(line), f"{name(page)}:{n}"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_files_and_links_of_a_page_exist(page: Path) -> None:
    """Every module that a page names, and every page that it links to, is there."""
    files = {
        name(p) for top in ("marketbot_assets", "marketbot_resources", "tests") for p in (ROOT / top).rglob("*.py")
    }
    source = page.read_text(encoding="utf-8")
    lost = [m for m in MODULE.findall(source) if not any(f"/{f}".endswith(f"/{m}") for f in files)]
    assert lost == []
    assert [link for link in LINK.findall(source) if not (page.parent / link).exists()] == []
