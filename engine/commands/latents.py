"""latents."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from engine.commands.console import (
    DeviceOption,
    JsonOption,
    OverwriteOption,
    RootsOption,
    ThreadsOption,
    bar,
    compute_device,
    data_roots,
    json_text,
    output,
    prepare_folder,
    print_json,
    set_compute,
    table,
)
from engine.errors import AnalysisError, OutputError, UsageError

if TYPE_CHECKING:
    import numpy as np

    from engine.latent.clusters import Clustering
    from engine.latent.encodings import Encodings

FILES = ("map.png", "latents.csv", "latents.json")


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command()(latents)


def latents(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A model's name (see `models`) or its file.")],
    data: Annotated[str, typer.Option("--data", metavar="SET", help="A data set's name, or a folder or zip.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for map.png, latents.csv and latents.json.")],
    method: Annotated[str, typer.Option("--map", help="pca, pacmap, tsne or umap.")] = "pacmap",
    clusters: Annotated[
        int | None, typer.Option(min=2, max=1000, help="Also find so many clusters, by K-means on the latents.")
    ] = None,
    attribute: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="What clusters and neighbours are compared with; the set's first one."),
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="train, validation, test or all; test where the set has it.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=2, help="Use at most this many pictures.")] = None,
    told: Annotated[
        bool, typer.Option("--told", help="Tell the model the attributes: the latent holds the rest.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, max=2**31 - 1, help="Of map and clusters.")] = 0,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
    device: DeviceOption = None,
    threads: ThreadsOption = None,
    data_root: RootsOption = None,
) -> None:
    """Map a data set's latents: picture, table and figures of map, clusters and every dimension."""
    set_compute(device, threads, data_root)
    existing = [out / name for name in FILES if (out / name).exists()]
    if existing and not overwrite:
        raise OutputError(f"{existing[0]} exists already.", "Use --overwrite to replace it.")
    from engine.files import write_bytes, write_text
    from engine.generation.choice import find_attribute
    from engine.image import encode_png
    from engine.latent.clusters import k_means
    from engine.latent.encodings import encode_data, open_for
    from engine.latent.export import figures_of, table_text
    from engine.latent.map_picture import draw_map
    from engine.latent.maps import make_map, map_methods
    from engine.models.registry import load_model

    # Told before minutes of work, not after.
    known = {one.key: one for one in map_methods()}
    if method not in known:
        raise UsageError(f"There is no map {method!r}.", f"Use one of: {', '.join(known)}.")
    if not known[method].installed:
        raise AnalysisError(
            f"{known[method].label} is not installed.",
            'Install it with: pip install "latent-studio[maps]", or choose another map.',
        )
    opened_model = load_model(model, compute_device().torch_device)
    opened, name = open_for(opened_model, data, split=split, limit=limit, roots=data_roots())
    if attribute is not None:
        find_attribute(opened.attributes, attribute)
    if clusters is not None and not 1 <= clusters <= len(opened):
        raise UsageError(f"{clusters} clusters of {len(opened)} pictures were asked for.", "Ask for fewer.")
    with bar("Encoding pictures") as progress:
        encodings = encode_data(opened_model, opened, name, told=told, progress=progress)
    with bar("Drawing the map") as progress:
        positions = make_map(encodings.means, method, seed=seed, progress=progress)
    clustering = None
    if clusters is not None:
        with bar("Clustering") as progress:
            clustering = k_means(encodings.means, clusters, seed=seed, progress=progress)
    compared = attribute or (encodings.attributes[0].name if encodings.attributes else None)
    report = figures_of(encodings, method, positions, clustering, compared)
    label = next(one.label for one in map_methods() if one.key == method)
    title = f"{encodings.model}, {encodings.data}: {len(encodings):,} latents by {label}"
    groups, names = _colours(encodings, clustering, compared)
    prepare_folder(out)
    write_bytes(out / "map.png", encode_png(draw_map(positions, groups, names, title)), overwrite=overwrite)
    write_text(out / "latents.csv", table_text(encodings, positions, clustering), overwrite=overwrite)
    write_text(out / "latents.json", json_text(report) + "\n", overwrite=overwrite)
    if as_json:
        print_json(report)
        return
    output.print(title, soft_wrap=True, markup=False)
    shown = table("figure", "value")
    for row, value in _rows(report):
        shown.add_row(escape(row), value)
    output.print(shown)
    output.print(f"{', '.join(FILES)} in {out}", soft_wrap=True, markup=False)


def _colours(
    encodings: Encodings, clustering: Clustering | None, attribute: str | None
) -> tuple[np.ndarray, tuple[str, ...]]:
    """The group of each dot, and the names of the groups."""
    import numpy as np

    if clustering is not None:
        return clustering.labels, tuple(f"cluster {number + 1}" for number in range(clustering.count))
    if attribute is not None:
        return encodings.column(attribute), next(one.values for one in encodings.attributes if one.name == attribute)
    return np.full(len(encodings), -1), ()


def _rows(report: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The figures that a terminal has room for."""
    yield "reconstruction MSE", f"{report['reconstruction_mse']:.5g}"
    parts = (
        ("map", {"trustworthiness": "trustworthiness of the map", "neighbour_accuracy": "neighbours of one class"}),
        ("statistics", {"active_units": "active dimensions", "prior_off_data": "prior off the data"}),
        ("clusters", {"silhouette": "silhouette", "ari": "adjusted Rand index", "nmi": "NMI", "purity": "purity"}),
    )
    for part, names in parts:
        figures = report.get(part, {})
        for key, label in names.items():
            value = figures.get(key)
            if value is not None:
                yield label, f"{value:.4g}"
        if "problem" in figures:
            yield part, figures["problem"]
