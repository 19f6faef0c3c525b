"""What was measured → the table and gpu.json."""

import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.gpu.made_up import COPIED, Size
from benchmarks.gpu.measure import FIRST, GUIDANCE, STEPS, Line
from lib.data.store import write_json
from lib.evidence import tables
from lib.evidence.tables import Number
from lib.hardware import machine

# Dense bf16 products a second by NVIDIA's data sheets, of the parts whose name says which they are.
DATA_SHEET = {
    "H200": 989e12,
    "H100 80GB HBM3": 989e12,
    "H100 PCIe": 756e12,
    "A100": 312e12,
    "L40S": 362e12,
    "L4": 121e12,
}
PRECISION = "Training computes in bf16, decoding in float32 with TF32 products. "


def row(line: Line, plain: float, gemm: float, data_sheet: float | None, recorded: bool) -> dict[str, Any]:
    """A line of the table.

    Args:
        recorded: whether there was a device whose kernels could be.
        plain: seconds of an autoregressive picture with the same way of launching kernels; NaN if not known.
        gemm: operations a second of a large product.
    """
    rate = line.operations / float(np.median(line.seconds))
    return {
        "what": line.name if line.picture else f"training: {line.name}",
        "CUDA graphs": "buffers alone" if line.graphs and not recorded else line.graphs,
        "parameters": Number(line.parameters / 1e6, digits=1),
        "batch": line.batch,
        "updates or passes": Number(line.calls, digits=1),
        "each": spread([1e3 * value for value in line.seconds], 3),
        "rate": Number(rate / 1e12, digits=2),
        "MFU": data_sheet and Number(100 * rate / data_sheet, digits=1),
        "share of a product's": Number(100 * rate / gemm, digits=1),
        "a picture": spread(line.picture, 4) if line.picture else None,
        "times faster": Number(plain / float(np.median(line.picture)), digits=2) if line.picture else None,
    }


def peak(gpu: str | None) -> float | None:
    """Dense bf16 products a second by the data sheet of a card; None if this code does not know it."""
    return next((rate for name, rate in DATA_SHEET.items() if gpu and re.search(rf"{name}\b", gpu)), None)


def spread(values: Sequence[float], digits: int) -> Number:
    """Median, least and most."""
    return Number(float(np.median(values)), min(values), max(values), digits=digits)


def write(out: Path, lines: Sequence[Line], gemm: float, device: torch.device, size: Size) -> list[Path]:
    """The table and gpu.json, of what there is so far."""
    here = machine()
    gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else None
    data_sheet = peak(gpu)
    plain = {line.graphs: float(np.median(line.picture)) for line in lines if line.picture and line.name == FIRST}
    rows = [row(line, plain.get(line.graphs, float("nan")), gemm, data_sheet, gpu is not None) for line in lines]
    where = f"{gpu}, " if gpu else "A rehearsal on a CPU at a tiny size, whose numbers mean nothing: "
    told = {"gpu": gpu, "torch": torch.__version__, "cuda": torch.version.cuda, **here, "gemm": gemm}
    out.parent.mkdir(parents=True, exist_ok=True)
    write_json(
        out.with_suffix(".json"), {"machine": told, "size": asdict(size), "lines": [asdict(one) for one in lines]}
    )
    known = f"{data_sheet / 1e12:.0f} TFLOP/s" if data_sheet else "not known here"
    return tables.write(
        out,
        rows,
        caption=f"Training and latency at batch 1 of this repository's networks on {'one GPU' if gpu else 'a CPU'}.",
        source=f"{where}{here['cpu']}, {here['cores']} cores; PyTorch {torch.__version__}.",
        units={
            "parameters": "M",
            "each": "ms",
            "rate": "TFLOP/s",
            "MFU": "%",
            "share of a product's": "%",
            "a picture": "s",
        },
        notes=[
            f"Medians [least, most]. A large bf16 product reached {gemm / 1e12:.3g} TFLOP/s; MFU is of the data "
            f"sheet's dense bf16 rate, {known}. Operations are those of matrix products, attention in full; of an "
            f"update, three times the forward pass. {PRECISION if gpu else ''}"
            f"Pictures of {size.side} × {size.side} tokens are of a made-up law in which {100 * COPIED:.0f} % of the "
            f"tokens copy a neighbour; passes depend on it. Guidance {GUIDANCE:g}; SJD2 with {STEPS} denoising steps.",
        ],
        stage="none: `benchmarks/gpu.sh`",
        sources=["benchmarks/gpu/__main__.py"],
        parameters=asdict(size),
    )
