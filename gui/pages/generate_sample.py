"""SamplePanel: the selected sample large, what it was made with, and what can be made of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, QSignalBlocker, QSize, Qt, QTimer, Slot
from PySide6.QtGui import QAction, QKeyEvent, QResizeEvent
from PySide6.QtWidgets import (
    QComboBox,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QScrollArea,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from gui.controllers.generate_controller import GenerateController
from gui.controllers.generate_settings import attribute_words, latent_values, latent_words
from gui.pages.generate_actions import SampleActions
from gui.pages.generate_nearest import NearestPanel
from gui.services.context import Services
from gui.widgets.labeled_slider import LabeledSlider
from gui.widgets.picture_view import PictureView
from gui.widgets.section import Section

if TYPE_CHECKING:
    from engine.generation import Latent
    from engine.models.card import Attribute

ICON = 18
VIEW_HEIGHTS, VIEW_SHARE = (112, 360), 0.4  # of the large picture: within these, that share of the panel


class SamplePanel(QFrame):
    """Shows the selected sample of a `GenerateController` and forwards what the person wants of it."""

    def __init__(
        self,
        controller: GenerateController,
        actions: SampleActions,
        services: Services,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.controller, self._actions = controller, actions
        self._services = services
        self.setProperty("look", "card")
        self.view = PictureView(self.tr("Selected sample"))
        self.view.set_placeholder(self.tr("Select a sample to see it large"))
        self.caption = QLabel()
        self.caption.setWordWrap(True)
        self.caption.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.details = QLabel()
        self.details.setProperty("look", "caption")
        self.details.setWordWrap(True)
        icons = QHBoxLayout()
        icons.setSpacing(2)
        quick = (actions.star, actions.save, actions.compare, actions.latents, actions.use, actions.copy_seed)
        for action in quick:
            icons.addWidget(self._icon_button(action))
        icons.addStretch(1)
        icons.addWidget(self._icon_button(actions.delete))

        self.made_section = Section(self.tr("Make more of it"))
        self._fill_made()
        self.change_section = Section(self.tr("Change one thing"))
        self._fill_change()
        self.nearest = NearestPanel(controller.nearest, actions.nearest)
        self.nearest_section = Section(self.tr("Nearest real pictures"))
        self.nearest_section.add(self.nearest)
        # All of it scrolls: beside a morph or open tiles there is little height, and the window must not grow.
        content = QWidget()
        column = QVBoxLayout(content)
        column.setContentsMargins(0, 0, 8, 0)
        column.setSpacing(6)
        column.addWidget(self.view)
        column.addWidget(self.caption)
        column.addWidget(self.details)
        column.addLayout(icons)
        for section in (self.made_section, self.change_section, self.nearest_section):
            column.addWidget(section)
        column.addStretch(1)
        area = self._area = QScrollArea()
        area.setWidget(content)
        area.setWidgetResizable(True)
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        column = QVBoxLayout(self)
        column.setContentsMargins(12, 12, 4, 8)
        column.addWidget(area)
        controller.grids.selection_changed.connect(self.show_sample)
        controller.model_changed.connect(self._on_model_changed)
        controller.nearest.changed.connect(self._on_nearest_changed)
        self._on_model_changed()
        self.show_sample()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        # What can be done with the sample shall be in view below it.
        self.view.setFixedHeight(min(VIEW_HEIGHTS[1], max(VIEW_HEIGHTS[0], round(VIEW_SHARE * self.height()))))

    def _icon_button(self, action: QAction) -> QToolButton:
        button = QToolButton()
        button.setDefaultAction(action)
        button.setProperty("look", "flat")
        button.setIconSize(QSize(ICON, ICON))
        button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonIconOnly)
        # Seven of them stand side by side in the narrowest panel.
        button.setStyleSheet("padding: 4px 5px;")
        button.setAccessibleName(action.text().rstrip("…"))
        return button

    def _fill_made(self) -> None:
        hint = self.tr("How far variations go: 0 is the picture itself, 1 a new one")
        self.radius = LabeledSlider(self.tr("Radius"), 0.05, 1.0, self.controller.edits.radius, 2, hint=hint)
        self.radius.value_changed.connect(self._on_radius)
        grid = QGridLayout()
        grid.setSpacing(6)
        self.buttons: dict[str, QPushButton] = {}
        for place, (name, action) in enumerate(
            (("vary", self._actions.vary), ("more_like", self._actions.more_like), ("morph", self._actions.morph))
        ):
            button = self.buttons[name] = _button_of(action)
            grid.addWidget(button, place // 2, place % 2)
        self.every = QPushButton()
        self.every.setStyleSheet(NARROW)
        self.every.setToolTip(self.tr("The same style with each of its values"))
        self.every.clicked.connect(self._on_every)
        grid.addWidget(self.every, 1, 1)
        grid.setColumnStretch(0, 1)
        grid.setColumnStretch(1, 1)
        self.made_section.add(self.radius)
        self.made_section.add(grid)

    def _fill_change(self) -> None:
        self.attribute = _LetterBox()
        self.attribute.setAccessibleName(self.tr("Attribute to change"))
        self.value = _LetterBox()
        self.value.setAccessibleName(self.tr("New value"))
        for box in (self.attribute, self.value):
            box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
            box.setMinimumContentsLength(6)
        self.attribute.activated.connect(self._on_attribute)
        self.value.activated.connect(self._on_value)
        row = QHBoxLayout()
        row.setSpacing(6)
        row.addWidget(self.attribute, 1)
        row.addWidget(self.value, 1)
        hint = QLabel(self.tr("The style and everything else stay as they are."))
        hint.setProperty("look", "caption")
        hint.setWordWrap(True)
        self.change_section.add(row)
        self.change_section.add(hint)

    # Showing

    @Slot()
    def show_sample(self) -> None:
        """Show the sample that is selected now."""
        sample = self.controller.grids.selected
        self.controller.nearest.let_go(sample)
        self.view.show_pixels(None if sample is None else sample.pixels)
        for section in (self.made_section, self.change_section, self.nearest_section):
            section.setEnabled(sample is not None)
        # Values of another model mean nothing to the one that drew this sample.
        own = sample is not None and sample.latent.model == self.controller.state.model
        self.change_section.setEnabled(own)
        self.every.setEnabled(own)
        if sample is None:
            self.caption.clear()
            self.details.clear()
            return
        latent = sample.latent
        self.caption.setText(self._caption(latent))
        values = list(latent_values(latent, self.controller.state.attributes).values())
        parts = values if len(values) > 1 else []
        self.details.setText("\u00a0· ".join([*parts, *latent_words(latent), latent.model]))
        self._show_values(latent)

    def _caption(self, latent: Latent) -> str:
        names = list(latent.attributes.values()) if len(latent.attributes) == 1 else []
        seed = self.tr("drawn from another picture")
        if latent.seed is not None:
            seed = self.tr("seed {seed}").format(seed=latent.seed)
        text = " · ".join([*names, seed])
        return text[:1].upper() + text[1:]

    @Slot()
    def _on_nearest_changed(self) -> None:
        if self.controller.nearest.found is not None or self.controller.nearest.problem:
            # Once the words have their lines.
            QTimer.singleShot(0, self, self._show_nearest)

    def _show_nearest(self) -> None:
        self._area.ensureWidgetVisible(self.nearest.sentence)

    @Slot()
    def _on_model_changed(self) -> None:
        attributes = self.controller.state.attributes
        with QSignalBlocker(self.attribute):
            self.attribute.clear()
            for attribute in attributes:
                self.attribute.addItem(attribute_words(attribute.name), attribute.name)
        self.attribute.setVisible(len(attributes) > 1)
        self.change_section.setVisible(bool(attributes))
        only = attribute_words(attributes[0].name).lower() if len(attributes) == 1 else ""
        title = self.tr("Change the {name}").format(name=only) if only else self.tr("Change one thing")
        self.change_section.set_title(title)
        self.every.setVisible(bool(attributes))
        self._show_attribute()
        self.show_sample()

    def _show_attribute(self) -> None:
        attribute = self._attribute()
        if attribute is not None:
            words = attribute_words(attribute.name).lower()
            self.every.setText(self.tr("Every {name}").format(name=words))
            with QSignalBlocker(self.value):
                self.value.clear()
                self.value.addItem(self.tr("Any"), None)
                for value in attribute.values:
                    self.value.addItem(value, value)
        sample = self.controller.grids.selected
        if sample is not None:
            self._show_values(sample.latent)

    def _show_values(self, latent: Latent) -> None:
        attribute = self._attribute()
        if attribute is not None:
            self.value.setCurrentIndex(max(0, self.value.findData(latent.attributes.get(attribute.name))))

    def _attribute(self) -> Attribute | None:
        place = self.attribute.currentIndex()
        attributes = self.controller.state.attributes
        return attributes[place] if 0 <= place < len(attributes) else None

    # What the person does

    def _on_radius(self, radius: float) -> None:
        self.controller.edits.radius = radius

    def _on_attribute(self, _index: int) -> None:
        self._show_attribute()

    def _on_value(self, index: int) -> None:
        sample, attribute = self.controller.grids.selected, self._attribute()
        if sample is not None and attribute is not None:
            value = self.value.itemData(index)
            if value != sample.latent.attributes.get(attribute.name):
                self.controller.edits.change(sample.latent, attribute.name, value)

    def _on_every(self) -> None:
        sample, attribute = self.controller.grids.selected, self._attribute()
        if sample is not None and attribute is not None:
            self.controller.edits.in_every_class(sample.latent, attribute.name)


class _LetterBox(QComboBox):
    """A list in which letters find a value, whatever they do on the rest of the page."""

    def event(self, event: QEvent) -> bool:
        if isinstance(event, QKeyEvent) and event.type() == QEvent.Type.ShortcutOverride:
            typed = event.text()
            if event.key() == Qt.Key.Key_Delete or (typed and typed.isprintable()):
                event.accept()
                return True
        return super().event(event)


NARROW = "QPushButton { padding-left: 6px; padding-right: 6px; }"


def _button_of(action: QAction) -> QPushButton:
    """A button that is called and enabled as its action."""
    button = QPushButton(action.text())
    button.setStyleSheet(NARROW)

    def follow() -> None:
        button.setText(action.text())
        button.setToolTip(action.toolTip())
        button.setEnabled(action.isEnabled())

    action.changed.connect(follow)
    follow()
    button.clicked.connect(action.trigger)
    return button
