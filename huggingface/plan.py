"""Memory and hours of SJD2's fine-tuning (huggingface/tuning.py), on paper: from a model's configuration, before
a machine is rented. The network is built on PyTorch's meta device: shapes, no weights.

Memory of a device: float32 weights, gradients and AdamW's two moments, an equal part each; what is gathered while it is
used, two layers and all that is in no layer; activations with gradient checkpointing: every layer's input, what the one
layer that is computed again keeps, the mask, the logits. Time: the products of forward and backward pass, attention
counted in full, and the layers' forward pass once more but for its last product, which nothing waits for, at a share
of the device's peak.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from torch import nn

from huggingface.models import folder as folders
from huggingface.models.family import Family
from huggingface.models.layout import Layout
from lib.metering import systems

FLOAT32, BFLOAT16 = 4, 2  # bytes
PICTURES = 80_000  # of the paper
PROMPT = 64  # tokens of words
DEVICES = 8
A100, H100 = 312e12, 989e12  # operations a second in bfloat16, as its maker lists them
SHARE = 0.4  # of these that is usually reached


class Paper(NamedTuple):
    """A model that the paper tunes; its name is that in lib/metering/systems.yaml.

    Attributes:
        layout: of a picture of 768 or 720 pixels a side, line ends among its tokens.
        peak: of the paper's devices.
        hours: that the paper gives (appendix A).
    """

    codes: int
    layout: Layout
    peak: float
    hours: int


PAPER = {
    "Lumina-mGPT 7B": Paper(8192, Layout(((48, 48),), end_of_line=0), A100, 14),
    "Emu3": Paper(32768, Layout(((90, 90),), end_of_line=0), H100, 26),
}


@dataclass(frozen=True)
class Plan:
    """One fine-tuning; bytes are those of one device.

    Attributes:
        parameters: that are tuned.
        sequence: tokens of a picture with its prompt and level tokens.
        state: weights, gradients and moments.
        gathered: weights that are whole for a while, and the gradients of them.
        activations: of the pictures that are computed at once.
        checkpoint: on the disk.
        operations: of one picture, forward, backward, and once more forward.
        hours: of all epochs.
    """

    parameters: int
    sequence: int
    state: int
    gathered: int
    activations: int
    checkpoint: int
    operations: int
    hours: float

    @property
    def memory(self) -> int:
        """Bytes of one device, but for what PyTorch itself and the gaps between arrays take."""
        return self.state + self.gathered + self.activations

    def __str__(self) -> str:
        return (
            f"{self.parameters / 1e9:.2f} billion parameters, {self.sequence:,} tokens a picture\n"
            f"memory of a device: {self.memory / 1e9:.0f} GB (weights, gradients, moments {self.state / 1e9:.0f}, "
            f"gathered layers {self.gathered / 1e9:.0f}, activations {self.activations / 1e9:.0f})\n"
            f"a checkpoint: {self.checkpoint / 1e9:.0f} GB, two are kept\n"
            f"hours: {self.hours:.1f} ({self.operations * 1e-12:,.0f} TFLOP a picture)"
        )


def plan(
    family: Family,
    layout: Layout,
    *,
    levels: int = 25,
    prompt: int = PROMPT,
    pictures: int = PICTURES * 6,
    at_once: int = 1,
    devices: int = DEVICES,
    peak: float = H100,
    share: float = SHARE,
    bf16: bool = True,
) -> Plan:
    """Plans the fine-tuning of a model.

    Args:
        family: of a model on any device.
        levels: level tokens.
        pictures: of all epochs together.
        at_once: pictures that a device computes at once.
        peak, share: operations a second, and the share of them that is reached.
        bf16: products in bfloat16.
    """
    config = family.backbone.config
    layers, width = family.backbone.layers, config.hidden_size
    sequence = levels + prompt + int(layout.slots[-1]) - 1
    parameters = _count(family.drawing())
    inside = _count(layers)
    size = BFLOAT16 if bf16 else FLOAT32

    state = 4 * FLOAT32 * parameters // devices
    whole = parameters - inside + min(2, len(layers)) * inside // len(layers)
    gathered = whole * (size + FLOAT32) if devices > 1 else 0

    heads = config.num_attention_heads * (getattr(config, "head_dim", None) or width // config.num_attention_heads)
    codes = len(family.ids)
    again = 6 * width + 2 * heads + 3 * config.intermediate_size
    row = sequence * (len(layers) * width + again) * size + sequence**2 * size
    row += layout.length * codes * (size + 2 * FLOAT32)

    once = 2 * sequence * _products(layers) + len(layers) * 4 * sequence**2 * heads
    last = len(layers) * 2 * sequence * width * config.intermediate_size
    head = 2 * layout.length * width * codes
    operations = 4 * once - last + 3 * head
    return Plan(
        parameters,
        sequence,
        state,
        gathered,
        at_once * row,
        3 * FLOAT32 * parameters,
        operations,
        pictures * operations / (devices * peak * share) / 3600,
    )


def of_folder(folder: Path | str, size: tuple[int, int] | None = None, **more: Any) -> Plan:
    """The plan of a model's folder, of whose weights no more than the heads is read. Raises EaselError."""
    checked = folders.check(folder, size)
    return plan(checked.family(folders.outline(checked.config, checked.class_name)), checked.layout, **more)


def of_paper(name: str, **more: Any) -> Plan:
    """The plan of one of `PAPER`, on devices as the paper's."""
    (module,) = systems.systems().systems[name]["transformer"].modules
    model, paper = systems.build(module), PAPER[name]
    model.config.image_vocabulary = {"first": 0, "codes": paper.codes, "rows": 1, "columns": 1}
    return plan(Family(model), paper.layout, peak=paper.peak, **more)


def _count(modules: Sequence[nn.Module]) -> int:
    return sum(array.numel() for array in systems.apart(weight for one in modules for weight in one.parameters()))


def _products(layers: Sequence[nn.Module]) -> int:
    """Numbers in all matrices of the layers."""
    return sum(part.weight.numel() for one in layers for part in one.modules() if isinstance(part, nn.Linear))
