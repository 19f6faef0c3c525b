"""Stage auraflow/train_texts: captions → the frozen text networks, CLIP's caption tower among them →
build/auraflow/texts/<name>/model.safetensors."""

from lib.data.store import Split, read_meta
from lib.ownership import fresh
from lib.pipeline import parts
from lib.pipeline.parts import Part
from lib.weights import checkpoint
from studies.auraflow.code.material import CLIP, SHARED, TEXT, TEXTS
from studies.auraflow.code.settings import Params
from studies.auraflow.code.text_networks import TASKS


def run(params: Params) -> None:
    """Trains them on captions of the train split that all studies share, side by side."""
    settings, listed = params.auraflow_texts, []
    entries = Split.open(SHARED, "train").captions[: settings.pictures]
    for name, one in settings.networks.items():
        if one.task == "clip":
            listed.append(Part(name=name, work=TASKS["clip"], arguments={"folder": str(CLIP)}, inputs=[CLIP]))
            continue
        languages = one.languages or read_meta(SHARED)["languages"]
        arguments = {
            "settings": settings,
            "texts": [text for entry in entries for language in languages for text in entry[language]],
            "text_length": params.text.length,
            "seed": params.seed,
        }
        arguments |= {"dropped": one.dropped} if one.task == "next_token" else {}
        listed.append(Part(name=name, work=TASKS[one.task], arguments=arguments, inputs=[TEXT]))
    paths = parts.run("auraflow/train_texts", listed)
    fresh(TEXTS)
    for part in listed:
        arrays, numbers = checkpoint.load(paths[part.name])
        checkpoint.save(TEXTS / part.name / "model.safetensors", arrays, numbers)
