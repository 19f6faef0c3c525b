from hashlib import sha256

import numpy as np
import pytest
import torch

from lib.config import EvaluationParams
from lib.config_tree import replace
from lib.errors import EaselError
from lib.metrics import image_distance
from lib.metrics.image_distance import (
    ClipFeatures,
    InceptionFeatures,
    check_pretrained,
    distance,
    features_of,
    fid,
    kid,
)
from lib.models.clip import Clip, ClipConfig

NOTHING = EvaluationParams(pictures=10, bootstrap=40, inception="", clip="")


def normal(count, mean, deviation, seed, dimension=4):
    return torch.from_numpy(np.random.default_rng(seed).normal(mean, deviation, (count, dimension)))


class Means(torch.nn.Module):
    """A simple extractor: mean of each channel and of its upper half."""

    num_features = 6

    def forward(self, images):
        x = images.float() / 255
        return torch.cat([x.mean((2, 3)), x[:, :, ::2].mean((2, 3))], 1)


def pictures(count, low=0, high=256, seed=0, size=16):
    return np.random.default_rng(seed).integers(low, high, (count, size, size, 3), dtype=np.uint8)


def test_fid_of_a_set_with_itself_is_zero():
    x = normal(200, 0, 1, 0)
    assert fid(x, x) == pytest.approx(0, abs=1e-6)


def test_fid_grows_with_a_shift_by_its_square():
    x = normal(200, 0, 1, 0)
    assert fid(x, x + 1) == pytest.approx(4, rel=1e-6)  # four dimensions, one each
    assert fid(x, x + 2) == pytest.approx(16, rel=1e-6)


def test_fid_of_known_gaussians_is_the_closed_form():
    # Independent coordinates: |mean difference|² + Σ (σ₁ − σ₂)².
    a, b = normal(50_000, 0.0, 1.0, 1), normal(50_000, 0.5, 3.0, 2)
    assert fid(a, b) == pytest.approx(4 * 0.25 + 4 * 4.0, rel=0.02)


def test_fid_is_biased_upwards_in_small_samples():
    def mean_of(count):
        return np.mean([fid(normal(count, 0, 1, s), normal(count, 0, 1, 1000 + s)) for s in range(20)])

    assert mean_of(20) > 3 * mean_of(200) > 0


def test_kid_of_equal_distributions_is_near_zero_on_average_and_can_be_negative():
    random = np.random.default_rng(0)
    values = [kid(normal(60, 0, 1, s), normal(60, 0, 1, 500 + s), random) for s in range(60)]
    error = np.std(values) / np.sqrt(len(values))
    assert abs(np.mean(values)) < 4 * error + 1e-6 and min(values) < 0
    assert kid(normal(60, 0, 1, 0), normal(60, 1, 1, 1), random) > 20 * abs(np.mean(values))


def test_kid_equals_the_unbiased_estimate_written_out():
    x, y = normal(5, 0, 1, 0), normal(5, 0.5, 1, 1)

    def kernel(a, b):
        return (a @ b.T / 4 + 1) ** 3

    off = ~torch.eye(5, dtype=torch.bool)
    expected = kernel(x, x)[off].mean() + kernel(y, y)[off].mean() - 2 * kernel(x, y).mean()
    assert kid(x, y, np.random.default_rng(0)) == pytest.approx(expected.item(), rel=1e-9)


def test_kid_leaves_the_global_generator_alone():
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    kid(normal(20, 0, 1, 0), normal(30, 0, 1, 1), np.random.default_rng(0))
    assert torch.equal(torch.rand(1), expected)


