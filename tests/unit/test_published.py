# SPDX-License-Identifier: Apache-2.0
"""What is published is true: error codes have raisers, names in documents exist, settings act."""

from __future__ import annotations

import ast
import importlib.util
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import attrs
import pytest

import edge_twisted.config.model as model
from edge_twisted.api.errors import ERRORS
from edge_twisted.api.metrics import Metrics
from edge_twisted.config.reference import paths
from edge_twisted.config.schema import schema
from edge_twisted.errors import Culprit, EdgeError
from tests.unit.test_documentation import errors

TOP = Path(__file__).parents[2]
PRODUCT = TOP / "edge_twisted"
DOCUMENTS = [
    *sorted(TOP.glob("*.md")),
    *sorted((TOP / "docs").rglob("*.md")),
]
#: What the changes were is history; files that it names may be gone.
DOCUMENTS = [path for path in DOCUMENTS if path.name != "CHANGELOG.md"]

#: Answered for every error that has no code in the table; raised by nobody.
FALLBACK = "internal_error"

#: Settings that a file may have, for what this server does not do: `config/rules/` warns of them.
WARNED_OF = {
    "lan_multicast_enabled", "ble_enabled", "awdl_enabled", "wifi_aware_enabled",
    "known_ws_servers",
}  # fmt: skip
#: Settings that a file may have, and whose description says that they have no effect.
FOR_COMPATIBILITY = {"enable_cloud_sync", "auth_url"}


def product() -> Iterator[tuple[str, str]]:
    """Yield name and text of each module that runs in a server."""
    for path in sorted(PRODUCT.rglob("*.py")):
        name = path.relative_to(PRODUCT).as_posix()
        yield name, path.read_text("utf-8")


@cache
def trees() -> dict[str, ast.Module]:
    return {name: ast.parse(text) for name, text in product()}


@cache
def test_texts() -> str:
    """Return the text of all tests but this one."""
    files = [*(TOP / "tests").rglob("*.py")]
    return "\n".join(path.read_text("utf-8") for path in files if path != Path(__file__))


test_texts.__test__ = False  # type: ignore[attr-defined]


# -- error codes


@cache
def used_names() -> frozenset[str]:
    """Return the names that are called, raised or handed on as values in the product."""
    found: set[str] = set()
    for tree in trees().values():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call | ast.Raise):
                what = node.func if isinstance(node, ast.Call) else node.exc
                handed = [*node.args] if isinstance(node, ast.Call) else []
                for each in (what, *handed):
                    if isinstance(each, ast.Name):
                        found.add(each.id)
                    elif isinstance(each, ast.Attribute):
                        found.add(each.attr)
                        # Made by a method of the class.
                        if isinstance(each.value, ast.Name):
                            found.add(each.value.id)
            elif isinstance(node, ast.Dict | ast.Tuple):
                values = node.values if isinstance(node, ast.Dict) else node.elts
                found.update(each.id for each in values if isinstance(each, ast.Name))
    return frozenset(found)


def classes_of(code: str) -> list[type[EdgeError]]:
    """Return the errors with a code."""
    return [each for each in errors() if each.code == code]


@pytest.mark.parametrize("code", [kind.code for kind in ERRORS if kind.code != FALLBACK])
def test_every_code_of_the_table_has_a_raiser(code: str) -> None:
    """Else the table promises what never happens: raise it, or take it out."""
    names = {each.__name__ for each in classes_of(code)}
    assert names, f"no error has the code {code}"
    assert names & used_names(), f"nothing raises {', '.join(sorted(names))}"


@pytest.mark.parametrize("code", [kind.code for kind in ERRORS])
def test_every_code_of_the_table_is_provoked_by_a_test(code: str) -> None:
    """By its code, or by the class that has it."""
    names = [each.__name__ for each in classes_of(code)]
    wanted = "|".join([f'"{code}"', *(rf"^(?!.*import ).*\b{name}\b" for name in names)])
    assert re.search(wanted, test_texts(), re.MULTILINE), f"no test meets {code}"


