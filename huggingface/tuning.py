"""SJD2's fine-tuning recipe (Teng et al. 2025, arXiv:2510.08994, section 4.3 and appendix A) on models of transformers.

The paper's numbers are the defaults: AdamW at 2e-5, 64 pictures an update, 6 epochs, 25 noise levels, all parameters
that draw. What it leaves open is as in lib/training/sjd2.py, whose stretches of noise these are: Karras spacing, clean
stretches of as many inputs as noisy ones, statistics of the standardization that follow the table. No weight decay, no
warm-up, gradients clipped as in lib/training/descent.py, dropout off: neither does the paper name one, and without it
a resumed run is the same run.

Several processes, started by `torchrun` or `accelerate launch`, share one model (FSDP2: weights, gradients and moments
in parts, layers gathered when they are used). What is random follows from the seed, the update and the picture, so that
the number of processes changes nothing but rounding. Checkpoints are safetensors, in parts too; a run may be resumed
with another number of processes.
"""

import hashlib
import json
import os
import shutil
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from accelerate import PartialState
from torch import Tensor, nn
from torch.distributed import checkpoint as sharded
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor
from transformers import PreTrainedTokenizerBase

from huggingface.models import folder as folders
from huggingface.models.family import Family
from huggingface.models.layout import Layout
from huggingface.models.levels import SECTION, NoiseLevels
from huggingface.models.prompts import Prompts
from huggingface.noisy import NoisyReader
from huggingface.shards import Shards
from lib.decoding import noise_levels
from lib.decoding.noise_levels import Spacing
from lib.errors import EaselError, naming
from lib.training.descent import BETAS, CLIP
from lib.training.loop import fit
from lib.training.order import BatchOrder
from lib.training.sjd2 import draw_levels, draw_noise
from lib.weights.torch_state import generator

REPORT, STATE = "tuning.json", "state"
MOMENTS = "exp_avg", "exp_avg_sq"  # AdamW's
BESIDE = (".json", ".txt", ".jinja", ".model")  # files of tokenizers and processors
OF_WEIGHTS = ("config.json", "generation_config.json", "model.safetensors.index.json")


@dataclass(frozen=True)
class Settings:
    """Whatever the tuned weights depend on.

    Attributes:
        model: the folder.
        shards: tar files and folders of them (huggingface/shards.py).
        batch: pictures of an update, of all processes together.
        denoising_steps: numbers of noise levels; every update takes one of them.
        spacing: see lib/decoding/noise_levels.py.
        noisy_run, clean_share, jumps: of the stretches of noise; see `lib.training.settings.Sjd2Params`.
        caption_dropout: share of prompts replaced by what guidance is away from.
        size: rows and columns of the pictures; None for the model's own.
        bf16: products in bfloat16; weights and moments stay float32.
    """

    model: str
    shards: tuple[str, ...]
    epochs: int = 6
    batch: int = 64
    learning_rate: float = 2e-5
    denoising_steps: tuple[int, ...] = (25,)
    spacing: Spacing = "karras"
    noisy_run: tuple[int, int] = (16, 128)
    clean_share: float = 0.5
    jumps: float = 0.3
    caption_dropout: float = 0.1
    size: tuple[int, int] | None = None
    seed: int = 0
    bf16: bool = False

    def __post_init__(self) -> None:
        if self.epochs < 1 or not self.learning_rate > 0 or min(self.denoising_steps, default=0) < 1:
            raise EaselError(
                "tuning needs at least one epoch, a learning rate above 0 and at least one denoising step."
            )
        if not 0 <= self.seed < 2**31:
            raise EaselError(f"the seed lies in 0 … 2³¹ − 1, which {self.seed} does not.")


