"""F6: the keyboard's way from one region of the window to the next."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QWidget


def first_control(region: QWidget) -> QWidget | None:
    """The first control of a region that Tab would reach, the chosen one of a group of buttons before others."""
    controls = [
        child
        for child in [region, *region.findChildren(QWidget)]
        if child.isVisibleTo(region.window()) and child.isEnabled() and child.focusPolicy() & Qt.FocusPolicy.TabFocus
    ]
    chosen = [child for child in controls if child.property("checked") and child.property("page")]
    return next(iter(chosen or controls), None)


def next_region(regions: Sequence[QWidget]) -> None:
    """Move the focus to the first control of the region after the one that has it; regions without one are skipped."""
    focus = QApplication.focusWidget()
    start = next(
        (number for number, region in enumerate(regions) if focus and (region is focus or region.isAncestorOf(focus))),
        -1,
    )
    for step in range(1, len(regions) + 1):
        region = regions[(start + step) % len(regions)]
        control = first_control(region) if region.isVisible() else None
        if control is not None:
            control.setFocus(Qt.FocusReason.TabFocusReason)
            return
