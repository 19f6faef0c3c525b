import copy
from dataclasses import replace

import pytest
import torch

from lib.decoding.diffusion import sample
from lib.decoding.diffusion_schedules import flow_levels
from lib.decoding.noise import RowRandom
from lib.errors import EaselError
from lib.models import mmdit as module
from lib.models.cross_attention import blocks_of
from lib.models.diffusion_predictor import DiffusionPredictor
from lib.models.mmdit import MMDiT
from lib.weights.torch_state import generator
from tests.models.tiny_mmdit import AURAFLOW, PATCHES, mmdit
from tests.models.tiny_muse import text
from tests.models.tiny_unet import grids, small


@pytest.fixture(scope="module", params=[AURAFLOW, PATCHES], ids=["auraflow", "patches"])
def network(request):
    return mmdit(request.param)


def said(network, x=None, times=None, words=None, dropped=None):
    noisy, at = grids()
    x, times = noisy if x is None else x, at if times is None else times
    return network(x, times, network.read(words or text(), dropped))


def moved(after, before):
    return (after - before).abs().amax((1, 2, 3)) > 1e-6


def test_it_says_something_of_every_cell(network):
    before = said(network)
    assert before.shape == (3, 3, 4, 8)
    x, times = grids()
    far = x.clone()
    far[:, :, 0, 0] += 1
    assert ((said(network, far) - before).abs().amax(1) > 1e-7).all()
    assert moved(said(network, times=times + 0.1), before).all()


@pytest.mark.parametrize("config", [AURAFLOW, PATCHES])
def test_an_untrained_network_says_nothing_and_its_blocks_are_the_identity(config):
    network = MMDiT(config, generator(0))
    assert (said(network) == 0).all()
    x, time = torch.randn(2, 5, 16, generator=generator(1)), torch.randn(2, 16, generator=generator(2))
    turns, seen = network.still.expand(-1, -1, 5, -1, -1), torch.ones(2, 1, 1, 5, dtype=torch.bool)
    assert torch.equal(network.single[0](x, turns, seen, time), x)
    patches, rest = network.joint[0]([x[:, :3], x[:, 3:]], turns, seen, time)
    assert torch.equal(torch.cat([patches, rest], dim=1), x)


@pytest.mark.parametrize("config", [AURAFLOW, PATCHES])
def test_gates_open_in_training(config):
    """Were what they gate zero as well, neither would ever move."""
    network, told = MMDiT(config, generator(0)), torch.tensor([True, False, False])
    descent = torch.optim.SGD(network.parameters(), 0.3)
    for _ in range(8):  # the head first, then one gate after the other
        descent.zero_grad()
        (said(network, dropped=told) - grids()[0]).square().mean().backward()
        descent.step()
    assert not [name for name, weights in network.named_parameters() if not weights.grad.any()]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"patch": 2, "registers": 0, "joint": 0, "single": 3},
        {"text_layers": 2, "single": 0},
        {"width": 24, "heads": 1, "text_width": 16},
    ],
)
def test_weights_are_counted(changes):
    config = replace(AURAFLOW, **changes)
    assert sum(weights.numel() for weights in MMDiT(config, generator(0)).parameters()) == config.parameters


def test_auraflow_has_the_published_number_of_weights():
    with torch.device("meta"):
        network = MMDiT(module.AURAFLOW, torch.Generator("cpu"))
    assert sum(weights.numel() for weights in network.parameters()) == module.AURAFLOW.parameters
    assert module.AURAFLOW.parameters == pytest.approx(6.83e9, rel=0.005)


def test_every_weight_matters(network):
    network = mmdit(network.config).requires_grad_(True)
    said(network, dropped=torch.tensor([True, False, False])).square().sum().backward()
    idle = [name for name, p in network.named_parameters() if p.grad is None or not (p.grad != 0).any()]
    assert not idle


def test_text_matters_and_padding_does_not(network):
    words = text()
    before = said(network)
    for place in range(5):
        vectors = words.vectors.clone()
        vectors[:, place] += 1
        after = said(network, words=replace(words, vectors=vectors))
        assert torch.equal(moved(after, before), words.present[:, place])
    # More of it changes nothing either.
    padded = replace(words, vectors=torch.nn.functional.pad(words.vectors, (0, 0, 0, 3), value=9.0))
    padded = replace(padded, present=torch.nn.functional.pad(words.present, (0, 3)))
    torch.testing.assert_close(said(network, words=padded), before, atol=1e-4, rtol=1e-4)


def test_without_blocks_captions_act_through_their_mean_alone():
    words = text()
    turned = replace(words, vectors=words.vectors + 1)
    for pooled in (True, False):
        network = mmdit(replace(PATCHES, joint=0, single=0, pooled=pooled))
        moved = (said(network, words=turned) - said(network, words=words)).abs().amax()
        assert (moved > 1e-3) == pooled


