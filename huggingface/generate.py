"""Pictures of many prompts with a model of transformers, drawn by any of our decoders.

    python -m huggingface.generate --model path/to/Emu3-Gen-hf --decoder shared --prompts prompts.txt --out pictures

The folder is looked at before anything is loaded, weights are read from safetensors alone, and no code of the folder is
run. The same command goes on where an interrupted one stopped, and several processes split the pictures: `--process
0/2` beside `--process 1/2`, or torchrun. huggingface/pictures.py says what it writes.
"""

import argparse
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

from huggingface.gallery import Share
from lib.errors import EaselError, command_line, naming


def read_prompts(path: Path) -> list[str]:
    """One a line; blank lines are left out. Raises EaselError if there is none, or no such file."""
    with naming(f"--prompts {path}"):
        content = path.read_bytes()
    with naming(f"--prompts {path}", "text"):
        lines = [line.strip() for line in content.decode("utf-8-sig").splitlines()]
    if not (prompts := [line for line in lines if line]):
        raise EaselError(f"--prompts {path} has no line with words in it.")
    return prompts


def read_option(text: str) -> tuple[str, Any]:
    """key=value, the value as in JSON, or a word."""
    key, sign, value = text.partition("=")
    if not (key and sign and value):
        raise EaselError(f"--option {text}: write key=value, such as window=32.")
    try:
        return key, json.loads(value)
    except json.JSONDecodeError:
        return key, value


def read_size(text: str) -> tuple[int, int]:
    """ROWSxCOLUMNS, in tokens."""
    if not (found := re.fullmatch(r"(\d{1,4})[x×](\d{1,4})", text)):
        raise EaselError(f"--size {text}: write rows and columns in tokens, such as 90x90.")
    return int(found[1]), int(found[2])


@command_line
def main(arguments: list[str]) -> None:
    """Command line: draws the pictures, prints what they cost."""
    parser = argparse.ArgumentParser(prog="python -m huggingface.generate", description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True, help="a folder that save_pretrained has made")
    parser.add_argument("--prompts", type=Path, required=True, help="a text file, one prompt a line")
    parser.add_argument("--out", type=Path, default=Path("pictures"), help="the folder of pictures")
    parser.add_argument("--decoder", default="shared", help="autoregressive, jacobi, shared, sjd, sjdpp, sjd2, …")
    parser.add_argument("--option", action="append", default=[], metavar="KEY=VALUE", help="of the decoder: window=32")
    parser.add_argument("--steps", type=int, help="denoising steps of sjd2")
    parser.add_argument("--guidance", type=float, default=1.0, help="classifier-free; 1 is none")
    parser.add_argument("--negative", default="", help="the words that guidance is away from")
    parser.add_argument("--temperature", type=float, default=1.0, help="0 takes the most likely tokens")
    parser.add_argument("--top-k", type=int, default=0, help="tokens that may be drawn; 0 is all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pictures", type=int, default=1, help="of every prompt")
    parser.add_argument("--size", help="ROWSxCOLUMNS in tokens; the model's own if left out")
    parser.add_argument("--dtype", choices=("float32", "bfloat16", "float16"), default="float32")
    parser.add_argument("--batch", type=int, default=4, help="pictures that are drawn together")
    parser.add_argument(
        "--process", metavar="I/N", help="draws every N-th picture from number I on; torchrun says it too"
    )
    given = vars(parser.parse_args(arguments))
    prompts, out, batch = read_prompts(given.pop("prompts")), given.pop("out"), given.pop("batch")
    share = Share.of(given.pop("process"), os.environ)
    given["options"] = dict(map(read_option, given.pop("option")))
    given["size"] = given["size"] and read_size(given["size"])
    # Here and not above: arguments are checked without waiting for PyTorch.
    from huggingface.pictures import Settings, draw

    report = draw(Settings(**given), prompts, out, batch, share)
    if report is None:
        print(f"share {share.index} of {share.count} is in {out}; the process that ends last writes the report.")
        return
    print(
        f"{report['pictures']} pictures of {report['drawn_tokens']} tokens in {out}: {report['mean_passes']:.1f} "
        f"passes, {report['tokens_per_pass']:.2f} tokens a pass, {report['seconds']:.1f} s"
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
