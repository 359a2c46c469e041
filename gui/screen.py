"""Whether a window can be shown here: asked before Qt is, because Qt ends the whole process when it cannot."""

from __future__ import annotations

import ctypes
import os
import re
import sys
from pathlib import Path

HEADLESS = ("offscreen", "minimal", "vnc", "eglfs", "linuxfb")


def platform_name() -> str:
    """The Qt platform that was asked for, without its parameters; empty when Qt may choose."""
    return os.environ.get("QT_QPA_PLATFORM", "").split(";")[0].partition(":")[0]


def missing_screen() -> str:
    """A sentence for the person if no screen is available, else an empty text."""
    if not sys.platform.startswith("linux") or platform_name() in HEADLESS:
        return ""
    advice = "Run `python main.py demo --out demo` for the same engine without a window."
    display, wayland = os.environ.get("DISPLAY", ""), os.environ.get("WAYLAND_DISPLAY", "")
    if not display and not wayland:
        return f"No screen is available here (neither DISPLAY nor WAYLAND_DISPLAY is set). {advice}"
    if not wayland and not _answers(display):
        return f"The screen {display} does not answer. {advice}"
    return ""


def _answers(display: str) -> bool:
    """Whether an X server can be reached; True when that cannot be found out."""
    try:
        # By its name: ctypes.util.find_library would start other programs to look for it.
        library = ctypes.CDLL("libxcb.so.1")
    except OSError:
        return True
    library.xcb_connect.restype = ctypes.c_void_p
    library.xcb_connect.argtypes = [ctypes.c_char_p, ctypes.c_void_p]
    library.xcb_connection_has_error.argtypes = [ctypes.c_void_p]
    library.xcb_disconnect.argtypes = [ctypes.c_void_p]
    connection = library.xcb_connect(display.encode(), None)
    failed = library.xcb_connection_has_error(connection)
    library.xcb_disconnect(connection)
    return not failed


def missing_library(error: ImportError | OSError) -> str:
    """A sentence that names the system library which could not be loaded, and the way to get it."""
    found = re.search(r"(lib[\w.+-]+\.so[.\d]*)", str(error))
    what = f"the system library {found.group(1)}" if found else f"a part of Qt ({error})"
    return (
        f"The window needs {what}, which is not installed. Run `python3 bootstrap.py`, which installs what is missing."
    )


def missing_plugin_library() -> str:
    """A sentence if the X11 part of Qt lacks a system library (Qt itself would abort), else an empty text.

    Call it once PySide6 can be imported.
    """
    asked = platform_name()
    if not sys.platform.startswith("linux") or asked not in ("", "xcb"):
        return ""
    if not asked and os.environ.get("WAYLAND_DISPLAY"):
        return ""
    from PySide6.QtCore import QLibraryInfo

    plugin = Path(QLibraryInfo.path(QLibraryInfo.LibraryPath.PluginsPath)) / "platforms" / "libqxcb.so"
    if not plugin.is_file():
        return ""
    try:
        ctypes.CDLL(str(plugin))
    except OSError as error:
        return missing_library(error)
    return ""
