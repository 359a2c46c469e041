"""Walks over the controls of a page: what a screen reader would name, and what Tab reaches."""

from __future__ import annotations

from collections.abc import Iterator

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSlider,
    QAbstractSpinBox,
    QComboBox,
    QLineEdit,
    QScrollBar,
    QWidget,
)

KINDS = (QAbstractButton, QAbstractItemView, QAbstractSlider, QAbstractSpinBox, QComboBox, QLineEdit)


def nameless_controls(*roots: QWidget) -> list[QWidget]:
    """Controls below `roots` without an accessible name or text."""
    return [control for control in _controls(*roots) if not _name(control)]


def unreachable_controls(*roots: QWidget) -> list[QWidget]:
    """Controls below `roots` that Tab does not reach."""
    return [control for control in _controls(*roots) if not control.focusPolicy() & Qt.FocusPolicy.TabFocus]


def _controls(*roots: QWidget) -> Iterator[QWidget]:
    for root in roots:
        for kind in KINDS:
            for control in root.findChildren(kind):
                if not isinstance(control, QScrollBar) and not _inside_another(control) and control.isVisibleTo(root):
                    yield control


def _inside_another(control: QWidget) -> bool:
    """True for parts of a control, such as the line of a spin box or the header of a list."""
    parent = control.parentWidget()
    while parent is not None:
        if isinstance(parent, KINDS):
            return True
        parent = parent.parentWidget()
    return False


def _name(control: QWidget) -> str:
    return control.accessibleName() or (control.text() if isinstance(control, QAbstractButton) else "")
