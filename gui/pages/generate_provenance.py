"""ProvenanceCard: what a dropped picture that was made here tells of itself, and the offer to restore it."""

from __future__ import annotations

from PySide6.QtCore import Qt, Slot
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QToolButton, QVBoxLayout, QWidget

from gui.controllers.generate_controller import GenerateController
from gui.controllers.generate_settings import attribute_words, latent_values, latent_words
from gui.services.context import Services
from gui.widgets.picture_view import PictureView


class ProvenanceCard(QFrame):
    """Shows the provenance of the picture that was dropped; hidden while there is none."""

    def __init__(self, controller: GenerateController, services: Services, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.controller = controller
        self.setProperty("look", "card")
        self.view = PictureView(self.tr("The dropped picture"))
        self.view.setFixedSize(88, 88)
        self.title = QLabel()
        self.title.setProperty("look", "heading")
        self.text = QLabel()
        self.text.setWordWrap(True)
        self.text.setTextFormat(Qt.TextFormat.PlainText)
        self.text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.note = QLabel()
        self.note.setProperty("look", "caption")
        self.note.setWordWrap(True)
        self.restore = QPushButton(self.tr("Restore everything"))
        self.restore.setProperty("look", "primary")
        self.restore.setToolTip(self.tr("Model, choice, seed and settings as they were: the grid begins with it"))
        self.restore.clicked.connect(controller.dropped.restore)
        self.show_it = QPushButton(self.tr("Show it here"))
        self.show_it.setToolTip(self.tr("Draw it again and put it into a grid; the settings stay as they are"))
        self.show_it.clicked.connect(controller.dropped.show_it)
        self.as_own = QPushButton(self.tr("As own picture"))
        self.as_own.setToolTip(self.tr("Encode its pixels like those of any other picture"))
        self.as_own.clicked.connect(controller.dropped.take_as_own)
        close = QToolButton()
        close.setProperty("look", "flat")
        close.setToolTip(self.tr("Close"))
        close.setAccessibleName(self.tr("Close the card"))
        services.theme.bind_icon(close, "close", "muted", 16)
        close.clicked.connect(controller.dropped.close)
        buttons = QHBoxLayout()
        buttons.setSpacing(6)
        for button in (self.restore, self.show_it, self.as_own):
            button.setStyleSheet("QPushButton { padding-left: 10px; padding-right: 10px; }")
            buttons.addWidget(button)
        buttons.addStretch(1)
        words = QVBoxLayout()
        words.setSpacing(2)
        words.addWidget(self.title)
        words.addWidget(self.text)
        words.addWidget(self.note)
        words.addLayout(buttons)
        row = QHBoxLayout(self)
        row.setContentsMargins(12, 10, 8, 10)
        row.setSpacing(12)
        row.addWidget(self.view, 0, Qt.AlignmentFlag.AlignTop)
        row.addLayout(words, 1)
        row.addWidget(close, 0, Qt.AlignmentFlag.AlignTop)
        controller.dropped.provenance_changed.connect(self.show_provenance)
        self.show_provenance()

    @Slot()
    def show_provenance(self) -> None:
        """Show what the picture tells."""
        provenance = self.controller.dropped.provenance
        self.setVisible(provenance is not None)
        if provenance is None:
            return
        latent = provenance.latent
        self.view.show_pixels(provenance.picture.pixels)
        self.title.setText(self.tr("{name} was made here").format(name=provenance.path.name))
        seed = self.tr("no seed (changed by hand or from another picture)")
        if latent.seed is not None:
            seed = self.tr("seed {seed}").format(seed=latent.seed)
        card = next((one for one in self.controller.state.models if one.name == latent.model), None)
        known = latent_values(latent, card.attributes if card is not None else ())
        values = ", ".join(f"{attribute_words(name)}: {value}" for name, value in known.items())
        self.text.setText("\n".join(part for part in (values, " · ".join([seed, *latent_words(latent)])) if part))
        model = self.tr("Model {name}, weights {hash}").format(name=latent.model, hash=latent.weights_sha256[:8] or "?")
        if card is None:
            model += self.tr(": it is not here")
        elif card.weights_sha256 != latent.weights_sha256:
            model += self.tr(": another version is here, the picture will differ")
        else:
            model += self.tr(": the very same is here")
        self.note.setText(model)
        for button in (self.restore, self.show_it):
            button.setEnabled(card is not None)
