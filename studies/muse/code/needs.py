"""What this study needs of the data; where a stage takes as many pictures as there are, nothing is listed."""

from lib.data.needs import Languages, Need
from studies.muse.code.material import PICTURE
from studies.muse.code.settings import Params, training_of


def needs(params: Params) -> list[Need | Languages]:
    """Pictures of every batch, and of what is drawn."""
    sizes = {name: training_of(params, name).descent.training.batch_size for name in params.muse_trainings}
    found = [Need(f"muse_trainings.{name}", "train", size, PICTURE) for name, size in sizes.items()]
    settings = params.muse_drawing
    found += [Need(f"muse_drawing.{key}", "test", getattr(settings, key), PICTURE) for key in ("captions", "inpainted")]
    return [Languages("muse_models.languages", params.muse_models.languages), *found]
