"""Pictures as spectra of decorrelated colours: the space in which feature visualisation climbs.

A step of one size in every frequency and every decorrelated colour reaches all of a picture at once; a step in pixels
makes noise (Olah, Mordvintsev and Schubert, "Feature Visualization", Distill 2017).
"""

from __future__ import annotations

import torch
from torch import Tensor

# Columns: the principal axes of the colours of photographs, each as long as its standard deviation. From the covariance
# of RGB in 0..1 over 1000 photographs of Imagenette (all pixels of a photograph count as much as those of any other).
COLOURS = (
    (-0.26435, -0.09904, 0.02417),
    (-0.27487, -0.00556, -0.04587),
    (-0.28384, 0.09762, 0.02191),
)

_CONTRAST = 0.25  # of the sigmoid's argument: noise of standard deviation 1 comes out as a mild grey


def noise_spectrum(size: int, seed: int) -> Tensor:
    """Faint noise to start from: 1 x 3 x size x (size // 2 + 1) x 2 (real and imaginary parts)."""
    generator = torch.Generator().manual_seed(seed)
    return 0.01 * torch.randn((1, 3, size, size // 2 + 1, 2), generator=generator)


def picture_from_spectrum(spectrum: Tensor, size: int) -> Tensor:
    """N x 3 x size x size RGB in 0..1.

    A frequency counts as much as it does in photographs, 1 / f; the colours are mixed back along `COLOURS`.
    """
    across = torch.fft.rfftfreq(size, device=spectrum.device)
    down = torch.fft.fftfreq(size, device=spectrum.device)
    frequency = torch.hypot(down[:, None], across[None, :]).clamp(min=1 / size)  # size x (size // 2 + 1)
    weighted = torch.view_as_complex(spectrum) * (size / frequency)
    plain = torch.fft.irfft2(weighted, s=(size, size)) * _CONTRAST  # N x 3 x size x size, decorrelated
    axes = torch.tensor(COLOURS, device=spectrum.device)
    mix = axes / axes.norm(dim=0).max()
    return torch.einsum("rc,nchw->nrhw", mix, plain).sigmoid()
