"""About, shortcuts and licences."""

from __future__ import annotations

import html
import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, metadata, version

from PySide6.QtCore import Qt
from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import QDialog, QDialogButtonBox, QLabel, QTextBrowser, QVBoxLayout, QWidget

from engine.paths import resources
from gui.services.theme import Theme

LIBRARIES = ("torch", "torchvision", "numpy", "pillow", "pillow-heif", "pillow-jxl-plugin", "constriction",
             "safetensors", "pydantic", "typer", "rich", "platformdirs", "PySide6-Essentials", "pyqtgraph")  # fmt: skip
CANVAS_KEYS = (
    ("Zoom at the cursor", "Wheel"),
    ("Move the picture", "Drag, arrow keys"),
    ("Zoom in, zoom out", "+, -"),
    ("Fit into view", "0"),
    ("100 %", "Ctrl+0"),
)


class TextDialog(QDialog):
    """A heading over text that can be scrolled and copied."""

    def __init__(self, title: str, body: str, parent: QWidget, size: tuple[int, int] = (560, 520)) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle(title)
        self.resize(*size)
        heading = QLabel(title, self)
        heading.setProperty("look", "title")
        text = QTextBrowser(self)
        text.setOpenExternalLinks(True)
        text.setAccessibleName(title)
        text.setHtml(body)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close, self)
        buttons.rejected.connect(self.reject)
        column = QVBoxLayout(self)
        column.setContentsMargins(24, 20, 24, 16)
        column.setSpacing(12)
        column.addWidget(heading)
        column.addWidget(text, 1)
        column.addWidget(buttons)


def program_version() -> str:
    """The version of the installed program, or "development" when it runs from a folder."""
    try:
        return version("latent-studio")
    except PackageNotFoundError:
        return "development"


def about(parent: QWidget, engine: str) -> TextDialog:
    """What this program is and what it runs on."""
    from PySide6.QtCore import qVersion

    rows = [
        ("Version", program_version()),
        ("Engine", engine.removeprefix("Engine: ")),
        ("Python", platform.python_version()),
        ("Qt", qVersion()),
        ("System", platform.platform(terse=True)),
    ]
    body = (
        "<p>A desktop workbench for images that lives on autoencoders: compress photos, generate pictures, "
        "explore latent spaces, segment, and train.</p>" + _table(rows)
    )
    return TextDialog("Latent Studio", body, parent, (520, 380))


def shortcuts(parent: QWidget, actions: Sequence[tuple[str, QAction]]) -> TextDialog:
    """Every action with a shortcut, by group, and the keys of pictures."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for group, action in actions:
        keys = ", ".join(key.toString(QKeySequence.SequenceFormat.NativeText) for key in action.shortcuts())
        if keys:
            groups.setdefault(group, []).append((action.text().replace("&", ""), keys))
    groups["Pictures"] = list(CANVAS_KEYS)
    return TextDialog("Shortcuts", "".join(f"<h3>{name}</h3>{_table(rows)}" for name, rows in groups.items()), parent)


def licences(parent: QWidget) -> TextDialog:
    """The licence of this program, of its samples and models, and of the libraries it uses."""
    rows = []
    for name in LIBRARIES:
        try:
            fields = metadata(name).json
        except PackageNotFoundError:
            continue
        licence = str(fields.get("license_expression") or fields.get("license") or "").split("\n")[0]
        classifiers = [line.rpartition(" :: ")[2] for line in fields.get("classifier", []) if "License" in line]
        rows.append((f"{name} {fields['version']}", (licence or ", ".join(classifiers) or "see its home page")[:80]))
    parts = ["<p>Latent Studio is free software under the Apache License 2.0.</p>", "<h3>Libraries</h3>", _table(rows)]
    for path in sorted({*resources().rglob("*LICEN*"), *resources().rglob("*CREDITS*")}):
        if path.is_file():
            parts.append(f"<h3>{html.escape(str(path.relative_to(resources())))}</h3>")
            parts.append(f"<pre>{html.escape(path.read_text(encoding='utf-8', errors='replace'))}</pre>")
    return TextDialog("Licences", "".join(parts), parent, (680, 560))


def _table(rows: Sequence[tuple[str, str]]) -> str:
    muted = Theme.current().hex("muted")
    cells = "".join(
        f'<tr><td style="color:{muted}; padding:3px 24px 3px 0">{html.escape(name)}</td>'
        f'<td style="padding:3px 0">{html.escape(value)}</td></tr>'
        for name, value in rows
    )
    return f"<table>{cells}</table>"
