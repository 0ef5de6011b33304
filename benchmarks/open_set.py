"""Intents within and out of scope: CLINC150 (Larson et al. 2019) by several confidences.

    pip install wordllama
    python benchmarks/open_set.py FOLDER

FOLDER holds `data_full.json` of https://github.com/clinc/oos-eval (directory `data`, CC BY 3.0):
15 000 / 3000 / 4500 queries of 150 intents to train, validate and test with, and 1000 queries out
of scope to test with. Its out-of-scope queries to train and validate with are not used by anyone.

Embeddings are those of the static model in wordllama's own wheel (256 columns, nothing is
downloaded), scaled to length one (`--raw` leaves them). Every method has the same embeddings. What
a method lets choose is chosen by accuracy on the validation queries in scope: C of the logistic
regression, beside which its default is shown. `mixtura` chooses by the training queries; the
validation queries calibrate the three-way answers.

Out-of-scope queries are to be told from those in scope: AUROC, and the share of them that is let
through where 95 % of the queries in scope are. AURC and AUGRC are over all test queries, an
out-of-scope one that is answered being wrong. Then the three-way answers beside their nominal
rates.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.covariance import EmpiricalCovariance, LedoitWolf
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors

from machine import describe
from mixtura import OpenSetClassifier, metrics

Answer = tuple[np.ndarray, np.ndarray]
"""Labels, and confidence that these are right and the query in scope."""


@dataclass(frozen=True)
class Queries:
    """Embeddings and intents of the parts; `out` has no intent."""

    train: tuple[np.ndarray, np.ndarray]
    val: tuple[np.ndarray, np.ndarray]
    test: tuple[np.ndarray, np.ndarray]
    out: np.ndarray


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--raw", action="store_true", help="leave the embeddings' lengths")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    describe()
    queries = read(options.folder, options.raw)
    print("| method | accuracy | AUROC | FPR at 95 % TPR | AURC | AUGRC | fit, s | 5500 rows, s |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|")
    for name, fit in METHODS.items():
        compare(name, fit, queries)
    answers(queries)


def read(folder: Path, raw: bool) -> Queries:
    """Embed the queries by the model that the package brings."""
    import wordllama

    parts = json.loads((folder / "data_full.json").read_text())
    place = Path(wordllama.__file__).parent
    model = wordllama.WordLlama.load(cache_dir=place, disable_download=True)
    found = {}
    for part in ("train", "val", "test", "oos_test"):
        rows = model.embed([query for query, _ in parts[part]]).astype(np.float64)
        if not raw:
            rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
        found[part] = rows, np.array([intent for _, intent in parts[part]])
    return Queries(found["train"], found["val"], found["test"], found["oos_test"][0])


def compare(name: str, fit: Callable[[Queries], Callable[..., Answer]], queries: Queries) -> None:
    """A line of the table."""
    (X, y), out = queries.test, queries.out
    start = time.process_time()
    answer = fit(queries)
    middle = time.process_time()
    label, sure = answer(np.concatenate([X, out]))
    end = time.process_time()
    truth = np.concatenate([y, np.full(len(out), "out of scope")])
    inside = np.arange(len(truth)) < len(y)
    cells = [
        f"{np.mean(label[inside] == y):.3f}",
        f"{roc_auc_score(inside, sure):.3f}",
        f"{metrics.fpr_at_tpr(inside, sure):.3f}",
        f"{metrics.aurc(truth, label, sure):.4f}",
        f"{metrics.augrc(truth, label, sure):.4f}",
        f"{middle - start:.1f}",
        f"{end - middle:.2f}",
    ]
    print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


# ---- methods: queries -> (rows -> labels and confidence)


def densities(confidence: str) -> Callable[[Queries], Callable[..., Answer]]:
    """mixtura: the ratio of known to broad density, or the probability of the class."""

    def fit(queries: Queries) -> Callable[..., Answer]:
        model = OpenSetClassifier(calibration=None, random_state=0).fit(*queries.train)

        def answer(X: np.ndarray) -> Answer:
            posterior, ratio = model.model_.judged(X)
            label = model.classes_[posterior.argmax(axis=1)]
            return label, ratio if confidence == "ratio" else posterior.max(axis=1)

        return answer

    return fit


def regression(
    strengths: tuple[float, ...], confidence: str = "probability"
) -> Callable[[Queries], Callable[..., Answer]]:
    """The largest probability (Hendrycks & Gimpel 2017) of a logistic regression, or its logit."""

    def fit(queries: Queries) -> Callable[..., Answer]:
        models = [LogisticRegression(C=c, max_iter=1000).fit(*queries.train) for c in strengths]
        model = max(models, key=lambda one: one.score(*queries.val))

        def answer(X: np.ndarray) -> Answer:
            logits = model.decision_function(X)
            sure = model.predict_proba(X) if confidence == "probability" else logits
            return model.classes_[logits.argmax(axis=1)], sure.max(axis=1)

        return answer

    return fit


def neighbours(queries: Queries) -> Callable[..., Answer]:
    """The distance to the nearest training query, and its intent."""
    X, y = queries.train
    index = NearestNeighbors(n_neighbors=1).fit(X)

    def answer(rows: np.ndarray) -> Answer:
        distance, place = index.kneighbors(rows)
        return y[place[:, 0]], -distance[:, 0]

    return answer


def mahalanobis(relative: bool, estimator: type) -> Callable[[Queries], Callable[..., Answer]]:
    """Distance to the nearest mean by one covariance (Lee et al. 2018); less that to all rows."""

    def fit(queries: Queries) -> Callable[..., Answer]:
        X, y = queries.train
        classes, codes = np.unique(y, return_inverse=True)
        means = np.array([X[codes == c].mean(axis=0) for c in range(len(classes))])
        within = estimator(assume_centered=True).fit(X - means[codes])
        total = estimator().fit(X)
        lower = np.linalg.cholesky(within.get_precision())

        def answer(rows: np.ndarray) -> Answer:
            z, centres = rows @ lower, means @ lower
            squared = (z**2).sum(axis=1)[:, None] - 2.0 * z @ centres.T + (centres**2).sum(axis=1)
            sure = -squared.min(axis=1) + (total.mahalanobis(rows) if relative else 0.0)
            return classes[squared.argmin(axis=1)], sure

        return answer

    return fit


METHODS = {
    "mixtura, density ratio": densities("ratio"),
    "mixtura, probability": densities("probability"),
    "logistic regression, probability": regression((0.1, 1.0, 10.0, 100.0)),
    "logistic regression, C = 1, probability": regression((1.0,)),
    "logistic regression, C = 1, logit": regression((1.0,), "logit"),
    "nearest neighbour, distance": neighbours,
    "Mahalanobis": mahalanobis(False, EmpiricalCovariance),
    "Mahalanobis, Ledoit-Wolf": mahalanobis(False, LedoitWolf),
    "relative Mahalanobis": mahalanobis(True, EmpiricalCovariance),
}


# ---- three-way answers


def answers(queries: Queries) -> None:
    """Rates of what is promised, and of what is not, for queries in scope and out of it."""
    model = OpenSetClassifier(calibration=None, random_state=0).fit(*queries.train)
    X, y = queries.test
    print(
        "\n| sets | error rate | not among candidates | abstained | labelled | wrong of all "
        "| wrong of labelled | candidates when asking | out of scope: abstained | labelled |"
    )
    print("|---|--:|" + "--:|" * 8)
    for kind in ("marginal", "adaptive", "by class"):
        model.set_params(sets=kind).calibrate(*queries.val)
        for rate in (0.01, 0.05, 0.1):
            found = model.decide(X, error_rate=rate, novelty_rate=rate)
            other = model.decide(queries.out, error_rate=rate, novelty_rate=rate)
            print(line(kind, rate, found, other, y), flush=True)


def line(kind: str, rate: float, found, other, y: np.ndarray) -> str:
    missed = np.array([one not in some for one, some in zip(y, found.candidates, strict=True)])
    labelled, asked = found.action == "label", found.action == "ask"
    wrong = labelled & (found.label != y)
    cells = [
        f"{100 * value:.1f} %"
        for value in (
            rate,
            missed.mean(),
            np.mean(found.action == "abstain"),
            labelled.mean(),
            wrong.mean(),
            wrong.sum() / max(labelled.sum(), 1),
        )
    ]
    cells.append(f"{found.sizes[asked].mean():.1f}" if asked.any() else "-")
    cells += [f"{100 * np.mean(other.action == one):.1f} %" for one in ("abstain", "label")]
    return f"| {kind} | " + " | ".join(cells) + " |"


if __name__ == "__main__":
    main()
