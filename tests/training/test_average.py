import numpy as np
import pytest
import torch

from lib.training.average import WeightAverage


@pytest.mark.parametrize("decay", [0.0, 0.7, 0.999])
def test_every_update_counts_as_the_formula_says(decay):
    model = torch.nn.Linear(3, 2)
    average, seen = WeightAverage(model, decay), []
    for number in range(6):
        with torch.no_grad():
            model.weight.fill_(number**2 + 1.0)
        average.update()
        seen.append(number**2 + 1.0)
        shares = (1 - decay) * decay ** np.arange(number, -1, -1) / (1 - decay ** (number + 1))
        assert shares.sum() == pytest.approx(1)
        assert average.network().weight.numpy() == pytest.approx(shares @ seen, rel=1e-5)
    assert not average.network().training and not average.network().weight.requires_grad
    assert (model.weight == 26).all()


def test_it_goes_on_where_it_was_saved():
    model = torch.nn.Linear(3, 2)
    first, second = WeightAverage(model, 0.9), WeightAverage(model, 0.9)
    for number in range(4):
        with torch.no_grad():
            model.weight.add_(number)
        first.update()
        if number == 1:
            second.load_state(first.state("a."), "a.")
        elif number > 1:
            second.update()
    assert first.updates == second.updates == 4
    assert torch.equal(first.network().weight, second.network().weight)
