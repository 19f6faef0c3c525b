"""What transformers loads for `generate(custom_generate="…/huggingface", trust_remote_code=True)`: `generate` with
our decoders. This repository must be importable: start Python in its folder, or put that in PYTHONPATH."""

from typing import Any

from transformers import GenerationMixin, PreTrainedModel

from huggingface.custom import generate_images


def generate(model: PreTrainedModel, **given: Any) -> Any:
    """As `model.generate(**given, custom_generate=generate_images)`; see huggingface/custom.py.

    Of the mixin, since a class's own method may be what called this.
    """
    return GenerationMixin.generate(model, custom_generate=generate_images, **given)
