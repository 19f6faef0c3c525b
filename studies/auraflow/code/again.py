"""Test pictures that are drawn anew: from a caption that says little, from one that says all, and, by models that can
be given tokens, with everything but their middle given."""

import numpy as np
import torch

from lib.data.prompts import CAPTION_ITEMS
from lib.data.store import Split
from lib.metrics.drawings import Settings
from lib.models import multi_scale_vqgan
from lib.painter.next_scale import outside
from lib.pipeline.parts import Part
from lib.scenes.wordings import worded
from studies.auraflow.code.drawing_parts import drawing_part
from studies.auraflow.code.material import SCALES, SIZE, TOKENS, folder
from studies.auraflow.code.reports import Again
from studies.auraflow.code.settings import FILLING, Params, seeds_of

FILLED = "filled"


def ways(params: Params, test: Split, language: str) -> dict[str, Again]:
    """What is drawn anew; nothing where nobody knows what the pictures show."""
    if test.scenes is None:
        return {}
    settings, trainings = params.auraflow_drawing, params.auraflow_trainings
    chosen, wordings = worded(test.captions, language, settings.worded)
    found = {
        wording: Again(pictures=chosen, captions=captions, trainings=list(trainings))
        for wording, captions in wordings.items()
    }
    filling = [name for name, one in trainings.items() if one.model in FILLING]
    captions = [own[language][-1] for own in test.captions[: settings.inpainted]]
    return found | {FILLED: Again(pictures=list(range(len(captions))), captions=captions, trainings=filling)}


def drawn_again(
    params: Params, found: Settings, test: Split, planned: dict[str, Again]
) -> dict[tuple[str, str, int], Part]:
    """The parts, by the way, the training and the seed; with the settings that are best for the training."""
    listed = {}
    for way, one in planned.items():
        items = [CAPTION_ITEMS + number for number in one.pictures]
        for name in one.trainings:
            own = {}
            if way == FILLED:
                own["known"] = known_of(test, params.auraflow_trainings[name].model, one.pictures).tolist()
            for seed in seeds_of(params, name):
                title, model, sampling = f"{name}, {way}, {seed}", folder(name, seed), found.models[name].best.sampling
                listed[way, name, seed] = drawing_part(params, title, model, seed, one.captions, items, sampling, **own)
    return listed


def known_of(test: Split, model: str, pictures: list[int]) -> np.ndarray:
    """Tokens of test pictures, the middle half in both directions unknown: integers [R, N], −1 there."""
    grids = np.load(TOKENS / f"test_{SIZE}.npy", mmap_mode="r")[pictures].astype(int)  # [R, h, w]
    height, width = grids.shape[1:]
    hole = torch.zeros(height, width)
    hole[height // 4 : height - height // 4, width // 4 : width - width // 4] = 1
    if model == "next_scale":
        tokenizer = multi_scale_vqgan.load(SCALES)
        rows = multi_scale_vqgan.encode_batches(tokenizer, np.asarray(test.images(SIZE)[pictures])).astype(int)
        stays = outside(hole, tokenizer.quantizer.scales)  # [N]
    else:
        rows, stays = grids.reshape(len(grids), -1), hole.flatten() == 0
    return np.where(stays.numpy(), rows, -1)
