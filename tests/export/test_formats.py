"""A model carried away computes what the model does."""

import re
from collections.abc import Callable
from pathlib import Path

import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Laplace

from conftest import model_of, options
from cvae.errors import InputError
from cvae.export.functions import Function, functions
from cvae.export.javascript import javascript
from cvae.export.onnx import onnx as exported
from cvae.export.rounding import layer_inputs, to_bytes
from cvae.model.cvae import CVAE
from cvae.model.distributions import ConditionalDistribution

RUNTIME = (Path(__file__).parents[2] / "src/cvae/export/runtime.js").read_text()
STAYS = (
    *(f"likelihood={name}" for name in ("mixed", "negative_binomial", "poisson", "student_t")),
    "network=transformer",
)
"""What a page cannot show: rows of a table, draws from other than normal and uniform numbers, and
attention."""
CHANGES = [
    *(
        f"{group}={name}"
        for group in ("prior", "likelihood", "network")
        for name in options(group)
        if f"{group}={name}" not in STAYS
    ),
    *("likelihood.scale=per_element", "condition=none", "latent_dim=0", "latent_dim=1"),
    *("hierarchy=2 prior=vamp", "hierarchy=2 prior=mixture prior.covariance=full"),
    *(
        "hierarchy=2",
        "hierarchy=2 prior=flow prior.steps=1 prior.width=8 latent_dim=3",
        "prior=mixture prior.covariance=full",
        "prior=vamp latent_dim=1",
    ),
]
CHANGED = {"prior": ("latent",), "likelihood": ("mean", "drawn")}
"""The functions that a part has a say in, if not in all: to trace one takes half a second."""
FEWER = ["prior.steps=2", "prior.width=16"]
ACTIVATIONS = [
    *("ReLU", "LeakyReLU", "ELU", "SELU", "CELU", "GELU", "SiLU", "Mish", "Tanh", "Sigmoid"),
    *("Softplus", "Hardtanh", "ReLU6", "Hardswish", "Hardsigmoid", "Softsign", "LogSigmoid"),
    *("Softshrink", "Hardshrink", "Tanhshrink", "PReLU", "Identity"),
]


def items(model: CVAE, name: str, count: int = 4) -> dict[str, Tensor]:
    """Inputs of one of a model's functions, each row of its own."""
    generator = torch.Generator().manual_seed(1)
    x = model.conditions_of(None)
    return {
        key: x[torch.arange(count) % len(x)]
        if key == "x"
        else torch.randn(count, *example.shape[1:], generator=generator)
        for key, example in functions(model)[name].inputs.items()
    }


def in_javascript(page, function: Function, name: str, model: CVAE, given: dict[str, Tensor]):
    """What the JavaScript of a function makes of inputs, run by a browser."""
    arrays: dict[str, Tensor] = {}
    rows = model.conditions_of(None)
    source = javascript(name, function, rows, arrays)
    calls = []
    for index in range(len(given["x"])):
        rest = [part[index].flatten().tolist() for part in list(given.values())[1:]]
        calls.append([index % len(rows), *rest])
    values = [array.flatten().tolist() for array in arrays.values()]
    script = f"""([weights, calls]) => {{
        {RUNTIME}
        const w = weights.map((array) => Float32Array.from(array));
        {source}
        const tensors = (all) => all.map((array) => Float32Array.from(array));
        return calls.map(([x, ...rest]) => [...{name}(x, ...tensors(rest))]);
    }}"""
    return torch.tensor(page.evaluate(script, [values, calls]))


# -- functions without randomness of their own ---------------------------------------------------


@pytest.mark.parametrize("change", CHANGES)
def test_javascript_computes_what_torch_does(change: str, page) -> None:
    model = model_of(change, *(FEWER if change == "prior=flow" else []))
    every = functions(model)
    for name in CHANGED.get(re.split(r"[.=]", change)[0], every):
        function, given = every[name], items(model, name)
        with torch.no_grad():
            expected = function.module(*given.values()).flatten(1)
        found = in_javascript(page, function, name, model, given)
        assert found.shape == expected.shape
        # A drawn pixel may fall on the other side of its probability by the last digit.
        far = (found - expected).abs() > 1e-4 * (1 + expected.abs())
        assert far.sum() <= (0.01 * far.numel() if name == "drawn" else 0), name


@pytest.mark.parametrize("change", STAYS)
def test_what_cannot_be_carried_away_is_refused_in_one_line(change: str) -> None:
    model = model_of(change)

    def everything() -> None:
        for name, function in functions(model).items():
            javascript(name, function, model.conditions_of(None), {})

    with pytest.raises(InputError, match=r"a page cannot do|cannot be exported") as caught:
        everything()
    assert "\n" not in str(caught.value)