def test_distance_reports_values_with_intervals_and_sizes():
    a, b = pictures(40), pictures(30, 0, 200, seed=1)
    report = distance(a, b, Means(), 20, np.random.default_rng(0))
    assert report["n_real"] == 40 and report["n_fake"] == 30
    assert report["fid"]["low"] < report["fid"]["value"] < report["fid"]["high"]
    assert report["kid"]["low"] < report["kid"]["value"] < report["kid"]["high"]
    assert report["fid"]["value"] == pytest.approx(fid(features_of(Means(), a), features_of(Means(), b)), rel=1e-6)
    again = distance(a, b, Means(), 20, np.random.default_rng(0))
    assert again == report


def test_interval_of_fid_covers_what_fresh_pictures_give():
    def draw(seed):
        return pictures(100, 0, 180, seed, 4)

    report = distance(pictures(100, 0, 256, 0, 4), draw(1), Means(), 50, np.random.default_rng(0))
    fresh = [
        distance(pictures(100, 0, 256, 100 + s, 4), draw(200 + s), Means(), 2, np.random.default_rng(0))["fid"]["value"]
        for s in range(20)
    ]
    assert sum(report["fid"]["low"] <= value <= report["fid"]["high"] for value in fresh) >= 12


def test_clip_features_are_the_networks_pooled_ones():
    clip = Clip(ClipConfig(10, 4, 4, 4, 4, 1, 1), torch.Generator().manual_seed(0)).eval()
    images = pictures(3, size=64)
    found = features_of(ClipFeatures(clip), images, batch_size=2)
    assert found.shape == (3, 16) and found.dtype == torch.float64
    expected = clip.pooled(torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255)
    torch.testing.assert_close(found.float(), expected, rtol=1e-4, atol=1e-5)


def test_one_picture_is_not_a_set():
    with pytest.raises(EaselError, match="two pictures or more in each set, got 1 and 5"):
        distance(pictures(1), pictures(5), Means(), 5, np.random.default_rng(0))


class Script(torch.nn.Module):
    def forward(self, images, return_features: bool = False):
        pooled = images.float().mean((2, 3))
        return torch.cat([pooled, pooled], 1) if return_features else pooled


def test_the_one_known_torchscript_file_serves_as_inception(tmp_path, monkeypatch):
    path = tmp_path / "inception.pt"
    torch.jit.script(Script()).save(str(path))
    monkeypatch.setattr(image_distance, "INCEPTION", sha256(path.read_bytes()).hexdigest())
    network = InceptionFeatures(path)
    assert network.num_features == 6  # features, not class scores
    check_pretrained(replace(NOTHING, inception=str(path)))
    assert distance(pictures(10), pictures(10, seed=1), network, 3, np.random.default_rng(0))["n_real"] == 10


def test_unusable_inception_files_are_refused(tmp_path):
    check_pretrained(NOTHING)
    with pytest.raises(EaselError, match=r"inception names .*nowhere\.pt, which does not exist"):
        check_pretrained(replace(NOTHING, inception=str(tmp_path / "nowhere.pt")))


def test_torchscript_of_unknown_origin_is_not_opened(tmp_path, monkeypatch):
    def opened(*_, **__):
        raise AssertionError("it was opened")

    monkeypatch.setattr(torch.jit, "load", opened)
    torch.jit.script(Script()).save(str(tmp_path / "script.pt"))
    torch.save({"weight": torch.zeros(2)}, tmp_path / "weights.pt")
    for path in tmp_path.iterdir():
        with pytest.raises(EaselError, match=f"{path.name}, which is not the inception-2015-12-05.pt .* are not run"):
            check_pretrained(replace(NOTHING, inception=str(path)))


def test_unusable_clip_folders_are_refused(tmp_path, monkeypatch):
    with pytest.raises(EaselError, match=r"holds no config\.json"):
        check_pretrained(replace(NOTHING, clip=str(tmp_path)))
    (tmp_path / "config.json").write_text("{}")
    monkeypatch.setattr("lib.metrics.clip_score.find_spec", lambda name: None)
    with pytest.raises(EaselError, match="needs the transformers library"):
        check_pretrained(replace(NOTHING, clip=str(tmp_path)))
