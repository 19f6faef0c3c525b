"""What this study needs of the data; where a stage takes as many pictures as there are, nothing is listed."""

from lib.data.needs import Languages, Need
from studies.sjd2.code.settings import DRAFT_TUNED, UNTUNED, Params


def needs(params: Params) -> list[Need | Languages]:
    """Pictures of every batch and of every group that is decoded, each in the size of its network."""
    models = {name: model.pictures for name, model in params.autoregressive.models.items()}
    batches = [
        (f"autoregressive.models.{name}.training", model.training.batch_size, model.pictures)
        for name, model in params.autoregressive.models.items()
    ]
    for name, one in params.sjd2.variants.items():
        own = f"sjd2.changes.{name}" if "batch_size" in params.sjd2.changes[name] else "sjd2.recipe.training"
        batches.append((own, one.training.batch_size, models.get(one.model, 64)))
    for name, one in params.draft_tuning.variants.items():
        batches.append((f"draft_tuning.variants.{name}.training", one.training.batch_size, models.get(one.model, 64)))
    batches.append(("drafters.training", params.drafters.training.batch_size, models.get(params.drafters.model, 64)))
    found = [Need(f"{key}.batch_size", "train", count, size) for key, count, size in dict.fromkeys(batches)]
    found += [Need(f"autoregressive.models.{name}.pictures", "val", 1, size) for name, size in models.items()]
    for name in params.decoding.names:
        group = params.decoding.groups[name]
        size = next(models.get(model_of(params, one.network), 64) for one in group.single.values())
        found.append(Need(f"decoding.groups.{name}.captions", "test", group.captions, size))
    return [Languages("autoregressive.languages", params.autoregressive.languages), *found]


def model_of(params: Params, network: str) -> str:
    """Which of autoregressive.models a network of the decoding is, or was tuned from; "" for an unknown one."""
    if network.startswith(UNTUNED):
        return network.removeprefix(UNTUNED)
    variants = params.draft_tuning.variants if network.startswith(DRAFT_TUNED) else params.sjd2.variants
    variant = variants.get(network.removeprefix(DRAFT_TUNED))
    return variant.model if variant else ""
