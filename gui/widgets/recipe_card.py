"""RecipeCards: the recipes to choose from, side by side."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QFontMetrics, QKeyEvent
from PySide6.QtWidgets import QButtonGroup, QFrame, QHBoxLayout, QLabel, QPushButton, QScrollArea, QVBoxLayout, QWidget

CARD = QSize(240, 102)
BAR_HEIGHT = 14


@dataclass(frozen=True)
class RecipeText:
    """What a card says: the recipe's name, a sentence, what it is made of, and figures."""

    name: str
    summary: str
    parts: str
    figures: str


class _Card(QPushButton):
    def __init__(self, text: RecipeText, cards: RecipeCards) -> None:
        super().__init__(cards)
        self._cards = cards
        self.recipe = text.name
        self.setCheckable(True)
        self.setFixedWidth(CARD.width())
        # The theme's style sheet sets the height of buttons; only a style sheet overrules it.
        height = CARD.height() - 2
        self.setStyleSheet(f"QPushButton {{ min-height: {height}px; max-height: {height}px; padding: 0; }}")
        self.setAccessibleName(text.name)
        self.setAccessibleDescription(f"{text.summary} {text.parts} · {text.figures}")
        self.setToolTip(text.summary)
        column = QVBoxLayout(self)
        column.setContentsMargins(12, 8, 12, 8)
        column.setSpacing(2)
        lines = ((text.name, "heading"), (text.summary, "caption"), (text.parts, "caption"), (text.figures, "caption"))
        for content, look in lines:
            label = QLabel(self)
            label.setProperty("look", look)
            label.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
            label.ensurePolished()
            count = 2 if content is text.summary else 1
            label.setText(_lines(content, label.fontMetrics(), CARD.width() - 26, count))
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


def _lines(text: str, metrics: QFontMetrics, width: int, count: int) -> str:
    """`text` broken into at most `count` lines of `width` pixels, with an ellipsis where it is cut."""
    words, lines = text.split(), []
    while words and len(lines) < count - 1:
        line = words.pop(0)
        while words and metrics.horizontalAdvance(f"{line} {words[0]}") <= width:
            line += f" {words.pop(0)}"
        lines.append(line)
    rest = metrics.elidedText(" ".join(words), Qt.TextElideMode.ElideRight, width)
    return "\n".join([*lines, rest] if rest or not lines else lines)
