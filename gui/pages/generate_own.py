"""OwnPanel: one's own picture beside what the model keeps of it, and the same picture with something changed."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import QSignalBlocker, Qt, QTimer, Signal, Slot
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import (
    QComboBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QScrollArea,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from gui.controllers.generate_controller import GenerateController
from gui.controllers.generate_settings import attribute_words
from gui.pages.generate_morph import Filmstrip
from gui.services.qimage import to_qimage
from gui.widgets.empty_state import EmptyState
from gui.widgets.flow_grid import CAPTION_HEIGHT, Thumbnail
from gui.widgets.inspector_column import prepare_controls
from gui.widgets.picture_view import PictureView
from gui.widgets.wait_bar import WaitBar

if TYPE_CHECKING:
    from engine.generation import Sample
    from engine.models.card import Attribute

ROW_HEIGHT = 34
VIEW_HEIGHTS, VIEW_SHARE = (96, 256), 0.28  # of the pictures: within these, that share of the panel
FEW, TWO_BLOCKS = 4, 720  # more attributes than the first stand in two blocks from the second width on
LOW_PSNR = 15.0  # dB; what the model keeps then has little to do with the picture


class OwnPanel(QWidget):
    """Shows the own picture of a `GenerateController`.

    Signals:
        open_wanted(): ask for a picture file.
        save_wanted(object): ask where, and save this `Sample`.
        shown_in_grid(): pictures were put into the grid of samples.
    """

    open_wanted = Signal()
    save_wanted = Signal(object)
    shown_in_grid = Signal()

    def __init__(self, controller: GenerateController, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.controller, self.own = controller, controller.own
        self._attributes: tuple[Attribute, ...] = ()
        self.read_boxes: dict[str, QComboBox] = {}
        self.change_boxes: dict[str, QComboBox] = {}
        self._shown_siblings: list[Sample] = []
        self._lines: list[list[QWidget]] = []  # of the table: label and both lists of an attribute
        self._heads: list[list[QLabel]] = []
        self._blocks = 0  # of lines beside one another
        self._stack = QStackedWidget()
        empty = EmptyState("image", "", "", self.tr("Open picture…"), self.open_wanted.emit)
        text = self.tr(
            "Open, drop or paste one. You see what the model keeps of it, and can change its class or an attribute. "
            "The model knows only pictures like those it learned from."
        )
        empty.set_text(self.tr("Start from your own picture"), text)
        self._stack.addWidget(empty)
        self._body: QWidget | None = None  # built when a picture is opened
        self._table_timer = QTimer(self)
        self._table_timer.setSingleShot(True)
        self._table_timer.setInterval(0)
        self._table_timer.timeout.connect(self._fill_table)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self._stack)
        self.own.changed_all.connect(self.show_own)
        controller.model_changed.connect(self._on_model_changed)
        self.show_own()

    # Building

    def _build(self) -> QWidget:
        self.original = PictureView(self.tr("Your picture as the model sees it"))
        self.kept = PictureView(self.tr("What the model keeps of it"))
        self.changed = PictureView(self.tr("Your picture, changed"))
        self.kept_caption, self.changed_caption = QLabel(), QLabel()
        self._views: list[PictureView] = []
        pictures = QGridLayout()
        pictures.setSpacing(8)
        for place, (view, caption) in enumerate(
            (
                (self.original, QLabel(self.tr("Yours, as the model sees it"))),
                (self.kept, self.kept_caption),
                (self.changed, self.changed_caption),
            )
        ):
            self._views.append(view)
            caption.setProperty("look", "caption")
            caption.setAlignment(Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignTop)
            caption.setWordWrap(True)
            caption.setMinimumHeight(32)
            pictures.addWidget(view, 0, place)
            pictures.addWidget(caption, 1, place)
            pictures.setColumnStretch(place, 1)
        self.wait = WaitBar(self.tr("encoding"), keep_place=False)
        self.wait.cancelled.connect(self.own.lane.cancel)
        self.own.lane.progressed.connect(self.wait.show_progress)

        self._table = QWidget()
        self._rows = QGridLayout(self._table)
        self._rows.setContentsMargins(0, 0, 8, 0)
        self._rows.setHorizontalSpacing(12)
        self._rows.setVerticalSpacing(4)
        self._area = QScrollArea()
        self._area.setWidget(self._table)
        self._area.setWidgetResizable(True)
        self._area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)

        self.attribute = QComboBox()
        self.attribute.setAccessibleName(self.tr("Attribute shown with all its values"))
        self.attribute.activated.connect(self._on_attribute)
        self._every = QLabel(self.tr("The same picture with every"))
        self._every.setBuddy(self.attribute)
        self.into_grid = QPushButton(self.tr("Into the grid"))
        self.into_grid.setToolTip(self.tr("As samples, to be saved, compared, morphed"))
        self.into_grid.clicked.connect(self._on_siblings)
        heading = QHBoxLayout()
        heading.setSpacing(8)
        heading.addWidget(self._every)
        heading.addWidget(self.attribute)
        heading.addStretch(1)
        heading.addWidget(self.into_grid)
        self.siblings = Filmstrip(self.tr("The same picture with every value"))
        self.siblings.captions = True
        self.siblings.setFixedHeight(self.siblings.height() + CAPTION_HEIGHT)
        self.siblings.selection_changed.connect(self._on_sibling)

        open_button = QPushButton(self.tr("Open another…"))
        open_button.clicked.connect(self.open_wanted)
        close = QPushButton(self.tr("Let go"))
        close.clicked.connect(self.own.close)
        self.save = QPushButton(self.tr("Save…"))
        self.save.clicked.connect(self._on_save)
        self.latents = QPushButton(self.tr("Open in Latents"))
        self.latents.clicked.connect(self._on_latents)
        self.go_on = QPushButton(self.tr("Use as sample"))
        self.go_on.setToolTip(self.tr("Puts it into the grid: vary it, morph it, look for more like it"))
        self.go_on.setProperty("look", "primary")
        self.go_on.clicked.connect(self._on_go_on)
        buttons = QHBoxLayout()
        buttons.setSpacing(6)
        buttons.addWidget(open_button)
        buttons.addWidget(close)
        buttons.addStretch(1)
        for button in (self.save, self.latents, self.go_on):
            buttons.addWidget(button)
        box = QWidget()
        column = QVBoxLayout(box)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        column.addLayout(pictures)
        column.addWidget(self.wait)
        column.addWidget(self._area, 1)
        column.addStretch(0)
        column.addLayout(heading)
        column.addWidget(self.siblings)
        column.addLayout(buttons)
        return box

    @Slot()
    def _on_model_changed(self) -> None:
        if self._body is not None and self.controller.state.attributes != self._attributes:
            # In a turn of its own: a model may have many attributes, each with two lists.
            self._table_timer.start()
        self.show_own()

    def _fill_table(self) -> None:
        attributes = self._attributes = self.controller.state.attributes
        with QSignalBlocker(self.attribute):
            self.attribute.clear()
            for attribute in attributes:
                self.attribute.addItem(attribute_words(attribute.name).lower(), attribute.name)
        for old in [*self._lines, *self._heads]:
            for widget in old:
                widget.hide()
                widget.deleteLater()
        self.read_boxes, self.change_boxes = {}, {}
        self._lines, self._blocks = [], 0
        words = (self.tr("The model takes it for"), self.tr("Change to"))
        self._heads = [[_caption(text) for text in words] for _ in range(2)]
        for heads in self._heads:
            for head in heads:
                head.setParent(self._table)
        for attribute in attributes:
            words = attribute_words(attribute.name)
            label = QLabel(words)
            read, change = QComboBox(), QComboBox()
            read.setAccessibleName(self.tr("{name} of your picture").format(name=words))
            change.setAccessibleName(self.tr("Change {name} to").format(name=words))
            for value in attribute.values:
                read.addItem(value, value)
            change.addItem(self.tr("as it is"), None)
            for value in attribute.values:
                change.addItem(value, value)
            read.activated.connect(partial(self._on_read, attribute.name))
            change.activated.connect(partial(self._on_change, attribute.name))
            label.setBuddy(read)
            self._lines.append([label, read, change])
            self.read_boxes[attribute.name], self.change_boxes[attribute.name] = read, change
        prepare_controls(self._table)
        self._place_rows()
        self.show_own()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        if self._body is not None:
            self._place_rows()
            self._share_height()

    def _share_height(self) -> None:
        height = min(VIEW_HEIGHTS[1], max(VIEW_HEIGHTS[0], round(VIEW_SHARE * self.height())))
        for view in self._views:
            view.setFixedHeight(height)

    def _place_rows(self) -> None:
        """Many attributes stand in two blocks beside one another, where the width allows it."""
        blocks = 2 if len(self._lines) > FEW and self.width() >= TWO_BLOCKS else 1
        if blocks == self._blocks:
            return
        self._blocks = blocks
        while self._rows.takeAt(0) is not None:
            pass
        per_block = math.ceil(len(self._lines) / blocks)
        for place, widgets in enumerate(self._lines):
            block, line = divmod(place, per_block)
            for column, widget in enumerate(widgets):
                self._rows.addWidget(widget, line + 1, 4 * block + column)
        for block, heads in enumerate(self._heads):
            for column, head in enumerate(heads):
                head.setVisible(block < blocks)
                if block < blocks:
                    self._rows.addWidget(head, 0, 4 * block + 1 + column)
        for column in range(8):
            wide = column % 4 in (1, 2) and column < 4 * blocks
            self._rows.setColumnStretch(column, (5 - column % 4) if wide else 0)
            self._rows.setColumnMinimumWidth(column, 16 if column == 3 and blocks == 2 else 0)
        self._area.setMaximumHeight((per_block + 1) * (ROW_HEIGHT + 4))

    # Showing

    @Slot()
    def show_own(self) -> None:
        """Show what is known of the picture now."""
        own = self.own
        if own.picture is None:
            self._stack.setCurrentIndex(0)
            return
        if self._body is None:
            self._body = self._build()
            prepare_controls(self._body)
            self._stack.addWidget(self._body)
            self._on_model_changed()
            self._share_height()
        self._stack.setCurrentIndex(1)
        self.wait.set_busy(own.lane.busy)
        encoded = own.encoded
        self.original.show_pixels(None if encoded is None else encoded.seen)
        self.kept.show_pixels(None if encoded is None else encoded.reconstruction)
        self.changed.show_pixels(None if own.changed is None else own.changed.pixels)
        self.changed.set_placeholder("" if encoded is None else self.tr("Choose something else below"))
        words = self.tr("What {model} keeps").format(model=self.controller.state.model)
        if encoded is not None:
            words = f"{words}: PSNR {encoded.psnr:.1f} dB"
            if encoded.psnr < LOW_PSNR:
                words += self.tr(". It is unlike what the model learned from")
        self.kept_caption.setText(words)
        self.changed_caption.setText(", ".join(own.changes.values()) or self.tr("Changed"))
        for name, box in self.read_boxes.items():
            box.setEnabled(encoded is not None)
            value = "" if encoded is None else encoded.choice.get(name, "")
            guessed = encoded is not None and name in encoded.guessed
            for place in range(box.count()):
                mark = self.tr("{value} (guessed)")
                known = box.itemData(place)
                box.setItemText(place, mark.format(value=known) if guessed and known == value else known)
            box.setCurrentIndex(box.findData(value))
        for name, box in self.change_boxes.items():
            box.setEnabled(encoded is not None)
            box.setCurrentIndex(max(0, box.findData(own.changes.get(name))))
        self.attribute.setCurrentIndex(self.attribute.findData(own.attribute))
        self._show_siblings()
        for button in (self.save, self.latents, self.go_on, self.into_grid):
            button.setEnabled(encoded is not None)

    def _show_siblings(self) -> None:
        siblings = self.own.siblings
        if not siblings or not self._shown_siblings or self._shown_siblings[0] is not siblings[0]:
            self._shown_siblings = []
            with QSignalBlocker(self.siblings):
                self.siblings.set_items([])
        values = self.own.values(self.own.attribute)
        for sample in siblings[len(self._shown_siblings) :]:
            value = values[len(self._shown_siblings)]
            self.siblings.append(Thumbnail(to_qimage(sample.pixels), value, data=value, hint=value))
            self._shown_siblings.append(sample)

    # What the person does

    def _on_read(self, name: str, index: int) -> None:
        self.own.set_known(name, self.read_boxes[name].itemData(index))

    def _on_change(self, name: str, index: int) -> None:
        self.own.change(name, self.change_boxes[name].itemData(index))

    def _on_attribute(self, index: int) -> None:
        self.own.show_attribute(self.attribute.itemData(index))

    @Slot()
    def _on_sibling(self) -> None:
        rows = self.siblings.selected_rows()
        if rows:
            self.own.change(self.own.attribute, self.siblings.items[rows[0]].data)

    def _on_siblings(self) -> None:
        self.own.siblings_to_grid()
        self.shown_in_grid.emit()

    def _on_go_on(self) -> None:
        self.own.take_over()
        self.shown_in_grid.emit()

    def _on_save(self) -> None:
        if self.own.current is not None:
            self.save_wanted.emit(self.own.current)

    def _on_latents(self) -> None:
        if self.own.current is not None:
            self.controller.latent_wanted.emit(self.own.current.latent)


def _caption(text: str) -> QLabel:
    label = QLabel(text)
    label.setProperty("look", "caption")
    return label
