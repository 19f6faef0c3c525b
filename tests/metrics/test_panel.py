"""The panel on made pictures, with judges that see no more than how bright they are."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from lib.data import store
from lib.metrics import panel as panels
from lib.metrics.clip_score import Judge
from lib.metrics.panel import FEWEST, Panel

SIDE, N = 64, 3  # pictures a prompt
CATEGORIES = ("single_object", "single_object", "single_object", "colours")
EVALUATION = SimpleNamespace(pictures=9, bootstrap=50, clip="", inception="")
NETWORK = object()


class Channels(torch.nn.Module):
    """Features: the mean of every channel."""

    num_features = 3

    def forward(self, images):
        return images.float().mean(dim=(2, 3))


def brightness(pixels):
    """Black pictures [B, 3, S, S] lie along one axis, white ones along the other."""
    share = pixels.float().mean(dim=(1, 2, 3)) / 255
    return torch.stack([1 - share, share], dim=1)


def judge():
    """A CLIP for whom "white", "black" and "less than nothing" are what they say."""
    vectors = {"white": [0.0, 1.0], "black": [1.0, 0.0], "less than nothing": [-1.0, -1.0]}

    def processor(images=None, text=None, **_):
        if images is not None:
            return {"pixel_values": torch.stack(images)}
        ids = torch.tensor([vectors[one] for one in text])
        return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}

    return Judge(brightness, lambda ids, mask: ids, processor, SimpleNamespace())


def seen(network, pictures):
    """A reader who sees as many red stars as the first pixel says, on a background that the second one numbers."""
    assert network is NETWORK and pictures.ndim == 4
    star = {"shape": "star", "colour": "red", "x": 1, "y": 1}
    return [{"objects": [star] * int(row[0, 0, 0]), "background": f"kind {row[0, 1, 0]}"} for row in pictures]


def drawn(stars, fill=0):
    """Pictures [P, n, S, S, 3] with as many red stars each as `stars` [P, n] says."""
    stars = np.asarray(stars)
    pictures = np.full((*stars.shape, SIDE, SIDE, 3), fill, np.uint8)
    pictures[..., 0, 0, :] = stars[..., None]
    return pictures


@pytest.fixture
def panel(tmp_path, monkeypatch):
    """Four prompts for a red star, and test pictures that are the brighter the later they come."""
    monkeypatch.chdir(tmp_path)
    grey = np.arange(FEWEST + 4, dtype=np.uint8)[:, None, None, None]
    images = np.broadcast_to(10 * grey, (len(grey), SIDE, SIDE, 3)).copy()
    store.write_split("data", "test", {SIDE: images}, [{"zh": ["星"], "en": ["a star"]}] * len(grey))
    require = {"objects": [{"shape": "star", "colour": "red", "count": 1}], "relation": None}
    store.write_prompts(
        "data", [{"id": f"{n}", "category": name, "require": require} for n, name in enumerate(CATEGORIES)]
    )
    store.write_meta("data", "scenes", ["zh", "en"], has_truth=True)
    monkeypatch.setattr(panels, "clip_judges", lambda evaluation: {"clip_score": judge()})
    monkeypatch.setattr(panels, "feature_extractors", lambda evaluation: {"": Channels(), "_other": Channels()})
    monkeypatch.setattr(panels.reader, "read", seen)
    found = Panel(EVALUATION, seed=0)
    assert found.reader is None and found.language == "en" and len(found.test) == len(grey)
    found.reader = NETWORK
    return found


def test_accuracies_are_means_over_categories_for_every_seed(panel):
    """One star is right, two hold what was asked for and more; the last seed draws only two prompts right."""
    stars = [[1, 2, 1], [1, 1, 0], [1, 1, 0], [1, 1, 1]]
    found = panel.accuracies(drawn(stars), list(panel.prompts.values()))
    accuracy, exact = found["accuracy"], found["exact"]
    assert accuracy.by_seed == pytest.approx([1, 1, (1 / 3 + 1) / 2])
    assert exact.by_seed == pytest.approx([1, (2 / 3 + 1) / 2, (1 / 3 + 1) / 2])
    assert accuracy.value == pytest.approx(np.mean(accuracy.by_seed)) and accuracy.n == len(CATEGORIES)
    assert list(accuracy.categories) == ["single_object", "colours"]
    assert exact.categories["single_object"].by_seed == pytest.approx([1, 2 / 3, 1 / 3])
    assert exact.categories["single_object"].n == 3 and exact.categories["colours"].value == 1
    assert accuracy.low <= accuracy.value <= accuracy.high


def test_without_a_reader_nothing_is_read(panel):
    panel.reader = None
    assert panel.accuracies(drawn(np.ones((4, N))), list(panel.prompts.values())) == {}


def test_pictures_of_one_prompt_count_once(panel):
    """As uncertain with many seeds that agree as with one."""
    right = np.array([[True], [False]] * 10)
    once, often = (panel.by_category(outcomes, ["colours"] * 20) for outcomes in (right, right.repeat(8, axis=1)))
    assert (once.value, once.low, once.high) == (often.value, often.low, often.high) and often.by_seed == [0.5] * 8


def test_clip_scores_are_of_every_picture_with_its_own_text(panel):
    pictures = np.concatenate([drawn(np.zeros((1, N))), drawn(np.full((1, N), 255), fill=255)])
    assert panel.cosines(pictures, ["black", "white"], "clip_score").tolist() == [[100] * N] * 2
    score = panel.clip_scores(pictures, ["black", "black"])["clip_score"]
    assert score.by_seed == [50] * N and score.value == 50 and score.n == 2 and score.low < 50 < score.high


def test_a_clip_score_is_at_least_0(panel):
    score = panel.clip_scores(drawn(np.zeros((2, N))), ["less than nothing"] * 2)["clip_score"]
    assert (score.value, score.low, score.high, score.by_seed) == (0, 0, 0, [0] * N)
    assert (panel.cosines(drawn(np.zeros((2, N))), ["less than nothing"] * 2, "clip_score") < 0).all()


def test_distances_are_to_the_pictures_of_the_captions(panel):
    numbers = list(range(FEWEST + 3, 3, -1))
    same = np.asarray(panel.test.images(SIDE))[numbers][:, None]
    found, other = panel.distances(same, numbers), panel.distances(same, range(FEWEST))
    assert set(found) == {"fid", "kid", "fid_other", "kid_other"}
    assert found["fid"].value == pytest.approx(0, abs=1e-3) and other["fid"].value > 1
    assert panel.distances(same[1:], numbers[1:]) == {}


def test_diversity_is_of_the_pictures_of_one_prompt(panel):
    alike = drawn(np.zeros((2, N)), fill=100)
    assert panel.diversity(alike).value == pytest.approx(0) and panel.diversity(alike).n == 2
    alike[0, 0, ..., 0] = 0
    assert panel.diversity(alike).value > 0.1


def test_backgrounds_are_one_a_picture(panel):
    pictures = drawn(np.zeros((2, N)))
    pictures[1, 2, 0, 1] = 7
    assert panel.backgrounds(pictures).tolist() == [["kind 0"] * 3, ["kind 0", "kind 0", "kind 7"]]


def test_random_numbers_follow_from_seed_and_name_alone(panel):
    values = np.random.default_rng(0).random((30, N))
    first = panel.over_seeds(values, "any")
    panel.mean(values[:, 0], "other")
    assert panel.over_seeds(values, "any") == first == Panel(EVALUATION, seed=0).over_seeds(values, "any")
    for other in (panel.over_seeds(values, "other"), Panel(EVALUATION, seed=1).over_seeds(values, "any")):
        assert (other.value, other.by_seed) == (first.value, first.by_seed) and other.low != first.low


def test_pretrained_networks_measure_beside_the_own_ones(monkeypatch):
    monkeypatch.setattr(panels.clip, "load", lambda folder: folder)
    monkeypatch.setattr(panels.TextTokenizer, "load", lambda path: path)
    monkeypatch.setattr(panels.clip_score, "own_judge", lambda network, text: (network, text))
    monkeypatch.setattr(panels.clip_score, "pretrained_judge", Path)
    monkeypatch.setattr(panels.image_distance, "ClipFeatures", str)
    monkeypatch.setattr(panels.image_distance, "InceptionFeatures", Path)
    own, both = EVALUATION, SimpleNamespace(clip="theirs", inception="v3.pt")
    assert panels.clip_judges(own) == {"clip_score": (panels.CLIP, panels.TEXT)}
    assert panels.clip_judges(both)["clip_score_pretrained"] == Path("theirs")
    assert panels.feature_extractors(own) == {"": "build/clip"}
    assert panels.feature_extractors(both)["_inception"] == Path("v3.pt")
