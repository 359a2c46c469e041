"""GalleryPanel: the pictures that were made, to find, look at, compare, remake and throw away."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING

from PySide6.QtCore import QMimeData, QPoint, QSignalBlocker, Qt, QUrl, Signal, Slot
from PySide6.QtGui import QAction, QGuiApplication, QImage, QKeySequence, QShowEvent
from PySide6.QtWidgets import (
    QButtonGroup,
    QFrame,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QMenu,
    QMessageBox,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QSlider,
    QStackedWidget,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from gui.controllers.gallery_controller import GalleryController, Opened
from gui.pages.actions import make_action
from gui.services.context import Services
from gui.services.qimage import to_qimage
from gui.widgets.compare_view import CompareView
from gui.widgets.elided_label import ElidedLabel
from gui.widgets.empty_state import EmptyState
from gui.widgets.file_dialogs import ask_folder, ask_save
from gui.widgets.flow_panel import FlowPanel
from gui.widgets.gallery_view import MAX_COLUMN, MIN_COLUMN, Cell, GalleryView, Provider
from gui.widgets.picture_view import PictureView

if TYPE_CHECKING:
    from engine.generation import Latent
    from engine.generation.gallery import GalleryEntry

PNG_FILTER = "PNG (*.png)"
MIN_WIDTH = 400
PREVIEW = 112
SETTINGS = "gallery"  # key of what the panel remembers
TRASH_DAYS = 30  # as engine.generation.gallery has it, whose module is too heavy to import here
_NOTHING = QImage()


class GalleryPanel(QWidget):
    """Shows the state of a `GalleryController` and forwards what the person does.

    Signals:
        restore_wanted(object): the settings of this `Latent` shall be used for the next pictures.
        latents_wanted(object): this `Latent` shall be opened in the latent explorer.
        vary_wanted(object): variations of this `Latent` are wanted.
    """

    restore_wanted = Signal(object)
    latents_wanted = Signal(object)
    vary_wanted = Signal(object)

    def __init__(self, services: Services, controller: GalleryController, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.controller = controller
        self._services = services
        self._refill: int | None = None
        self._comparing = False
        self._model_buttons: dict[str, QPushButton] = {}
        self.setMinimumWidth(MIN_WIDTH)
        self._build_actions()
        self._build()
        controller.filters_changed.connect(self._on_filters_changed)
        controller.found.connect(self._on_found)
        controller.entries_changed.connect(self._on_entries_changed)
        controller.selection_changed.connect(self._on_selection_changed)
        controller.reading_changed.connect(self._on_reading_changed)
        self._on_filters_changed()
        self._on_found()
        self._on_selection_changed()

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self.controller.activate()

    # Building

    def _build_actions(self) -> None:
        theme, act = self._services.theme, make_action
        self._star_action = act(self, theme, self.tr("Star"), "star", self._on_star, "S")
        self._compare_action = act(self, theme, self.tr("Compare"), "compare", self._on_compare, "M")
        self._restore_action = act(self, theme, self.tr("Use these settings"), "reset", self._on_restore_settings)
        self._vary_action = act(self, theme, self.tr("Vary"), "dice", self._on_vary, "V")
        self._latents_action = act(self, theme, self.tr("Open in Latents"), "latents", self._on_open_in_latents)
        self._copy_action = act(self, theme, self.tr("Copy"), "copy", self._on_copy, QKeySequence.StandardKey.Copy)
        self._copy_seed_action = act(self, theme, self.tr("Copy seed"), "copy", self._on_copy_seed)
        self._export_action = act(self, theme, self.tr("Export…"), "export", self._on_export, "E")
        self._sheet_action = act(self, theme, self.tr("Export as one sheet…"), "grid", self._on_export_sheet)
        self._delete_action = act(self, theme, self.tr("Delete"), "trash", self._on_delete, "Delete")
        self._take_back_action = act(self, theme, self.tr("Restore"), "undo", self._on_take_back, "R")
        self._destroy_action = act(self, theme, self.tr("Delete for good…"), "close", self._on_destroy, "Shift+Delete")
        self._undo_action = act(
            self, theme, self.tr("Undo the last deletion"), "undo", self.controller.undo, QKeySequence.StandardKey.Undo
        )
        hints = {
            self._compare_action: self.tr("Compare two pictures: select both, then press (M)"),
            self._restore_action: self.tr("Use model, choice, seed and settings of this picture"),
            self._vary_action: self.tr("Make variations of this picture (V)"),
            self._latents_action: self.tr("Open in Latents, to change it by sliders"),
            self._export_action: self.tr("Copy the PNG files, with all they carry, to a folder (E)"),
            self._delete_action: self.tr("Move to the trash (Delete)"),
            self._take_back_action: self.tr("Back into the gallery (R)"),
            self._destroy_action: self.tr("Delete for good (Shift+Delete)"),
        }
        for action, hint in hints.items():
            action.setToolTip(hint)
        self._star_texts = {
            True: (self.tr("Unstar"), self.tr("Take the star away (S)")),
            False: (self.tr("Star"), self.tr("Give a star (S)")),
        }
        self._one_actions = [
            self._restore_action, self._vary_action, self._latents_action, self._copy_action, self._copy_seed_action,
        ]  # fmt: skip

    def _build(self) -> None:
        provider = Provider(self._cell, self._words, self.controller.thumbnails.want)
        self._grid = GalleryView(provider, name=self.tr("Gallery"))
        self._grid.selection_changed.connect(self._on_grid_selection)
        self._grid.opened.connect(self._on_open)
        self._grid.menu_requested.connect(self._on_menu)
        for action in (*self._actions(), self._undo_action):
            # Single letters are keys of the grid only; in the search field they are letters.
            action.setShortcutContext(Qt.ShortcutContext.WidgetShortcut)
            self._grid.addAction(action)
        stored = self._services.settings.page(SETTINGS).get("column")
        if isinstance(stored, int):
            self._grid.set_column(stored)
        self._empty = EmptyState("image", "", "", text_width=320)
        self._stack = QStackedWidget()
        for widget in (self._grid, self._empty):
            self._stack.addWidget(widget)
        self._search_bar = self._build_search()
        self._details = self._build_details()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        column.addWidget(self._search_bar)
        column.addWidget(self._build_notes())
        column.addWidget(self._stack, 1)
        column.addWidget(self._details)

    @cached_property
    def _compare(self) -> CompareView:
        """Built when it is first needed."""
        view = CompareView(partial(self._services.host.run, engine=False), self._services.notices.error)
        view.left.connect(self._on_compare_left)
        self._stack.addWidget(view)
        return view

    def _build_search(self) -> QWidget:
        theme = self._services.theme
        self._search = QLineEdit()
        self._search.setPlaceholderText(self.tr("Class, model or seed"))
        self._search.setAccessibleName(self.tr("Search the gallery"))
        self._search.setToolTip(self.tr("Words of the class or the model, or the whole seed; all must fit"))
        self._search.setClearButtonEnabled(True)
        glass = QAction(self)
        theme.bind_icon(glass, "search", "muted", 16)
        self._search.addAction(glass, QLineEdit.ActionPosition.LeadingPosition)
        self._search.textChanged.connect(self.controller.search_text)
        self._starred = QPushButton(self.tr("Starred"))
        self._starred.setCheckable(True)
        self._starred.setToolTip(self.tr("Only pictures with a star"))
        self._starred.toggled.connect(self.controller.show_starred)
        theme.bind_icon(self._starred, "star", "text", 16)
        self._trash = QPushButton(self.tr("Trash"))
        self._trash.setCheckable(True)
        self._trash.setToolTip(self.tr("What was deleted in the last {days} days").format(days=TRASH_DAYS))
        self._trash.toggled.connect(self.controller.show_trash)
        theme.bind_icon(self._trash, "trash", "text", 16)
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addWidget(self._search, 1)
        row.addWidget(self._starred)
        row.addWidget(self._trash)
        self._models = FlowPanel(6)
        self._models.setAccessibleName(self.tr("Model"))
        self._model_group = QButtonGroup(self)
        bar = QWidget()
        column = QVBoxLayout(bar)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        column.addLayout(row)
        column.addWidget(self._models)
        return bar

    def _build_notes(self) -> QWidget:
        self._count = ElidedLabel()
        self._count.setProperty("look", "caption")
        self._skipped = QPushButton()
        self._skipped.setProperty("look", "status")
        self._skipped.clicked.connect(self._on_skipped)
        self._empty_trash = QPushButton(self.tr("Empty the trash…"))
        self._empty_trash.setToolTip(self.tr("Delete everything in the trash for good"))
        self._empty_trash.clicked.connect(self._on_empty_trash)
        self._progress = QProgressBar()
        self._progress.setTextVisible(False)
        self._progress.setAccessibleName(self.tr("Reading the gallery"))
        self._progress.setFixedWidth(120)
        self._size = QSlider(Qt.Orientation.Horizontal)
        self._size.setRange(MIN_COLUMN, MAX_COLUMN)
        self._size.setValue(self._grid.column)
        self._size.setFixedWidth(80)
        self._size.setAccessibleName(self.tr("Size of the pictures"))
        self._size.setToolTip(self.tr("Size of the pictures (Ctrl and the wheel)"))
        self._size.valueChanged.connect(self._on_size)
        self._grid.column_changed.connect(self._size.setValue)
        self._notes = QWidget()
        row = QHBoxLayout(self._notes)
        row.setContentsMargins(2, 0, 0, 0)
        row.setSpacing(8)
        row.addWidget(self._count, 1)
        row.addWidget(self._progress)
        row.addWidget(self._skipped)
        row.addWidget(self._empty_trash)
        row.addWidget(self._size)
        return self._notes

    def _build_details(self) -> QWidget:
        self._preview = PictureView(self.tr("Selected picture"))
        self._preview.setFixedSize(PREVIEW, PREVIEW)
        self._title = ElidedLabel()
        self._title.setProperty("look", "heading")
        self._told = QLabel()
        self._told.setWordWrap(True)
        self._told.setTextFormat(Qt.TextFormat.PlainText)
        self._told.setAlignment(Qt.AlignmentFlag.AlignTop)
        self._told.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._told.setProperty("look", "muted")
        self._told.setContentsMargins(0, 0, 8, 0)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        scroll.setWidget(self._told)
        told = QWidget()
        # The height of the card stays the same: the grid must not move under the hand that selects.
        told.setFixedHeight(PREVIEW)
        words = QVBoxLayout(told)
        words.setContentsMargins(0, 0, 0, 0)
        words.setSpacing(4)
        words.addWidget(self._title)
        words.addWidget(scroll, 1)
        upper = QHBoxLayout()
        upper.setSpacing(12)
        upper.addWidget(self._preview)
        upper.addWidget(told, 1)
        buttons = QHBoxLayout()
        buttons.setSpacing(4)
        self._buttons: list[QToolButton] = []
        for action in self._actions():
            if action in (self._copy_action, self._copy_seed_action, self._sheet_action):
                continue  # in the menu only
            button = QToolButton()
            button.setDefaultAction(action)
            button.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
            buttons.addWidget(button)
            self._buttons.append(button)
        buttons.addStretch(1)
        card = QFrame()
        card.setProperty("look", "card")
        column = QVBoxLayout(card)
        column.setContentsMargins(12, 10, 12, 10)
        column.setSpacing(8)
        column.addLayout(upper)
        column.addLayout(buttons)
        return card

    def _actions(self) -> list[QAction]:
        """Everything that can be done with the selected pictures, in the order of the buttons."""
        return [
            self._star_action, self._restore_action, self._vary_action, self._latents_action, self._compare_action,
            self._copy_action, self._copy_seed_action, self._export_action, self._sheet_action, self._take_back_action,
            self._delete_action, self._destroy_action,
        ]  # fmt: skip

    # What the grid shows

    def _cell(self, id: int) -> Cell | None:
        found = self.controller.thumbnails.get(id)
        if found is None:
            return None
        if found.image is None:
            return Cell(_NOTHING, starred=found.entry.starred, broken=True)
        return Cell(found.image, starred=found.entry.starred)

    def _words(self, id: int) -> tuple[str, str] | None:
        found = self.controller.thumbnails.get(id)
        if found is None:
            return None
        entry = found.entry
        seed = "" if entry.seed is None else self.tr("Seed {seed}").format(seed=entry.seed)
        lines = [", ".join(entry.attributes.values()), seed, entry.model, _moment(entry)]
        if found.image is None:
            lines.append(self.tr("The file cannot be read."))
        return self._name(entry), "\n".join(line for line in lines if line)

    def _name(self, entry: GalleryEntry) -> str:
        """What a picture is called: its class, or its model where it has many attributes, and its seed."""
        values = list(entry.attributes.values())
        what = " · ".join(values) if 1 <= len(values) <= 2 else entry.model
        seed = "" if entry.seed is None else self.tr("seed {seed}").format(seed=entry.seed)
        star = self.tr("starred") if entry.starred else ""
        return " · ".join(part for part in (what, seed, star) if part)

    # The controller's signals

    @Slot()
    def _on_filters_changed(self) -> None:
        filters = self.controller.state.filters
        if self._search.text() != filters.text:
            self._search.setText(filters.text)
        for button, on in ((self._starred, filters.starred), (self._trash, filters.trashed)):
            with QSignalBlocker(button):
                button.setChecked(on)
        for model, button in self._model_buttons.items():
            button.setChecked(model == filters.model)
        self._show_actions()

    @Slot()
    def _on_found(self) -> None:
        state = self.controller.state
        self._show_models()
        self._grid.set_ids(state.ids)
        if self._refill is not None and state.ids and not state.selected:
            self._grid.select_row(min(self._refill, len(state.ids) - 1))
        self._refill = None
        self._show_counts()
        if self._comparing and not state.selected:
            self._on_compare_left()
        elif not self._comparing:
            self._stack.setCurrentWidget(self._grid if state.ids else self._empty)
        self._show_empty()
        self._details.setVisible(bool(state.ids))

    def _show_models(self) -> None:
        state = self.controller.state
        names = list(state.models) if len(state.models) > 1 or state.filters.model else []
        if list(self._model_buttons) != (["", *names] if names else []):
            self._models.clear()
            self._model_buttons = {}
            for name in ["", *names] if names else []:
                button = QPushButton(name or self.tr("All models"))
                button.setCheckable(True)
                button.setProperty("look", "chip")
                button.clicked.connect(lambda _on, model=name: self.controller.choose_model(model))
                self._model_group.addButton(button)
                self._models.add(button)
                self._model_buttons[name] = button
        for name, button in self._model_buttons.items():
            button.setChecked(name == state.filters.model)
            number = state.models.get(name, state.kept)
            button.setToolTip(self.tr("{n} pictures").format(n=f"{number:,}"))
        self._models.setVisible(bool(names) and not state.filters.trashed)

    def _show_counts(self) -> None:
        state = self.controller.state
        filters, number = state.filters, len(state.ids)
        self._trash.setText(
            self.tr("Trash ({n})").format(n=f"{state.trashed:,}") if state.trashed else self.tr("Trash")
        )
        texts = [self.tr("1 picture") if number == 1 else self.tr("{n} pictures").format(n=f"{number:,}")]
        if filters.narrow and not filters.trashed:
            texts[0] = self.tr("{n} of {all} pictures").format(n=f"{number:,}", all=f"{state.kept:,}")
        if len(state.selected) > 1:
            texts.append(self.tr("{n} selected").format(n=f"{len(state.selected):,}"))
        if filters.trashed:
            texts.append(self.tr("each is deleted for good after {days} days").format(days=TRASH_DAYS))
        reading = state.reading
        if reading is not None:
            done, total = f"{reading.done:,}", f"{reading.total:,}"
            texts = [self.tr("Reading {done} of {total} files").format(done=done, total=total)]
            self._progress.setRange(0, max(1, reading.total))
            self._progress.setValue(reading.done)
        self._count.setText(" · ".join(texts) if state.ready or reading is not None else "")
        self._progress.setVisible(reading is not None)
        self._size.setVisible(bool(state.ids) and reading is None and not (self._comparing or filters.trashed))
        self._empty_trash.setVisible(filters.trashed and bool(state.trashed))
        self._skipped.setVisible(bool(state.skipped) and not filters.trashed)
        one = self.tr("1 file skipped")
        self._skipped.setText(
            one if len(state.skipped) == 1 else self.tr("{n} files skipped").format(n=f"{len(state.skipped):,}")
        )
        self._skipped.setToolTip("\n".join(list(state.skipped)[:20]))

    def _show_empty(self) -> None:
        state, filters = self.controller.state, self.controller.state.filters
        if not state.ready:
            self._empty.set_text(self.tr("Opening the gallery…"), "")
        elif state.trouble:
            self._empty.set_text(self.tr("The gallery cannot be opened"), state.trouble)
        elif filters.narrow:
            text = self.tr("Use fewer words, or another filter.")
            self._empty.set_text(self.tr("No picture fits"), text)
        elif filters.trashed:
            text = self.tr("What you delete stays here for {days} days and can be restored.").format(days=TRASH_DAYS)
            self._empty.set_text(self.tr("The trash is empty"), text)
        else:
            text = self.tr("Every picture that you generate is kept here, with all that it takes to make it again.")
            self._empty.set_text(self.tr("The gallery is empty"), text)

    @Slot(object)
    def _on_entries_changed(self, ids: Sequence[int]) -> None:
        self._grid.changed(ids)

    @Slot()
    def _on_reading_changed(self) -> None:
        self._show_counts()

    @Slot()
    def _on_selection_changed(self) -> None:
        state = self.controller.state
        if self._grid.selected_ids() != list(state.selected):
            self._grid.select_ids(state.selected)
        self._show_details()
        self._show_actions()
        self._show_counts()
        if self._comparing:
            self._fill_compare()

    def _show_details(self) -> None:
        state = self.controller.state
        self._preview.setVisible(len(state.selected) == 1)
        self._preview.show_pixels(state.opened[0].sample.pixels if len(state.opened) == 1 else None)
        if not state.selected:
            title, text = self.tr("Nothing is selected"), self.tr("Select a picture to see how it was made.")
        elif len(state.selected) > 2:
            title = self.tr("{n} pictures selected").format(n=f"{len(state.selected):,}")
            text = self.tr("Star, export or delete them together.")
        elif len(state.opened) < len(state.selected):
            title, text = "", state.problem
        elif len(state.opened) == 2:
            title, text = self.tr("Two pictures selected"), self._differences(*state.opened)
        else:
            title, text = self._name(state.opened[0].entry), self._story(state.opened[0])
        self._title.setText(title)
        self._told.setText(text)

    def _story(self, opened: Opened) -> str:
        """How a picture came to be, in words."""
        latent, entry = opened.sample.latent, opened.entry
        height, width = opened.sample.pixels.shape[:2]
        made = self.tr("Made by {model} on {when}, {width} × {height} pixels.")
        lines = [made.format(model=latent.model, when=_moment(entry), width=width, height=height)]
        if latent.attributes:
            lines.append(f"{_choice(latent)}.")
        settings = f"{', '.join(self._settings(latent))}."
        lines.append(settings[0].upper() + settings[1:])
        if entry.trashed is not None:
            lines.append(self.tr("Deleted on {day}.").format(day=entry.trashed.isoformat()))
        weights = latent.weights_sha256[:8] or self.tr("unknown")
        lines.append(self.tr("Weights {weights}, file {file}").format(weights=weights, file=entry.path.name))
        return "\n".join(lines)

    def _settings(self, latent: Latent) -> list[str]:
        """What a picture was drawn with, besides its model and attributes."""
        parts = [self.tr("set by hand or encoded from a picture")]
        if latent.seed is not None:
            parts = [self.tr("seed {seed}").format(seed=latent.seed)]
        parts.append(self.tr("temperature {t:.2f}").format(t=latent.temperature))
        if latent.prior == "normal":
            parts.append(self.tr("drawn from N(0, I)"))
        elif latent.guidance != 1.0:
            parts.append(self.tr("strength {g:.2f}").format(g=latent.guidance))
        for mix in latent.mix:
            parts.append(self.tr("mixed with {share:.0%} {value}").format(share=mix.weight, value=mix.value))
        if latent.diversity:
            parts.append(self.tr("diversity {d:.2f}").format(d=latent.diversity))
        space = self.tr("style") if latent.space == "style" else self.tr("raw")
        parts.append(self.tr("{n} numbers in {space} space").format(n=len(latent.values), space=space))
        return parts

    def _differences(self, first: Opened, second: Opened) -> str:
        """What two pictures do not have in common, in words."""
        one, other = first.sample.latent, second.sample.latent
        lines = []
        if one.model != other.model:
            lines.append(self.tr("Model: {a} and {b}").format(a=one.model, b=other.model))
        names = list(dict.fromkeys([*one.attributes, *other.attributes]))
        pairs = {name: (one.attributes.get(name, "—"), other.attributes.get(name, "—")) for name in names}
        differing = [f"{_words(name)}: {a} / {b}" for name, (a, b) in pairs.items() if a != b]
        if differing:
            lines.append(self.tr("Differ in {what}.").format(what=", ".join(differing)))
        elif names:
            lines.append(self.tr("Both show {what}.").format(what=_choice(one)))
        a, b = self._settings(one), self._settings(other)
        unlike = [" / ".join(pair) for pair in zip(a, b, strict=False) if pair[0] != pair[1]]
        if unlike or len(a) != len(b):
            lines.append(self.tr("Drawn with {what}.").format(what=", ".join(unlike or [*a, "/", *b])))
        return "\n".join(lines) or self.tr("They were made in the same way.")

    def _show_actions(self) -> None:
        state = self.controller.state
        number, trashed, one = len(state.selected), state.filters.trashed, self._latent is not None
        for action in (self._star_action, self._export_action, self._sheet_action):
            action.setEnabled(number > 0)
        text, hint = self._star_texts[self.controller.all_starred]
        self._star_action.setText(text)
        self._star_action.setToolTip(hint)
        for action in self._one_actions:
            action.setEnabled(one)
            action.setVisible(not trashed)
        self._compare_action.setEnabled(number == 2)
        self._sheet_action.setVisible(number > 1)
        for action in (self._star_action, self._delete_action, self._export_action):
            action.setVisible(not trashed)
        for action in (self._take_back_action, self._destroy_action):
            action.setVisible(trashed)
            action.setEnabled(trashed and number > 0)
        self._delete_action.setEnabled(not trashed and number > 0)
        for button in self._buttons:
            button.setVisible(button.defaultAction().isVisible())
            button.setAccessibleName(button.defaultAction().text())

    @property
    def _latent(self) -> Latent | None:
        """Of the one selected picture, once it is read."""
        state = self.controller.state
        return state.opened[0].sample.latent if len(state.selected) == 1 and state.opened else None

    # What the person does

    def _on_size(self, width: int) -> None:
        self._grid.set_column(width)
        self._services.settings.set_page(SETTINGS, column=width)

    def _on_grid_selection(self) -> None:
        self.controller.select(self._grid.selected_ids())

    def _on_menu(self, position: QPoint) -> None:
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.addActions([action for action in self._actions() if action.isVisible()])
        menu.popup(position)

    def _on_star(self) -> None:
        self.controller.toggle_star()

    def _on_delete(self) -> None:
        self._remember_place()
        self.controller.delete()

    def _on_take_back(self) -> None:
        self._remember_place()
        self.controller.restore()

    def _on_destroy(self) -> None:
        number = len(self.controller.state.selected)
        one = self.tr("Delete this picture for good?")
        text = one if number == 1 else self.tr("Delete {n} pictures for good?").format(n=f"{number:,}")
        if number and self._sure(text):
            self._remember_place()
            self.controller.delete_for_good()

    def _on_empty_trash(self) -> None:
        number = f"{self.controller.state.trashed:,}"
        if self._sure(self.tr("Delete all {n} pictures in the trash for good?").format(n=number)):
            self.controller.empty_trash()

    def _sure(self, text: str) -> bool:
        box = QMessageBox(QMessageBox.Icon.Warning, self.tr("Delete for good"), text, parent=self)
        box.setInformativeText(self.tr("This cannot be undone."))
        delete = box.addButton(self.tr("Delete"), QMessageBox.ButtonRole.DestructiveRole)
        box.setDefaultButton(box.addButton(QMessageBox.StandardButton.Cancel))
        box.exec()
        return box.clickedButton() is delete

    def _remember_place(self) -> None:
        """The row that is selected when the selected ones have gone."""
        rows = self._grid.selected_rows()
        self._refill = rows[0] if rows else None

    def _on_restore_settings(self) -> None:
        if self._latent is not None:
            self.restore_wanted.emit(self._latent)

    def _on_vary(self) -> None:
        if self._latent is not None:
            self.vary_wanted.emit(self._latent)

    def _on_open_in_latents(self) -> None:
        if self._latent is not None:
            self.latents_wanted.emit(self._latent)

    def _on_copy(self) -> None:
        """The file for file managers and for this program, the picture for all others."""
        opened = self.controller.state.opened
        if len(opened) == 1:
            data = QMimeData()
            data.setUrls([QUrl.fromLocalFile(str(opened[0].entry.path))])
            data.setImageData(to_qimage(opened[0].sample.pixels))
            QGuiApplication.clipboard().setMimeData(data)

    def _on_copy_seed(self) -> None:
        latent = self._latent
        if latent is not None and latent.seed is not None:
            QGuiApplication.clipboard().setText(str(latent.seed))
            self._services.notices.info(self.tr("Seed {seed} copied.").format(seed=latent.seed))

    @Slot(object)
    def _on_open(self, id: int) -> None:
        self.controller.select([id])
        self._show_compare()

    def _on_compare(self) -> None:
        if len(self.controller.state.selected) == 2:
            self._show_compare()

    def _show_compare(self) -> None:
        self._comparing = True
        self._stack.setCurrentWidget(self._compare)
        self._search_bar.hide()
        self._show_counts()
        self._fill_compare()
        self._compare.take_focus()

    def _fill_compare(self) -> None:
        """Show one or two selected pictures, once they are read."""
        opened = self.controller.state.opened
        shown = [(to_qimage(one.sample.pixels), self._name(one.entry)) for one in opened]
        if len(shown) == 2:
            self._compare.show_two(*shown)
        elif len(shown) == 1:
            self._compare.show_one(*shown[0])
        else:
            self._compare.show_nothing()

    @Slot()
    def _on_compare_left(self) -> None:
        self._comparing = False
        self._search_bar.show()
        self._show_counts()
        self._stack.setCurrentWidget(self._grid if self.controller.state.ids else self._empty)
        self._grid.setFocus()

    def _on_export(self) -> None:
        folder = ask_folder(self, self._services.settings, self.tr("Copy the pictures to a folder"))
        if folder is not None:
            self.controller.export(folder)

    def _on_export_sheet(self) -> None:
        path = ask_save(self, self._services.settings, self.tr("Save as one sheet"), "gallery-sheet.png", PNG_FILTER)
        if path is not None:
            self.controller.export_sheet(path)

    def _on_skipped(self) -> None:
        skipped = self.controller.state.skipped
        named = [f"{name}: {reason}" for name, reason in list(skipped.items())[:10]]
        more = len(skipped) - len(named)
        if more:
            named.append(self.tr("… and {n} more").format(n=f"{more:,}"))
        title = self.tr("Not pictures of the gallery")
        self._services.notices.info("\n".join(named), title=title)


def _words(name: str) -> str:
    """An attribute's name for people."""
    return name.replace("_", " ")


def _choice(latent: Latent) -> str:
    """The attributes of a picture for people."""
    text = ", ".join(f"{_words(name)}: {value}" for name, value in latent.attributes.items())
    return text[:1].upper() + text[1:]


def _moment(entry: GalleryEntry) -> str:
    """When a picture was made, in the time of this place."""
    return entry.made.astimezone().strftime("%Y-%m-%d %H:%M")
