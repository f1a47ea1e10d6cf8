"""Autoregressive transforms of z, given a context; they need zuko, `lightning-cvae[flows]`."""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.distributions import Transform

from cvae.errors import InputError, require_at_least, require_between
from cvae.model.distributions import full_precision

try:
    from zuko.flows.autoregressive import MaskedAutoregressiveTransform
    from zuko.nn import MaskedLinear
    from zuko.transforms import AutoregressiveTransform
except ImportError as error:
    raise InputError(
        "flows need zuko; pip install 'lightning-cvae[flows]', or zuko itself"
    ) from error


class Autoregressive(nn.Module):
    r"""Affine autoregressive transforms, one after another.

    .. math:: z_i = e^{a_i(u_{<i}, c)} u_i + b_i(u_{<i}, c)

    Each transform takes the dimensions in reverse (Papamakarios, Pavlakou & Murray 2017,
    "Masked Autoregressive Flow for Density Estimation"; Kingma et al. 2016, "Improved Variational
    Inference with Inverse Autoregressive Flow"). Mapping u to z takes one pass of the networks,
    z to u takes L passes. The last pass is cached, so that a z just computed is inverted for free.

    Args:
        latent_dim: Number of latent dimensions L.
        context: Size C of a context.
        steps: Number of transforms.
        width: Units in each of the two hidden layers of the networks that give a and b.

    Raises:
        InputError: If `latent_dim`, `steps` or `width` is below 1, or `steps` above 100.
    """

    def __init__(self, latent_dim: int, context: int, steps: int, width: int) -> None:
        super().__init__()
        require_at_least("latent_dim (of a flow)", latent_dim, 1)
        require_between("steps", steps, 1, 100)
        require_at_least("width", width, 1)
        self.latent_dim = latent_dim
        if torch.get_default_device().type == "meta":
            self.steps = nn.ModuleList(_Outline(latent_dim, context, width) for _ in range(steps))
            return
        order = torch.arange(latent_dim)
        self.steps = nn.ModuleList(
            MaskedAutoregressiveTransform(
                latent_dim,
                context,
                order=order.flip(0) if step % 2 else order,
                hidden_features=(width, width),
                activation=nn.ELU,
            )
            for step in range(steps)
        )

    def forward(self, context: Tensor) -> list[Transform]:
        """Return the transforms from u to z, (..., L), under contexts (..., C)."""
        context = full_precision(context)
        if self.latent_dim == 1:  # no dimension comes before another
            with torch.autocast(context.device.type, enabled=False):
                return [step(context) for step in self.steps]
        steps = (_Given(step, context) for step in self.steps)
        return [AutoregressiveTransform(step, self.latent_dim, cache_size=1) for step in steps]


class _Outline(nn.Module):
    """A step's weights on the meta device, where zuko cannot compute the masks of a real step."""

    def __init__(self, latent_dim: int, context: int, width: int) -> None:
        super().__init__()
        sizes = pairwise((context + (latent_dim if latent_dim > 1 else 0), width, width))
        layers: list[nn.Module] = []
        for fan_in, fan_out in (*sizes, (width, 2 * latent_dim)):
            mask = torch.empty(fan_out, fan_in, dtype=torch.bool)
            layers += [MaskedLinear(mask) if latent_dim > 1 else nn.Linear(fan_in, fan_out)]
            layers += [nn.ELU()]
        self.hyper = nn.Sequential(*layers)
        if latent_dim > 1:
            self.register_buffer("order", torch.empty(latent_dim, dtype=torch.long))


class _Given:
    """A step, given a context: maps u, (..., L), to each dimension's transform by those before it.

    The last transform is cached, since torch asks for it again for the Jacobian. The cache is not
    a `functools.lru_cache`, because torch.compile would split a training step in two there.
    """

    def __init__(self, step: MaskedAutoregressiveTransform, context: Tensor) -> None:
        self.step, self.context = step, context
        self.u: Tensor | None = None
        self.transform: Transform | None = None

    def __call__(self, u: Tensor) -> Transform:
        if self.transform is None or u is not self.u:
            with torch.autocast(u.device.type, enabled=False):
                self.u, self.transform = u, self.step.meta(self.context, u)
        return self.transform
