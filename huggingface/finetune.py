"""Tunes a model of transformers to read noisy embeddings, as SJD2 does, so that its decoder takes fewer passes.

    python -m huggingface.finetune --model path/to/Emu3-Gen-hf --shards shards/ --out tuned --bf16 --checkpointing
    torchrun --nproc-per-node 8 -m huggingface.finetune …     the same on eight devices
    python -m huggingface.finetune --plan                     memory and hours of the paper's two models

The defaults are the paper's numbers. The folder and all shards are looked at before anything is loaded. The same
command goes on where an interrupted one stopped. docs/huggingface.md says what shards hold.
"""

import argparse
import sys
from pathlib import Path

from huggingface.generate import read_size
from lib.errors import EaselError, command_line


@command_line
def main(arguments: list[str]) -> None:
    """Command line: tunes, or says what tuning takes."""
    parser = argparse.ArgumentParser(prog="python -m huggingface.finetune", description=__doc__.splitlines()[0])
    parser.add_argument("--model", help="a folder that save_pretrained has made")
    parser.add_argument("--shards", nargs="+", default=[], help="tar files of tokens and captions, or folders of them")
    parser.add_argument("--out", type=Path, help="the folder of the tuned model")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--batch", type=int, default=64, help="pictures of an update, of all processes together")
    parser.add_argument("--learning-rate", type=float, default=2e-5)
    parser.add_argument("--steps", type=int, nargs="+", default=[25], help="numbers of noise levels")
    parser.add_argument("--size", help="ROWSxCOLUMNS in tokens; the model's own if left out")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--bf16", action="store_true", help="products in bfloat16")
    parser.add_argument("--checkpointing", action="store_true", help="less memory, more time: activations twice")
    parser.add_argument("--at-once", type=int, default=1, help="pictures that a process computes at once")
    parser.add_argument("--save-every", type=float, default=30, help="minutes between checkpoints")
    parser.add_argument("--plan", action="store_true", help="print memory and hours on 8 devices, and tune nothing")
    given = parser.parse_args(arguments)
    size = given.size and read_size(given.size)
    missing = [name for name in ("model", "shards", "out") if not getattr(given, name)]
    if missing and not given.plan:
        raise EaselError(f"tuning needs --{' and --'.join(missing)}; --plan alone needs none of them.")
    # Here and not above: arguments are checked without waiting for PyTorch.
    if given.plan:
        from huggingface import plan

        if given.model:
            print(plan.of_folder(given.model, size, levels=given.steps[0], at_once=given.at_once))
            return
        for name, paper in plan.PAPER.items():
            print(f"{name}, on 8 devices as the paper's, which took {paper.hours} hours\n{plan.of_paper(name)}\n")
        return
    from accelerate import PartialState

    from huggingface.tuning import Settings, tune

    settings = Settings(
        given.model,
        tuple(given.shards),
        given.epochs,
        given.batch,
        given.learning_rate,
        tuple(given.steps),
        size=size or None,
        seed=given.seed,
        bf16=given.bf16,
    )
    report = tune(settings, given.out, given.at_once, given.checkpointing, 60 * given.save_every)
    last = report["history"][-1]
    PartialState().print(
        f"{given.out}: {last['step']} updates on {report['pictures']} pictures, loss {last['loss']:.4f}"
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
