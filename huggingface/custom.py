"""Our decoders inside transformers' `generate`, for whoever has a pipeline already:

    from huggingface.custom import generate_images
    model.generate(**inputs, custom_generate=generate_images, decoder="shared", do_sample=True, guidance_scale=3.0, …)

or, without an import, with the folder that transformers itself loads:

    model.generate(**inputs, custom_generate="…/huggingface", trust_remote_code=True, decoder="shared", …)

`generate` prepares everything as always. What it drew one token at a time is drawn by windows: all tokens of one
picture a row, end-of-line tokens among them, after the prompt's. How many there are follows from the picture's size
alone, so that `max_new_tokens` and stopping criteria have no say; nor has a `prefix_allowed_tokens_fn`, which says what
the layout says. Guidance is one batch. Sampling settings are guidance, temperature and top-k (among the image tokens);
others are refused.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import GenerationConfig, LogitsProcessorList, PreTrainedModel
from transformers.generation import (
    GenerateDecoderOnlyOutput,
    PrefixConstrainedLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    UnbatchedClassifierFreeGuidanceLogitsProcessor,
)

from huggingface.decoding import Decoding
from huggingface.models.families import adapted
from huggingface.models.predictor import HFPredictor
from huggingface.models.prompts import Prompts
from lib.decoding.noise_levels import Spacing
from lib.errors import EaselError
from lib.models.autoregressive_predictor import Sampling

PICTURES = ("pixel_values", "inputs_embeds")  # arguments that put other things than tokens into a prompt


@dataclass
class ImageOutput(GenerateDecoderOnlyOutput):
    """What `generate` gives with `return_dict_in_generate=True`.

    Attributes:
        sequences: prompt and picture, int64 [B, P + places].
        codes: int64 [B, length], of the image tokens alone.
        passes: network calls until the picture was complete, int64 [B].
        accepted: tokens that each pass fixed, int64 [B, most passes]; forced tokens are not counted.
        forced: tokens of a picture that nobody drew.
    """

    codes: Tensor | None = None
    passes: Tensor | None = None
    accepted: Tensor | None = None
    forced: int | None = None


def generate_images(
    model: PreTrainedModel,
    input_ids: Tensor,
    logits_processor: LogitsProcessorList,
    stopping_criteria: Any,
    generation_config: GenerationConfig,
    decoder: str = "shared",
    options: Mapping[str, Any] | None = None,
    seeds: Sequence[int] | None = None,
    size: tuple[int, int] | None = None,
    image_sizes: Any = None,
    guidance: float | None = None,
    steps: int | None = None,
    spacing: Spacing | None = None,
    **model_kwargs: Any,
) -> Tensor | ImageOutput:
    """The decoding loop that `generate(custom_generate=generate_images, …)` calls.

    Args:
        decoder, options, steps, spacing: see `huggingface.decoding.Decoding`.
        seeds: one a picture; None for 0, 1, …: the same call gives the same pictures.
        size: rows and columns of a picture; None for what the processor's arguments or the model say.
        image_sizes: of Emu3's processor. Named here, since `generate` keeps it from whoever does not ask for it.
        guidance: for Janus, whose `generate` drops `guidance_scale`; others take that.

    Returns:
        Prompt and picture, int64 [B, P + places]; `ImageOutput` if the configuration asks for a dict.

    Raises:
        EaselError: a class without an adapter, a setting that these decoders do not have, or a prompt of other things
            than tokens.
    """
    family = adapted(model)
    encoded = model_kwargs.get("mm_encoder_outputs") or {}
    if any(model_kwargs.get(name) is not None for name in PICTURES) or encoded.get("image") is not None:
        raise EaselError(
            "these decoders read prompts of tokens alone; leave pictures and embeddings out of the prompt."
        )
    if generation_config.num_beams != 1:
        raise EaselError(f"these decoders have no beams; leave num_beams = {generation_config.num_beams} out.")
    said = model_kwargs | ({} if image_sizes is None else {"image_sizes": image_sizes})
    layout = family.layout(family.config, size) if size else family.layout_of(family.config, said)
    decoding = Decoding(decoder, options, steps, spacing, family.tuned)
    decoding.check(layout)

    mask = model_kwargs.get("attention_mask")
    prompts = Prompts(input_ids, torch.ones_like(input_ids).bool() if mask is None else mask.bool())
    sampling, unconditional = _settings(logits_processor, generation_config)
    if guidance is not None:
        made = family.unconditional(prompts.ids, prompts.real)
        if made is None:
            raise EaselError(
                "guidance is an argument for Janus; give this class guidance_scale and negative_prompt_ids."
            )
        sampling, unconditional = Sampling(guidance, sampling.temperature, sampling.top_k), Prompts(*made)
    elif sampling.copies == 2 and unconditional is None:
        unconditional = Prompts.of(input_ids[:, -1:].tolist())  # as transformers' own guidance has it

    predictor = HFPredictor(family, prompts, layout, sampling, unconditional, decoding.times)
    seeds = range(len(input_ids)) if seeds is None else seeds
    decoded = decoding.run(predictor, seeds)
    sequences = torch.cat([input_ids, layout.sequence(family.ids[decoded.tokens])], dim=1)
    if not generation_config.return_dict_in_generate:
        return sequences
    return ImageOutput(
        sequences=sequences,
        codes=decoded.tokens,
        passes=decoded.passes,
        accepted=decoded.accepted,
        forced=layout.forced_count,
    )


def _settings(processors: LogitsProcessorList, config: GenerationConfig) -> tuple[Sampling, Prompts | None]:
    """What transformers' processors would have done to logits, as settings of ours, and the unconditional prompts."""
    guidance, temperature, top_k, unconditional = 1.0, 1.0, 0, None
    for one in processors:
        if isinstance(one, UnbatchedClassifierFreeGuidanceLogitsProcessor):
            guidance = one.guidance_scale
            ids, mask = (one.unconditional_context[name] for name in ("input_ids", "attention_mask"))
            if ids is not None:
                unconditional = Prompts(ids, torch.ones_like(ids).bool() if mask is None else mask.bool())
        elif isinstance(one, TemperatureLogitsWarper):
            temperature = one.temperature
        elif isinstance(one, TopKLogitsWarper):
            top_k = one.top_k
        elif not isinstance(one, PrefixConstrainedLogitsProcessor):
            raise EaselError(
                f"these decoders sample with guidance, temperature and top-k; leave out what {type(one).__name__} does."
            )
    return Sampling(guidance, temperature if config.do_sample else 0, top_k), unconditional
