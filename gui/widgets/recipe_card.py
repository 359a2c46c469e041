"""RecipeCards: the recipes to choose from, side by side."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QButtonGroup, QFrame, QHBoxLayout, QLabel, QPushButton, QScrollArea, QVBoxLayout, QWidget

CARD = QSize(228, 104)
BAR_HEIGHT = 14


@dataclass(frozen=True)
class RecipeText:
    """What a card says: the recipe's name, a sentence, and figures."""

    name: str
    summary: str
    figures: str


class _Card(QPushButton):
    def __init__(self, text: RecipeText, cards: RecipeCards) -> None:
        super().__init__(cards)
        self._cards = cards
        self.recipe = text.name
        self.setCheckable(True)
        self.setFixedSize(CARD)
        self.setAccessibleName(text.name)
        self.setAccessibleDescription(f"{text.summary} {text.figures}")
        self.setToolTip(text.summary)
        column = QVBoxLayout(self)
        column.setContentsMargins(12, 8, 12, 8)
        column.setSpacing(2)
        for content, look, lines in (
            (text.name, "heading", 1),
            (text.summary, "caption", 2),
            (text.figures, "caption", 1),
        ):
            label = QLabel(content, self)
            label.setProperty("look", look)
            label.setWordWrap(lines > 1)
            label.setAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop)
            label.setMaximumHeight(label.fontMetrics().lineSpacing() * lines + 4)
            label.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
            column.addWidget(label)
        column.addStretch(1)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        steps = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1}
        if event.key() in steps:
            self._cards.move_from(self, steps[Qt.Key(event.key())])
        else:
            super().keyPressEvent(event)


class RecipeCards(QScrollArea):
    """One card per recipe in a line that scrolls; arrow keys move along it.

    Signals:
        picked(str): name of the recipe whose card was pressed.
    """

    picked = Signal(str)

    def __init__(self, name: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName(name)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setWidgetResizable(True)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFixedHeight(CARD.height() + BAR_HEIGHT + 2)
        self._texts: list[RecipeText] = []
        self._cards: list[_Card] = []
        self._group = QButtonGroup(self)
        self._group.setExclusive(True)
        self._group.buttonClicked.connect(self._on_clicked)

    def set_recipes(self, texts: list[RecipeText]) -> None:
        """Show other recipes; the chosen one stays chosen if it is among them."""
        if texts == self._texts:
            return
        chosen = self.chosen
        self._texts = texts
        for card in self._cards:
            self._group.removeButton(card)
        content = QWidget()
        row = QHBoxLayout(content)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(8)
        self._cards = [_Card(text, self) for text in texts]
        for card in self._cards:
            self._group.addButton(card)
            row.addWidget(card, 0, Qt.AlignmentFlag.AlignTop)
        row.addStretch(1)
        self.setWidget(content)
        self.set_chosen(chosen)

    @property
    def chosen(self) -> str:
        """Name of the chosen recipe, or an empty text."""
        return next((card.recipe for card in self._cards if card.isChecked()), "")

    def set_chosen(self, name: str) -> None:
        """Choose a card without a signal."""
        for card in self._cards:
            if card.recipe == name:
                card.setChecked(True)
                self.ensureWidgetVisible(card)

    def move_from(self, card: _Card, step: int) -> None:
        """Go to a neighbour of `card` and choose it."""
        target = self._cards[(self._cards.index(card) + step) % len(self._cards)]
        target.setFocus(Qt.FocusReason.TabFocusReason)
        self.ensureWidgetVisible(target)
        target.click()

    def _on_clicked(self, _card: QPushButton) -> None:
        self.picked.emit(self.chosen)
