"""The study's tables of the masked model alone: what its passes know, negative prompts, gaps that it fills."""

from typing import Any

from lib.evidence.tables import Number, interval
from studies.muse.code.reports import Results

HEALTH = {
    "caption": "What each pass of the masked model knows: entropy of its predictions, and how sure it is of tokens.",
    "units": {"entropy": "nats", "confidence": "nats"},
    "notes": [
        "The first training. Entropy: mean over the tokens that are masked. Confidence: mean log-probability of the "
        "tokens that the pass fixed. A run whose pictures empty is sure of all of them early."
    ],
    "claims": ["C34"],
}


def health_rows(report: Results) -> list[dict[str, Any]]:
    """One row a run and pass."""
    return [
        {
            "run": name.replace("_", " "),
            "pictures": one.pictures,
            "pass": at,
            "entropy": Number(entropy, digits=3),
            "confidence": Number(sure, digits=3),
        }
        for name, one in report.health.items()
        for at, (entropy, sure) in enumerate(zip(one.entropy, one.confidence, strict=True), 1)
    ]


DECODERS = {
    "caption": "A larger decoder for the same tokens, beside the tokenizer's own as it is and trained as long.",
    "units": {"parameters": "millions", "PSNR": "dB"},
    "notes": [
        "Encoder, codebook and all other networks as they were. PSNR: test pictures rebuilt from their tokens. FID and "
        "KID: what the masked model drew in its usual number of passes, by the first training."
    ],
    "claims": ["P14"],
}


def decoder_rows(report: Results) -> list[dict[str, Any]]:
    """One row a decoder."""
    return [
        {
            "decoder": name,
            "trainings": len(one.psnr.by_seed),
            "parameters": Number(one.parameters / 1e6, digits=2),
            "PSNR": interval(one.psnr, 2),
            "FID": interval(one.fid, 2),
            "KID": interval(one.kid, 4),
        }
        for name, one in report.decoders.items()
    ]


NEGATIVE = {
    "caption": "Prompts that leave a colour open, with guidance away from a caption that names one.",
    "units": {"colour shown": "%"},
    "notes": [
        "The masked model with the largest guidance tried; four pictures of a prompt from each training, the same "
        "random numbers either way. Colour shown: pictures with an object of the colour that the negative caption "
        "names."
    ],
    "claims": ["D71"],
}


def negative_rows(report: Results) -> list[dict[str, Any]]:
    """One row a caption that guidance leads away from."""
    return [
        {
            "guidance away from": f"the {way} caption" if way == "dropped" else "a negative caption",
            "prompts": one.shown.n,
            "trainings": len(one.shown.by_seed),
            "colour shown": interval(one.shown, 1, 100),
            "objects": Number(one.objects, digits=2),
        }
        for way, one in report.negative.items()
    ]


INPAINTING = {
    "caption": "The middle of test pictures drawn anew, the rest given.",
    "units": {"right": "%", "same tokens": "%"},
    "notes": [
        "Right: the reader sees the objects of the original and no others. The autoregressive model draws in reading "
        "order and cannot look at what is given further on."
    ],
    "claims": ["C35"],
}


def inpainting_rows(report: Results) -> list[dict[str, Any]]:
    """One row a model."""
    return [
        {
            "model": one.training,
            "pictures": one.pictures,
            "right": interval(one.right, 1, 100),
            "same tokens": interval(one.same, 1, 100),
        }
        for one in report.inpainting.values()
    ]
