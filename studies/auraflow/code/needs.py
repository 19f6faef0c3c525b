"""What this study needs of the data; where a stage takes as many pictures as there are, nothing is listed."""

from lib.data.needs import Languages, Need
from studies.auraflow.code.material import SIZE
from studies.auraflow.code.settings import Params


def needs(params: Params) -> list[Need | Languages]:
    """Pictures of every batch, and of what is drawn."""
    models = params.auraflow_models
    batches = {
        f"auraflow_models.{name}.descent.training": getattr(models, name).descent.training
        for name in type(models).model_fields
    }
    batches |= {"auraflow_scales": params.auraflow_scales, "auraflow_texts.training": params.auraflow_texts.training}
    found = [Need(f"{key}.batch_size", "train", one.batch_size, SIZE) for key, one in batches.items()]
    found.append(Need("auraflow_drawing.pictures", "test", params.auraflow_drawing.pictures, SIZE))
    named = {f"auraflow_texts.networks.{name}": one for name, one in params.auraflow_texts.networks.items()}
    return [*(Languages(f"{key}.languages", one.languages) for key, one in named.items() if one.languages), *found]
