"""The rate-distortion plot of one photo: honest axes, points to hover, walk to and choose, curves to hide, files."""

from __future__ import annotations

import csv
import io
import math
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies
from PySide6.QtCore import QPoint, QPointF, QSize, Qt
from PySide6.QtGui import QFont, QFontMetricsF, QImage
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from engine.errors import OutputError
from gui.services.context import Services
from gui.services.qimage import to_pixels
from gui.services.theme import DARK, LIGHT, contrast
from gui.widgets.rate_figure import LOOKS, MARKERS, OWN_LOOK, RateData, RateFigure, linear_ticks, marker_path
from gui.widgets.rate_plot import Curve, RatePlot, RatePoint

PIXELS = 768 * 512
LABELS = {"own": "Latent Studio", "avif": "AVIF", "jxl": "JPEG XL", "webp": "WebP", "jpeg": "JPEG"}


def curve(codec: str, gain: float, rates=(0.1, 0.25, 0.6, 1.4)) -> Curve:
    points = [
        RatePoint(
            bpp=rate,
            value=34 + gain + 4 * math.log2(rate),
            payload=f"{codec} {number}",
            measured=number != 1,
            size=round(rate * PIXELS / 8),
            setting=f"quality {20 * number + 10}",
        )
        for number, rate in enumerate(rates)
    ]
    return Curve(codec, LABELS[codec], points)


CURVES = [curve("own", 2.0), curve("avif", 1.0), curve("jpeg", -2.0, (0.2, 0.5, 2.0))]


@pytest.fixture
def plot(services: Services, show) -> RatePlot:
    plot = RatePlot(services)
    plot.resize(500, 320)
    plot.set_curves(CURVES, PIXELS)
    show(plot)
    plot.setFocus()
    return plot


def grab(plot: RatePlot) -> np.ndarray:
    pixels, _ = to_pixels(plot.grab().toImage().convertToFormat(QImage.Format.Format_RGB32))
    return pixels


def spot(plot: RatePlot, codec: str, number: int) -> QPoint:
    """Where a point is on the screen."""
    found = next(curve for curve in CURVES if curve.codec == codec)
    return plot.figure.place(found.drawn[number]).toPoint()


def legend_row(plot: RatePlot, codec: str) -> QPoint:
    return plot.figure.legend[[curve.codec for curve in CURVES].index(codec)].center().toPoint()


def color_near(plot: RatePlot, place: QPoint, color: str, reach: int = 3) -> bool:
    """Whether a colour is among the pixels around a place."""
    wanted = [int(color[start : start + 2], 16) for start in (1, 3, 5)]
    part = grab(plot)[place.y() - reach : place.y() + reach + 1, place.x() - reach : place.x() + reach + 1]
    return bool((np.abs(part.astype(int) - wanted).max(axis=2) <= 2).any())


# -- drawing


def test_every_point_is_drawn_in_the_colour_of_its_codec(plot: RatePlot) -> None:
    for shown in CURVES:
        role = LOOKS.get(shown.codec, OWN_LOOK)[0]
        for number in range(len(shown.points)):
            assert color_near(plot, spot(plot, shown.codec, number), LIGHT[role], reach=5)


def test_the_plot_follows_the_theme(plot: RatePlot, services: Services) -> None:
    corner = QPoint(plot.width() - 4, plot.height() // 2)
    assert color_near(plot, corner, LIGHT["panel"])
    services.theme.set_mode("dark")
    assert color_near(plot, corner, DARK["panel"])
    assert color_near(plot, spot(plot, "own", 2), DARK[OWN_LOOK[0]])


def test_estimates_are_hollow(plot: RatePlot) -> None:
    role = OWN_LOOK[0]
    assert color_near(plot, spot(plot, "own", 0), LIGHT[role], reach=1)
    assert not color_near(plot, spot(plot, "own", 1), LIGHT[role], reach=1)


def test_codecs_differ_by_marker_and_not_only_by_colour() -> None:
    looks = [*LOOKS.values(), OWN_LOOK]
    assert len({marker for _, marker in looks}) == len(looks) == len({color for color, _ in looks})
    paths = [marker_path(marker, 5.0) for marker in MARKERS]
    assert not [pair for pair in combinations(paths, 2) if pair[0] == pair[1]]


@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])
def test_curves_stand_out_from_the_ground(palette: dict[str, str]) -> None:
    for role in (role for role in palette if role.startswith("series_")):
        assert contrast(palette[role], palette["panel"]) >= 3.0