def test_every_raised_error_class_is_used() -> None:
    """An error that nothing raises, and nothing derives from, is dead."""
    bases = {base.__name__ for each in errors() for base in each.__mro__[1:]}
    dead = [
        f"{each.__module__}.{each.__name__}"
        for each in errors()
        if each.__name__ not in used_names() and each.__name__ not in bases
    ]
    assert dead == []


#: Bases and wrappers, which nobody meets as they are: a wrapper is answered as its cause is.
OF_NO_CULPRIT = {"HttpError", "ErrorWithDetails"}
#: Statuses of 5xx that a client causes: it asks for what this server's HTTP does not have.
UNSUPPORTED = {501, 505}


def test_every_error_says_who_is_at_fault() -> None:
    """By `culprit` in its class or in a base; the default of `EdgeError` is for nobody."""
    silent = [
        each.__name__
        for each in errors()
        if not any("culprit" in vars(base) for base in each.__mro__ if base is not EdgeError)
    ]
    assert set(silent) == {*OF_NO_CULPRIT, "EdgeError"}


def test_the_statuses_agree_on_who_is_at_fault() -> None:
    """A status below 500 asks the caller for something else; another does not."""
    status_of = {kind.code: kind.status for kind in ERRORS}
    for each in errors():
        status = status_of.get(each.code)
        if status is not None and each.code != FALLBACK:
            is_the_callers = status < 500 or status in UNSUPPORTED
            assert (each.culprit is Culprit.CALLER) is is_the_callers, each


# -- names in documents


#: Places that a name in a document may be relative to.
PLACES = (TOP, PRODUCT, TOP / "docs", TOP / "tests")
#: Names of files that a server or a user makes, and that the repository cannot have.
MADE = re.compile(r"^(audit|ditto_sdk|edge-server|edge-data)/|^/|^~|[<>*{}$]|\.\.")
FILE = re.compile(r"^[\w./-]+\.(py|md|ya?ml|json|sql|svg|service|socket|toml|cfg|txt)$")


def exists(name: str, beside: Path) -> bool:
    """Answer whether a path is one, from one of the places or beside the document."""
    return any((place / name).exists() for place in (*PLACES, beside.parent))


def quoted(text: str) -> Iterator[str]:
    """Yield what stands between single backticks outside of code blocks."""
    prose = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    prose = "\n".join(line for line in prose.splitlines() if not line.startswith("    "))
    yield from re.findall(r"`([^`\n]+)`", prose)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(TOP).as_posix())
def test_every_file_that_a_document_names_exists(path: Path) -> None:
    text = path.read_text("utf-8")
    named = {each for each in quoted(text) if FILE.match(each) and not MADE.search(each)}
    # A single name may be a folder that a server makes.
    folders = {each for each in quoted(text) if re.match(r"^[a-z_]+/[\w/]+/$", each)}
    named |= {each for each in folders if not MADE.search(each)}
    missing = sorted(each for each in named if "/" in each and not exists(each, path))
    bare = {each for each in named if "/" not in each and each.endswith(".py")}
    missing += sorted(each for each in bare if not [*PRODUCT.rglob(each), *TOP.glob(each)])
    links = re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", text)
    missing += sorted(link for link in links if not (path.parent / link).exists())
    assert missing == []


def is_there(dotted: str) -> bool:
    """Answer whether a dotted name is a module, or a name in one."""
    parts = dotted.split(".")
    for length in range(len(parts), 0, -1):
        name = ".".join(parts[:length])
        try:
            found = importlib.util.find_spec(name)
        except ModuleNotFoundError:
            continue
        if found is None:
            continue
        here: object = importlib.import_module(name)
        for part in parts[length:]:
            here = getattr(here, part, None)
        return here is not None
    return False


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(TOP).as_posix())
def test_every_module_that_a_document_names_exists(path: Path) -> None:
    text = path.read_text("utf-8")
    named = set(re.findall(r"\b((?:edge_twisted|bench)(?:\.\w+)+)", text))
    assert sorted(each for each in named if not is_there(each)) == []


