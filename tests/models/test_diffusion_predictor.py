import pytest
import torch

from lib.decoding.diffusion import sample
from lib.decoding.diffusion_schedules import noise_schedule, spaced_levels
from lib.decoding.noise import RowRandom
from lib.errors import EaselError
from lib.models.diffusion_predictor import DiffusionPredictor, augmented, thresholded
from lib.models.text_encoder import TextFeatures
from lib.weights.torch_state import generator
from tests.models.tiny_muse import text
from tests.models.tiny_unet import ENLARGING, PLAIN, grids, small, unet

SCHEDULE = noise_schedule("scaled_linear", 100, (0.001, 0.1))
LEVEL = SCHEDULE.level(40)
BOTH = {"plain": (PLAIN, None), "enlarging": (ENLARGING, small())}


@pytest.fixture(scope="module", params=BOTH)
def case(request):
    config, given = BOTH[request.param]
    return unet(config), given


def said(network, given, words=None, dropped=None):
    gone = None if dropped is None else torch.full((3,), dropped)
    return network(grids()[0], torch.full((3,), LEVEL.time), network.read(words or text(), gone), given)


def asked(who):
    return who.predict(grids()[0], torch.full((3,), LEVEL.time))


def close(found, wanted):
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)


def test_without_guidance_it_is_what_the_network_says(case):
    network, given = case
    who = DiffusionPredictor(network, text(), "v", small=given)
    assert (who.rows, who.shape, who.target) == (3, (3, 4, 8), "v")
    close(asked(who), said(network, given))
    assert asked(who).dtype == torch.float32


def test_guidance_leads_away_from_the_dropped_caption(case):
    network, given = case
    cond, uncond = said(network, given), said(network, given, dropped=True)
    close(asked(DiffusionPredictor(network, text(), "v", 3.0, small=given)), 3 * cond - 2 * uncond)


def test_a_negative_caption_takes_the_place_of_the_dropped_one(case):
    network, given = case
    negative = TextFeatures(torch.randn(3, 7, 8, generator=generator(4)), torch.ones(3, 7, dtype=torch.bool))
    found = asked(DiffusionPredictor(network, text(), "v", 2.5, negative, given))
    close(found, 2.5 * said(network, given) - 1.5 * said(network, given, negative))
    close(asked(DiffusionPredictor(network, text(), "v", 2.5, text(), given)), said(network, given))


def test_dynamic_thresholding_keeps_pixels_within_bounds():
    pixels = torch.tensor([[0.5, -0.25, 0.1, -0.9], [1.0, -4.0, 3.0, 0.5]]).view(2, 1, 2, 2)
    assert torch.equal(thresholded(pixels, 1.0)[0], pixels[0])  # nothing is above 1: nothing changes
    assert thresholded(pixels, 1.0)[1].flatten().tolist() == [0.25, -1, 0.75, 0.125]
    assert thresholded(pixels, 2 / 3)[1].flatten().tolist() == pytest.approx([1 / 3, -1, 1, 0.5 / 3])
    found = DiffusionPredictor(unet(), text(), "v", percentile=0.9).limit(5 * grids()[0])
    assert found.abs().max() == 1
    close(found, thresholded(5 * grids()[0], 0.9))
    assert torch.equal(DiffusionPredictor(unet(), text(), "v").limit(pixels), pixels)  # latents have no bounds


def test_pictures_do_not_depend_on_their_batch(case):
    network, given = case
    words = text()

    def drawn(rows):
        random = RowRandom([10 + row for row in rows])
        own = TextFeatures(words.vectors[rows], words.present[rows])
        them = None if given is None else given.of(torch.tensor(rows))
        who = DiffusionPredictor(network, own, "v", 2.0, small=them, percentile=0.95)
        return sample(who, random.normal(*who.shape), spaced_levels(SCHEDULE, 3, "trailing"), 0.5, random).grids

    whole = drawn([0, 1, 2])
    close(drawn([1])[0], whole[1])
    close(drawn([2, 0]), whole[[2, 0]])


def test_small_pictures_get_noise_and_are_told_how_much():
    pictures, noise = torch.ones(3, 2, 2, 4), torch.randn(3, 2, 2, 4, generator=generator(0))
    found = augmented(pictures, noise, LEVEL)
    torch.testing.assert_close(found.grids, LEVEL.alpha + LEVEL.sigma * noise)
    assert found.times.tolist() == pytest.approx([0.4] * 3)
    untouched = augmented(pictures, noise, SCHEDULE.level(0))
    assert torch.equal(untouched.grids, pictures) and untouched.times.tolist() == [0, 0, 0]


def test_what_does_not_fit_is_refused():
    network, words = unet(), text()
    two = TextFeatures(words.vectors[:2], words.present[:2])
    with pytest.raises(EaselError, match="3 captions, but 2 negative captions"):
        DiffusionPredictor(network, words, "v", 2.0, two)
    with pytest.raises(EaselError, match="2 captions, but 3 small pictures"):
        DiffusionPredictor(unet(ENLARGING), two, "v", small=small())
    with pytest.raises(EaselError, match="guidance must be 0 or more"):
        DiffusionPredictor(network, words, "v", -1.0)
    with pytest.raises(EaselError, match="above 0 and up to 1, not 99"):
        DiffusionPredictor(network, words, "v", percentile=99)
    with pytest.raises(EaselError, match="small pictures are for a network that enlarges"):
        DiffusionPredictor(network, words, "v", small=small()).predict(*grids())
