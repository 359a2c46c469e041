"""What the window tells people in passing: information, success, errors with details."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from PySide6.QtCore import QObject, Signal

from engine.errors import Cancelled
from gui.services.failures import UnexpectedError, as_latent_error
from gui.services.gui_thread import GuiThread, assert_gui_thread, in_gui_thread

LOG = logging.getLogger("latent_studio")


@dataclass
class Notice:
    """One message.

    Attributes:
        kind: "info", "success" or "error".
        title: a few words; may be empty.
        text: what is to be said.
        remedy: what can be done about it; may be empty.
        details: a longer text behind "Details", for example a traceback; may be empty.
        actions: buttons as (text, call).
        count: how often the same notice was given in a row.
    """

    kind: str
    text: str
    title: str = ""
    remedy: str = ""
    details: str = ""
    actions: list[tuple[str, Callable[[], object]]] = field(default_factory=list)
    count: int = 1


class Notices(QObject):
    """Collects notices; whoever shows them listens. Safe to call from the GUI thread; `error` from any thread.

    Attributes:
        errors: how many errors were reported since the start or the last `clear_errors`.
        last_error: the newest of them.

    Signals:
        posted(object): a new `Notice`.
        repeated(object): the newest `Notice` was given again; its `count` went up.
        errors_changed(int): the number of errors.
    """

    posted = Signal(object)
    repeated = Signal(object)
    errors_changed = Signal(int)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.errors = 0
        self.last_error: Notice | None = None
        self._newest: Notice | None = None
        self._gui = GuiThread(self)

    def info(self, text: str, *actions: tuple[str, Callable[[], object]], title: str = "") -> None:
        """Say something worth knowing; `actions` are offered as buttons, for example ("Show", call)."""
        self._post(Notice("info", text, title, actions=list(actions)))

    def success(self, text: str, *actions: tuple[str, Callable[[], object]], title: str = "") -> None:
        """Say that something worked; `actions` are offered as buttons, for example ("Open folder", call)."""
        self._post(Notice("success", text, title, actions=list(actions)))

    def error(self, error: BaseException, title: str = "") -> None:
        """Report an error; what is no `LatentStudioError` is called unexpected. Cancelling is no error."""
        if isinstance(error, Cancelled):
            return
        if not in_gui_thread():
            self._gui.post(partial(self.error, error, title))
            return
        family = as_latent_error(error)
        if not isinstance(family, UnexpectedError):
            LOG.info("error shown: %s", family)
        details = family.details if isinstance(family, UnexpectedError) else ""
        self.report(Notice("error", family.problem, title, family.remedy, details))

    def report(self, notice: Notice) -> None:
        """Post an error notice that was put together elsewhere."""
        assert_gui_thread()
        self.errors += 1
        self.last_error = notice
        self._post(notice)
        self.errors_changed.emit(self.errors)

    def clear_errors(self) -> None:
        """Start counting anew: the person has seen them."""
        self.errors, self.last_error = 0, None
        self.errors_changed.emit(0)

    def _post(self, notice: Notice) -> None:
        assert_gui_thread()
        newest = self._newest
        same = newest is not None and (newest.kind, newest.title, newest.text) == (
            notice.kind,
            notice.title,
            notice.text,
        )
        # One with actions stays by itself: each Undo brings back something else.
        if newest is not None and same and not (newest.actions or notice.actions):
            newest.count += 1
            self.repeated.emit(newest)
            return
        self._newest = notice
        self.posted.emit(notice)
