"""SamplesTab: the choice, the grid that it gives, the selected sample, and below them a morph."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from PySide6.QtCore import QModelIndex, QPoint, QSignalBlocker, QSize, Qt, QTimer, Slot
from PySide6.QtGui import QAction, QKeyEvent, QResizeEvent
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QMenu,
    QPushButton,
    QStackedWidget,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from gui.controllers.generate_controller import GenerateController
from gui.controllers.generate_edits import COMPARE, sample_words
from gui.controllers.generate_settings import latent_values, latent_words
from gui.pages.generate_actions import SampleActions
from gui.pages.generate_choice import ChoicePanel
from gui.pages.generate_sample import SamplePanel
from gui.services.context import Services
from gui.services.qimage import to_qimage
from gui.widgets.elided_label import ElidedLabel
from gui.widgets.flow_grid import Thumbnail
from gui.widgets.inspector_column import prepare_controls
from gui.widgets.sample_grid import SampleGrid

if TYPE_CHECKING:
    from engine.generation import Sample
    from gui.pages.generate_morph import MorphPanel
    from gui.widgets.compare_view import CompareView

CHUNK = 128  # samples put into the grid in one turn of the event loop
LOW_HEIGHT = 540  # below it a morph takes the room of the choice


class SamplesTab(QWidget):
    """Shows the grids of a `GenerateController` and forwards what the person does.

    Args:
        turn: the actions that go to the earlier and to the later grid.
    """

    def __init__(
        self,
        controller: GenerateController,
        actions: SampleActions,
        turn: Sequence[QAction],
        services: Services,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.controller = controller
        self._actions, self._turn, self._services = actions, turn, services
        self.choice = ChoicePanel()
        self.choice.picked.connect(controller.choose)
        self.choice.cleared.connect(self._on_choice_cleared)
        self.choice.mix_wanted.connect(controller.set_mix)
        self.grid = SampleGrid(thumbnail_side=96, multiple=True, name=self.tr("Samples"))
        self.grid.setMinimumWidth(224)
        self.grid.selection_changed.connect(self._on_grid_selection)
        self.grid.clicked.connect(self._on_clicked)
        self.grid.activated.connect(self._on_clicked)
        self.grid.menu_requested.connect(self._on_menu)
        # Single letters are keys of the grid and of the panel beside it only; on the tiles they find a value.
        self.grid.addActions(actions.menu)
        self._filler = QTimer(self)
        self._filler.setSingleShot(True)
        self._filler.setInterval(1)
        self._filler.timeout.connect(self._fill)
        self._lay_out()
        grids = controller.grids
        controller.model_changed.connect(self._on_model_changed)
        controller.settings_changed.connect(self._on_settings_changed)
        controller.tiles.values_changed.connect(self._on_tiles_changed)
        grids.reset.connect(self._on_reset)
        grids.added.connect(self._on_added)
        grids.replaced.connect(self._on_replaced)
        grids.selection_changed.connect(self._on_selection_changed)
        controller.keeping.changed.connect(actions.show_stars)
        controller.edits.purpose_changed.connect(self._on_purpose_changed)
        controller.edits.morph_changed.connect(self._on_morph_changed)
        controller.edits.compare_wanted.connect(self._on_compare)
        self._on_model_changed()
        for name in controller.tiles.values:
            self._on_tiles_changed(name)
        self._on_reset()

    @cached_property
    def sample(self) -> SamplePanel:
        """The selected sample; the page has it built in a turn of its own."""
        panel = SamplePanel(self.controller, self._actions, self._services, self)
        panel.setMinimumWidth(288)
        panel.setMaximumWidth(440)
        panel.addActions(self._actions.menu)
        prepare_controls(panel)
        self._across.addWidget(panel, 2)
        return panel

    @cached_property
    def morph(self) -> MorphPanel:
        """The filmstrip below the grid, built when it is first needed."""
        from gui.pages.generate_morph import MorphPanel

        panel = MorphPanel(self.controller, self._services, self)
        prepare_controls(panel)
        self._column.addWidget(panel)
        return panel

    @cached_property
    def compare(self) -> CompareView:
        """Two samples beside one another in the place of the grid, built when it is first needed."""
        from gui.widgets.compare_view import CompareView

        view = CompareView()
        view.left.connect(self.leave_compare)
        self._body.addWidget(view)
        return view

    # Building

    def _lay_out(self) -> None:
        left = QVBoxLayout()
        left.setSpacing(4)
        left.addLayout(self._build_heading())
        left.addWidget(self._build_banner())
        left.addWidget(self.grid, 1)
        across = QWidget()
        self._across = QHBoxLayout(across)
        self._across.setContentsMargins(0, 0, 0, 0)
        self._across.setSpacing(12)
        self._across.addLayout(left, 3)
        self._body = QStackedWidget()
        self._body.addWidget(across)
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(10)
        self._column.addWidget(self.choice)
        self._column.addWidget(self._body, 1)

    def _build_heading(self) -> QHBoxLayout:
        """Which grid is shown, and the way to the others."""
        self.heading = ElidedLabel()
        self.heading.setProperty("look", "caption")
        row = QHBoxLayout()
        row.setSpacing(2)
        for action in self._turn:
            button = QToolButton()
            button.setDefaultAction(action)
            button.setProperty("look", "flat")
            button.setAccessibleName(action.text())
            button.setIconSize(QSize(16, 16))
            button.setStyleSheet("padding: 2px;")
            row.addWidget(button)
        row.addSpacing(4)
        row.addWidget(self.heading, 1)
        return row

    def _build_banner(self) -> QFrame:
        """Says that a second sample is to be chosen."""
        self.banner = QFrame()
        self.banner.setProperty("look", "card")
        self._banner_text = QLabel()
        self._banner_text.setWordWrap(True)
        leave = QPushButton(self.tr("Never mind"))
        leave.setProperty("look", "flat")
        leave.clicked.connect(self.controller.edits.drop_purpose)
        row = QHBoxLayout(self.banner)
        row.setContentsMargins(12, 4, 4, 4)
        row.addWidget(self._banner_text, 1)
        row.addWidget(leave)
        self.banner.hide()
        return self.banner

    # The choice

    @Slot()
    def _on_model_changed(self) -> None:
        self.choice.set_attributes(self.controller.state.attributes)
        prepare_controls(self.choice)
        self._on_settings_changed()

    @Slot(str)
    def _on_tiles_changed(self, attribute: str) -> None:
        self.choice.set_pictures(attribute, self.controller.tiles.values[attribute])

    @Slot()
    def _on_settings_changed(self) -> None:
        self.choice.show_settings(self.controller.state.settings)

    def _on_choice_cleared(self) -> None:
        self.controller.choose_all({})

    # The grid

    def _show_heading(self) -> None:
        shelf = self.controller.grids.shelf
        count = len(shelf.current.samples)
        parts = [shelf.current.title, self.tr("{n} pictures").format(n=count) if count > 1 else ""]
        if len(shelf.sheets) > 1:
            parts.append(self.tr("grid {place} of {n}").format(place=shelf.place + 1, n=len(shelf.sheets)))
        self.heading.setText(" · ".join(part for part in parts if part))
        back, forward = self._turn
        back.setEnabled(shelf.can_go_back)
        forward.setEnabled(shelf.can_go_forward)

    @Slot()
    def _on_reset(self) -> None:
        sheet = self.controller.grids.sheet
        self.grid.captions = bool(sheet.captions)
        with QSignalBlocker(self.grid):
            self.grid.set_items(self._thumbnail(index) for index in range(min(CHUNK, len(sheet.samples))))
        self.leave_compare()
        self._after_filling()
        self._show_heading()

    @Slot(int)
    def _on_added(self, index: int) -> None:
        # A grid that is still being filled comes to it in time.
        if index == len(self.grid.items):
            with QSignalBlocker(self.grid):
                self.grid.append(self._thumbnail(index))
            self.grid.fit()
        self._show_heading()

    @Slot(int)
    def _on_replaced(self, index: int) -> None:
        if index < len(self.grid.items):
            self.grid.change(index, self._thumbnail(index))
        if index == 0:
            self._show_heading()

    @Slot()
    def _fill(self) -> None:
        """Put more samples of a large grid into view; all at once would stop the window."""
        shown, samples = len(self.grid.items), self.controller.grids.samples
        with QSignalBlocker(self.grid):
            self.grid.append(*(self._thumbnail(index) for index in range(shown, min(shown + CHUNK, len(samples)))))
        self._after_filling()

    def _after_filling(self) -> None:
        self.grid.fit()
        if len(self.grid.items) < len(self.controller.grids.samples):
            self._filler.start()
        else:
            self._filler.stop()
            self._on_selection_changed()

    def _thumbnail(self, index: int) -> Thumbnail:
        sheet = self.controller.grids.sheet
        sample = sheet.samples[index]
        caption = sheet.captions[index] if index < len(sheet.captions) else ""
        seed = "" if sample.latent.seed is None else self.tr("Seed {seed}").format(seed=sample.latent.seed)
        values = latent_values(sample.latent, self.controller.state.attributes)
        lines = [", ".join(values.values()), seed, ", ".join(latent_words(sample.latent))]
        return Thumbnail(to_qimage(sample.pixels), caption, sample, "\n".join(line for line in lines if line))

    @Slot()
    def _on_selection_changed(self) -> None:
        sheet = self.controller.grids.sheet
        if 0 <= sheet.selected < len(self.grid.items) and sheet.selected not in self.grid.selected_rows():
            with QSignalBlocker(self.grid):
                self.grid.select_row(sheet.selected)
        self._show_selected()

    def _show_selected(self) -> None:
        """Give the actions what is selected, the sample shown large first."""
        sheet = self.controller.grids.sheet
        rows = [row for row in self.grid.selected_rows() if row < len(sheet.samples)]
        rows.sort(key=lambda row: row != sheet.selected)
        large = sheet.selected_sample
        self._actions.set_selected([sheet.samples[row] for row in rows] or ([large] if large else []))

    @Slot()
    def _on_grid_selection(self) -> None:
        rows, sheet = self.grid.selected_rows(), self.controller.grids.sheet
        current = self.grid.currentIndex().row()
        row = current if current in rows else (rows[0] if rows else -1)
        if 0 <= row < len(sheet.samples):
            self.controller.edits.take_second(sheet.samples[row])
            if row != sheet.selected:
                self.controller.grids.select(row)
        self._show_selected()

    @Slot(QModelIndex)
    def _on_clicked(self, index: QModelIndex) -> None:
        """A sample that was selected before can be the second one of two, too."""
        samples = self.controller.grids.samples
        if self.controller.edits.purpose and index.row() < len(samples):
            self.controller.edits.take_second(samples[index.row()])

    def _on_menu(self, row: int, position: QPoint) -> None:
        if row not in self.grid.selected_rows():
            self.grid.select_row(row)
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.addActions(self._actions.menu)
        menu.popup(position)

    # Two samples

    @Slot()
    def _on_purpose_changed(self) -> None:
        purpose = self.controller.edits.purpose
        compare = self.tr("Choose the picture to compare with; it may be in another grid.")
        morph = self.tr("Choose the picture to morph into; it may be in another grid.")
        self._banner_text.setText(compare if purpose == COMPARE else morph)
        self.banner.setVisible(bool(purpose))

    @Slot(object, object)
    def _on_compare(self, first: Sample, second: Sample) -> None:
        pictures = [(to_qimage(sample.pixels), sample_words(sample.latent)) for sample in (first, second)]
        self.compare.show_two(*pictures)
        self._body.setCurrentWidget(self.compare)
        self.compare.take_focus()

    @Slot()
    def leave_compare(self) -> None:
        """Back to the grid."""
        if self._body.currentIndex() != 0:
            self._body.setCurrentIndex(0)
            self.grid.setFocus()

    @Slot()
    def _on_morph_changed(self) -> None:
        self.morph.show_morph()
        self._share_height()

    def _share_height(self) -> None:
        low = self.height() < LOW_HEIGHT and self.controller.edits.morph is not None
        self.choice.setVisible(not low)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._share_height()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Escape and self.controller.edits.purpose:
            self.controller.edits.drop_purpose()
        else:
            super().keyPressEvent(event)
