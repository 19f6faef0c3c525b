"""Tiny random models of every family, whose most likely tokens vary, and the tokens that their own `generate` draws."""

import torch
from transformers import (
    ChameleonConfig,
    ChameleonForConditionalGeneration,
    Emu3Config,
    Emu3ForConditionalGeneration,
    GlmImageConfig,
    GlmImageForConditionalGeneration,
    JanusConfig,
    JanusForConditionalGeneration,
    JanusVisionConfig,
    JanusVQVAEConfig,
    LlamaConfig,
    LlamaForCausalLM,
)

from huggingface.models.families import adapted
from huggingface.models.layout import Layout
from huggingface.models.prompts import Prompts

CODES, FIRST = 16, 20
TEXT = dict(
    vocab_size=64,
    hidden_size=32,
    intermediate_size=64,
    num_hidden_layers=2,
    num_attention_heads=4,
    max_position_embeddings=256,
    pad_token_id=0,
    bos_token_id=1,
    eos_token_id=2,
)
VQ = dict(base_channels=32, channel_multiplier=[1, 2], num_res_blocks=1)
SECTION = dict(first=FIRST, codes=CODES, rows=3, columns=4, start=[6])


def emu3(codes=CODES):
    names = {"<image>": 5, "<|extra_200|>": 6, "<|extra_201|>": 9, "<|image start|>": 7, "<|image end|>": 8}
    names |= {f"<|visual token {code:06d}|>": FIRST + code for code in range(codes)}
    return Emu3ForConditionalGeneration(
        Emu3Config(
            text_config=TEXT | dict(num_key_value_heads=2, attention_dropout=0.0),
            vq_config=VQ
            | dict(
                codebook_size=codes,
                embed_dim=4,
                latent_channels=4,
                attn_resolutions=[1],
                hidden_size=64,
                temporal_downsample_factor=1,
            ),
            vocabulary_map=names,
            tie_word_embeddings=False,
        )
    )


def chameleon():
    names = {"<image>": 5}
    # The tokens of neighbouring codes do not follow one another.
    for code in range(CODES):
        names["IMGIMG" + "".join("ABCDEFGHIJ"[int(digit)] for digit in str(code)) + "Z"] = FIRST + 5 * code % CODES
    return ChameleonForConditionalGeneration(
        ChameleonConfig(
            **TEXT,
            num_key_value_heads=4,
            vq_config=VQ
            | dict(embed_dim=8, num_embeddings=CODES, latent_channels=8, resolution=8, attn_resolutions=None),
            vocabulary_map=names,
        )
    )


def janus():
    model = JanusForConditionalGeneration(
        JanusConfig(
            text_config=LlamaConfig(**TEXT, num_key_value_heads=4),
            vision_config=JanusVisionConfig(
                hidden_size=32,
                num_hidden_layers=1,
                num_attention_heads=2,
                image_size=8,
                patch_size=2,
                projection_dim=32,
                num_image_tokens=16,
                depth=2,
            ),
            vq_config=JanusVQVAEConfig(
                **VQ,
                embed_dim=8,
                num_embeddings=CODES,
                latent_channels=32,
                num_patches=4,
                projection_dim=32,
                image_token_embed_dim=32,
            ),
            image_token_id=5,
        )
    )
    model.generation_config._from_model_config = False  # else a saved file is not read
    model.generation_config.generation_kwargs = {"boi_token_id": 6}
    model.generation_config.pad_token_id, model.generation_config.bos_token_id = 0, 1
    return model


def glm_image():
    return GlmImageForConditionalGeneration(
        GlmImageConfig(
            text_config=TEXT
            | dict(
                num_key_value_heads=2,
                vision_vocab_size=CODES + 2,
                eos_token_id=CODES + 1,
                rope_parameters=dict(rope_type="default", rope_theta=100.0, mrope_section=[2, 1, 1]),
            ),
            vision_config=dict(depth=1, hidden_size=32, num_heads=2, image_size=16, patch_size=2, intermediate_size=32),
            vq_config=dict(embed_dim=8, num_embeddings=CODES, latent_channels=32),
            image_token_id=5,
            image_start_token_id=CODES,
            image_end_token_id=CODES + 1,
        )
    )


def llama(**section):
    return LlamaForCausalLM(LlamaConfig(**TEXT, num_key_value_heads=2, image_vocabulary=SECTION | section))


MODELS = {"emu3": emu3, "chameleon": chameleon, "janus": janus, "glm_image": glm_image, "llama": llama}
LAYOUTS = {"emu3": (3, 4), "chameleon": (3, 4), "janus": (4, 4), "llama": (3, 4)}


def tiny(kind, seed=2, scale=0.7, **settings):
    """The adapted model, all its matrices drawn anew: as they are made, one token is the most likely everywhere."""
    model = MODELS[kind](**settings).eval()
    generator = torch.Generator().manual_seed(seed)
    for name, weight in model.named_parameters():
        if weight.ndim == 2:
            size = 1.0 if "embed" in name else scale
            weight.data.normal_(std=size, generator=generator)
    return adapted(model)


def layout_of(kind, family):
    if kind == "glm_image":
        return Layout(((2, 2), (3, 4)), ending=(CODES + 1,))
    return family.layout(family.config, LAYOUTS[kind])


def prompts(rows, width=5, seed=3, padded=True):
    """Prompts of different lengths, with BOS (1) before and the start of a picture (6) after them."""
    generator = torch.Generator().manual_seed(seed)
    lengths = [width - (row % 3 if padded else 0) for row in range(rows)]
    words = [torch.randint(40, 60, (length - 2,), generator=generator).tolist() for length in lengths]
    return Prompts.of([[1, *one, 6] for one in words])


def own_greedy(kind, family, layout, conditional, guidance=1.0, unconditional=None):
    """Codes [B, length] by the class's own `generate`, whose grammar and guidance it is told in its own way."""
    model, ids, mask = family.model, conditional.ids, conditional.real.long()
    if kind == "janus":
        return model.generate(
            ids, attention_mask=mask, generation_mode="image", do_sample=False, guidance_scale=guidance, max_length=64
        )
    settings = dict(do_sample=False, max_new_tokens=len(layout.forced), pad_token_id=0, attention_mask=mask)
    image_tokens = family.ids.tolist()
    settings["prefix_allowed_tokens_fn"] = lambda row, so_far: layout.allowed(
        len(so_far) - ids.shape[1] + 1, image_tokens
    )
    if guidance != 1:
        settings |= dict(guidance_scale=guidance, negative_prompt_ids=unconditional.ids)
    if kind == "glm_image":
        grids = torch.tensor([[1, *grid] for grid in reversed(layout.grids)])
        settings |= dict(
            image_grid_thw=grids.repeat(len(ids), 1), images_per_sample=torch.full((len(ids),), len(layout.grids))
        )
    if kind == "chameleon":  # the class forbids what it is asked for here
        model.model.vocabulary_mapping.image_tokens = []
    tokens = model.generate(ids, **settings)[:, ids.shape[1] :]
    assert torch.equal(tokens, layout.sequence(tokens[:, layout.slots - 1]))
    return codes_of(family, tokens[:, layout.slots - 1])


def codes_of(family, tokens):
    """The model's own tokens → codes."""
    table = torch.full((int(family.ids.max()) + 1,), -1)
    table[family.ids] = torch.arange(len(family.ids))
    return table[tokens]
