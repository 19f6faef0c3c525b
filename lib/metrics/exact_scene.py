"""Does a picture show what its prompt asks for, and nothing else?

GenEval's rule, which `scene_accuracy` follows, counts a picture as right when the named objects are found in it,
whatever else it shows. A sampler that fails by littering its pictures with fragments is then rewarded: among many
detections one is of the right shape and colour. Here such pictures are wrong.
"""

import numpy as np

from lib.errors import EaselError
from lib.metrics.scene_accuracy import satisfies


def exactly(readings: list[dict], prompts: list[dict]) -> np.ndarray:
    """Whether each picture meets its prompt's requirement with no object beyond the required ones, bool [N].

    Args:
        readings: what the scene reader found, from `lib.models.reader.read`.
        prompts: N dicts with "category" and "require".

    Raises:
        EaselError: numbers of readings and prompts differ.
    """
    if len(readings) != len(prompts):
        raise EaselError(f"exact accuracy: {len(readings)} readings for {len(prompts)} prompts; each needs the other.")
    return np.array([_is_exact(reading["objects"], prompt) for reading, prompt in zip(readings, prompts, strict=True)])


def _is_exact(found: list[dict], prompt: dict) -> bool:
    asked = sum(item["count"] for item in prompt["require"]["objects"])
    return len(found) == asked and satisfies(found, prompt["require"], prompt["category"])
