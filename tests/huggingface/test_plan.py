"""Memory and hours on paper, held against what tiny models take and against the paper's own hours."""

import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode
from transformers import LlamaConfig, LlamaForCausalLM

from huggingface import finetune
from huggingface.models.family import Family
from huggingface.noisy import NoisyReader
from huggingface.plan import PAPER, of_paper, plan
from lib.metering import systems
from lib.training.descent import BETAS
from tests.huggingface.models.tiny import MODELS, SECTION, TEXT, layout_of, tiny
from tests.huggingface.test_finetune import given


def large(rows=6, columns=8, **changes):
    """Wide and deep enough that what a plan leaves out is small."""
    sizes = TEXT | dict(hidden_size=96, intermediate_size=256, num_hidden_layers=6, attn_implementation="eager")
    section = SECTION | dict(rows=rows, columns=columns, end_of_line=9)
    return Family(LlamaForCausalLM(LlamaConfig(**sizes | changes, num_key_value_heads=4, image_vocabulary=section)))


def planned(family, layout, words, times, **more):
    return plan(family, layout, levels=len(times) - 1, prompt=words.ids.shape[1], devices=1, bf16=False, **more)


@pytest.mark.parametrize("kind", MODELS)
def test_weights_gradients_and_moments_are_counted_exactly(kind):
    family = tiny(kind)
    layout = layout_of(kind, family)
    network, inputs = NoisyReader(family, layout), given(family, layout)
    found = planned(family, layout, inputs[0], inputs[3])
    optimizer = torch.optim.AdamW(network.parameters(), betas=BETAS)
    network(*inputs).mean().backward()
    optimizer.step()
    tuned = [weight for weight in network.parameters() if weight.grad is not None]
    moments = [own[name] for own in optimizer.state.values() for name in ("exp_avg", "exp_avg_sq")]
    held = [*tuned, *(weight.grad for weight in tuned), *moments]
    assert found.parameters == sum(weight.numel() for weight in tuned)
    assert found.state == sum(one.numel() * one.element_size() for one in held)


def test_operations_are_those_that_pytorch_counts():
    family = large()
    layout = family.layout(family.config)
    network, inputs = NoisyReader(family, layout), given(family, layout, rows=2)
    network.train()
    family.model.activation_checkpointing_enable({"use_reentrant": False})
    with FlopCounterMode(display=False) as counter:
        network(*inputs).mean().backward()
    found = planned(family, layout, inputs[0], inputs[3])
    assert counter.get_total_flops() == pytest.approx(2 * found.operations, rel=1e-3)


def test_activations_are_about_those_that_pytorch_keeps():
    family = large()
    layout = family.layout(family.config)
    network, inputs = NoisyReader(family, layout), given(family, layout, rows=2)
    network.train()
    kept = {}

    def keep(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    own = {weight.untyped_storage().data_ptr() for weight in network.parameters()}
    found = planned(family, layout, inputs[0], inputs[3])
    with saved_tensors_hooks(keep, lambda tensor: tensor):
        losses = network(*inputs)
    whole = sum(size for place, size in kept.items() if place not in own)
    kept.clear()
    family.model.activation_checkpointing_enable({"use_reentrant": False})
    with saved_tensors_hooks(keep, lambda tensor: tensor):
        losses = network(*inputs)
    assert losses.isfinite().all()
    least = sum(size for place, size in kept.items() if place not in own)
    # What is planned holds one layer beside what is kept of all; without checkpointing there would be all of them.
    assert least < 2 * found.activations < whole


def test_more_devices_share_what_is_kept():
    family = large()
    one, four = (plan(family, family.layout(family.config), devices=devices) for devices in (1, 4))
    assert four.state == one.state // 4 and four.hours == pytest.approx(one.hours / 4)
    assert one.gathered == 0 < four.gathered and one.activations == four.activations


def test_the_paper_s_models_fit_and_take_about_as_long_as_the_paper_says():
    counted = {name: systems.count_part(systems.systems().systems[name]["transformer"]) for name in PAPER}
    for name, paper in PAPER.items():
        found = of_paper(name)
        assert found.parameters == counted[name].parameters
        assert found.memory < 75e9  # of 80 GB
        assert 0.6 < found.hours / paper.hours < 1.6
    assert of_paper("Emu3").sequence > 8000


def test_the_command_prints_both(capsys):
    assert finetune.main(["--plan"]) == 0
    printed = capsys.readouterr().out
    assert "Lumina-mGPT 7B, on 8 devices" in printed and printed.count("memory of a device") == 2
