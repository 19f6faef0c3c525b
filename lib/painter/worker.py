"""Sampling in a process of its own, since JAX and PyTorch do not share one: `Worker` is the caller's end,
`python -m lib.painter.worker` the other.

One JSON object a line goes each way. Whatever else the child prints (progress) the caller prints too, so that it
appears where the call was made, a notebook's cell for one. The child lives until its input ends, so later requests
find everything loaded and compiled, and it does not outlive a caller that was killed.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import weakref
from contextlib import suppress
from pathlib import Path

import numpy as np

import lib
from lib.errors import EaselError, command_line, shortened
from lib.hardware import use_cores, use_jax_devices
from lib.painter.painting import Sampled
from lib.text import TextTokenizer

REPLY = "\x1e"  # begins the child's answers; ASCII's record separator, which nobody prints
CHEAP = 1000  # letters that are split into tokens in no time
MODEL, TEXT = "dalle_mini/both", "text/tokenizer.json"  # below the folder of trained networks


class Worker:
    """Starts the child at the first request.

    Args:
        folder: of the trained networks, such as `build`.
        batch_size: rows a batch, brought up to a multiple of the child's devices.
        cores: of the processor, that sampling may use.
    """

    def __init__(self, folder: Path, batch_size: int, cores: int):
        self.command = [sys.executable, "-m", "lib.painter.worker", str(folder), str(batch_size), str(cores)]
        self.process: subprocess.Popen | None = None

    def sample(self, prompts: list[str], candidates: int, seed: int, settings: dict[str, float]) -> Sampled:
        """Candidates of every prompt, as image tokens, each of which takes a pass.

        Candidate c of a prompt is a function of the prompt, the seed and c.

        Args:
            settings: guidance, temperature, top_k and top_p.

        Raises:
            EaselError: what the child has to say of the request, or of its surroundings, or that it was killed.
            RuntimeError: the child died of an error of ours; its last words are in the message.
        """
        if self.process is None or self.process.poll() is not None:
            self.start()
        request = {"prompts": prompts, "candidates": candidates, "seed": seed, "settings": settings}
        try:
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
            answer = self._answer()
        except BaseException as error:  # an interrupt too: an answer left unread would be taken for the next one's
            self.close()
            if isinstance(error, BrokenPipeError):
                raise self._died() from error
            raise
        if "error" in answer:
            raise EaselError(answer["error"])
        tokens = np.array(answer["tokens"], np.int32)  # [P, candidates, N]
        return Sampled(tokens, np.full(tokens.shape[:2], tokens.shape[2]))

    def start(self) -> None:
        """Starts the child, which begins to load."""
        top = str(Path(lib.__file__).parent.parent)
        path = os.pathsep.join([top, *filter(None, [os.environ.get("PYTHONPATH")])])
        # A file and not a pipe, which would fill up while nobody reads it.
        self.errors = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        self.process = subprocess.Popen(
            self.command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            encoding="utf-8",
            env=os.environ
            | {"PYTHONPATH": path, "PYTHONIOENCODING": "utf-8", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"},
        )
        self._finalizer = weakref.finalize(self, _end, self.process)

    def close(self) -> None:
        """Ends the child, if there is one."""
        if self.process is not None:
            self._finalizer()

    def _answer(self) -> dict:
        for line in self.process.stdout:
            if line.startswith(REPLY):
                return json.loads(line.removeprefix(REPLY))
            print(line, end="", flush=True)
        raise self._died()

    def _died(self) -> Exception:
        status = self.process.wait()
        self.errors.seek(0)
        said = self.errors.read()
        if status == 2:  # see lib.errors.command_line
            return EaselError(said.rpartition("error: ")[2].strip())
        if status == -signal.SIGKILL:
            return EaselError(
                "the sampling process was killed; most often memory ran out. Close other programs, or ask for less."
            )
        if "XLA_FLAGS" in said and "XLA_FLAGS" in os.environ:
            line = next(line for line in said.splitlines() if "XLA_FLAGS" in line)
            return EaselError(f"JAX does not start: {shortened(line.rpartition('] ')[2])}. Unset XLA_FLAGS or mend it.")
        return RuntimeError(f"the sampling process ended with status {status}:\n{said[-4000:]}")


def _end(process: subprocess.Popen) -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        with suppress(BrokenPipeError):  # of a request that was not sent
            pipe.close()


def check_prompts(text: TextTokenizer, prompts: list[str], length: int, reader: str) -> None:
    """Refuses prompts that are empty, or that a network would see cut.

    Args:
        length: how many tokens the network reads, begin and end included.
        reader: the network's name.

    Raises:
        EaselError: names the prompt.
    """
    room = length - 2
    for prompt in prompts:
        if not (normal := text.normalise(prompt)):
            raise EaselError("a prompt is empty; say what to paint.")
        needed, unit = len(normal), "letters"
        # A prompt so long that no tokens would make it fit is not split into any, which takes its time.
        if needed <= CHEAP or needed <= room * (1 + max(map(len, text.decode(np.arange(text.vocabulary)[:, None])))):
            # A token is at least a byte long.
            ids = text.encode([prompt], len(normal.encode()) + 3)
            needed, unit = int((ids != text.pad_id).sum()) - 2, "tokens"
            if needed <= room:
                continue
        raise EaselError(
            f"the prompt {shortened(prompt, 60)!r} is too long: {needed} {unit}, and {reader} reads {room} tokens. "
            "Shorten it."
        )


@command_line
def main(arguments: list[str]) -> None:
    """The child: loads the model, then answers every line of its input.

    Args:
        arguments: those of `Worker`.
    """
    folder, batch_size, cores = arguments[0], int(arguments[1]), int(arguments[2])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the caller, which is interrupted too, ends this process
    use_cores(cores)
    use_jax_devices(cores)  # rows are split between them
    import jax

    from lib.decoding.autoregressive_jax import row_keys
    from lib.models import dalle_mini
    from lib.painter.dalle_mini import Sampler
    from lib.progress import Progress

    draw, drawn = None, False
    for line in sys.stdin:
        request = json.loads(line)
        prompts, candidates = request["prompts"], request["candidates"]
        try:
            if draw is None:
                print("[paint] loading the model", flush=True)
                text = TextTokenizer.load(Path(folder) / TEXT)
                model, weights = dalle_mini.load(Path(folder) / MODEL)
                length = model.config.text_length
                rows = -(-batch_size // jax.device_count()) * jax.device_count()
                draw = Sampler(model, weights, text.encode([""], length)[0], rows)
            check_prompts(text, prompts, length, "DALL·E Mini")
            # The same keys for every prompt: its pictures are then the same wherever it stands in a list.
            keys = row_keys(np.full(candidates, request["seed"]), np.arange(candidates))  # [n]
            keys = jax.numpy.broadcast_to(keys, (len(prompts), candidates))  # [P, n]
            if not drawn:
                print("[paint] compiling, then drawing; later calls need not compile", flush=True)
            progress = Progress("paint", len(prompts) * candidates, every=1.0)
            tokens = draw(text.encode(prompts, length), keys, **request["settings"], report=progress.update)
            drawn = True
            answer = {"tokens": tokens.tolist()}
        except EaselError as error:
            answer = {"error": str(error)}
        print(REPLY + json.dumps(answer), flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
