"""What this study needs of the data; where a stage takes as many pictures as there are, nothing is listed."""

from lib.data.needs import Need
from studies.glu.code.settings import Params


def needs(params: Params) -> list[Need]:
    """Pictures of every batch, and caption tokens for one stretch."""
    batches = {"glu_variants.setting": params.glu_variants.setting.batch_size}
    batches["glu_search.base"] = params.glu_search.base.batch_size
    for name, changes in params.glu_search.trials.items():
        if "batch_size" in changes:
            batches[f"glu_search.trials.{name}"] = changes["batch_size"]
    return [
        *(Need(f"{key}.batch_size", "train", count, 64) for key, count in batches.items()),
        *(Need("glu_text.length", split, params.glu_text.length, None) for split in ("train", "test")),
    ]
