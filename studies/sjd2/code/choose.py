"""Stage sjd2/choose: the options and steps of every decoder, by one rule → build/sjd2/choice.json.

Every setting draws the same validation captions with the first training of a network. Of those whose pictures are as
likely as autoregressive decoding's, but for a margin, the one of the fewest passes is taken; where none is, the one of
the likeliest pictures.
"""

from collections.abc import Sequence
from pathlib import Path

from lib.pipeline import parts
from lib.weights import checkpoint
from studies.sjd2.code.choice import CHOICE, Choice, Chosen, Tried
from studies.sjd2.code.decode import blamed_on, checked, part_of, rows_of
from studies.sjd2.code.settings import DecodingRunParams, Params

PLAIN = DecodingRunParams(decoder="autoregressive")


def run(params: Params) -> None:
    """Tries everything that sjd2_choice.decoders says."""
    settings, tried, listed = params.sjd2_choice, {}, {}
    for name, decoder in settings.decoders.items():
        for key, one in decoder.one_by_one(name).items():
            with blamed_on(f"sjd2_choice.decoders.{name} ({key})"):
                checked(params, one)
            tried.setdefault((name, one.network), []).append((key, one))
            rows = rows_of(params, one.network, "val", 0, settings.captions)
            listed[key] = part_of(params, key, one, 0, rows, 0, settings.batch_size)
            plain = PLAIN.model_copy(update={"network": one.network})
            listed[one.network] = part_of(params, one.network, plain, 0, rows, 0, settings.batch_size)
    paths = parts.run("sjd2/choose", list(listed.values()))
    found: dict[str, dict[str, Chosen]] = {}
    for (name, network), runs in tried.items():
        plain = likelihood(paths[network])
        measured = [described(one, paths[key], plain, settings.margin) for key, one in runs]
        best = runs[best_of(measured)][1]
        own = measured[best_of(measured)]
        found.setdefault(name, {})[network] = Chosen(
            decoder=best.decoder, options=own.options, steps=own.steps, tried=measured
        )
    CHOICE.parent.mkdir(parents=True, exist_ok=True)
    Choice(captions=settings.captions, margin=settings.margin, decoders=found).write(CHOICE)


def likelihood(path: Path) -> float:
    """Nats a token of a run's pictures, under the judge, or, where it knows no such pictures, under their network."""
    arrays, _ = checkpoint.load(path)
    return float(arrays["judged" if "judged" in arrays else "nats"].mean())


def described(one: DecodingRunParams, path: Path, plain: float, margin: float) -> Tried:
    """A setting in numbers.

    Args:
        plain: nats a token of autoregressive decoding.
    """
    arrays, _ = checkpoint.load(path)
    above = likelihood(path) - plain
    return Tried(
        # JSON has no infinity.
        options={name: "inf" if value == float("inf") else value for name, value in one.options.items()},
        steps=one.steps,
        compression=arrays["tokens"].size / int(arrays["passes"].sum()),
        nats=above,
        good=above <= margin,
    )


def best_of(tried: Sequence[Tried]) -> int:
    """The number of the setting that is taken; of equals the first."""
    good = [number for number, one in enumerate(tried) if one.good]
    if good:
        return max(good, key=lambda number: tried[number].compression)
    return min(range(len(tried)), key=lambda number: tried[number].nats)
