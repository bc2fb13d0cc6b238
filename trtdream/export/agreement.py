"""How far a compiled network agrees with the one it came from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trtdream.errors import VerificationFailed
from trtdream.export.precision import FORMS, Precision

_LEAST = 1e-30  # a probability's logarithm is taken of no less


@dataclass(frozen=True)
class Agreement:
    """One backend held against torch in float32 on the same inputs.

    For a classifier, cosine and relative error are those of the logits (the logarithms of the probabilities, centred),
    cosine the least of all images; for other outputs, of the blobs themselves, and the top-1 figures are None.
    """

    backend: str
    inputs: str
    top1_agreement: float | None
    max_probability_difference: float | None
    cosine: float
    relative_error: float

    @property
    def line(self) -> str:
        """For a reader."""
        top1 = "" if self.top1_agreement is None else f"top-1 {self.top1_agreement:.1%}, "
        most = self.max_probability_difference
        probability = "" if most is None else f"probabilities within {most:.1g}, "
        return f"{self.backend}: {top1}{probability}cosine {self.cosine:.6f}, relative error {self.relative_error:.1e}"


def agreement(backend: str, inputs: str, wanted: dict[str, np.ndarray], found: dict[str, np.ndarray]) -> Agreement:
    """Compare outputs by name, each N x ...

    Raises:
        VerificationFailed: an output is missing, of another shape, or holds numbers that are not finite.
    """
    cosines, errors = [], []
    top1 = most = None
    for name, reference in wanted.items():
        if name not in found or found[name].shape != reference.shape:
            raise VerificationFailed(f"{backend}: has no output {name!r} of the shape {reference.shape}")
        if not np.isfinite(found[name]).all():
            raise VerificationFailed(f"{backend}: {name!r} holds numbers that are not finite")
        one, other = (array.reshape(len(array), -1).astype(np.float64) for array in (reference, found[name]))
        if is_probabilities(one):
            top1 = float((one.argmax(1) == other.argmax(1)).mean())
            most = float(np.abs(one - other).max())
            one, other = _logits(one), _logits(other)
        norms = np.linalg.norm(one, axis=1), np.linalg.norm(other, axis=1)
        cosines.append(float(((one * other).sum(1) / np.maximum(norms[0] * norms[1], _LEAST)).min()))
        errors.append(float(np.linalg.norm(one - other)) / max(float(np.linalg.norm(one)), _LEAST))
    return Agreement(backend, inputs, top1, most, min(cosines), max(errors))


def check_agreement(found: Agreement, precision: str) -> None:
    """Hold an agreement against what its precision must reach, a foreign file's ("own") against what the lowest must.

    Raises:
        VerificationFailed: it does not.
    """
    form = FORMS[Precision.INT8 if precision == "own" else Precision(precision)]
    if found.top1_agreement is not None and found.top1_agreement < form.least_agreement:
        raise VerificationFailed(
            f"{found.backend}: top-1 agrees on {found.top1_agreement:.1%} of {found.inputs}, {precision} must reach "
            f"{form.least_agreement:.0%}"
        )
    if found.cosine < form.least_cosine:
        raise VerificationFailed(
            f"{found.backend}: cosine {found.cosine:.6f} on {found.inputs}, {precision} must reach {form.least_cosine}"
        )


def is_probabilities(rows: np.ndarray) -> bool:
    """Whether every row is a distribution over two classes or more."""
    return rows.shape[1] > 1 and bool((rows >= 0).all() and np.allclose(rows.sum(1), 1, atol=1e-3))


def _logits(probabilities: np.ndarray) -> np.ndarray:
    logarithms = np.log(np.maximum(probabilities, _LEAST))
    return logarithms - logarithms.mean(1, keepdims=True)
