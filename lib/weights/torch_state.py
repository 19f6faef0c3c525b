"""PyTorch state as flat dicts of numpy arrays, and generators that follow from (seed, step)."""

import numpy as np
import torch


def generator(seed: int, *stream: int) -> torch.Generator:
    """A fresh CPU generator for one use, e.g. `generator(seed, step)`: the same numbers give the same stream."""
    # SeedSequence takes (1,) and (1, 0) for the same: the length tells them apart.
    state = np.random.SeedSequence([len(stream), seed, *stream]).generate_state(2, np.uint32)
    return torch.Generator().manual_seed(int(state[0]) << 32 | int(state[1]))


def module_arrays(module: torch.nn.Module, prefix: str = "") -> dict[str, np.ndarray]:
    """Parameters and buffers by name."""
    return {prefix + name: value.detach().cpu().numpy().copy() for name, value in module.state_dict().items()}


def load_module(module: torch.nn.Module, arrays: dict[str, np.ndarray], prefix: str = "") -> None:
    """Takes back what `module_arrays` gave; names and shapes must agree exactly."""
    own = {key.removeprefix(prefix): value for key, value in arrays.items() if key.startswith(prefix)}
    module.load_state_dict({key: torch.from_numpy(np.array(value)) for key, value in own.items()}, strict=True)


def optimizer_arrays(optimizer: torch.optim.Optimizer, prefix: str) -> dict[str, np.ndarray]:
    """Per-parameter optimizer state; hyper-parameters are not in it, they follow from the configuration."""
    return {
        f"{prefix}{index}.{name}": torch.as_tensor(value).cpu().numpy().copy()
        for index, entries in optimizer.state_dict()["state"].items()
        for name, value in entries.items()
    }


def load_optimizer(optimizer: torch.optim.Optimizer, arrays: dict[str, np.ndarray], prefix: str) -> None:
    """Takes back what `optimizer_arrays` gave."""
    state: dict[int, dict[str, torch.Tensor]] = {}
    for key, value in arrays.items():
        if key.startswith(prefix):
            index, name = key.removeprefix(prefix).split(".", 1)
            state.setdefault(int(index), {})[name] = torch.from_numpy(np.array(value))
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
