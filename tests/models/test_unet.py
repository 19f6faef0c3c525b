from dataclasses import replace

import pytest
import torch

from lib.errors import EaselError
from lib.models import unet
from lib.models.text_encoder import TextFeatures
from lib.models.unet import SmallPictures, TimeEmbedding, UNet
from lib.weights.torch_state import generator
from tests.models.tiny_autoregressive import shaken
from tests.models.tiny_muse import text
from tests.models.tiny_unet import ENLARGING, PLAIN, grids, small
from tests.models.tiny_unet import unet as tiny

BOTH = {"plain": (PLAIN, None), "enlarging": (ENLARGING, small())}


@pytest.fixture(scope="module", params=BOTH)
def case(request):
    """A network, and the small pictures that it reads."""
    config, given = BOTH[request.param]
    return tiny(config), given


def said(network, given, x=None, times=None, words=None, dropped=None):
    noisy, at = grids()
    x, times = noisy if x is None else x, at if times is None else times
    return network(x, times, network.read(words or text(), dropped), given)


def moved(after, before):
    return (after - before).abs().amax((1, 2, 3)) > 1e-6


def test_it_says_something_of_every_cell(case):
    network, given = case
    before = said(network, given)
    assert before.shape == (3, 3, 4, 8)
    x, times = grids()
    assert moved(said(network, given, x + 1), before).all()
    far = x.clone()
    far[:, :, 0, 0] += 1
    # The middle's attention reaches everywhere.
    assert ((said(network, given, far) - before).abs().amax(1) > 1e-7).all()
    assert moved(said(network, given, times=times + 0.1), before).all()


@pytest.mark.parametrize("config", [PLAIN, ENLARGING])
def test_an_untrained_network_says_nothing(config):
    network = UNet(config, generator(0))
    given = small() if config.small_channels else None
    assert (said(network, given) == 0).all()


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"small_channels": 2},
        {"blocks": 3, "widths": (16, 16, 24), "attention": (0, 2)},
        {"widths": (8, 24, 16), "attention": (), "feed_forward": 4},
        {"widths": (16,), "attention": ()},
    ],
)
def test_weights_are_counted(changes):
    config = replace(PLAIN, **changes)
    assert sum(p.numel() for p in UNet(config, generator(0)).parameters()) == config.parameters


def test_every_weight_matters(case):
    network, given = case
    network = tiny(network.config).requires_grad_(True)
    said(network, given, dropped=torch.tensor([True, False, False])).square().sum().backward()
    idle = [name for name, p in network.named_parameters() if p.grad is None or not (p.grad != 0).any()]
    assert not idle


def test_text_matters_and_padding_does_not(case):
    network, given = case
    words = text()
    before = said(network, given)
    for place in range(5):
        changed = words.vectors.clone()
        changed[:, place] += 1
        after = said(network, given, words=TextFeatures(changed, words.present))
        assert torch.equal(moved(after, before), words.present[:, place])


def test_a_dropped_caption_is_not_seen(case):
    network, given = case
    words, dropped = text(), torch.tensor([True, False, False])
    before, whole = said(network, given, dropped=dropped), said(network, given)
    torch.testing.assert_close(before[1:], whole[1:])
    assert (before[0] - whole[0]).abs().max() > 1e-3
    other = TextFeatures(words.vectors + 1, torch.roll(words.present, 1, 0))
    torch.testing.assert_close(said(network, given, words=other, dropped=dropped)[0], before[0])
    nothing = TextFeatures(words.vectors, torch.zeros_like(words.present))
    assert said(network, given, words=nothing, dropped=torch.ones(3, dtype=torch.bool)).isfinite().all()


def test_the_small_picture_and_its_noise_level_matter():
    network, given = tiny(ENLARGING), small()
    before = said(network, given)
    assert moved(said(network, given._replace(grids=given.grids + 1)), before).all()
    assert moved(said(network, given._replace(times=given.times + 0.1)), before).all()


def test_the_small_picture_lies_where_its_cells_do():
    """Enlarged smoothly: a corner of the small picture reaches the stem at that corner, and at no other."""
    network, given, seen = tiny(ENLARGING), small(), []
    handle = network.stem.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    said(network, SmallPictures(torch.zeros(3, 2, 2, 4), given.times))
    corner = torch.zeros(3, 2, 2, 4)
    corner[:, :, 0, 0] = 1
    said(network, SmallPictures(corner, given.times))
    handle.remove()
    found = (seen[1] - seen[0])[0, 3]  # [4, 8]
    assert found[0, 0] == 1 and found[1, 1] == 0.75**2 and (found[3:] == 0).all() and (found[:, 3:] == 0).all()


def test_rows_do_not_depend_on_their_batch(case):
    network, given = case
    x, times = grids()
    words, whole = text(), said(network, given)
    for row in range(3):
        alone = TextFeatures(words.vectors[row : row + 1], words.present[row : row + 1])
        own = None if given is None else given.of(torch.tensor([row]))
        found = said(network, own, x[row : row + 1], times[row : row + 1], alone)
        torch.testing.assert_close(found, whole[row : row + 1], atol=1e-5, rtol=1e-4)


def test_neighbouring_times_are_told_apart():
    found = shaken(TimeEmbedding(16))(torch.arange(1001) / 1000)
    assert (found.diff(dim=0).norm(dim=1) > 0.01).all()


def test_convolutions_run_in_channels_last(case):
    network, given = case
    layouts = []
    hooks = [
        part.register_forward_hook(
            lambda module, inputs, output: layouts.append(output.is_contiguous(memory_format=torch.channels_last))
        )
        for part in network.modules()
        if isinstance(part, torch.nn.Conv2d)
    ]
    said(network, given)
    for hook in hooks:
        hook.remove()
    assert len(layouts) == len(hooks) and all(layouts)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rows": 5}, "a grid of 5×8 cannot be halved 1 times"),
        ({"attention": (2,)}, r"attention at \[2\], but levels are 0 … 1"),
        ({"widths": (16, 20)}, "a width of 20 at level 1 is not a multiple of 8"),
        ({"head_width": 16}, "a width of 24 at level 1 is not a multiple of 8, .* of a head's 16"),
        ({"head_width": 6}, "a head's width of 6 is not a multiple of 4"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(changes, message):
    with pytest.raises(EaselError, match=message):
        replace(PLAIN, **changes)


def test_what_cannot_be_read_is_refused(case):
    network, given = case
    words = text()
    with pytest.raises(EaselError, match=r"have the shape \[3, 3, 8, 4\], must be \[pictures, 3, 4, 8\]"):
        said(network, given, grids()[0].transpose(2, 3))
    with pytest.raises(EaselError, match="text features of width 8, got 5"):
        network.read(TextFeatures(words.vectors[:, :, :5], words.present))
    with pytest.raises(EaselError, match="small pictures are for a network that enlarges"):
        said(network, small() if given is None else None)


def test_a_saved_network_comes_back(case, tmp_path):
    network, given = case
    unet.save(network, tmp_path)
    again = unet.load(tmp_path)
    assert again.config == network.config and not again.training
    assert torch.equal(said(again, given), said(network, given))
    assert not any(p.requires_grad for p in again.parameters())