def test_javascript_knows_every_activation(page) -> None:
    layers = nn.ModuleList([getattr(nn, name)() for name in ACTIVATIONS])

    class Activated(nn.Module):
        def forward(self, x: Tensor, z: Tensor) -> Tensor:
            return torch.cat([layer(z) for layer in layers], 1)

    model, z = model_of(), torch.randn(4, 50, generator=torch.Generator().manual_seed(0)) * 3
    given = {"x": model.conditions_of([0, 1, 2, 0]), "z": z}
    function = Function(Activated(), {"x": torch.zeros(1, 3), "z": z[:1]})
    all_found = in_javascript(page, function, "activated", model, given)
    for name, layer, found in zip(
        ACTIVATIONS, layers, all_found.chunk(len(layers), 1), strict=True
    ):
        expected = layer(z).detach()
        assert expected.std() > 0.1, name
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5, msg=name)


def test_images_of_every_size_grow_back(page) -> None:
    model = model_of("network=conv", "network.depth=2", shape=(3, 11, 5))
    given = items(model, "mean")
    function = functions(model)["mean"]
    with torch.no_grad():
        expected = function.module(*given.values()).flatten(1)
    found = in_javascript(page, function, "mean", model, given)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_convolutions_of_every_kind(page) -> None:
    # A generator that takes a map of features through strides, paddings and kernels of two sizes.
    torch.manual_seed(0)
    layers = nn.Sequential(
        nn.Unflatten(1, (2, 6, 7)),
        nn.Conv2d(2, 5, (3, 2), stride=(2, 1), padding=(0, 1), bias=False),
        nn.Conv2d(5, 3, 1),
        nn.GroupNorm(3, 3, affine=False),
    )

    class Features(nn.Module):
        def forward(self, x: Tensor, z: Tensor) -> Tensor:
            return layers(z)

    model, z = model_of(), torch.randn(2, 84)
    function = Function(Features(), {"x": torch.zeros(1, 3), "z": z[:1]})
    given = {"x": model.conditions_of([0, 1]), "z": z}
    found = in_javascript(page, function, "features", model, given)
    torch.testing.assert_close(found, layers(z).detach().flatten(1), atol=1e-5, rtol=1e-5)


def test_noise_becomes_draws_of_the_right_law() -> None:
    noise = torch.randn(20_000, 2, generator=torch.Generator().manual_seed(0))

    class Skewed(ConditionalDistribution):
        def forward(self, x: Tensor) -> Distribution:
            return Independent(Laplace(torch.tensor([1.0, -2.0]).expand(len(x), 2), 0.5), 1)

    model = model_of("latent_dim=2")
    model.prior = Skewed()
    z = functions(model)["latent"].module(torch.zeros(len(noise), 3), noise)
    for dimension, location in enumerate((1.0, -2.0)):
        law = Laplace(location, 0.5).cdf(z[:, dimension]).sort().values
        assert (law - torch.linspace(0, 1, len(law))).abs().max() < 0.015  # Kolmogorov, 1 in 1e3
        assert z[noise[:, dimension].argsort(), dimension].diff().min() > -1e-4  # its own noise


def test_a_learned_prior_moves_the_noise_by_its_mean_and_scale() -> None:
    model = model_of()
    given = items(model, "latent")
    p = model.prior(given["x"]).base_dist
    z = functions(model)["latent"].module(*given.values())
    torch.testing.assert_close(z, p.loc + p.scale * given["noise"])


def test_other_random_draws_are_reported() -> None:
    class Odd(ConditionalDistribution):
        def forward(self, x: Tensor) -> Distribution:
            return torch.distributions.Poisson(torch.ones(len(x), 8))

    model = model_of()
    model.prior = Odd()
    with pytest.raises(InputError, match=r"draws by aten.poisson.*cannot be exported"):
        functions(model)["latent"].traced()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda z: z.sort().values, r"aten.sort"),
        (lambda z: z.view(1, 2, 2).cumsum(1), "a running sum over another dimension"),
        (lambda z: z.view(1, 2, 2).log_softmax(1), "a softmax over another dimension"),
        (lambda z: torch.div(z, 0.1, rounding_mode="floor"), r"aten.div"),
        (lambda z: z.long().float(), r"aten._to_copy"),
        (lambda z: z.view(1, 1, 2, 2).sum((2, 3)), "several dimensions"),
        (lambda z: nn.functional.conv2d(z.view(4, 1, 1, 1), torch.ones(1, 1, 1, 1)), "at once"),
        (lambda z: nn.functional.interpolate(z.view(1, 1, 2, 2), scale_factor=1.7), "by a factor"),
        (lambda z: nn.functional.gelu(z, approximate="tanh"), "aten.gelu"),
    ],
)
def test_operations_without_javascript_are_reported(
    change: Callable[[Tensor], Tensor], said: str
) -> None:
    class Odd(nn.Module):
        def forward(self, x: Tensor, z: Tensor) -> Tensor:
            return change(z)

    function = Function(Odd(), {"x": torch.zeros(1, 3), "z": torch.zeros(1, 4)})
    with pytest.raises(InputError, match=rf"mean needs .*{said}.*choose format=onnx"):
        javascript("mean", function, torch.eye(3), {})


