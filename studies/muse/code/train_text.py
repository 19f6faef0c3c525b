"""Stage muse/train_text: captions → the frozen text network of all models → build/muse/text/model.safetensors."""

from lib.data.store import Split, read_meta
from lib.ownership import fresh
from lib.pipeline import parts
from lib.pipeline.parts import Part
from lib.weights import checkpoint
from studies.muse.code.material import DATA, ENCODER, TEXT
from studies.muse.code.settings import Params
from studies.muse.code.training import text_network


def run(params: Params) -> None:
    """Trains it on captions of the train split in all languages."""
    settings = params.muse_text
    entries = Split.open(DATA, "train").captions[: settings.pictures]
    texts = [text for entry in entries for language in read_meta(DATA)["languages"] for text in entry[language]]
    part = Part(
        name="text",
        work=text_network,
        arguments={
            "sizes": settings.sizes,
            "spans": settings.spans,
            "texts": texts,
            "text_length": params.text.length,
            "seed": params.seed,
        },
        inputs=[TEXT],
    )
    arrays, numbers = checkpoint.load(parts.run("muse/train_text", [part])["text"])
    fresh(ENCODER)
    checkpoint.save(ENCODER / "model.safetensors", arrays, numbers)
