"""What one GPU does with this repository's networks, in ten minutes: `benchmarks/gpu.sh` → results/benchmarks/gpu.*.

Training: updates a second of the autoregressive model, of its tuning for SJD2 and of Muse, as model FLOPs utilization
(Chowdhery et al. 2022, arXiv:2204.02311, appendix B). Then, with the networks just trained, the latency of one picture
with guidance: autoregressive sampling, speculative Jacobi decoding, SJD2, Jacobi decoding with shared noise, Muse's
masked decoding; each with its network's kernels launched one by one, and as CUDA graphs.

Pictures are of a made-up law, nine of ten tokens copies of a neighbour, so that nothing has to be fetched or drawn
first. So seconds a pass are the networks'; how many passes there are depends on the law and on how far the training
came, and is not what a real model needs. Without a GPU the same runs at a tiny size, as a rehearsal whose numbers mean
nothing.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import torch

from benchmarks.gpu.made_up import FULL, TINY
from benchmarks.gpu.measure import Bench
from benchmarks.gpu.table import write
from lib.errors import EaselError, command_line

OUT, REHEARSAL = Path("results/benchmarks/gpu"), Path("build/benchmarks/gpu")


@command_line
def main(arguments: list[str]) -> None:
    """Command line: measures, and writes after every line what there is."""
    parser = argparse.ArgumentParser(prog="benchmarks/gpu.sh", description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=480.0, help="for all of it, about; compiling comes on top")
    parser.add_argument("--out", type=Path, help=f"without suffix; {OUT}, and {REHEARSAL} without a GPU")
    given = parser.parse_args(arguments)
    if not 0 < given.seconds <= 86400:
        raise EaselError(f"--seconds {given.seconds:g}: name a time above 0, of a day at most.")
    cuda = torch.cuda.is_available()
    device = torch.device("cuda" if cuda else "cpu")
    if cuda:
        torch.set_float32_matmul_precision("high")
    bench = Bench(FULL if cuda else TINY, device, given.seconds)
    out, lines, gemm = given.out or (OUT if cuda else REHEARSAL), [], bench.gemm()
    for line in bench.run():
        lines.append(line)
        paths = write(out, lines, gemm, device, bench.size)
        print(f"[benchmark] {line.name}: {1e3 * float(np.median(line.seconds)):.3f} ms each", flush=True)
    print(next(path for path in paths if path.suffix == ".md").read_text(encoding="utf-8"))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