def test_points_without_a_place_are_left_out_of_the_drawing(plot: RatePlot) -> None:
    plot.set_curves([Curve("own", "Latent Studio", [RatePoint(0.5, math.inf), RatePoint(0.0, 30.0), RatePoint(1, 40)])])
    grab(plot)
    assert "Latent Studio 1 points" in plot.accessibleDescription()


def test_without_points_the_plot_says_what_will_come(services: Services, show) -> None:
    plot = show(RatePlot(services))
    bare = grab(plot)
    plot.set_curves([Curve("own", "Latent Studio")])
    assert (grab(plot) != bare).any(), "the codec is named already"
    assert "No points yet" in plot.accessibleDescription()


def test_the_sides_are_marked_where_they_are(plot: RatePlot) -> None:
    before = grab(plot)
    plot.set_current(("jpeg", CURVES[2].points[1]), ("own", CURVES[0].points[2]))
    changed = (grab(plot) != before).any(axis=2)
    for codec, number in (("jpeg", 1), ("own", 2)):
        place = spot(plot, codec, number)
        assert changed[place.y() - 10 : place.y() - 6, place.x() - 3 : place.x() + 4].any()
    assert "Side A: 0.500 bits per pixel" in plot.accessibleDescription()


# -- axes


def figure(low: float, high: float, width: float = 320, height: float = 220) -> RateFigure:
    points = [RatePoint(low, 30.0), RatePoint(high, 42.0)]
    return RateFigure(RateData((Curve("own", "Latent Studio", points),)), width, height, QFont())


@given(strategies.floats(0.005, 5.0), strategies.floats(1.01, 500.0), strategies.sampled_from([220, 320, 500, 900]))
@settings(max_examples=150, deadline=None)
def test_the_rate_axis_is_logarithmic_with_labels_that_do_not_touch(qapp, low: float, span: float, width: int) -> None:
    made = figure(low, low * span, width)
    halfway = made.rate_at((made.x(low) + made.x(low * span)) / 2)
    assert halfway == pytest.approx(low * math.sqrt(span), rel=1e-6)
    written = sorted(tick for tick, text in made.rate_ticks if text)
    assert made.plot.left() - 1 <= made.x(low) and made.x(low * span) <= made.plot.right() + 1
    for tick, _ in made.rate_ticks:
        assert made.plot.left() - 1e-6 <= made.x(tick) <= made.plot.right() + 1e-6
        assert float(f"{tick:.3g}") == pytest.approx(tick), "a label says exactly where it stands"
    wide = QFontMetricsF(made.font).horizontalAdvance("0.55")
    for first, second in pairwise(written):
        assert made.x(second) - made.x(first) >= wide * 0.6
    assert len(written) >= 1


@given(strategies.floats(-100, 100), strategies.floats(1e-3, 300), strategies.integers(1, 12))
def test_ticks_are_round_numbers_inside_their_axis(low: float, length: float, count: int) -> None:
    ticks = linear_ticks(low, low + length, count)
    assert len(ticks) <= count + 1
    steps = {round(second - first, 9) for first, second in pairwise(ticks)}
    assert len(steps) <= 1 or max(steps) - min(steps) < 1e-8
    assert all(low - 1e-6 <= tick <= low + length + 1e-6 for tick in ticks)


def test_values_are_written_with_the_decimals_they_need(qapp) -> None:
    near = [RatePoint(0.3, 0.951), RatePoint(0.5, 0.957)]
    made = RateFigure(RateData((Curve("own", "Latent Studio", near),)), 500, 300, QFont())
    texts = [made.value_text(tick) for tick in made.value_ticks]
    assert len(set(texts)) == len(texts) >= 3


