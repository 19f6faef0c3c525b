"""Settings of trainings whose weights are averaged."""

from lib.config_tree import PartialShare, Section
from lib.training.settings import DescentParams


class AveragedTrainingParams(Section):
    """One training, and the average of its weights that is used afterwards."""

    average: PartialShare
    """decay of the moving average of the weights, an update"""
    training: DescentParams
