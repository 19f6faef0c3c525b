"""All families by the names of their classes."""

from transformers import PreTrainedModel

from huggingface.models.chameleon import Chameleon
from huggingface.models.emu3 import Emu3
from huggingface.models.family import Family
from huggingface.models.glm_image import GlmImage
from huggingface.models.janus import Janus
from lib.errors import EaselError

FAMILIES: dict[str, type[Family]] = {
    name: family for family in (Emu3, Janus, Chameleon, GlmImage, Family) for name in family.CLASSES
}


def family_of(class_name: str) -> type[Family]:
    """The adapter of a class of transformers.

    Raises:
        EaselError: there is none.
    """
    if class_name not in FAMILIES:
        raise EaselError(f"these decoders do not know the class {class_name!r}; they know {', '.join(FAMILIES)}.")
    return FAMILIES[class_name]


def adapted(model: PreTrainedModel) -> Family:
    """The model with the adapter of its class, a subclass's the same. Raises EaselError as `family_of`."""
    names = [kind.__name__ for kind in type(model).__mro__]
    return family_of(next((name for name in names if name in FAMILIES), names[0]))(model)