class NoisyTrainee:
    """What `lib.training.loop.fit` trains; on every process, its part of each batch.

    Args:
        family: the model, on the CPU, in float32; tuned in place.
        state_folder: where checkpoints go, which all processes see.
        at_once: pictures that a process computes at once; the rest of its part is accumulated.
        checkpointing: compute activations of a layer twice, instead of keeping them.

    Raises:
        EaselError: captions cannot be dropped, since the model's folder does not say what stands for them.
    """

    def __init__(
        self,
        family: Family,
        layout: Layout,
        tokenizer: PreTrainedTokenizerBase,
        shards: Shards,
        settings: Settings,
        state_folder: Path,
        at_once: int = 1,
        checkpointing: bool = False,
    ):
        self.processes = processes()
        self.family, self.layout, self.tokenizer, self.shards = family, layout, tokenizer, shards
        self.settings, self.state_folder, self.at_once = settings, state_folder, at_once
        self.device, self.updates, self.written = self.processes.device, 0, -1
        self.network = NoisyReader(family, layout).train().requires_grad_(False)
        for part in family.drawing():
            part.requires_grad_(True)
        without_dropout(self.network)
        if checkpointing:
            family.model.activation_checkpointing_enable({"use_reentrant": False})
        if self.processes.num_processes > 1:
            shard(self.network, family.backbone.layers, settings.bf16)
        else:
            self.network.to(self.device)
        family.ids = family.ids.to(self.device)
        self.tuned = {name: weight for name, weight in self.network.named_parameters() if weight.requires_grad}
        self.optimizer = torch.optim.AdamW(self.tuned.values(), settings.learning_rate, betas=BETAS, weight_decay=0.0)
        if settings.caption_dropout:
            self.prompts([""], np.array([True]))  # refused now rather than in a later update

    def step(self, step: int, indices: np.ndarray) -> dict[str, float]:
        """One update on the samples `indices`, int64 [batch]: the loss, and that after clean and after noisy inputs."""
        random = np.random.Generator(np.random.PCG64([self.settings.seed, step]))
        levels = int(random.choice(self.settings.denoising_steps))
        dropped = random.random(len(indices)) < self.settings.caption_dropout
        part = len(indices) // self.processes.num_processes
        first = part * self.processes.process_index
        sums = torch.zeros(2, 2, dtype=torch.float64, device=self.device)  # clean and noisy: losses, and how many
        for start in range(first, first + part, self.at_once):
            # Gradients are added up in parts, each where it stays: whole ones would take more memory than the weights.
            loss, found = self.loss(step, levels, indices, dropped, range(start, start + self.at_once))
            (loss * self.at_once / part).backward()
            sums += found
        if self.processes.num_processes > 1:
            dist.all_reduce(sums)
        nn.utils.clip_grad_norm_(self.tuned.values(), CLIP)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.updates = step + 1
        means = {
            name: total / many for name, (total, many) in zip(("clean", "noisy"), sums.tolist(), strict=True) if many
        }
        return {"loss": float(sums[:, 0].sum() / sums[:, 1].sum())} | means

    def loss(
        self, step: int, steps: int, indices: np.ndarray, dropped: np.ndarray, rows: Sequence[int]
    ) -> tuple[Tensor, Tensor]:
        """The mean over some rows of a batch, and the sums that are logged, float64 [2, 2]."""
        texts, codes = zip(*(self.shards[int(indices[row])] for row in rows), strict=True)
        prompts = self.prompts(texts, dropped[rows.start : rows.stop]).to(self.device)
        drawn = [self.drawn(step, row, steps) for row in rows]
        levels, noise = (torch.stack(each).to(self.device) for each in zip(*drawn, strict=True))
        times = noise_levels.levels(steps, self.settings.spacing).to(self.device)
        tokens = torch.from_numpy(np.stack(codes)).to(self.device)  # [B, length]
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.settings.bf16):
            losses = self.network(prompts, tokens, levels, times, noise)  # [B, length]
        parts = [losses.detach()[levels == 0], losses.detach()[levels > 0]]
        return losses.mean(), torch.stack(
            [torch.stack([one.sum().double(), one.new_tensor(one.numel()).double()]) for one in parts]
        )

    def drawn(self, step: int, row: int, steps: int) -> tuple[Tensor, Tensor]:
        """Levels int64 [length] and noise [length, D] of one row of a batch."""
        seed, length = self.settings.seed, self.layout.length
        random = np.random.Generator(np.random.PCG64([seed, step, row + 1]))
        levels = draw_levels(random, 1, length, steps, self.settings)[0]
        width = self.network.model.get_input_embeddings().weight.shape[1]
        return torch.from_numpy(levels), draw_noise(generator(seed, step, row), (length, width), torch.device("cpu"))

    def prompts(self, texts: Sequence[str], dropped: np.ndarray) -> Prompts:
        """Of captions, some of them replaced by what guidance is away from."""
        encode = lambda text: self.family.prompt(self.family.config, self.tokenizer, text, self.layout)  # noqa: E731
        full = Prompts.of([encode(text) for text in texts])
        if not dropped.any():
            return full
        if made := self.family.unconditional(full.ids, full.real):
            away = torch.from_numpy(dropped)[:, None]
            return Prompts(
                *(torch.where(away, other, one) for one, other in zip((full.ids, full.real), made, strict=True))
            )
        return Prompts.of([encode("" if drop else text) for text, drop in zip(texts, dropped, strict=True)])

    # --- checkpoints: each process writes its part, and the file that `fit` writes names the whole

    def state(self) -> dict[str, np.ndarray]:
        """Writes weights and moments to a folder of their own; returns its number."""
        if self.processes.is_main_process and self.state_folder.is_dir():
            for folder in self.state_folder.iterdir():
                if folder.is_dir() and folder.name != str(self.written):
                    shutil.rmtree(folder)
        self.processes.wait_for_everyone()
        folder = self.state_folder / str(self.updates)
        with naming(folder):
            folder.mkdir(parents=True, exist_ok=True)
            writer = sharded.HuggingFaceStorageWriter(str(folder), save_distributed=True)
            self._collective(sharded.save, storage_writer=writer)
        self.written = self.updates
        return {"updates": np.array([self.updates])}

    def load_state(self, arrays: dict[str, np.ndarray]) -> None:
        """Reads what `state` wrote."""
        self.updates = self.written = int(arrays["updates"][0])
        folder = self.state_folder / str(self.updates)
        with naming(folder, "checkpoint"):
            reader = sharded.HuggingFaceStorageReader(str(folder))
            self._collective(sharded.load, storage_reader=reader)
        for weight in self.tuned.values():
            self.optimizer.state[weight]["step"].fill_(self.updates)

    def _collective(self, save_or_load: Callable[..., Any], **more: Any) -> None:
        """With the weights and moments of all processes; of a single one PyTorch warns that it is alone."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "torch.distributed is disabled")
            save_or_load(self._tensors(), no_dist=self.processes.num_processes == 1, **more)

    def _tensors(self) -> dict[str, Tensor]:
        """Weights and moments where they lie; moments are made if no update has."""
        found = {}
        for name, weight in self.tuned.items():
            own = self.optimizer.state[weight]
            if not own:
                own |= {"step": torch.tensor(0.0)} | {moment: torch.zeros_like(weight) for moment in MOMENTS}
            found |= {f"weight.{name}": weight.detach()} | {f"{moment}.{name}": own[moment] for moment in MOMENTS}
        return found

    def agree(self, wish: bool) -> bool:
        """Whether any process wishes it."""
        if self.processes.num_processes == 1:
            return wish
        wishes = torch.tensor(float(wish), device=self.device)
        dist.all_reduce(wishes, dist.ReduceOp.MAX)
        return bool(wishes)

    def weights(self) -> dict[str, Tensor]:
        """All weights of the model, whole, on the CPU of the first process."""
        found = {}
        for name, value in self.family.model.state_dict().items():
            whole = value.full_tensor() if isinstance(value, DTensor) else value  # gathered by all of them
            if self.processes.is_main_process:
                found[name] = whole.cpu()
        return found


def processes() -> PartialState:
    """This process and those that were started with it."""
    return PartialState(cpu=not torch.cuda.is_available())


def without_dropout(network: nn.Module) -> None:
    """Switches dropout off in a network that is in training mode, which gradient checkpointing asks for."""
    for module in network.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        if hasattr(module, "attention_dropout"):
            module.attention_dropout = 0.0


def shard(network: NoisyReader, layers: Sequence[nn.Module], bf16: bool) -> None:
    """Divides weights among the processes (FSDP2): every layer by itself, all else that is tuned together."""
    frozen = {weight for weight in network.parameters() if not weight.requires_grad}
    policy = MixedPrecisionPolicy(torch.bfloat16 if bf16 else None, torch.float32, cast_forward_inputs=False)
    for layer in layers:
        fully_shard(layer, mp_policy=policy)
    fully_shard(network, mp_policy=policy, ignored_params=frozen)


def tune(
    settings: Settings, out: Path, at_once: int = 1, checkpointing: bool = False, save_every: float = 1800.0
) -> dict[str, Any]:
    """Tunes a model's folder into the folder `out`, of the same class; goes on where an interrupted run stopped.

    Beside the model, `out` gets the section `noise_levels` in config.json, which decoders read, and tuning.json:
    settings and history.

    Args:
        at_once, checkpointing: see `NoisyTrainee`.
        save_every: seconds between checkpoints. Two are on the disk, of 12 bytes a tuned parameter each.

    Returns:
        what tuning.json has.

    Raises:
        EaselError: a folder, shards or settings that are not as they should be, before anything long; an `out` of other
            settings; a loss that is no number.
    """
    told = NoiseLevels(spacing=settings.spacing, denoising_steps=settings.denoising_steps)
    own = json.loads(json.dumps(asdict(settings)))
    if (out / REPORT).is_file():
        with naming(out / REPORT, "JSON"):
            report = json.loads((out / REPORT).read_text(encoding="utf-8"))
        if report["settings"] != own:
            raise EaselError(f"{out} has a model that was tuned with other settings; name another folder.")
        return report
    count = processes().num_processes
    if at_once < 1 or settings.batch % (count * at_once):
        raise EaselError(
            f"a batch of {settings.batch} cannot be divided among {count} processes, {at_once} pictures at once."
        )
    checked = folders.check(settings.model, settings.size)
    tokenizer = folders.load_tokenizer(checked.folder)
    shards = Shards(settings.shards, checked.layout, len(checked.family.image_tokens(checked.config)))
    order = BatchOrder(len(shards), settings.batch, settings.seed)
    family = folders.load(checked)
    trainee = NoisyTrainee(family, checked.layout, tokenizer, shards, settings, out / STATE, at_once, checkpointing)
    history = fit(
        trainee,
        name="finetune",
        steps=settings.epochs * (len(shards) // settings.batch),
        order=order,
        checkpoint=out / STATE / "state.safetensors",
        fingerprint=hashlib.sha256(json.dumps([own, shards.identity]).encode()).hexdigest(),
        save_every=save_every,
        first=trainee.processes.is_main_process,
        agree=trainee.agree,
    )
    report = {"settings": own, "pictures": len(shards), "history": history}
    weights = trainee.weights()
    if trainee.processes.is_main_process:
        setattr(family.config, SECTION, told.model_dump(mode="json"))
        _export(family, weights, checked.folder, out, report)
    trainee.processes.wait_for_everyone()
    return report


def _export(family: Family, weights: dict[str, Tensor], source: Path, out: Path, report: dict[str, Any]) -> None:
    """Writes the folder, tuning.json last: what has it is complete, and needs no checkpoint."""
    with naming(out):
        family.model.save_pretrained(out, state_dict=weights)
        for path in sorted(source.iterdir()):
            if path.suffix in BESIDE and path.name not in (*OF_WEIGHTS, REPORT):
                shutil.copyfile(path, out / path.name)
        part = out / f"{REPORT}.part"
        part.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        os.replace(part, out / REPORT)
        shutil.rmtree(out / STATE)
