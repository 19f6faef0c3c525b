"""What this study needs of data that are not drawn here; of those that are, it draws as many as it needs itself."""

from lib.data.needs import Languages, Need
from studies.sjd2.code.settings import Params


def needs(params: Params) -> list[Need | Languages]:
    """Pictures of every batch and of every group that is decoded, each in the size of its network."""
    models = params.autoregressive.models
    languages = Languages("autoregressive.languages", params.autoregressive.languages)
    if params.data.source == "scenes":
        return [languages]
    found = [
        Need(f"autoregressive.models.{name}.trainings", "train", one.batch_size, one.pictures)
        for name, model in models.items()
        for one in model.trainings
    ]
    found += [Need(f"autoregressive.models.{name}.trainings", "val", 1, one.pictures) for name, one in models.items()]
    found += [
        Need(f"{key}.training.batch_size", "train", one.training.batch_size, models[one.model].pictures)
        for key, one in params.tunings.items()
    ]
    for name, group in params.decoding.groups.items():
        size = models[params.base(next(iter(group.single.values())).network)].pictures
        found.append(Need(f"decoding.groups.{name}.captions", "test", group.captions, size))
    return [languages, *found]