@pytest.mark.parametrize("size", [(320, 220), (900, 500)])
def test_the_legend_covers_no_point(qapp, size: tuple[int, int]) -> None:
    curves = tuple(
        curve(codec, gain) for codec, gain in (("own", 2), ("avif", 1), ("jxl", 0.5), ("webp", 0), ("jpeg", -2))
    )
    made = RateFigure(RateData(curves), *size, QFont())
    places = [made.place(point) for shown in curves for point in shown.points]
    assert not [place for place in places for row in made.legend if row.contains(place)]
    assert all(made.plot.adjusted(-1, -1, 1, 1).contains(row) for row in made.legend)


# -- mouse


def test_hovering_tells_codec_setting_bytes_and_value(plot: RatePlot) -> None:
    before = grab(plot)
    QTest.mouseMove(plot, spot(plot, "avif", 2) + QPoint(4, -4))
    assert plot.pointed is CURVES[1].points[2]
    for words in ("AVIF", "quality 50", "29.5 kB", "0.600 bpp", f"PSNR {CURVES[1].points[2].value:.2f} dB"):
        assert words in plot.accessibleName()
    assert (grab(plot) != before).any(axis=2).sum() > 2000, "a box with these words"
    QTest.mouseMove(plot, spot(plot, "avif", 1))
    assert "estimate" in plot.accessibleName()
    QTest.mouseMove(plot, QPoint(3, 3))
    assert plot.pointed is None


def test_between_the_points_the_size_under_the_mouse_is_told(plot: RatePlot) -> None:
    free = QPoint(int(plot.figure.x(0.3)), int(plot.figure.plot.top()) + 8)
    bare = grab(plot)
    QTest.mouseMove(plot, free)
    changed = (grab(plot) != bare).any(axis=2)
    assert plot.pointed is None
    assert changed[int(plot.figure.below.top()) :].any() and changed[free.y() + 20 : free.y() + 60, free.x()].any()


def test_a_click_chooses_the_nearest_point_and_one_beside_all_chooses_none(plot: RatePlot) -> None:
    chosen: list[object] = []
    plot.point_chosen.connect(chosen.append)
    QTest.mouseClick(plot, Qt.MouseButton.LeftButton, pos=spot(plot, "jpeg", 1) + QPoint(3, 2))
    QTest.mouseClick(plot, Qt.MouseButton.LeftButton, pos=QPoint(int(plot.figure.x(0.12)), 30))
    assert chosen == ["jpeg 1"]


def test_a_click_on_the_legend_hides_and_shows_a_curve(plot: RatePlot) -> None:
    told: list[object] = []
    plot.hidden_changed.connect(told.append)
    place = spot(plot, "jpeg", 2)
    QTest.mouseClick(plot, Qt.MouseButton.LeftButton, pos=legend_row(plot, "jpeg"))
    assert plot.hidden == {"jpeg"}
    assert plot.figure.nearest(QPointF(place), 3.0) is None
    plot.set_curves([*CURVES[:2], curve("jpeg", -3.0)], PIXELS)
    assert plot.hidden == {"jpeg"}, "new points of a hidden curve do not bring it back"
    QTest.mouseClick(plot, Qt.MouseButton.LeftButton, pos=legend_row(plot, "jpeg"))
    assert plot.hidden == frozenset() and told == [{"jpeg"}, frozenset()]


def test_what_is_pointed_at_stays_while_more_points_come(plot: RatePlot) -> None:
    QTest.keyClick(plot, Qt.Key.Key_Right)
    QTest.keyClick(plot, Qt.Key.Key_Right)
    plot.set_curves([curve("own", 2.0, (0.1, 0.25, 0.4, 0.6, 1.4, 2.0)), *CURVES[1:]], PIXELS)
    assert plot.pointed is not None and plot.pointed.payload == "own 1"
    plot.set_curves(CURVES[1:], PIXELS)
    assert plot.pointed is None


def test_the_mouse_elsewhere_does_not_take_away_what_the_keys_walked_to(plot: RatePlot) -> None:
    QTest.keyClick(plot, Qt.Key.Key_Right)
    QTest.mouseMove(plot, QPoint(3, 3))
    assert plot.pointed is not None and plot.pointed.payload == "own 0"
    QTest.mouseMove(plot, spot(plot, "jpeg", 1))
    assert plot.pointed.payload == "jpeg 1"
    QTest.mouseMove(plot, QPoint(3, 3))
    assert plot.pointed is None


