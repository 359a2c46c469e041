"""An analysis as files for other programs: its figures, and a table with a row for each picture."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from typing import Any

import numpy as np

from engine.errors import AnalysisError
from engine.latent.clusters import Clustering, agreement, silhouette
from engine.latent.encodings import Encodings
from engine.latent.map_quality import map_quality
from engine.latent.statistics import latent_statistics

_SAMPLE = 2000


def figures_of(
    encodings: Encodings,
    method: str,
    positions: np.ndarray,
    clustering: Clustering | None = None,
    attribute: str | None = None,
) -> dict[str, Any]:
    """The figures of map, clusters and statistics as JSON values.

    A part that these latents do not allow holds its reason as "problem" instead of figures.

    Args:
        encodings: of the data.
        method: key of the map's method.
        positions: (N, 2) on the map.
        clustering: of the same latents.
        attribute: that clusters and neighbours are compared with.

    Raises:
        UsageError: the data have no such attribute.
    """
    classes = None if attribute is None else encodings.column(attribute)
    found: dict[str, Any] = {
        "model": encodings.model,
        "weights_sha256": encodings.weights_sha256,
        "data": encodings.data,
        "pictures": len(encodings),
        "dimensions": encodings.means.shape[1],
        "attribute": attribute,
        "reconstruction_mse": float(encodings.errors.mean()),
        "map": {
            "method": method,
            **_or_problem(lambda: vars(map_quality(encodings.means, positions, classes, sample=_SAMPLE))),
        },
        "statistics": _or_problem(lambda: _statistics(encodings)),
    }
    if clustering is not None:
        found["clusters"] = {
            "method": clustering.method,
            **clustering.settings,
            "sizes": clustering.sizes.tolist(),
            "noise": clustering.noise,
            **_or_problem(lambda: _silhouette(encodings.means, clustering)),
            **({} if classes is None else vars(agreement(clustering.labels, classes))),
        }
    return found


def table_text(encodings: Encodings, positions: np.ndarray, clustering: Clustering | None = None) -> str:
    """CSV with a row for each picture: file, attributes, cluster (-1 noise), place on the map, error, latent."""
    stream = io.StringIO()
    rows = csv.writer(stream, lineterminator="\n")
    names = [attribute.name for attribute in encodings.attributes]
    latents = [f"z{index + 1}" for index in range(encodings.means.shape[1])]
    rows.writerow(
        ["index", "file", *names, *(["cluster"] if clustering is not None else []), "x", "y", "mse", *latents]
    )
    for row in range(len(encodings)):
        values = [
            attribute.values[number]
            for attribute, number in zip(encodings.attributes, encodings.labels[row], strict=True)
        ]
        cluster = [] if clustering is None else [int(clustering.labels[row])]
        numbers = [*positions[row], encodings.errors[row], *encodings.means[row]]
        rows.writerow(
            [int(encodings.indices[row]), encodings.names[row], *values, *cluster, *(f"{one:.7g}" for one in numbers)]
        )
    return stream.getvalue()


def _or_problem(measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    try:
        return measure()
    except AnalysisError as error:
        return {"problem": error.problem}


def _statistics(encodings: Encodings) -> dict[str, Any]:
    prior = "standard" if encodings.log_variances is not None else "fitted"
    found = latent_statistics(encodings.means, encodings.log_variances, prior=prior)
    keys = ("mean", "deviation", "activity", "active", "ks", "quantile_distance")
    return {
        "prior": found.prior,
        "active_units": found.active_units,
        **vars(found.holes),
        "most_correlated": [
            {"dimensions": [first, second], "correlation": value} for first, second, value in found.most_correlated(5)
        ],
        "dimensions": [{"index": one.index, **{key: getattr(one, key) for key in keys}} for one in found.dimensions],
    }


def _silhouette(points: np.ndarray, clustering: Clustering) -> dict[str, Any]:
    found = silhouette(points, clustering.labels)
    return {
        "silhouette": found.total,
        "silhouette_per_cluster": found.per_cluster.tolist(),
        "measured_on": found.points,
    }
