"""A model as functions without randomness, so that they can be traced and exported.

    latent  x, noise     -> z    a draw from the prior
    mean    x, z         -> y    the likelihood's mean, of categories the most probable
    drawn   x, z, noise  -> y    a draw of every element

The noise is always standard normal numbers; the normal distribution function turns them into
uniform ones where a model needs these. So the noise of a latent draw, which the page calls a hand,
is a vector of normal numbers that can be interpolated under any prior. It can be scaled as well,
but for its `choices`, which choose the component of a mixture: at zero, all would choose the same.
"""

import copy
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram, default_decompositions, export
from torch.overrides import TorchFunctionMode

from cvae.errors import InputError
from cvae.model.cvae import CVAE
from cvae.model.distributions import ConditionalDistribution

_WHOLE = ("linear", "conv2d", "group_norm", "upsample_nearest2d")
"""Operations that are not decomposed."""


class Function(NamedTuple):
    """A module, and an example of each input, (1, ...), by name.

    `choices` are the places of the noise that choose, rather than move what is drawn.
    """

    module: nn.Module
    inputs: dict[str, Tensor]
    choices: Sequence[int] = ()

    def traced(self, dynamic: bool = False) -> ExportedProgram:
        """Return the module's operations.

        Args:
            dynamic: Whether the leading dimension may have any size; otherwise it is 1.

        Raises:
            InputError: If the module cannot be traced, or draws numbers other than its noise.
        """
        batch = {0: Dim("batch")}
        shapes = dict.fromkeys(self.inputs, batch if dynamic else None)
        examples = tuple(torch.cat([i, i]) if dynamic else i for i in self.inputs.values())
        try:
            with torch.no_grad():
                program = export(
                    _without_masks(self.module), examples, dynamic_shapes=shapes, strict=False
                )
        except Exception as error:  # torch has dozens of kinds
            said = str(error).strip().partition("\n")[0]
            raise InputError(f"checkpoint: this model cannot be traced ({said})") from error
        kept = default_decompositions()
        for name in _WHOLE:
            packet = getattr(torch.ops.aten, name)
            for overload in packet.overloads():
                kept.pop(getattr(packet, overload), None)
        program = program.run_decompositions(kept)
        for node in program.graph.nodes:
            tags = getattr(node.target, "tags", ())
            if torch.Tag.nondeterministic_seeded in tags:
                raise InputError(
                    f"checkpoint: this model draws by {node.target}, which cannot be exported; "
                    "normal and uniform numbers can"
                )
        return program


def functions(model: CVAE) -> dict[str, Function]:
    """Return the three functions of a model, by name."""
    x = model.condition.example()
    z = torch.zeros(1, model.generator.latent_dim)
    parts: dict[str, tuple[nn.Module, dict[str, Tensor]]] = {
        "latent": (_Latent(model.prior), {"x": x}),
        "mean": (_Mean(model), {"x": x, "z": z}),
        "drawn": (_Drawn(model), {"x": x, "z": z}),
    }
    found = {}
    for name, (module, inputs) in parts.items():
        with _Given() as counted, torch.no_grad():
            module(*inputs.values())
        noise = {} if name == "mean" else {"noise": torch.zeros(1, counted.used)}
        found[name] = Function(module, inputs | noise, counted.choices)
    return found


def _without_masks(module: nn.Module) -> nn.Module:
    """Return a module whose masked layers are ordinary ones, so that no mask is exported."""
    module = copy.deepcopy(module)
    for name, layer in list(module.named_modules()):
        mask = getattr(layer, "mask", None)
        if isinstance(layer, nn.Linear) and isinstance(mask, Tensor):
            plain = nn.Linear(layer.in_features, layer.out_features, layer.bias is not None)
            plain.weight = nn.Parameter(layer.weight.detach() * mask)
            plain.bias = layer.bias
            module.set_submodule(name, plain)
    return module


class _Latent(nn.Module):
    def __init__(self, prior: ConditionalDistribution) -> None:
        super().__init__()
        self.prior = prior

    def forward(self, x: Tensor, noise: Tensor | None = None) -> Tensor:
        with nullcontext() if noise is None else _Given(noise):
            return self.prior(x).sample()


class _Mean(nn.Module):
    def __init__(self, model: CVAE) -> None:
        super().__init__()
        self.generator, self.target = model.generator, model.condition.target

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        return self.target.within(self.generator(x, z).mean)


class _Drawn(_Mean):
    def forward(self, x: Tensor, z: Tensor, noise: Tensor | None = None) -> Tensor:
        with nullcontext() if noise is None else _Given(noise):
            return self.target.within(self.generator(x, z).sample())


class _Given(TorchFunctionMode):
    """Replaces random draws by the next of given standard normal numbers, (B, N).

    Without given numbers it replaces them by zeros and counts how many are needed.
    """

    def __init__(self, noise: Tensor | None = None) -> None:
        super().__init__()
        self.noise, self.used = noise, 0
        self.choices: list[int] = []

    def __torch_function__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if function is torch.normal:
            mean, scale = args
            return mean + scale * self._next(mean.shape)
        if function is Tensor.normal_:
            return self._next(args[0].shape)
        if function is torch.rand_like:
            return torch.special.ndtr(self._next(args[0].shape))
        if function is torch.rand:  # by which a mixture chooses
            start, drawn = self.used, self._next(torch.Size(args[0]))
            self.choices += range(start, self.used)
            return torch.special.ndtr(drawn)
        if function is torch.multinomial:  # by which categories are drawn; Gumbel 1954, the maximum
            weights = args[0]
            uniform = torch.special.ndtr(self._next(torch.Size([1, weights.numel()])))
            gumbel = -(-uniform.view(weights.shape).log()).log()
            return (weights.log() + gumbel).argmax(-1, keepdim=True)
        if function is Tensor.uniform_:
            low, high = args[1:] or (0.0, 1.0)
            return low + (high - low) * torch.special.ndtr(self._next(args[0].shape))
        return function(*args, **(kwargs or {}))

    def _next(self, shape: torch.Size) -> Tensor:
        count = shape[1:].numel()
        self.used += count
        if self.noise is None:
            return torch.zeros(shape)
        return self.noise[:, self.used - count : self.used].view(shape)
