"""What measures this study's pictures."""

from lib.config import EvaluationParams
from lib.data.store import Split, read_prompts
from lib.metrics.panel import Panel
from studies.auraflow.code.material import data


def panel_of(evaluation: EvaluationParams, seed: int) -> Panel:
    """The panel of all studies, over this one's prompts and test pictures."""
    panel = Panel(evaluation, seed)
    panel.prompts, panel.test = {prompt["id"]: prompt for prompt in read_prompts(data())}, Split.open(data(), "test")
    return panel
