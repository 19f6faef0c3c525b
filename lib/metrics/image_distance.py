"""FID and KID through torchmetrics, in the features of the project's own CLIP or of a pretrained Inception.

Numbers are comparable only within one extractor and one number of pictures; both are reported with them.
"""

import warnings
from dataclasses import asdict
from hashlib import sha256
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from lib.config import EvaluationParams
from lib.errors import EaselError
from lib.evidence.statistics import Interval
from lib.models.clip import Clip, as_input

SUBSET = 1000  # pictures a KID estimate compares at once, as in its paper
MOST_RESAMPLES = 50  # FID needs the eigenvalues of a matrix for each
MOST_WIDE_RESAMPLES = 5  # the same in more than WIDE features, where one takes seconds
WIDE = 512
# SHA-256 of inception-2015-12-05.pt, which NVIDIA published with StyleGAN2-ADA: the network that FID was defined with.
INCEPTION = "f58cb9b6ec323ed63459aa4fb441fe750cfe39fafad6da5cb504a16f19e958f4"


class ClipFeatures(nn.Module):
    """CLIP's pooled image features: uint8 [B, 3, S, S] → float [B, num_features]."""

    def __init__(self, clip: Clip):
        super().__init__()
        self.clip, self.num_features = clip, clip.num_features

    def forward(self, images: Tensor) -> Tensor:
        return self.clip.pooled(as_input(images.permute(0, 2, 3, 1).numpy()))


class InceptionFeatures(nn.Module):
    """The Inception of StyleGAN's evaluation: uint8 [B, 3, S, S] → float [B, num_features].

    It resizes and scales by itself. The file is TorchScript, so a program: one of unknown origin is not even opened.

    Raises:
        EaselError: there is no such file, or it is another one than `INCEPTION`.
    """

    def __init__(self, path: Path | str):
        super().__init__()
        if not Path(path).is_file():
            raise EaselError(f'evaluation.inception names {path}, which is not a file; name one, or set it to "".')
        content = Path(path).read_bytes()
        if sha256(content).hexdigest() != INCEPTION:
            raise EaselError(
                f"evaluation.inception names {path}, which is not the inception-2015-12-05.pt of StyleGAN's evaluation "
                f"(SHA-256 {INCEPTION}); other files of this kind are programs of unknown origin and are not run."
            )
        self.network = torch.jit.load(BytesIO(content), map_location="cpu").eval()
        self.num_features = self(torch.zeros(1, 3, 64, 64, dtype=torch.uint8)).shape[1]

    def forward(self, images: Tensor) -> Tensor:
        return self.network(images, return_features=True)  # instead of class scores


class _Given(nn.Module):
    """Stands where torchmetrics expects an extractor, when the features are there already."""

    def __init__(self, num_features: int):
        super().__init__()
        self.num_features = num_features

    def forward(self, features: Tensor) -> Tensor:
        return features


def features_of(extractor: nn.Module, images: np.ndarray, batch_size: int = 128) -> Tensor:
    """Features of uint8 pictures [N, S, S, 3], float64 [N, extractor.num_features]."""
    with torch.no_grad():
        batches = [
            extractor(torch.from_numpy(np.array(images[i : i + batch_size])).permute(0, 3, 1, 2))  # [B, 3, S, S]
            for i in range(0, len(images), batch_size)
        ]
    return torch.cat(batches).double()


def fid(real: Tensor, fake: Tensor) -> float:
    """Fréchet distance of two sets of features [N, D], as torchmetrics computes it (Heusel et al. 2017).

    The estimate is biased upwards, the more so the fewer pictures there are: compare only at equal numbers.
    """
    from torchmetrics.image.fid import FrechetInceptionDistance

    metric = FrechetInceptionDistance(feature=_Given(real.shape[1]))
    metric.update(real, real=True)
    metric.update(fake, real=False)
    return float(metric.compute())


def kid(real: Tensor, fake: Tensor, generator: np.random.Generator) -> float:
    """Squared maximum mean discrepancy with a cubic kernel of two sets of features [N, D] (Bińkowski et al. 2018).

    Unbiased, so it may be negative. Where a set is larger than the smaller one or than 1,000 pictures, it is the mean
    over ten random subsets; otherwise all pictures are compared at once.
    """
    from torchmetrics.image.kid import KernelInceptionDistance

    size = min(len(real), len(fake), SUBSET)
    subsets = 1 if len(real) == len(fake) == size else 10
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Metric `Kernel Inception Distance` will save")  # a few vectors, no pictures
        metric = KernelInceptionDistance(feature=_Given(real.shape[1]), subsets=subsets, subset_size=size)
    metric.update(real, real=True)
    metric.update(fake, real=False)
    with torch.random.fork_rng(devices=[]):  # torchmetrics draws its subsets from the global generator
        torch.manual_seed(int(generator.integers(2**63)))
        return float(metric.compute()[0])


def distance(
    real: np.ndarray, fake: np.ndarray, extractor: nn.Module, bootstrap: int, generator: np.random.Generator
) -> dict:
    """FID and KID between two sets of pictures, each with a 95 % interval.

    FID is biased in the number of pictures: choose it once, keep it, and read FIDs only beside their `n`.

    The interval is value ± 1.96 standard errors, and the standard error is that of bootstrap resamples of both sets.
    Percentiles of the resamples themselves would be wrong here: a resample holds fewer different pictures than the
    set, so its distances are larger than the set's own, and their percentiles can lie entirely above it. The spread
    does not suffer from that where the distance is clearly above 0; near 0 it is up to twice too wide, so such an
    interval errs on the safe side. FID's is cut at 0. The interval is about pictures being drawn anew, not about the
    model being trained anew.

    Args:
        real, fake: uint8 [N, S, S, 3]; sizes may differ.
        extractor: `ClipFeatures` or `InceptionFeatures`.
        bootstrap: resamples; at most 50 are used, and 5 when there are more than 512 features.

    Returns:
        {"fid": {"value", "low", "high"}, "kid": {…}, "n_real", "n_fake"}.

    Raises:
        EaselError: fewer than two pictures in a set.
    """
    if min(len(real), len(fake)) < 2:
        raise EaselError(f"FID and KID need two pictures or more in each set, got {len(real)} and {len(fake)}.")
    a, b = features_of(extractor, real), features_of(extractor, fake)
    values = {"fid": fid(a, b), "kid": kid(a, b, generator)}
    most = MOST_RESAMPLES if a.shape[1] <= WIDE else MOST_WIDE_RESAMPLES
    draws: dict[str, list[float]] = {"fid": [], "kid": []}
    for _ in range(min(bootstrap, most)):
        # One draw serves both distances.
        c, d = (x[torch.from_numpy(generator.integers(len(x), size=len(x)))] for x in (a, b))
        draws["fid"].append(fid(c, d))
        draws["kid"].append(kid(c, d, generator))
    report: dict = {"n_real": len(real), "n_fake": len(fake)}
    for name, value in values.items():
        margin = 1.96 * float(np.std(draws[name], ddof=1))
        low = max(value - margin, 0.0) if name == "fid" else value - margin
        report[name] = asdict(Interval(value, low, value + margin))
    return report


def check_pretrained(evaluation: EvaluationParams) -> None:
    """Refuses names of pretrained networks that are not there; call before long work.

    Raises:
        EaselError: a named file or folder is missing or unusable, or a library that it needs is not installed.
    """
    from lib.metrics.clip_score import check_pretrained_clip

    if evaluation.inception:
        InceptionFeatures(evaluation.inception)
    if evaluation.clip:
        check_pretrained_clip(evaluation.clip)
