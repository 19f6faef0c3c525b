"""aMUSEd of a few hundred weights, built from diffusers' and transformers' classes, and its folder."""

from pathlib import Path

import torch
from diffusers import AmusedPipeline, AmusedScheduler
from diffusers.models.autoencoders.vq_model import VQModel
from diffusers.models.unets.uvit_2d import UVit2DModel
from transformers import CLIPTextConfig, CLIPTextModelWithProjection, CLIPTokenizer

from lib.weights.torch_state import generator

CODES, SIDE, STRIDE = 29, 4, 2
VOCABULARY, MASK = 32, 31  # ids 29 and 30 are not used, as 8192 … 8254 of the published models
CAPTIONS, NEGATIVE = ["a red star", "two blue discs on a green ground"], ["grey", "a photo"]


def fill(network, seed):
    """Weights of its own for every seed, whatever the classes began with, none of them zero or the identity."""
    random = generator(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            noise = torch.randn(parameter.shape, generator=random)
            parameter.copy_(noise * (2 / parameter[0].numel()) ** 0.5 if parameter.ndim > 1 else 1 + 0.3 * noise)
    return network.eval()


def tokenizer():
    """Letters, and the two marks of CLIP; captions of up to 12."""
    letters = [chr(97 + i) for i in range(26)]
    names = ["<|startoftext|>", "<|endoftext|>", *letters, *(f"{letter}</w>" for letter in letters)]
    return CLIPTokenizer(vocab={name: i for i, name in enumerate(names)}, merges=[], model_max_length=12)


def vq_vae(codes):
    """Encoder, codebook and decoder."""
    return VQModel(
        block_out_channels=(8, 8),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        latent_channels=4,
        norm_num_groups=2,
        num_vq_embeddings=codes,
        lookup_from_codebook=True,
        mid_block_add_attention=False,
    )


def text_encoder(**sizes):
    """CLIP's, of captions as `tokenizer` makes them."""
    sizes = {"vocab_size": 54, "hidden_size": 12, "projection_dim": 6} | sizes
    return CLIPTextModelWithProjection(
        CLIPTextConfig(
            intermediate_size=16,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=12,
            bos_token_id=0,
            eos_token_id=1,
            pad_token_id=1,
            **sizes,
        )
    )


def pipeline():
    """diffusers' own pipeline around fresh networks."""
    transformer = UVit2DModel(
        hidden_size=8,
        cond_embed_dim=6,
        micro_cond_encode_dim=2,
        micro_cond_embed_dim=10,
        encoder_hidden_size=12,
        vocab_size=VOCABULARY,
        codebook_size=CODES,
        in_channels=8,
        block_out_channels=8,
        num_res_blocks=1,
        downsample=True,
        upsample=True,
        block_num_heads=2,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        sample_size=SIDE,
    )
    vqvae, text = vq_vae(CODES), text_encoder()
    for seed, network in enumerate((transformer, vqvae, text)):
        fill(network, seed)
    built = AmusedPipeline(vqvae, tokenizer(), text, transformer, AmusedScheduler(MASK))
    built.set_progress_bar_config(disable=True)
    return built


def folder(path: Path) -> Path:
    """Its folder, all of which a test may spoil."""
    pipeline().save_pretrained(path, safe_serialization=True)
    return path