def test_numbers_without_end_are_written(page) -> None:
    class Clamped(nn.Module):
        def forward(self, x: Tensor, z: Tensor) -> Tensor:
            return z.clamp(0, float("inf"))

    model = model_of()
    function = Function(Clamped(), {"x": torch.zeros(1, 3), "z": torch.zeros(1, 4)})
    given = {"x": model.conditions_of([0]), "z": torch.tensor([[-1.0, 2.0, 3e38, 0.0]])}
    found = in_javascript(page, function, "clamped", model, given)
    assert torch.equal(found, given["z"].clamp(0))


# -- rounding ------------------------------------------------------------------------------------


def test_bytes_are_within_half_a_step_of_the_numbers() -> None:
    matrix = torch.randn(20, 30, generator=torch.Generator().manual_seed(0))
    whole = to_bytes(matrix)
    steps = whole.rows.float()[:, None] * whole.columns.float()
    assert whole.whole.dtype == torch.int8
    assert ((whole.matrix() - matrix).abs() <= steps * 0.51).all()
    assert (steps < matrix.abs().amax(1, keepdim=True) / 60).all()


def test_numbers_that_bytes_can_say_come_back() -> None:
    matrix = torch.tensor([[1.0, -1.0], [1.0, 1.0]])
    torch.testing.assert_close(to_bytes(matrix).matrix(), matrix, atol=1e-3, rtol=0)
    assert torch.equal(to_bytes(torch.zeros(2, 3)).matrix(), torch.zeros(2, 3))


def test_errors_are_made_up_for_by_what_goes_together() -> None:
    generator = torch.Generator().manual_seed(0)
    matrix = torch.randn(40, 64, generator=generator)
    inputs = torch.randn(2000, 4, generator=generator) @ torch.randn(4, 64, generator=generator)
    exact = inputs @ matrix.T
    plain, informed = (
        (inputs @ to_bytes(matrix, given).matrix().T - exact).square().mean()
        for given in (None, inputs)
    )
    assert informed < plain / 10


def test_inputs_of_layers_are_recorded() -> None:
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.Flatten(), nn.Linear(3 * 4 * 5, 2))
    images = torch.randn(6, 2, 4, 5)
    with layer_inputs(layers) as found:
        out = layers(images)
    convolved = found["0.weight"] @ layers[0].weight.flatten(1).T + layers[0].bias
    expected = layers[0](images).flatten(2).transpose(1, 2).flatten(0, 1)
    torch.testing.assert_close(convolved, expected)
    torch.testing.assert_close(found["2.weight"] @ layers[2].weight.T + layers[2].bias, out)


# -- ONNX ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("change", ["prior=gaussian", "network=conv", "condition=quadrants"])
def test_onnx_computes_what_torch_does_for_any_number_of_items(change: str) -> None:
    model = model_of(change, shape=(1, 8, 8))
    torch.set_flush_denormal(True)
    files = exported(model, torch.Generator().manual_seed(0))
    assert not (torch.full((9,), 1e-40) * 0.5).any()  # it is as it was
    for name, made in files.items():
        onnx.checker.check_model(onnx.load_from_string(made.contents))
        session = onnxruntime.InferenceSession(made.contents)
        function = functions(model)[{"prior": "latent", "generator": "mean"}[name]]
        assert [i.name for i in session.get_inputs()] == list(function.inputs)
        for count in (1, 7):
            given = {
                key: torch.rand(count, *example.shape[1:])
                for key, example in function.inputs.items()
            }
            expected = function.module(*given.values()).detach()
            (found,) = session.run(None, {key: part.numpy() for key, part in given.items()})
            torch.testing.assert_close(torch.tensor(found), expected, atol=1e-5, rtol=1e-4)
        assert made.difference < 1e-4 * max(1, expected.abs().max())


def test_operations_without_onnx_are_reported_in_one_line() -> None:
    class Bessel(nn.Module):
        def forward(self, x: Tensor, z: Tensor) -> Tensor:
            return torch.special.i0(z[:, :1, None, None, None].expand(-1, 1, 1, 9, 7))

    model = model_of()
    model.generator.network = Bessel()
    with pytest.raises(InputError, match=r"its generator cannot be exported to ONNX \(.*\)$"):
        exported(model, torch.Generator().manual_seed(0))
