"""OwnPanel: one's own picture beside what the model keeps of it, and the same picture with something changed."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import QSignalBlocker, Qt, Signal, Slot
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
from gui.widgets.empty_state import EmptyState
from gui.widgets.flow_grid import CAPTION_HEIGHT, Thumbnail
from gui.widgets.inspector_column import prepare_controls
from gui.widgets.picture_view import PictureView
from gui.widgets.qimage import to_qimage
from gui.widgets.wait_bar import WaitBar

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.generation import Sample
    from engine.models.card import Attribute

ROW_HEIGHT = 34


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
        self._stack = QStackedWidget()
        self._stack.addWidget(
            EmptyState(
                "image",
                self.tr("Start from your own picture"),
                self.tr(
                    "Open, drop or paste one. You see what the model keeps of it, and can change its class or an "
                    "attribute. The model knows only pictures like those it learned from."
                ),
                self.tr("Open picture…"),
                self.open_wanted.emit,
            )
        )
        self._stack.addWidget(self._build())
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self._stack)
        self.own.changed_all.connect(self.show_own)
        controller.model_changed.connect(self._on_model_changed)
        self._on_model_changed()

    # Building

    def _build(self) -> QWidget:
        self.original = PictureView(self.tr("Your picture as the model sees it"))
        self.kept = PictureView(self.tr("What the model keeps of it"))
        self.changed = PictureView(self.tr("Your picture, changed"))
        self.kept_caption, self.changed_caption = QLabel(), QLabel()
        pictures = QGridLayout()
        pictures.setSpacing(8)
        for place, (view, caption) in enumerate(
            (
                (self.original, QLabel(self.tr("Yours, as the model sees it"))),
                (self.kept, self.kept_caption),
                (self.changed, self.changed_caption),
            )
        ):
            view.setMinimumHeight(112)
            caption.setProperty("look", "caption")
            caption.setAlignment(Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignTop)
            caption.setWordWrap(True)
            caption.setMinimumHeight(32)
            pictures.addWidget(view, 0, place)
            pictures.addWidget(caption, 1, place)
            pictures.setColumnStretch(place, 1)
        pictures.setRowStretch(0, 1)
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
        self.go_on = QPushButton(self.tr("Go on with it as a sample"))
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
        column.addLayout(pictures, 3)
        column.addWidget(self.wait)
        column.addWidget(self._area, 2)
        column.addLayout(heading)
        column.addWidget(self.siblings)
        column.addLayout(buttons)
        return box

    @Slot()
    def _on_model_changed(self) -> None:
        attributes = self.controller.state.attributes
        if attributes != self._attributes:
            self._attributes = attributes
            self._fill_table(attributes)
            with QSignalBlocker(self.attribute):
                self.attribute.clear()
                for attribute in attributes:
                    self.attribute.addItem(attribute_words(attribute.name).lower(), attribute.name)
        self.show_own()

    def _fill_table(self, attributes: Sequence[Attribute]) -> None:
        while (item := self._rows.takeAt(0)) is not None:
            widget = item.widget()
            if widget is not None:
                widget.hide()
                widget.deleteLater()
        self.read_boxes, self.change_boxes = {}, {}
        heads = ("", self.tr("The model takes it for"), self.tr("Change to")) if attributes else ()
        for place, text in enumerate(heads):
            self._rows.addWidget(_caption(text), 0, place)
        for line, attribute in enumerate(attributes, 1):
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
            for place, widget in enumerate((label, read, change)):
                self._rows.addWidget(widget, line, place)
            self.read_boxes[attribute.name], self.change_boxes[attribute.name] = read, change
        self._rows.setColumnStretch(1, 1)
        self._rows.setColumnStretch(2, 1)
        self._rows.setRowStretch(len(attributes) + 1, 1)
        self._area.setMaximumHeight((len(attributes) + 1) * (ROW_HEIGHT + 4))
        prepare_controls(self._table)

    # Showing

    @Slot()
    def show_own(self) -> None:
        """Show what is known of the picture now."""
        own = self.own
        self._stack.setCurrentIndex(0 if own.picture is None else 1)
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
        if siblings == [] or self._shown_siblings[:1] != siblings[:1]:
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


LOW_PSNR = 15.0


def _caption(text: str) -> QLabel:
    label = QLabel(text)
    label.setProperty("look", "caption")
    return label
