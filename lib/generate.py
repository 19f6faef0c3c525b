"""Prompt in, ranked pictures out.

    from lib.generate import Painter
    painting = Painter().paint("a red star on a blue background", candidates=8)

or `python -m lib.generate "a red star on a blue background" --candidates 8 --out grid.png`.

DALL·E Mini draws image tokens, the VQGAN turns them into pictures, CLIP ranks those (as the original does: its demo
draws several pictures and shows the best). DALL·E Mini runs in a process of its own, which stays for the next call.
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lib.errors import EaselError, command_line, naming
from lib.painter.painting import Painting, Paintings, check_path
from lib.painter.worker import MODEL, TEXT, Worker, check_prompts
from lib.text import TextTokenizer

# As in the study (params.yaml, sampling), where both were chosen on prompts of another seed. A picture has few tokens
# and one bad one spoils it, so the unlikeliest, which have 5 % of the probability together, are not drawn.
GUIDANCE, TOP_P = 2.0, 0.95

# What must be there, below the folder of trained networks.
NEEDED = (TEXT, "clip/model.safetensors", MODEL + "/model.safetensors", MODEL + "/metrics.json")


class Painter:
    """Paints prompts, in every language that the networks were trained on.

    `close()`, or leaving a `with` block, ends the sampling process; so does the end of this one.

    Args:
        folder: of the trained networks.
        batch_size: pictures that are sampled together.
        cores: that sampling may use; all that this process may run on, if None.

    Raises:
        EaselError: a network is missing; the message names the command that makes it.
    """

    def __init__(self, folder: Path | str = "build", batch_size: int = 8, cores: int | None = None):
        folder = Path(folder)
        for name in NEEDED:
            if not (folder / name).is_file():
                raise EaselError(f"there is no {folder / name} to paint with; `make repro` makes it.")
        if batch_size < 1:
            raise EaselError(f"a batch must hold at least one picture, not {batch_size}.")
        # Here and not above: the command line checks its arguments without waiting for PyTorch.
        from lib.models import clip, vqgan

        self.text = TextTokenizer.load(folder / TEXT)
        self.clip = clip.load(folder / "clip")
        with naming(folder / MODEL / "metrics.json", "JSON"):
            tokenizer = json.loads((folder / MODEL / "metrics.json").read_text(encoding="utf-8"))["tokenizer"]
        self.vqgan = vqgan.load(folder / "tokenizer" / tokenizer)
        self.worker = Worker(folder, batch_size, cores or _cores())

    def paint(self, prompt: str, candidates: int = 8, seed: int = 0, **settings: float) -> Painting:
        """Pictures of one prompt, ranked; see `paint_all`."""
        return self.paint_all([prompt], candidates, seed, **settings)[0]

    def paint_all(
        self,
        prompts: Sequence[str],
        candidates: int = 8,
        seed: int = 0,
        guidance: float = GUIDANCE,
        temperature: float = 1.0,
        top_k: int = 0,
        top_p: float = TOP_P,
    ) -> Paintings:
        """Pictures of every prompt, ranked.

        A picture is a function of its prompt, the seed, its number among the candidates and the settings: more
        candidates add pictures and change none, and a prompt's pictures are the same alone and in a list.

        Args:
            candidates: pictures a prompt.
            guidance, temperature, top_k, top_p: see `lib.decoding.autoregressive_jax.sample`.

        Raises:
            EaselError: a prompt is empty or longer than the networks read, or a setting is outside its range.
        """
        if isinstance(prompts, str) or not prompts:
            raise EaselError("paint_all needs a list of prompts; paint takes a single one.")
        if candidates < 1:
            raise EaselError(f"at least one candidate must be painted, not {candidates}.")
        if not 0 <= seed < 2**32:
            raise EaselError(f"the seed must lie in 0 … 2³² − 1; it is {seed}.")
        prompts = list(prompts)
        check_prompts(self.text, prompts, self.clip.config.length, "CLIP")
        settings = {"guidance": guidance, "temperature": temperature, "top_k": top_k, "top_p": top_p}
        tokens = self.worker.sample(prompts, candidates, seed, settings)  # [P, n, T]
        side = round(tokens.shape[2] ** 0.5)
        tokens = tokens.reshape(len(prompts), candidates, side, side)
        return self.rank(prompts, tokens)

    def rank(self, prompts: list[str], tokens: np.ndarray) -> Paintings:
        """Image tokens [P, n, h, w] → pictures, the best of every prompt first."""
        from lib.models import clip, vqgan

        pictures = vqgan.decode_batches(self.vqgan, tokens.reshape(-1, *tokens.shape[2:]))  # [P·n, S, S, 3]
        seen = clip.embed_images(self.clip, pictures).reshape(*tokens.shape[:2], -1)  # [P, n, E]
        read = clip.embed_texts(self.clip, self.text.encode(prompts, self.clip.config.length))  # [P, E]
        scores = 100 * np.einsum("pne,pe->pn", seen, read)
        pictures = pictures.reshape(*tokens.shape[:2], *pictures.shape[1:])
        return Paintings(map(Painting.ranked, prompts, pictures, scores, tokens))

    def close(self) -> None:
        """Ends the sampling process; the next call would start another."""
        self.worker.close()

    def __enter__(self) -> "Painter":
        return self

    def __exit__(self, *_) -> None:
        self.close()


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


@command_line
def main(arguments: list[str]) -> None:
    """Command line: paints, prints every prompt's scores, writes the grid."""
    parser = argparse.ArgumentParser(prog="python -m lib.generate", description=__doc__.splitlines()[0])
    parser.add_argument("prompts", nargs="+", help="what to paint, each prompt in quotation marks")
    parser.add_argument("--out", type=Path, default=Path("grid.png"), help="the picture that is written")
    parser.add_argument("--candidates", type=int, default=8, help="pictures a prompt")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--guidance", type=float, default=GUIDANCE, help="super-conditioning; 1 is none")
    parser.add_argument("--temperature", type=float, default=1.0, help="0 takes the most likely tokens")
    parser.add_argument("--top-k", type=int, default=0, help="tokens that may be drawn; 0 is all")
    parser.add_argument("--top-p", type=float, default=TOP_P, help="probability of the tokens drawn from; 1 is all")
    parser.add_argument("--folder", type=Path, default=Path("build"), help="of the trained networks")
    given = vars(parser.parse_args(arguments))
    out, folder = given.pop("out"), given.pop("folder")
    check_path(out, "--out")
    with Painter(folder) as painter:
        paintings = painter.paint_all(**given)
    paintings.save(out)
    for painting in paintings:
        print(f"{painting.prompt}: CLIP {', '.join(f'{score:.1f}' for score in painting.scores)}")
    print(f"best pictures first: {out}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
