"""Pipelines of diffusers of a few thousand weights: AuraFlow, Kolors, Stable Diffusion; and their folders."""

import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import diffusers
import torch
from diffusers import (
    AuraFlowPipeline,
    AuraFlowTransformer2DModel,
    AutoencoderKL,
    DDIMScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)
from diffusers.pipelines.kolors import text_encoder, tokenizer
from diffusers.pipelines.kolors.pipeline_kolors import KolorsPipeline
from transformers import CLIPTextConfig, CLIPTextModel, PreTrainedTokenizerFast, UMT5Config, UMT5EncoderModel

from tests.huggingface.models import tiny_amused, words

WIDTH = 16  # of Kolors' text features


class Processor:
    """Stands for sentencepiece's, which is not installed here: a file of letters, one a line."""

    def __init__(self, model_file):
        self.pieces = Path(model_file).read_text(encoding="utf-8").split("\n")

    def vocab_size(self):
        return len(self.pieces)

    get_piece_size = vocab_size

    def unk_id(self):
        return 0

    def bos_id(self):
        return 1

    def eos_id(self):
        return 2

    def EncodeAsPieces(self, text):
        return list(text)

    def PieceToId(self, piece):
        return self.pieces.index(piece) if piece in self.pieces else 0

    def IdToPiece(self, number):
        return self.pieces[number]


def with_sentencepiece(monkeypatch):
    """Makes diffusers believe that sentencepiece is there, which its classes of Kolors ask for."""
    module = ModuleType("sentencepiece")
    module.__spec__, module.SentencePieceProcessor = ModuleSpec("sentencepiece", None), Processor
    monkeypatch.setitem(sys.modules, "sentencepiece", module)
    monkeypatch.setattr(tokenizer, "is_sentencepiece_available", lambda: True)
    monkeypatch.setattr(diffusers, "KolorsPipeline", KolorsPipeline, raising=False)
    home = diffusers.pipelines.kolors
    monkeypatch.setattr(home, "ChatGLMModel", text_encoder.ChatGLMModel, raising=False)
    monkeypatch.setattr(home, "ChatGLMTokenizer", tokenizer.ChatGLMTokenizer, raising=False)


def vae():
    """Pictures of twice its latents' side."""
    return AutoencoderKL(
        block_out_channels=(4, 4),
        norm_num_groups=2,
        latent_channels=4,
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        sample_size=16,
    )


def unet(**own):
    """A U-Net on 8 × 8 latents."""
    return UNet2DConditionModel(
        block_out_channels=(4, 8),
        layers_per_block=1,
        sample_size=8,
        in_channels=4,
        out_channels=4,
        norm_num_groups=2,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=2,
        **own,
    )


def aura_flow():
    """A joint block and a single one."""
    return AuraFlowPipeline(
        tokenizer=PreTrainedTokenizerFast(
            tokenizer_object=words.tokenizer().backend_tokenizer,
            pad_token="<pad>",
            eos_token="</s>",
            unk_token="<unk>",
            model_input_names=["input_ids", "attention_mask"],
        ),
        text_encoder=tiny_amused.fill(
            UMT5EncoderModel(UMT5Config(vocab_size=64, d_model=8, d_kv=4, d_ff=16, num_layers=1, num_heads=2)), 1
        ),
        vae=tiny_amused.fill(vae(), 2),
        transformer=tiny_amused.fill(
            AuraFlowTransformer2DModel(
                sample_size=8,
                patch_size=2,
                in_channels=4,
                out_channels=4,
                num_mmdit_layers=1,
                num_single_dit_layers=1,
                attention_head_dim=4,
                num_attention_heads=2,
                joint_attention_dim=8,
                caption_projection_dim=8,
                pos_embed_max_size=64,
            ),
            3,
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(),
    )


def kolors(place):
    """After `with_sentencepiece`; its tokenizer's file is written to the folder `place`."""
    letters = place / "tokenizer.model"
    letters.write_text(
        "\n".join(["<unk>", "<s>", "</s>", *"abcdefghijklmnopqrstuvwxyz ", *"红色的星"]), encoding="utf-8"
    )
    config = text_encoder.ChatGLMConfig(
        num_layers=2,
        padded_vocab_size=64,
        hidden_size=WIDTH,
        ffn_hidden_size=16,
        kv_channels=8,
        num_attention_heads=2,
        seq_length=256,
        multi_query_attention=True,
        add_qkv_bias=True,
        original_rope=True,
    )
    return KolorsPipeline(
        vae=tiny_amused.fill(vae(), 1),
        text_encoder=tiny_amused.fill(text_encoder.ChatGLMModel(config), 2),
        tokenizer=tokenizer.ChatGLMTokenizer(str(letters)),
        unet=tiny_amused.fill(
            unet(
                cross_attention_dim=8,
                use_linear_projection=True,
                addition_embed_type="text_time",
                addition_time_embed_dim=2,
                projection_class_embeddings_input_dim=WIDTH + 12,  # six numbers on sizes, two sinusoids each
                encoder_hid_dim=WIDTH,
                encoder_hid_dim_type="text_proj",
            ),
            3,
        ),
        scheduler=EulerDiscreteScheduler(),
    )


def stable_diffusion():
    """Without a safety checker."""
    config = CLIPTextConfig(
        vocab_size=54,
        hidden_size=8,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=12,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=1,
    )
    return StableDiffusionPipeline(
        vae=tiny_amused.fill(vae(), 1),
        text_encoder=tiny_amused.fill(CLIPTextModel(config), 2),
        tokenizer=tiny_amused.tokenizer(),
        unet=tiny_amused.fill(unet(cross_attention_dim=8), 3),
        scheduler=DDIMScheduler(clip_sample=False),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def folder(pipeline, path):
    """Its folder, all of which a test may spoil."""
    pipeline.save_pretrained(path)
    return path


def own(pipeline, prompts, seeds, **settings):
    """What the pipeline itself draws, uint8 [B, H, W, 3]."""
    pipeline.set_progress_bar_config(disable=True)
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    found = pipeline(prompt=prompts, generator=generators, output_type="np", **settings).images
    return (255 * found).round().astype("uint8")
