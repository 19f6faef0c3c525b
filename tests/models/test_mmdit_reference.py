"""With AuraFlow's settings and the same weights, the network says what diffusers' AuraFlow says."""

import pytest
import torch
from diffusers import AuraFlowTransformer2DModel
from torch import nn

from lib.models.mmdit import MMDiTConfig
from lib.models.text_encoder import TextFeatures
from lib.weights.torch_state import generator
from tests.models.tiny_mmdit import mmdit

HEADS, WIDTH = 2, 32
SIZES = MMDiTConfig(
    channels=3,
    rows=4,
    columns=4,
    text_width=8,
    text_layers=0,
    patch=2,
    width=WIDTH,
    joint=2,
    single=2,
    heads=HEADS,
    feed_forward=256,  # two thirds of 128, rounded up as AuraFlow does
    registers=8,
    keeps_attention=False,
    pooled=False,
    neighbours=False,
)


def theirs():
    return AuraFlowTransformer2DModel(
        sample_size=4,
        patch_size=2,
        in_channels=3,
        out_channels=3,
        num_mmdit_layers=2,
        num_single_dit_layers=2,
        attention_head_dim=WIDTH // HEADS,
        num_attention_heads=HEADS,
        joint_attention_dim=8,
        caption_projection_dim=WIDTH,
        pos_embed_max_size=4,
    ).eval()


def centred(weights):
    """Products whose numbers have mean 0 in every head: their length is then their deviation, which AuraFlow divides
    queries and keys by."""
    heads = weights.unflatten(0, (HEADS, -1))
    return (heads - heads.mean(dim=1, keepdim=True)).flatten(0, 1)


@torch.no_grad()
def copied(ours, theirs):
    """Brings ours to what AuraFlow can be, and gives theirs the same weights."""
    ours.turns.copy_(ours.still.expand_as(ours.turns))  # AuraFlow turns nothing
    both = [("to_q", "to_k", "to_v", "to_out.0"), ("add_q_proj", "add_k_proj", "add_v_proj", "to_add_out")]
    pairs = [
        (mine, their, "", both[0]) for mine, their in zip(ours.single, theirs.single_transformer_blocks, strict=True)
    ]
    for mine, their in zip(ours.joint, theirs.joint_transformer_blocks, strict=True):
        pairs += [(mine.streams[0], their, "", both[0]), (mine.streams[1], their, "_context", both[1])]
    for mine, their, suffix, names in pairs:
        query, key, value = mine.attention.qkv.weight.chunk(3)
        products = [centred(query), centred(key), value, mine.attention.out.weight]
        mine.attention.qkv.weight.copy_(torch.cat(products[:3]))
        mine.attention.norm.fill_(1)
        for name, weights in zip(names, products, strict=True):
            assert their.attn.get_submodule(name).bias is None
            their.attn.get_submodule(name).weight.copy_(weights)
        getattr(their, f"norm1{suffix}").linear.weight.copy_(mine.modulation.weight)
        gated, (gate, inner) = getattr(their, f"ff{suffix}"), mine.feed_forward.both.weight.chunk(2)
        gated.linear_1.weight.copy_(gate)
        gated.linear_2.weight.copy_(inner)
        gated.out_projection.weight.copy_(mine.feed_forward.out.weight)
    theirs.pos_embed.proj.weight.copy_(ours.patches.weight)
    theirs.pos_embed.proj.bias.zero_()
    theirs.pos_embed.pos_embed.copy_(ours.places()[None])
    theirs.context_embedder.weight.copy_(ours.captions.project.weight)
    theirs.register_tokens.copy_(ours.registers[None])
    theirs.norm_out.linear.weight.copy_(torch.cat(ours.modulation.weight.chunk(2)[::-1]))  # they scale, then shift
    head = ours.head.weight.unflatten(0, (3, 2, 2))  # a patch's numbers: theirs come channels last
    theirs.proj_out.weight.copy_(head.permute(1, 2, 0, 3).flatten(0, 2))
    theirs.time_step_embed, theirs.time_step_proj = ours.time, nn.Identity()  # whose sinusoids are as many as ours


def test_it_says_what_auraflow_says():
    ours, reference = mmdit(SIZES), theirs()
    copied(ours, reference)
    x, vectors = torch.randn(2, 3, 4, 4, generator=generator(1)), torch.randn(2, 5, 8, generator=generator(2))
    times, present = torch.tensor([0.3, 0.9]), torch.ones(2, 5, dtype=torch.bool)
    with torch.no_grad():
        found = ours(x, times, ours.read(TextFeatures(vectors, present)))
        wanted = reference(x, vectors, times, return_dict=False)[0]
    assert float((found - wanted).abs().max()) < 1e-4 * float(wanted.abs().mean())


@pytest.mark.parametrize("single", [1, 3])
def test_weights_are_auraflows_but_for_what_is_said(single):
    """Ours have scales of queries and keys and a dropped caption's vector; theirs one bias of the patches' product, a
    position for every patch and 256 sinusoids of the time."""
    width, head = 512, 64
    ours = MMDiTConfig(4, 16, 16, 24, 0, 2, width, 2, single, 8, 1536, 8, False, False, False)
    with torch.device("meta"):
        reference = AuraFlowTransformer2DModel(
            sample_size=16,
            patch_size=2,
            in_channels=4,
            num_mmdit_layers=2,
            num_single_dit_layers=single,
            attention_head_dim=head,
            num_attention_heads=8,
            joint_attention_dim=24,
            caption_projection_dim=width,
            pos_embed_max_size=64,
        )
    scales, dropped, places = (2 * 2 + single) * 2 * head, width, (8 + 8) * width
    bias, table, sinusoids = width, 64 * width, (256 - width // 4) * width
    wanted = sum(weights.numel() for weights in reference.parameters()) - bias - table - sinusoids
    assert ours.parameters == wanted + scales + dropped + places
