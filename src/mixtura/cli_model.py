"""`mixtura sample, show`: what a fitted model tells by itself."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from mixtura import cli_facts as facts
from mixtura._errors import InputError
from mixtura.cli_output import Target
from mixtura.io import model_file
from mixtura.io.plain_json import json_text
from mixtura.mixture import Mixture
from mixtura.trimming import Cut

if TYPE_CHECKING:
    from mixtura import report


def sample(
    model: str,
    target: Target,
    *,
    count: int,
    seed: int | None,
    component: int | None,
    labels: bool,
) -> None:
    """Draw rows and write them."""
    mixture = model_file.load(model)
    if component is not None and not 0 <= component < mixture.n_components:
        raise InputError(
            f"there is no component {component}: the model has 0 to {mixture.n_components - 1}"
        )
    rows, origin = mixture.sample(count, seed, component=component, return_labels=True)
    names = facts.column_names(mixture)
    columns: dict[str, Any] = dict(zip(names, rows.T, strict=True))
    if labels:
        columns["component" if "label" in columns else "label"] = origin
    with target.writing() as (write, known):
        known |= {"rows": count, "seed": seed}
        write(columns)


def show(model: str, *, as_json: bool) -> None:
    """Describe a model on standard output."""
    mixture = model_file.load(model)
    told = model_file.load_metadata(model)
    if as_json:
        print(
            json_text(
                _description(mixture, Cut.told_by(told, mixture.n_features)) | {"metadata": told},
                indent=None,
            )
        )
        return
    from mixtura import report

    k, d = mixture.n_components, mixture.n_features
    kind = model_file.structure_name(mixture.structure)
    text = (
        f"{model}: {facts.count(k, 'component')} in {facts.count(d, 'dimension')}, {kind} "
        f"covariance, {facts.count(facts.n_parameters(mixture), 'parameter')}"
    )
    outliers = facts.of_outliers(mixture, Cut.told_by(told, mixture.n_features)) | _aside(told)
    sizes = _told_sizes(told, k)
    described = facts.of_components(mixture)
    shown = [one | {"size": size} for one, size in zip(described, sizes, strict=True)]
    width = report.console_on(sys.stdout).width
    before, after = _told(told, k > 1 or mixture.noise is not None)
    report.tell(
        [
            ("Model", report.paragraphs([text])),
            *before,
            report.components(shown, width=width, everything=True),
            *([report.outliers(outliers)] if outliers else []),
            *after,
        ],
        stream=sys.stdout,
    )


def _told(told: facts.Facts, unsure: bool) -> tuple[list[report.Section], list[report.Section]]:
    """Sections before and after the components, from what stands beside the model, if it can."""
    from mixtura import report

    try:  # it may be anybody's
        before = [report.data(told["data"]), report.choice(told)]
        after = [report.certainty(told["certainty"], told["data"]["rows"])] if unsure else []
        if told["warnings"]:
            after.append(report.cautions(told["warnings"]))
    except (KeyError, TypeError, ValueError, AttributeError, IndexError):
        return [], []
    return before, after


def _told_sizes(told: facts.Facts, k: int) -> list[int | None]:
    """Rows by component, where they are known."""
    try:
        sizes = [int(one["size"]) for one in told["components"]]
    except (KeyError, TypeError, ValueError):
        sizes = []
    return list(sizes) if len(sizes) == k else [None] * k


def _aside(told: facts.Facts) -> facts.Facts:
    """Rows with label -1, where they are known."""
    outliers = told.get("outliers")
    outliers = outliers if isinstance(outliers, dict) else {}
    counts = {name: outliers.get(name) for name in ("noise_rows", "trimmed_rows")}
    return {name: size for name, size in counts.items() if isinstance(size, int)}


def _description(mixture: Mixture, cut: Cut | None) -> facts.Facts:
    return {
        "components": mixture.n_components,
        "features": mixture.n_features,
        "columns": list(facts.column_names(mixture)),
        "covariance": model_file.structure_name(mixture.structure),
        "n_parameters": facts.n_parameters(mixture),
        "weights": mixture.weights,
        "means": mixture.means,
        "covariances": mixture.covariances,
        "outliers": facts.of_outliers(mixture, cut),
    }
