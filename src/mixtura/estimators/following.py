"""Following a fit live: printed lines, the user's callback, scikit-learn's callbacks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from mixtura.fit.em import Follow
from mixtura.mixture import Mixture

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:  # scikit-learn before 1.9 has no callbacks

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Nothing to support."""

    def with_callbacks(method: Callable[..., Any]) -> Callable[..., Any]:
        """Nothing to tear down."""
        return method


def together(*followers: Follow | None) -> Follow | None:
    """One follower that tells all; any of them may stop the climb."""
    given = [follower for follower in followers if follower is not None]
    if not given:
        return None

    def tell(step: int, value: float, mixture: Mixture) -> bool:
        answers = [follower(step, value, mixture) for follower in given]
        return any(answer is True for answer in answers)

    return tell


def printer(verbose: int, interval: int) -> Follow | None:
    """Print the objective every `interval` steps."""
    if not verbose:
        return None

    def tell(step: int, value: float, mixture: Mixture) -> None:
        if step % max(interval, 1) == 0:
            print(f"step {step}: {value:.8g} nats a row")

    return tell


@contextmanager
def as_it_was(estimator: Any) -> Iterator[None]:
    """Leave the estimator as it was where a fit fails or is interrupted."""
    before = vars(estimator).copy()
    try:
        yield
    except BaseException:
        vars(estimator).clear()
        vars(estimator).update(before)
        raise


def counter() -> Callable[[int, int], None]:
    """Print how many candidates of a grid are fitted."""

    def tell(done: int, total: int) -> None:
        print(f"fitted {done} of {total} candidates")

    return tell


@contextmanager
def scikit_learn(estimator: Any, X: Any) -> Iterator[Follow | None]:
    """A follower that tells the callbacks set with ``estimator.set_callbacks``, if any."""
    if not getattr(estimator, "_skl_callbacks", None):
        yield None
        return
    context = estimator._init_callback_context(max_subtasks=None)
    context.call_on_fit_task_begin(estimator=estimator, X=X)

    def tell(step: int, value: float, mixture: Mixture) -> bool:
        task = context.subcontext(task_name="step")
        task.call_on_fit_task_begin(estimator=estimator, X=X)
        fitted = {"mixture_": mixture, "n_components_": mixture.n_components}
        return bool(
            task.call_on_fit_task_end(estimator=estimator, X=X, reconstruction_attributes=fitted)
        )

    yield tell
    context.call_on_fit_task_end(estimator=estimator, X=X)