# -- keys


def test_arrow_keys_walk_along_points_and_enter_chooses(plot: RatePlot) -> None:
    chosen: list[object] = []
    plot.point_chosen.connect(chosen.append)
    QTest.keyClick(plot, Qt.Key.Key_Return)
    for key, wanted in (
        (Qt.Key.Key_Right, "own 0"),
        (Qt.Key.Key_Left, "own 0"),
        (Qt.Key.Key_Right, "own 1"),
        (Qt.Key.Key_End, "own 3"),
        (Qt.Key.Key_Right, "own 3"),
        (Qt.Key.Key_Down, "avif 3"),
        (Qt.Key.Key_Down, "jpeg 2"),
        (Qt.Key.Key_Down, "own 3"),
        (Qt.Key.Key_Up, "jpeg 2"),
        (Qt.Key.Key_Home, "jpeg 0"),
    ):
        QTest.keyClick(plot, key)
        assert plot.pointed is not None and plot.pointed.payload == wanted
    assert "JPEG, quality 10" in plot.accessibleName().replace(" · ", ", ")
    assert plot.accessibleName().endswith("point 1 of 3")
    QTest.keyClick(plot, Qt.Key.Key_Return)
    assert chosen == ["jpeg 0"]


def test_number_keys_hide_curves_and_walking_leaves_them_out(plot: RatePlot) -> None:
    QTest.keyClick(plot, Qt.Key.Key_2)
    assert plot.hidden == {"avif"}
    QTest.keyClick(plot, Qt.Key.Key_Down)
    QTest.keyClick(plot, Qt.Key.Key_Down)
    assert plot.pointed is not None and str(plot.pointed.payload).startswith("jpeg")
    QTest.keyClick(plot, Qt.Key.Key_2)
    assert not plot.hidden


def test_the_metric_is_named_on_the_axis_and_in_words(plot: RatePlot) -> None:
    before = grab(plot)
    plot.set_metric("SSIMULACRA2", "", 1)
    assert (grab(plot)[:24, :120] != before[:24, :120]).any()
    assert plot.accessibleName().startswith("SSIMULACRA2 over bits per pixel")
    QTest.keyClick(plot, Qt.Key.Key_Right)
    assert f"SSIMULACRA2 {CURVES[0].points[0].value:.1f}, point" in plot.accessibleName()


# -- files


def test_points_are_saved_as_a_table(plot: RatePlot, tmp_path: Path) -> None:
    plot.set_hidden("avif", True)
    plot.save(tmp_path / "points.csv")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "points.csv").read_text(encoding="utf-8"))))
    assert len(rows) == sum(len(shown.points) for shown in CURVES)
    assert rows[1] == {
        "codec": "Latent Studio",
        "setting": "quality 30",
        "bytes": str(CURVES[0].points[1].size),
        "bits per pixel": "0.25",
        "PSNR (dB)": "28",
        "measured": "estimate",
    }


def test_the_plot_is_saved_three_times_as_sharp_and_without_the_mouse(plot: RatePlot, tmp_path: Path) -> None:
    plot.save(tmp_path / "bare.png")
    QTest.mouseMove(plot, spot(plot, "avif", 2))
    plot.save(tmp_path / "pointed.png")
    assert (tmp_path / "bare.png").read_bytes() == (tmp_path / "pointed.png").read_bytes()
    image = QImage(str(tmp_path / "bare.png"))
    assert image.size() == QSize(1500, 960)


def test_a_folder_that_cannot_be_written_is_a_clear_error(plot: RatePlot, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        plot.save(tmp_path / "file" / "plot.png")


def test_the_menu_offers_files_and_the_clipboard(plot: RatePlot) -> None:
    menu = plot.menu()
    texts = [action.text() for action in menu.actions()]
    assert [text for text in texts if "PNG" in text] and [text for text in texts if "CSV" in text]
    menu.actions()[-1].trigger()
    assert QApplication.clipboard().image().size() == QSize(1500, 960)
    plot.set_curves([])
    assert not any(action.isEnabled() for action in plot.menu().actions())
