"""The paper profile, which no test runs, has the size that it promises."""

from pathlib import Path

from lib.models.dalle_mini_original import count_parameters, original_config, read_config
from studies.dalle_mini.code.train import model_config
from tests import house

REPOSITORY = Path(__file__).parents[3]


def test_the_paper_profile_has_the_size_of_mini_glu():
    paper = house.params("dalle_mini", "paper")
    ours = model_config(paper, vocabulary=50264, padding=1, image_length=256)
    theirs = read_config(original_config("mini_glu"))
    # theirs pads its vocabulary beyond the codes and BOS, so that matrices divide between devices
    padding = 2 * theirs.padded_codes * theirs.width
    text = (theirs.text_vocabulary - ours.text_vocabulary) * theirs.width
    assert count_parameters(ours) == count_parameters(theirs) - padding - text
