"""Prompt in, ranked pictures out.

    from lib.generate import Painter
    painting = Painter().paint("a red star on a blue background", candidates=8)

or `python -m lib.generate "a red star on a blue background" --candidates 8 --out grid.png`.

DALL·E Mini draws image tokens, the VQGAN turns them into pictures, CLIP ranks those (as the original does: its demo
draws several pictures and shows the best). DALL·E Mini runs in a process of its own, which stays for the next call.

Other models draw in its place: `Painter(model="muse")` takes what the study of that name has published
(lib/painter/published.py), the masked model if there is one, `Painter(model="muse/latent")` the one named. A masked
model also edits: `painter.edit(picture, prompt, mask)`, or `python -m lib.edit`.
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lib.errors import EaselError, command_line, naming
from lib.painter.painting import Painting, Paintings, Sampled, check_path
from lib.painter.worker import MODEL, TEXT, Worker, check_prompts
from lib.text import TextTokenizer

DALLE_MINI = "dalle_mini"  # the model that paints if none is named
# As in the study (params.yaml, sampling), where both were chosen on prompts of another seed. A picture has few tokens
# and one bad one spoils it, so the unlikeliest, which have 5 % of the probability together, are not drawn.
GUIDANCE, TOP_P = 2.0, 0.95
SAMPLING = {"guidance": GUIDANCE, "temperature": 1.0, "top_k": 0, "top_p": TOP_P}  # of DALL·E Mini

# What must be there, below the folder of trained networks: for every model, and for DALL·E Mini.
SHARED = (TEXT, "clip/model.safetensors")
NEEDED = (*SHARED, MODEL + "/model.safetensors", MODEL + "/metrics.json")


class Painter:
    """Paints prompts, in every language that the networks were trained on.

    `close()`, or leaving a `with` block, ends the sampling process; so does the end of this one.

    Args:
        folder: of the trained networks.
        batch_size: pictures that are sampled together.
        cores: that sampling may use; all that this process may run on, if None.
        model: "dalle_mini"; or <study>/<model>, or <study> for the model of its that can do most, of those that were
            published there (lib/painter/published.py). These draw in this process, with PyTorch.

    Raises:
        EaselError: a network is missing; the message names the command that makes it.
    """

    def __init__(
        self, folder: Path | str = "build", batch_size: int = 8, cores: int | None = None, model: str = DALLE_MINI
    ):
        folder = Path(folder)
        for name in NEEDED if model == DALLE_MINI else SHARED:
            if not (folder / name).is_file():
                raise EaselError(
                    f"there is no {folder / name} to paint with; `make networks` brings it from Git, or "
                    "`make repro` makes it."
                )
        if batch_size < 1:
            raise EaselError(f"a batch must hold at least one picture, not {batch_size}.")
        # Here and not above: the command line checks its arguments without waiting for PyTorch.
        from lib.models import clip, vqgan

        self.text = TextTokenizer.load(folder / TEXT)
        self.clip = clip.load(folder / "clip")
        if model == DALLE_MINI:
            with naming(folder / MODEL / "metrics.json", "JSON"):
                tokenizer = json.loads((folder / MODEL / "metrics.json").read_text(encoding="utf-8"))["tokenizer"]
            self.vqgan, self.sampling = vqgan.load(folder / "tokenizer" / tokenizer), SAMPLING
            self.worker = Worker(folder, batch_size, cores or _cores())
        else:
            import torch

            from lib.painter import artist, kinds

            if cores:
                torch.set_num_threads(cores)
            found = kinds.load(folder, model)
            self.vqgan, self.sampling = found.tokenizer, dict(found.sampling)
            self.worker = artist.Artist(found, self.text, batch_size)

    def paint(self, prompt: str, candidates: int = 8, seed: int = 0, **settings: Any) -> Painting:
        """Pictures of one prompt, ranked; see `paint_all`."""
        return self.paint_all([prompt], candidates, seed, **settings)[0]

    def paint_all(self, prompts: Sequence[str], candidates: int = 8, seed: int = 0, **settings: Any) -> Paintings:
        """Pictures of every prompt, ranked.

        A picture is a function of its prompt, the seed, its number among the candidates and the settings: more
        candidates add pictures and change none, and a prompt's pictures are the same alone and in a list.

        Args:
            candidates: pictures a prompt.
            settings: those that are not to be as in `sampling`. DALL·E Mini has guidance, temperature, top_k and top_p
                (`lib.decoding.autoregressive_jax.sample`), other models what their module of lib/painter says.

        Raises:
            EaselError: a prompt is empty or longer than the networks read, or a setting is none of the model's or
                outside its range.
        """
        if isinstance(prompts, str) or not prompts:
            raise EaselError("paint_all needs a list of prompts; paint takes a single one.")
        prompts = list(prompts)
        self._check(prompts, candidates, seed)
        if unknown := [name for name in settings if name not in self.sampling]:
            raise EaselError(f"this model has no setting {unknown[0]}; it has {', '.join(self.sampling)}.")
        drawn = self.worker.sample(prompts, candidates, seed, self.sampling | settings)
        if drawn.pictures.ndim == 5:
            return self._ranked(prompts, drawn.pictures, None, drawn.passes)
        return self._decoded(prompts, drawn)

    def edit(
        self,
        picture: np.ndarray | Path | str,
        prompt: str,
        mask: np.ndarray | None = None,
        candidates: int = 8,
        seed: int = 0,
        **settings: Any,
    ) -> Painting:
        """The picture as the prompt says, candidates of it, ranked.

        With a mask (in- and outpainting): of the image tokens of which it covers a pixel all are drawn anew, the others
        come back untouched, and so do the pixels outside of the mask, which are those of the picture given. An
        autoregressive model sees of what is known only what stands before a token.

        Without one, a masked model draws a few tokens anew, chosen by chance, over and over (lib/decoding/editing.py):
        any pixel may change, and where none of the tokens does, it is what the image tokenizer makes of the picture.

        Args:
            picture: uint8 [H, W, 3], or a file, of the size that the model draws.
            mask: bool [H, W], true where the picture is drawn anew (lib/painter/canvas.py reads and makes some).
            candidates, seed: as of `paint_all`.
            settings: with a mask as of `paint_all`, without one those of `lib.painter.masked.Resampling`.

        Raises:
            EaselError: as of `paint_all`; a picture or a mask of another size, or a model that does not edit.
        """
        from lib.models import vqgan
        from lib.painter import canvas
        from lib.painter.model import Editing, Filling

        model = None if isinstance(self.worker, Worker) else self.worker.model
        if not isinstance(model, Editing if mask is None else Filling):
            cannot = "edit without a mask" if mask is None else "fill gaps"
            raise EaselError(f"{model.name if model else 'DALL·E Mini'} does not {cannot}; a masked model does.")
        if not isinstance(picture, np.ndarray):
            picture = canvas.read_picture(picture)
        stride, (rows, columns) = self.vqgan.stride, model.grid
        side = (stride * rows, stride * columns)
        canvas.check_picture(picture, side)
        self._check([prompt], candidates, seed)
        tokens = vqgan.encode_batches(self.vqgan, picture[None])[0].astype(np.int64)  # [h, w]
        if mask is None:
            drawn = self.worker.resample(prompt, candidates, seed, settings, tokens.reshape(-1))
            return self._decoded([prompt], drawn)[0]
        canvas.check_mask(mask, side)
        known = np.where(canvas.cells(mask, stride), -1, tokens)
        drawn = self.worker.fill(prompt, candidates, seed, settings, known.reshape(-1))
        grids = self._grids(drawn.pictures)
        pictures = canvas.pasted(vqgan.decode_batches(self.vqgan, grids[0]), picture, mask)
        return self._ranked([prompt], pictures[None], grids, drawn.passes)[0]

    def _check(self, prompts: list[str], candidates: int, seed: int) -> None:
        if candidates < 1:
            raise EaselError(f"at least one candidate must be painted, not {candidates}.")
        if not 0 <= seed < 2**32:
            raise EaselError(f"the seed must lie in 0 … 2³² − 1; it is {seed}.")
        check_prompts(self.text, prompts, self.clip.config.length, "CLIP")

    def _grids(self, tokens: np.ndarray) -> np.ndarray:
        """Image tokens [P, n, T] of square pictures → [P, n, h, w]."""
        side = round(tokens.shape[2] ** 0.5)
        return tokens.reshape(*tokens.shape[:2], side, side)

    def _decoded(self, prompts: list[str], drawn: Sampled) -> Paintings:
        """Image tokens → pictures, the best of every prompt first."""
        from lib.models import vqgan

        tokens = self._grids(drawn.pictures)
        pictures = vqgan.decode_batches(self.vqgan, tokens.reshape(-1, *tokens.shape[2:]))  # [P·n, S, S, 3]
        return self._ranked(prompts, pictures.reshape(*tokens.shape[:2], *pictures.shape[1:]), tokens, drawn.passes)

    def _ranked(
        self, prompts: list[str], pictures: np.ndarray, tokens: np.ndarray | None, passes: np.ndarray
    ) -> Paintings:
        """Pictures uint8 [P, n, S, S, 3], their tokens [P, n, h, w] if they have any, and passes [P, n], the best of
        every prompt first."""
        from lib.models import clip

        seen = clip.embed_images(self.clip, pictures.reshape(-1, *pictures.shape[2:]))  # [P·n, E]
        read = clip.embed_texts(self.clip, self.text.encode(prompts, self.clip.config.length))  # [P, E]
        scores = 100 * np.einsum("pne,pe->pn", seen.reshape(*pictures.shape[:2], -1), read)
        grids = [None] * len(prompts) if tokens is None else tokens
        return Paintings(map(Painting.ranked, prompts, pictures, scores, grids, passes))

    def close(self) -> None:
        """Ends the sampling process; the next call would start another."""
        self.worker.close()

    def __enter__(self) -> "Painter":
        return self

    def __exit__(self, *_) -> None:
        self.close()


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options that painting and editing share; sampling settings are in what is parsed only if they were given."""
    parser.add_argument("--out", type=Path, default=Path("grid.png"), help="the picture that is written")
    parser.add_argument("--candidates", type=int, default=8, help="pictures a prompt")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, default=Path("build"), help="of the trained networks")
    settings = parser.add_argument_group("sampling settings; those that are left out are the model's own")
    for name, kind, meaning in (
        ("--guidance", float, "towards the prompt; 1 is none"),
        ("--temperature", float, "0 takes the most likely tokens"),
        ("--top-k", int, "tokens that may be drawn; 0 is all"),
        ("--steps", int, "passes, of models that draw all tokens at once"),
    ):
        settings.add_argument(name, type=kind, default=argparse.SUPPRESS, help=meaning)


def show(paintings: Paintings, out: Path) -> None:
    """Writes the grid, prints every prompt's scores."""
    paintings.save(out)
    for painting in paintings:
        print(f"{painting.prompt}: CLIP {', '.join(f'{score:.1f}' for score in painting.scores)}")
    print(f"best pictures first: {out}")


@command_line
def main(arguments: list[str]) -> None:
    """Command line: paints, prints every prompt's scores, writes the grid."""
    parser = argparse.ArgumentParser(prog="python -m lib.generate", description=__doc__.splitlines()[0])
    parser.add_argument("prompts", nargs="+", help="what to paint, each prompt in quotation marks")
    add_options(parser)
    parser.add_argument("--model", default=DALLE_MINI, help="<study> or <study>/<model>; if left out, DALL·E Mini")
    parser.add_argument(
        "--top-p", type=float, default=argparse.SUPPRESS, help="probability of the tokens drawn from; 1 is all"
    )
    given = vars(parser.parse_args(arguments))
    out, folder, model = (given.pop(name) for name in ("out", "folder", "model"))
    check_path(out, "--out")
    with Painter(folder, model=model) as painter:
        show(painter.paint_all(**given), out)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
