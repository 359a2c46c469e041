"""TrainPage: choose a recipe, start it, watch it learn, and use what it made."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QSignalBlocker, Qt, QUrl, Slot
from PySide6.QtGui import QAction, QDesktopServices, QImage, QRegularExpressionValidator, QShowEvent
from PySide6.QtWidgets import (
    QCheckBox,
    QDoubleSpinBox,
    QFormLayout,
    QFrame,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QLineEdit,
    QMessageBox,
    QProgressBar,
    QPushButton,
    QSlider,
    QSpinBox,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from gui.controllers.run_record import RunRecord
from gui.controllers.train_controller import TrainController
from gui.pages.actions import make_action
from gui.services.context import Services
from gui.services.jobs import remaining_text
from gui.widgets.file_dialogs import ask_folder
from gui.widgets.picture_view import PictureView
from gui.widgets.recipe_card import RecipeCards, RecipeText
from gui.widgets.section import Section

if TYPE_CHECKING:
    from engine.training import Recipe
    from gui.widgets.loss_plot import LossPlot

NAME_PATTERN = "[a-z0-9][a-z0-9-]{0,63}"
OUTCOME_ROLES = {"running": "accent", "finished": "success", "stopped": "muted", "failed": "danger"}
FOLDER_ROLE = Qt.ItemDataRole.UserRole


class TrainPage(QWidget):
    """Shows the state of a `TrainController` and forwards what the person does."""

    title = "Train"
    icon_name = "train"

    def __init__(self, controller: TrainController, services: Services, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.controller = controller
        self._services = services
        self._plot: LossPlot | None = None
        self._plot_wanted = False
        self._build_actions()
        self._build_canvas()
        self._inspector = self._build_inspector()
        controller.recipes_changed.connect(self._on_recipes_changed)
        controller.plan_changed.connect(self._on_plan_changed)
        controller.data_changed.connect(self._on_data_changed)
        controller.runs_changed.connect(self._on_runs_changed)
        controller.run_changed.connect(self._on_run_changed)
        controller.sheet_changed.connect(self._on_sheet_changed)
        controller.running_changed.connect(self._on_running_changed)
        services.theme.changed.connect(self._on_runs_changed)
        self._on_plan_changed()
        self._on_data_changed()
        self._on_run_changed()

    # What the window asks of a page

    def page_actions(self) -> list[QAction]:
        """Actions for the toolbar and the menus."""
        return [self._start_action, self._stop_action, self._resume_action, self._use_action]

    def inspector(self) -> QWidget:
        """The right column."""
        return self._inspector

    def open_paths(self, paths: list[Path]) -> None:
        """A folder of pictures was dropped: train on it."""
        folder = next((path for path in paths if path.is_dir()), None)
        if folder is not None:
            self._use_pictures(folder)
        elif paths:
            self._services.notices.info(self.tr("Drop a folder of pictures to train on it."))

    def paste(self) -> None:
        """Nothing on this page takes a paste."""
        self._services.notices.info(self.tr("Drop a folder of pictures to train on it."))

    def shutdown(self) -> None:
        """The window closes: a run is stopped with a checkpoint."""
        self.controller.shut_down()

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self.controller.activate()

    # Building

    def _build_actions(self) -> None:
        theme = self._services.theme
        self._start_action = make_action(self, theme, self.tr("Start"), "play", self._on_start, "Ctrl+Return")
        self._stop_action = make_action(self, theme, self.tr("Cancel run"), "stop", self._on_stop)
        self._resume_action = make_action(self, theme, self.tr("Resume"), "redo", self._on_resume)
        self._use_action = make_action(self, theme, self.tr("Use this model"), "check", self._on_use_model)

    def _build_canvas(self) -> None:
        self._cards = RecipeCards(self.tr("Recipes"))
        self._cards.picked.connect(self.controller.choose_recipe)

        self._title = QLabel()
        self._title.setProperty("look", "heading")
        self._status = QLabel()
        self._status.setProperty("look", "muted")
        self._folder = QPushButton(self.tr("Open folder"))
        self._folder.setProperty("look", "flat")
        self._folder.setToolTip(self.tr("Log, samples, checkpoint and model of this run"))
        self._folder.clicked.connect(self._on_open_folder)
        self._progress = QProgressBar()
        self._progress.setTextVisible(False)
        self._progress.setAccessibleName(self.tr("Progress of the run"))
        self._problem = QLabel()
        self._problem.setProperty("look", "error")
        self._problem.setWordWrap(True)
        head = QHBoxLayout()
        head.setSpacing(12)
        head.addWidget(self._title)
        head.addWidget(self._status, 1)
        head.addWidget(self._folder)

        across = QHBoxLayout()
        across.setSpacing(12)
        across.addWidget(self._build_curves(), 1)
        across.addWidget(self._build_sheet(), 1)

        self._runs = QTreeWidget()
        self._runs.setHeaderLabels(
            [self.tr("Run"), self.tr("Model"), self.tr("State"), self.tr("Steps"), self.tr("Loss")]
        )
        self._runs.setRootIsDecorated(False)
        self._runs.setAccessibleName(self.tr("Runs"))
        self._runs.setAllColumnsShowFocus(True)
        self._runs.header().setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self._runs.header().setStretchLastSection(False)
        self._runs.currentItemChanged.connect(self._on_run_picked)
        self._runs.setFixedHeight(116)

        layout = QVBoxLayout(self)
        layout.setContentsMargins(16, 12, 16, 16)
        layout.setSpacing(8)
        layout.addWidget(self._cards)
        layout.addLayout(head)
        layout.addWidget(self._progress)
        layout.addWidget(self._problem)
        layout.addLayout(across, 1)
        layout.addWidget(self._runs)

    def _build_curves(self) -> QWidget:
        self._smoothing = QSlider(Qt.Orientation.Horizontal)
        self._smoothing.setRange(0, 99)
        self._smoothing.setValue(60)
        self._smoothing.setMaximumWidth(140)
        self._smoothing.setAccessibleName(self.tr("Smoothing of the training loss"))
        self._smoothing.valueChanged.connect(self._on_smoothing)
        self._log_scale = QCheckBox(self.tr("Logarithmic"))
        self._log_scale.toggled.connect(self._on_log_scale)
        label = QLabel(self.tr("Smoothing"))
        label.setBuddy(self._smoothing)
        self._plot_place = QLabel(self.tr("The loss curve appears here once a run has begun."))
        self._plot_place.setProperty("look", "muted")
        self._plot_place.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._plot_place.setWordWrap(True)
        heading = QLabel(self.tr("Loss"))
        heading.setProperty("look", "heading")
        row = QHBoxLayout()
        row.addWidget(heading)
        row.addStretch(1)
        for widget in (label, self._smoothing, self._log_scale):
            row.addWidget(widget)
        card = _card()
        self._curves = QVBoxLayout(card)
        self._curves.setContentsMargins(12, 8, 12, 12)
        self._curves.addLayout(row)
        self._curves.addWidget(self._plot_place, 1)
        card.setMinimumWidth(300)
        return card

    def _build_sheet(self) -> QWidget:
        heading = QLabel(self.tr("Samples"))
        heading.setProperty("look", "heading")
        self._sheet = PictureView(self.tr("Sample sheet of the run"))
        self._sheet.set_placeholder(self.tr("What the model makes of held-out pictures appears here."))
        card = _card()
        column = QVBoxLayout(card)
        column.setContentsMargins(12, 8, 12, 12)
        column.addWidget(heading)
        column.addWidget(self._sheet, 1)
        card.setMinimumWidth(200)
        return card

    def _build_inspector(self) -> QWidget:
        self._name = QLineEdit()
        self._name.setValidator(QRegularExpressionValidator(NAME_PATTERN))
        self._name.setToolTip(self.tr("Small letters, digits and hyphens"))
        self._name.editingFinished.connect(self._on_plan_edited)
        self._steps = QSpinBox()
        self._steps.setRange(1, 10_000_000)
        self._steps.setGroupSeparatorShown(True)
        self._batch = QSpinBox()
        self._batch.setRange(1, 4096)
        self._rate = _RateBox()
        self._rate.setDecimals(6)
        self._rate.setRange(1e-6, 1.0)
        self._rate.setStepType(QDoubleSpinBox.StepType.AdaptiveDecimalStepType)
        form = QFormLayout()
        form.setVerticalSpacing(8)
        for text, field in (
            (self.tr("Model name"), self._name),
            (self.tr("Steps"), self._steps),
            (self.tr("Batch size"), self._batch),
            (self.tr("Learning rate"), self._rate),
        ):
            field.setAccessibleName(text)
            form.addRow(text, field)
        for spin in (self._steps, self._batch, self._rate):
            spin.setKeyboardTracking(False)
            spin.valueChanged.connect(self._on_plan_edited)
        settings = Section(self.tr("Settings"), resettable=True)
        settings.reset_requested.connect(self._on_reset_plan)
        settings.add(form)
        self._settings = settings

        self._data_text = QLabel()
        self._data_text.setWordWrap(True)
        self._own = QPushButton(self.tr("Use my own pictures…"))
        self._own.setToolTip(self.tr("A folder of pictures, or of one folder per class"))
        self._own.clicked.connect(self._on_own_pictures)
        self._recipe_data = QPushButton(self.tr("Use the recipe's pictures"))
        self._recipe_data.clicked.connect(self._on_recipe_pictures)
        self._root = QPushButton(self.tr("Data sets are in…"))
        self._root.setToolTip(self.tr("The folder that holds the data set's own folder"))
        self._root.clicked.connect(self._on_data_root)
        data = Section(self.tr("Pictures"))
        for widget in (self._data_text, self._root, self._own, self._recipe_data):
            data.add(widget)

        self._start = QPushButton(self.tr("Start"))
        self._start.setProperty("look", "primary")
        self._start.clicked.connect(self._on_start)
        panel = QWidget()
        column = QVBoxLayout(panel)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(settings)
        column.addWidget(data)
        column.addWidget(self._start)
        column.addStretch(1)
        return panel

    # The controller's signals

    @Slot()
    def _on_recipes_changed(self) -> None:
        state = self.controller.state
        texts = [_recipe_text(recipe, state.parameters.get(recipe.name)) for recipe in state.recipes.values()]
        self._cards.set_recipes(texts)
        self._cards.set_chosen(state.recipe)

    @Slot()
    def _on_plan_changed(self) -> None:
        state = self.controller.state
        plan, recipe = state.plan, state.recipes.get(state.recipe)
        self._cards.set_chosen(state.recipe)
        for widget in (self._name, self._steps, self._batch, self._rate, self._own):
            widget.setEnabled(plan is not None)
        if plan is None or recipe is None:
            return
        with QSignalBlocker(self._steps), QSignalBlocker(self._batch), QSignalBlocker(self._rate):
            self._name.setText(plan.name)
            self._steps.setValue(plan.steps)
            self._batch.setValue(plan.batch_size)
            self._rate.setValue(plan.learning_rate)
        first = recipe.stages[0]
        given = (recipe.total_steps, first.batch_size, first.learning_rate)
        self._settings.set_at_default((plan.steps, plan.batch_size, plan.learning_rate) == given)
        self._recipe_data.setVisible(plan.pictures is not None)

    @Slot()
    def _on_data_changed(self) -> None:
        data = self.controller.state.data
        self._data_text.setText(data.text or self.tr("Looking for the pictures…"))
        self._data_text.setProperty("look", "error" if data.state == "missing" else "caption")
        self._data_text.style().unpolish(self._data_text)
        self._data_text.style().polish(self._data_text)
        self._root.setVisible(data.state == "missing")
        self._show_buttons()

    @Slot(bool)
    def _on_running_changed(self, _running: bool) -> None:
        self._show_buttons()

    def _show_buttons(self) -> None:
        controller, shown = self.controller, self.controller.state.shown
        startable = not controller.running and controller.state.data.state == "found"
        self._start.setEnabled(startable)
        self._start_action.setEnabled(startable)
        self._stop_action.setEnabled(controller.state.live is not None and not controller.stopping)
        self._resume_action.setEnabled(shown is not None and shown.can_resume and not controller.running)
        self._use_action.setEnabled(bool(controller.model_name()))

    @Slot()
    def _on_runs_changed(self) -> None:
        shown = self.controller.state.shown
        with QSignalBlocker(self._runs):
            self._runs.clear()
            for record in self.controller.state.runs:
                item = QTreeWidgetItem(self._runs)
                item.setData(0, FOLDER_ROLE, str(record.folder))
                self._fill(item, record)
                if record is shown:
                    self._runs.setCurrentItem(item)
        self._fit_columns()

    def _fit_columns(self) -> None:
        for column in range(1, 5):
            self._runs.resizeColumnToContents(column)

    def _fill(self, item: QTreeWidgetItem, record: RunRecord) -> None:
        curve = record.validation or record.train
        texts = [record.folder.name, record.recipe, self._outcome(record), f"{record.step:,} / {record.total:,}"]
        for column, text in enumerate([*texts, f"{curve[-1][1]:.4g}" if curve else ""]):
            item.setText(column, text)
        item.setForeground(2, self._services.theme.color(OUTCOME_ROLES.get(record.outcome, "muted")))
        item.setToolTip(0, str(record.folder))

    def _outcome(self, record: RunRecord) -> str:
        if record is self.controller.state.live and self.controller.stopping:
            return self.tr("stopping")
        words = {
            "running": self.tr("running"),
            "finished": self.tr("finished"),
            "stopped": self.tr("stopped"),
            "failed": self.tr("failed"),
        }
        return words.get(record.outcome, record.outcome)

    @Slot()
    def _on_run_changed(self) -> None:
        record = self.controller.state.shown
        self._show_buttons()
        self._problem.setVisible(record is not None and bool(record.problem))
        self._progress.setVisible(record is not None)
        self._folder.setVisible(record is not None)
        if record is None:
            self._title.setText(self.tr("No run yet"))
            self._status.setText(self.tr("Choose a recipe and press Start."))
            return
        self._title.setText(record.recipe or record.folder.name)
        eta = remaining_text(record.seconds_left)
        steps = self.tr("step {step:,} of {total:,}").format(step=record.step, total=record.total)
        self._status.setText(
            " · ".join(part for part in (self._outcome(record), steps if record.total else "", eta) if part)
        )
        self._progress.setRange(0, max(1, record.total))
        self._progress.setValue(record.step)
        self._problem.setText(record.problem)
        self._show_curves(record)
        for row in range(self._runs.topLevelItemCount()):
            item = self._runs.topLevelItem(row)
            if item is not None and item.data(0, FOLDER_ROLE) == str(record.folder):
                self._fill(item, record)
        self._fit_columns()

    def _show_curves(self, record: RunRecord) -> None:
        positive = all(loss > 0 for _, loss in (*record.train, *record.validation))
        self._log_scale.setEnabled(positive)
        self._log_scale.setToolTip("" if positive else self.tr("Some losses of this run are 0 or below"))
        if self._plot is not None:
            self._plot.set_log_scale(positive and self._log_scale.isChecked())
            self._plot.show_curves(record.train, record.validation, record.stages)
        elif not self._plot_wanted:
            self._plot_wanted = True
            task = self._services.host.run(_import_plot, engine=False)
            task.succeeded.connect(self._on_plot_imported)
            task.failed.connect(self._on_plot_failed)

    @Slot(object)
    def _on_plot_imported(self, plot_class: type[LossPlot]) -> None:
        self._plot = plot_class(self.tr("Loss over steps"))
        self._curves.replaceWidget(self._plot_place, self._plot)
        self._curves.setStretchFactor(self._plot, 1)
        self._plot_place.hide()
        self._on_smoothing(self._smoothing.value())
        if self.controller.state.shown is not None:
            self._show_curves(self.controller.state.shown)

    @Slot(object)
    def _on_plot_failed(self, error: BaseException) -> None:
        self._services.notices.error(error, self.tr("The loss curve cannot be shown"))

    @Slot()
    def _on_sheet_changed(self) -> None:
        record = self.controller.state.shown
        sheet = record.sheet if record is not None else None
        self._sheet.show_image(QImage(str(sheet)) if sheet is not None else None)

    # What the person does

    def _on_start(self) -> None:
        self.controller.start()

    def _on_stop(self) -> None:
        self.controller.stop()

    def _on_resume(self) -> None:
        self.controller.resume()

    def _on_use_model(self) -> None:
        name = self.controller.model_name()
        if self.controller.is_installed(name):
            text = self.tr("Your models folder holds a model {name} already. Replace it?").format(name=name)
            if QMessageBox.question(self, self.tr("Use this model"), text) != QMessageBox.StandardButton.Yes:
                return
        self.controller.use_model()

    def _on_plan_edited(self) -> None:
        plan = self.controller.state.plan
        if plan is not None and self._name.hasAcceptableInput():
            self.controller.edit_plan(
                replace(
                    plan,
                    name=self._name.text(),
                    steps=self._steps.value(),
                    batch_size=self._batch.value(),
                    learning_rate=self._rate.value(),
                )
            )

    def _on_reset_plan(self) -> None:
        self.controller.choose_recipe(self.controller.state.recipe)

    def _on_own_pictures(self) -> None:
        folder = ask_folder(self, self._services.settings, self.tr("A folder of pictures, or of one folder per class"))
        if folder is not None:
            self._use_pictures(folder)

    def _use_pictures(self, folder: Path | None) -> None:
        plan = self.controller.state.plan
        if plan is not None:
            self.controller.edit_plan(replace(plan, pictures=folder))

    def _on_recipe_pictures(self) -> None:
        self._use_pictures(None)

    def _on_data_root(self) -> None:
        folder = ask_folder(self, self._services.settings, self.tr("The folder that holds the data sets"))
        if folder is not None:
            self.controller.set_data_root(folder)

    def _on_run_picked(self, item: QTreeWidgetItem | None, _before: QTreeWidgetItem | None) -> None:
        if item is not None:
            self.controller.show_run(Path(item.data(0, FOLDER_ROLE)))

    def _on_smoothing(self, percent: int) -> None:
        if self._plot is not None:
            self._plot.set_smoothing(percent / 100)

    def _on_log_scale(self, checked: bool) -> None:
        if self._plot is not None:
            self._plot.set_log_scale(checked)

    def _on_open_folder(self) -> None:
        record = self.controller.state.shown
        if record is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(record.folder)))


class _RateBox(QDoubleSpinBox):
    """Shows 0.003 rather than 0.003000."""

    def textFromValue(self, value: float) -> str:
        return f"{value:.6f}".rstrip("0").rstrip(self.locale().decimalPoint() or ".")


def _card() -> QFrame:
    frame = QFrame()
    frame.setProperty("look", "card")
    return frame


def _recipe_text(recipe: Recipe, parameters: int | None) -> RecipeText:
    figures = [f"{recipe.total_steps:,} steps"]
    if parameters is not None:
        size = f"{parameters / 1e6:.2g} M" if parameters >= 1e5 else f"{parameters / 1e3:.0f} k"
        figures.insert(0, f"{size} parameters")
    return RecipeText(recipe.name, recipe.summary, f"{recipe.family} · {recipe.data.set}", " · ".join(figures))


def _import_plot() -> type[LossPlot]:
    """Runs in a background thread: importing pyqtgraph in the GUI thread would stall the window."""
    from gui.widgets.loss_plot import LossPlot

    return LossPlot