def test_every_document_that_the_code_names_exists() -> None:
    missing = [
        f"{path.relative_to(TOP)}: {name}"
        for path in [*PRODUCT.rglob("*.py"), *(TOP / "bench").rglob("*.py")]
        for name in re.findall(r"\bdocs/[\w/.-]+\.md\b", path.read_text("utf-8"))
        if not (TOP / name).exists()
    ]
    assert missing == []


def test_every_decision_that_is_cited_exists() -> None:
    numbers = sorted(int(path.name[:4]) for path in (TOP / "docs/decisions").glob("[0-9]*.md"))
    assert numbers == list(range(1, len(numbers) + 1)), "each number is given once, without a gap"
    there = set(numbers)
    cited = {
        int(number)
        for path in [*DOCUMENTS, *PRODUCT.rglob("*.py")]
        for number in re.findall(r"(?i)\bdecisions? (\d+)\b", path.read_text("utf-8"))
    }
    assert cited - there == set()


def test_the_list_of_who_hears_of_a_commit_is_whole() -> None:
    """The head of `store/hooks.py` names the modules that call `Store.on_commit`."""
    listening = {
        name.removesuffix(".py").replace("/", ".")
        for name, tree in trees().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "on_commit"
    }
    head = ast.get_docstring(trees()["store/hooks.py"]) or ""
    assert set(re.findall(r"^- `([\w.]+)`", head, re.MULTILINE)) == listening


# -- settings


def read_attributes(of: Iterator[tuple[str, ast.Module]]) -> set[str]:
    """Return the names that are read as attributes."""
    return {
        node.attr
        for _, tree in of
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load)
    }


def settings() -> Iterator[str]:
    """Yield Class.field for each value of the configuration's model."""
    for each in vars(model).values():
        if isinstance(each, type) and attrs.has(each) and each.__module__ == model.__name__:
            for field in attrs.fields(each):
                if not field.name.startswith("_"):
                    yield f"{each.__name__}.{field.name}"


def test_every_setting_is_read_outside_of_the_configuration() -> None:
    """A setting that only the configuration itself knows has no effect."""
    outside = ((n, t) for n, t in trees().items() if not n.startswith("config/"))
    read = read_attributes(outside) | WARNED_OF | FOR_COMPATIBILITY
    found = list(settings())
    assert len(found) > 60
    assert [each for each in found if each.partition(".")[2] not in read] == []


def test_settings_without_an_effect_say_so() -> None:
    rules = "".join(text for name, text in product() if name.startswith("config/rules/"))
    assert [name for name in WARNED_OF if name not in rules] == []
    page = (TOP / "docs" / "configuration.md").read_text("utf-8")
    rows = [line for line in page.splitlines() if "For compatibility only" in line]
    assert [name for name in FOR_COMPATIBILITY if not any(name in row for row in rows)] == []


def test_every_key_of_the_schema_is_taken_over_into_the_model() -> None:
    """Each key is a field of the model, or stands as a text in the modules that build it."""
    texts = {name.partition(".")[2] for name in settings()} | {
        node.value
        for name, tree in trees().items()
        if name.startswith("config/")
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    names = {re.sub(r"\[\]|<\w+>", "", path).rpartition(".")[2] for path in paths(schema())}
    assert len(names) > 60
    assert sorted(name for name in names - {""} if name not in texts) == []


# -- metrics


def test_every_metric_is_fed() -> None:
    """What holds the metric is used by another module than the one that makes it."""
    outside = ((n, t) for n, t in trees().items() if n != "api/metrics.py")
    read = read_attributes(outside)
    metrics = [
        name
        for name, value in vars(Metrics()).items()
        if not name.startswith("_") and hasattr(value, "collect") and name != "registry"
    ]
    assert len(metrics) > 8
    assert [name for name in metrics if name not in read] == []
