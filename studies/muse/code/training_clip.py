"""The training of a masked model that reads captions through CLIP's caption tower, as a part."""

from typing import Any

from lib.config_tree import Section
from lib.models.muse import Muse
from lib.pipeline.stage import Training
from lib.training.muse import MaskedBatches, MuseTrainee
from lib.weights.torch_state import generator
from studies.muse.code.material import encode_of, folders, pictures_of
from studies.muse.code.texts import CLIP, encoder_at
from studies.muse.code.training import Result, codebook, config_of, result


def masked_model_by_clip(training: Training, *, settings: Section, seed: int, part: str, **words: Any) -> Result:
    """As `studies.muse.code.training.masked_model`, but for the text network."""
    pictures, encoder, own = pictures_of("train", folders(part), **words), encoder_at(CLIP), settings.descent
    vectors = codebook()
    model = Muse(config_of(pictures, encoder, vectors, settings.sizes), generator(seed, 0), vectors)
    batches = MaskedBatches(model, pictures.captions, pictures.tokens, encode_of(encoder), own, seed)
    arrays, numbers = result("masked", training, MuseTrainee(model, batches, own), own, len(pictures.tokens), seed)
    return arrays, numbers | {"text": "clip"}
