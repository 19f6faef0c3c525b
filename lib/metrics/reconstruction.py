"""PSNR and SSIM of reconstructed pictures, through torchmetrics: one value per picture, with intervals of the mean."""

from dataclasses import asdict

import numpy as np
import torch

from lib.errors import EaselError
from lib.evidence.statistics import bootstrap_mean


def reconstruction(
    real: np.ndarray, rebuilt: np.ndarray, generator: np.random.Generator, resamples: int, batch_size: int = 64
) -> tuple[dict, dict[str, np.ndarray]]:
    """How close pictures uint8 [N, S, S, 3] come to the originals.

    PSNR = 10 · log10(255² / mean squared error) in dB, per picture and then averaged (not from the error of all
    pictures at once, which the worst of them would decide). Pictures that are equal have no finite PSNR; their error
    is taken as that of half a grey level in one value of the picture. SSIM as in Wang et al. 2004 with an 11 × 11
    Gaussian window, on all three channels.

    Returns:
        {"psnr": {"value", "low", "high"}, "ssim": {…}, "n"} and the values per picture, {"psnr": float64 [N], "ssim"}.

    Raises:
        EaselError: the two differ in shape, are not uint8, are empty or smaller than SSIM's window.
    """
    from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

    if real.shape != rebuilt.shape or real.ndim != 4 or len(real) == 0:
        raise EaselError(
            f"reconstruction: originals {list(real.shape)} and rebuilt pictures {list(rebuilt.shape)} must be two "
            "arrays [N, S, S, 3] of one shape."
        )
    if real.dtype != np.uint8 or rebuilt.dtype != np.uint8:
        raise EaselError(f"reconstruction: expected uint8 pictures, got {real.dtype} and {rebuilt.dtype}.")
    if min(real.shape[1:3]) < 11:
        raise EaselError(f"reconstruction: SSIM's window is 11 pixels wide, the pictures {min(real.shape[1:3])}.")
    values: dict[str, list[torch.Tensor]] = {"psnr": [], "ssim": []}
    for start in range(0, len(real), batch_size):
        a, b = (
            torch.from_numpy(np.array(x[start : start + batch_size])).permute(0, 3, 1, 2).float()  # [B, 3, S, S]
            for x in (rebuilt, real)
        )
        psnr = peak_signal_noise_ratio(a, b, data_range=255.0, reduction="none", dim=(1, 2, 3))
        values["psnr"].append(psnr.clamp(max=_best_psnr(a[0].numel())))
        values["ssim"].append(structural_similarity_index_measure(a, b, data_range=255.0, reduction="none"))
    arrays = {name: torch.cat(parts).double().numpy() for name, parts in values.items()}
    report = {name: asdict(bootstrap_mean(x, generator, resamples=resamples)) for name, x in arrays.items()}
    return report | {"n": len(real)}, arrays


def _best_psnr(numbers: int) -> float:
    """PSNR of a picture of that many values when one of them is half a grey level off."""
    return float(10 * np.log10(255**2 * numbers / 0.5**2))