def test_a_dropped_caption_is_not_seen_and_is_not_an_empty_one(network):
    words, dropped = text(), torch.tensor([True, False, False])
    before, whole = said(network, dropped=dropped), said(network)
    torch.testing.assert_close(before[1:], whole[1:])
    assert (before[0] - whole[0]).abs().max() > 1e-3
    changes = {"vectors": words.vectors + 1, "present": torch.roll(words.present, 1, 0)}
    other = replace(words, **changes)
    torch.testing.assert_close(said(network, words=other, dropped=dropped)[0], before[0])
    # Not even that there is none.
    nothing = replace(words, present=torch.zeros_like(words.present))
    assert said(network, words=nothing, dropped=torch.ones(3, dtype=torch.bool)).isfinite().all()
    with pytest.raises(EaselError, match="a caption without a token"):
        network.read(nothing)


def test_rows_do_not_depend_on_their_batch(network):
    # In float64: float32 products of a batch of one have other kernels on some processors, and other rounding.
    network, (x, times) = copy.deepcopy(network).double(), (one.double() for one in grids())
    words = replace(text(), vectors=text().vectors.double())
    whole = said(network, x, times, words)
    for row in range(3):
        one = slice(row, row + 1)
        alone = replace(words, **{name: value[one] for name, value in vars(words).items()})
        found = said(network, x[one], times[one], alone)
        torch.testing.assert_close(found, whole[one], atol=1e-4, rtol=1e-4)


def test_joint_blocks_with_equal_weights_are_a_single_block():
    network = mmdit(AURAFLOW)
    single, (joint,) = network.single[0], network.joint
    for own in joint.streams:
        own.load_state_dict(single.state_dict())
    x, time = torch.randn(2, 7, 16, generator=generator(1)), torch.randn(2, 16, generator=generator(2))
    turns = torch.cat([network.turns[:, :, :4], network.still.expand(-1, -1, 3, -1, -1)], dim=2)
    seen = torch.ones(2, 1, 1, 7, dtype=torch.bool)
    seen[0, :, :, 5:] = False
    found = torch.cat(joint([x[:, :4], x[:, 4:]], turns, seen, time), dim=1)
    torch.testing.assert_close(found, single(x, turns, seen, time))


def test_a_patch_is_said_where_it_is_seen():
    """Without blocks and neighbours a patch of the answer follows from the same patch alone."""
    network = mmdit(replace(PATCHES, joint=0, single=0, neighbours=False))
    before, (x, _) = said(network), grids()
    x[:, :, 2, 3] += 1  # in the patch of rows 2 and 3, columns 2 and 3
    after = (said(network, x) - before).abs().amax((0, 1)) > 1e-6
    inside = torch.zeros(4, 8, dtype=torch.bool)
    inside[2:4, 2:4] = True
    assert torch.equal(after, inside)


def test_the_sampler_draws_with_it(network):
    words = text()

    def drawn(rows):
        own = replace(words, **{name: value[rows] for name, value in vars(words).items()})
        who, random = DiffusionPredictor(network, own, "flow", 2.0), RowRandom([10 + row for row in rows])
        return sample(who, random.normal(*who.shape), flow_levels(3)).grids

    whole = drawn([0, 1, 2])
    torch.testing.assert_close(drawn([1])[0], whole[1], atol=1e-3, rtol=1e-3)


def test_muon_is_for_all_matrices_of_its_blocks(network):
    found = {id(part) for part in blocks_of(network)}
    assert found >= {id(part) for part in network.modules() if isinstance(part, module.ModulatedBlock)}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"heads": 3}, "a width of 16 cannot be split into 3 heads"),
        ({"width": 12, "heads": 1}, "is not a multiple of 8"),
        ({"patch": 3}, "patches of 3×3 cells do not divide a grid of 4×8"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(changes, message):
    with pytest.raises(EaselError, match=message):
        replace(AURAFLOW, **changes)


def test_what_cannot_be_read_is_refused(network):
    words = text()
    with pytest.raises(EaselError, match=r"have the shape \[3, 3, 8, 4\], must be \[pictures, 3, 4, 8\]"):
        said(network, grids()[0].transpose(2, 3))
    with pytest.raises(EaselError, match="text features of width 8, got 5"):
        network.read(replace(words, vectors=words.vectors[:, :, :5]))
    with pytest.raises(EaselError, match="an MMDiT does not"):
        network(*grids(), network.read(words), small())


def test_a_saved_network_comes_back(network, tmp_path):
    module.save(network, tmp_path)
    again = module.load(tmp_path)
    assert again.config == network.config and not again.training
    assert torch.equal(said(again), said(network))
    assert not any(p.requires_grad for p in again.parameters())
