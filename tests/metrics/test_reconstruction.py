import numpy as np
import pytest

from lib.errors import EaselError
from lib.metrics.reconstruction import reconstruction

RANDOM = np.random.default_rng


def pictures(count=3, size=16):
    return RANDOM(0).integers(10, 246, (count, size, size, 3), dtype=np.uint8)


def test_psnr_of_known_errors_per_picture():
    real = pictures()
    rebuilt = real + np.array([1, 2, 10], np.uint8)[:, None, None, None]
    report, values = reconstruction(real, rebuilt, RANDOM(0), 100, batch_size=2)
    expected = 20 * np.log10(255 / np.array([1.0, 2.0, 10.0]))
    np.testing.assert_allclose(values["psnr"], expected, rtol=1e-5)
    assert report["psnr"]["value"] == pytest.approx(expected.mean(), rel=1e-5)
    assert report["psnr"]["low"] < report["psnr"]["value"] < report["psnr"]["high"]
    assert report["n"] == 3


def test_equal_pictures_have_ssim_one_and_a_finite_psnr():
    report, values = reconstruction(pictures(), pictures(), RANDOM(0), 10)
    assert report["ssim"]["value"] == pytest.approx(1.0)
    assert np.isfinite(values["psnr"]).all() and values["psnr"].min() > 80


def test_noise_lowers_ssim():
    real = pictures(size=32)
    noisy = np.clip(real + RANDOM(1).normal(0, 60, real.shape), 0, 255).astype(np.uint8)
    assert reconstruction(real, noisy, RANDOM(0), 10)[0]["ssim"]["value"] < 0.9


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(EaselError, match="must be two arrays"):
        reconstruction(pictures(3), pictures(2), RANDOM(0), 10)
    with pytest.raises(EaselError, match="expected uint8"):
        reconstruction(pictures().astype(float), pictures().astype(float), RANDOM(0), 10)
    with pytest.raises(EaselError, match="window is 11 pixels"):
        reconstruction(pictures(size=8), pictures(size=8), RANDOM(0), 10)
