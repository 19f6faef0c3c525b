"""Pictures that a study draws for itself: parts of Scenes that are simpler than the shared data, and their tokens.

A part lies in <where>/<part>/data, in the format of `lib.data.store`, its tokens in <where>/<part>/tokens/<tokenizer>/
<split>_<size>.npy. Data that are not drawn here have no parts: every part is all of them, whose tokens lie in
<where>/tokens.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lib.config import Params
from lib.data.store import Split
from lib.models import vqgan
from lib.ownership import MANIFEST, fresh
from lib.pipeline import parts
from lib.pipeline.parts import Part, Result
from lib.pipeline.stage import Training
from lib.scenes.make import make
from lib.scenes.part import part_of
from lib.weights import checkpoint

DATA, TOKENIZERS = Path("data"), Path("build/tokenizer")


@dataclass(frozen=True, order=True)
class Folders:
    """Where the pictures of a part lie, and the tokens of one tokenizer, `<split>_<size>.npy`."""

    data: Path
    tokens: Path


def folders(where: Path, part: str, tokenizer: str) -> Folders:
    """Those of a part that was drawn; where none was, of everything there is."""
    drawn = where / part / "data"
    if drawn.is_dir():
        return Folders(drawn, where / part / "tokens" / tokenizer)
    return Folders(DATA, where / "tokens" / tokenizer)


def make_parts(
    stage: str,
    params: Params,
    where: Path,
    changes: Mapping[str, Mapping[str, Any]],
    tokenizers: Mapping[str, Sequence[str]],
    splits: Sequence[str],
) -> None:
    """Draws all parts and encodes them.

    Args:
        stage: whose name the encodings are kept under.
        where: the folder of all parts; what an earlier run left there is removed.
        changes: part → what is other in it than in section scenes, see `lib.scenes.part.part_of`.
        tokenizers: part → those whose tokens are wanted.
        splits: that are encoded.

    Raises:
        Refused: changes that section scenes cannot have, or backgrounds that a tokenizer leaves out.
    """
    drawn = params.data.source == "scenes"
    given = {name: part_of(params.scenes, own, left_out(params, tokenizers[name])) for name, own in changes.items()}
    fresh(where)
    for name, (scenes, kept) in given.items() if drawn else ():
        make(where / name / "data", scenes, params.threads, kept)
    wanted = {(folders(where, name, one), one) for name in changes for one in tokenizers[name]}
    listed = {target: part for own, one in sorted(wanted) for target, part in encodings(own, one, splits)}
    paths = parts.run(stage, list(listed.values()))
    for target, part in listed.items():
        target.parent.mkdir(parents=True, exist_ok=True)
        np.save(target, checkpoint.load(paths[part.name])[0]["tokens"])


def left_out(params: Params, tokenizers: Sequence[str]) -> list[str]:
    """The kinds of background that one of the tokenizers does not know."""
    return sorted({kind for one in tokenizers for kind in getattr(params.tokenizer, one).leave_out})


def encodings(own: Folders, tokenizer: str, splits: Sequence[str]) -> Iterator[tuple[Path, Part]]:
    """File → what encodes it, of every split and size of the pictures."""
    for split in splits:
        for size, count in Split.open(own.data, split).lengths.items():
            yield (
                own.tokens / f"{split}_{size}.npy",
                Part(
                    name=f"{own.data}, {tokenizer}, {split}, {size}",
                    work=encode,
                    arguments={"data": str(own.data), "tokenizer": tokenizer, "split": split, "size": size},
                    inputs=[own.data / MANIFEST, TOKENIZERS / tokenizer],
                    size=count * size**2,
                ),
            )


def encode(training: Training, *, data: str, tokenizer: str, split: str, size: int) -> Result:
    """Pictures of a split and a size → tokens uint16 [N, h, w]; no checkpoint, it is over before one pays."""
    network = vqgan.load(TOKENIZERS / tokenizer)
    return {"tokens": vqgan.encode_batches(network, Split.open(Path(data), split).images(size))}, {}
