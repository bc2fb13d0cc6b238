"""Every layer kind. Importing this package fills the registry `trtdream.net.kind.KINDS`."""

from trtdream.net.kinds import (
    activation,
    affine,
    combine,
    convolution,
    inner_product,
    inputs,
    losses,
    lrn,
    normalise,
    pointwise,
    pooling,
    probability,
    reduce,
    reshape,
)

__all__ = [
    "activation",
    "affine",
    "combine",
    "convolution",
    "inner_product",
    "inputs",
    "losses",
    "lrn",
    "normalise",
    "pointwise",
    "pooling",
    "probability",
    "reduce",
    "reshape",
]
