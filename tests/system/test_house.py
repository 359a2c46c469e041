"""The rules of the house hold in the source: arrows between layers run one way, nothing is unpickled."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
VERBS = ("compression", "generation", "latent", "segmentation", "evaluation", "training", "laboratory")
NOUNS = ("models", "losses", "data", "layers")


def imports(path: Path, *, at_start: bool = False) -> Iterator[str]:
    """Modules that a file imports; `at_start` leaves out what is imported inside functions or only for types."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = _run_at_start(tree.body) if at_start else ast.walk(tree)
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def _run_at_start(body: list[ast.stmt]) -> Iterator[ast.AST]:
    for node in body:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield from ast.walk(node)


def sources(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def starts(module: str, packages: tuple[str, ...]) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def test_the_engine_imports_no_qt() -> None:
    forbidden = ("PySide6", "pyqtgraph", "gui", "main")
    wrong = [(path.name, module) for path in sources("engine") for module in imports(path) if starts(module, forbidden)]
    assert wrong == []


@pytest.mark.parametrize("noun", NOUNS)
def test_models_losses_data_and_layers_import_no_verb(noun: str) -> None:
    verbs = tuple(f"engine.{verb}" for verb in VERBS)
    wrong = [(p.name, module) for p in sources(f"engine/{noun}") for module in imports(p) if starts(module, verbs)]
    assert wrong == []


@pytest.mark.parametrize(
    ("layer", "above"),
    [
        ("services", ("gui.controllers", "gui.pages", "gui.widgets", "gui.main_window")),
        ("controllers", ("gui.pages", "gui.widgets", "gui.main_window", "PySide6.QtWidgets")),
        ("widgets", ("gui.pages", "gui.main_window")),
        ("pages", ("gui.main_window",)),
    ],
)
def test_arrows_in_the_window_run_one_way(layer: str, above: tuple[str, ...]) -> None:
    wrong = [
        (path.name, module) for path in sources(f"gui/{layer}") for module in imports(path) if starts(module, above)
    ]
    assert wrong == []


def test_no_window_module_loads_torch_while_it_is_imported() -> None:
    heavy = ("torch", "torchvision", "sklearn", "scipy")
    wrong = [
        (path.name, module)
        for path in sources("gui")
        for module in imports(path, at_start=True)
        if starts(module, heavy)
    ]
    assert wrong == []


def test_nothing_is_unpickled() -> None:
    calls = re.compile(r"torch\.load\(|pickle\.loads?\(|allow_pickle\s*=\s*True")
    everything = [*sources("engine"), *sources("gui"), *sources("viewer")]
    assert [path.name for path in everything if calls.search(path.read_text())] == []


def test_the_viewer_imports_neither_the_window_nor_what_recipients_lack() -> None:
    forbidden = ("gui", "main", "PySide6", "torch", "pydantic", "typer", "rich", "platformdirs", "safetensors")
    viewer = [path for path in sources("viewer") if path.name != "export.py"]  # needs the whole program
    wrong = [(path.name, module) for path in viewer for module in imports(path) if starts(module, forbidden)]
    assert viewer and wrong == []


def test_the_engine_imports_nothing_of_the_viewer() -> None:
    assert [path.name for path in sources("engine") for module in imports(path) if starts(module, ("viewer",))] == []
