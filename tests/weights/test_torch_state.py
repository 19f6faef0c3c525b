"""Torch state through numpy and back."""

import torch

from lib.weights import torch_state


def test_generators_follow_from_their_numbers():
    draw = lambda *numbers: torch.rand(3, generator=torch_state.generator(*numbers)).tolist()  # noqa: E731
    assert draw(1, 2) == draw(1, 2)
    assert len({tuple(draw(*numbers)) for numbers in [(1, 2), (2, 1), (1, 3), (1,), (1, 2, 0)]}) == 5


def test_module_and_optimizer_resume_exactly():
    def parts():
        torch_module = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
        with torch.no_grad():
            for value in torch_module.parameters():
                value.copy_(torch.rand(value.shape, generator=torch_state.generator(value.numel())))
        return torch_module, torch.optim.AdamW(torch_module.parameters(), lr=0.1)

    def step(module, optimizer, number):
        optimizer.zero_grad()
        module(torch.rand(8, 3, generator=torch_state.generator(0, number))).square().sum().backward()
        optimizer.step()

    module, optimizer = parts()
    for number in range(4):
        step(module, optimizer, number)
        if number == 1:
            arrays = torch_state.module_arrays(module, "m.") | torch_state.optimizer_arrays(optimizer, "o.")
    resumed, its_optimizer = parts()
    torch_state.load_module(resumed, arrays, "m.")
    torch_state.load_optimizer(its_optimizer, arrays, "o.")
    for number in (2, 3):
        step(resumed, its_optimizer, number)
    for one, other in zip(module.state_dict().values(), resumed.state_dict().values(), strict=True):
        assert torch.equal(one, other)
