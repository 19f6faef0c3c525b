"""What this study needs of the data; where a stage takes as many pictures as there are, nothing is listed."""

from lib.data.needs import Languages, Need
from studies.muse.code.settings import MODELS, Params, training_of
from studies.muse.code.sizes import PICTURE


def needs(params: Params) -> list[Need | Languages]:
    """Pictures of every batch, and of what is drawn."""
    settings, found = params.muse_drawing, []
    for model in MODELS:
        runs = [name for name, run in params.muse_trainings.items() if run.model == model]
        most = max(training_of(params, name).descent.training.batch_size for name in runs)
        size = 2 * PICTURE if model == "super_resolution" else PICTURE
        found.append(Need(f"muse_models.{model}.descent.training.batch_size", "train", most, size))
    text = params.muse_text.spans.training.batch_size
    found.append(Need("muse_text.spans.training.batch_size", "train", text, PICTURE))
    drawn = ("pictures", "front", "inpainted")
    found += [Need(f"muse_drawing.{key}", "test", getattr(settings, key), PICTURE) for key in drawn]
    return [Languages("muse_models.languages", params.muse_models.languages), *found]
