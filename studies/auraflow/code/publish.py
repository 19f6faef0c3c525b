"""Stage auraflow/publish: the first training of a name, as the painter takes it → build/auraflow/painter/<training>/.

With the sampling settings that were best for it on validation prompts (stage auraflow/tune), whatever the prompts of
the comparison say.
"""

from pathlib import Path

from lib.metrics.drawings import Settings
from lib.ownership import fresh
from lib.painter import published
from lib.painter.published import Published
from lib.weights import checkpoint
from studies.auraflow.code.material import SETTINGS, TOKENIZER, folder
from studies.auraflow.code.settings import Params, seeds_of

OUT = Path("build/auraflow/painter")
SAID = ("kind", "config", "target", "noise", "tokenizer")  # what weights say of themselves, as the kind of model has it


def run(params: Params, training: str) -> None:
    """Writes the folder of one training."""
    arrays, meta = checkpoint.load_network(folder(training, seeds_of(params, training)[0]))
    best = Settings.read(SETTINGS).models[training].best
    tokenizer = None if "tokenizer" in meta else TOKENIZER.name  # a model that has one of its own needs no other
    about = Published(sampling=best.sampling, languages=[], exact=best.exact, tokenizer=tokenizer)
    fresh(OUT / training)
    said = {name: meta[name] for name in SAID if name in meta}
    published.save(OUT / training, about, arrays, said, Path(meta["text"]))
