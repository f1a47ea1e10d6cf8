"""From a configuration to objects, checked before anything is written.

The dataclass of a command's root types its keys; here every node's keys and values are held against
the signature of what its `_target_` names, so that a new class needs no schema; and the
constructors check ranges.
"""

import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pkgutil import resolve_name
from typing import Any, get_args, get_type_hints

from hydra.errors import InstantiationException
from lightning.fabric.utilities.exceptions import MisconfigurationException
from typeguard import TypeCheckError, check_type

from cvae.conditions import Condition
from cvae.config.compose import Config, instantiate, nodes, numbers_in
from cvae.data.base import PairData
from cvae.errors import InputError, did_you_mean, require_between, short_of_memory, under
from cvae.kinds import Sizes
from cvae.model.cvae import CVAE
from cvae.model.encoded import encoded
from cvae.model.generator import Generator
from cvae.model.hierarchy import in_layers
from cvae.model.objectives import Objective

_LARGEST = 3.4028235e38
"""Of float32, in which weights, losses and rates are kept."""
_LARGEST_COUNT = 2**63 - 1
_MOST_LAYERS = 100
"""Layers of z; the deepest published ones have 78 (Child 2021, "Very Deep VAEs")."""


def require_known_settings(config: Config) -> None:
    """Hold every key and value against the signature of what is built from it.

    Raises:
        InputError: Naming the key, what was expected, what came, and the nearest known word.
    """
    for path, number in numbers_in(config):
        largest = _LARGEST_COUNT if isinstance(number, int) else _LARGEST
        if not -largest <= number <= largest:  # NaN is in no order
            raise InputError(
                f"{path}: expected a number from {-largest:.3g} to {largest:.3g}, "
                f"got {str(number)[:40]}"
            )
    # A group's own node comes before those that it is interpolated into.
    for path, node in sorted(nodes(config), key=lambda item: item[0].count(".")):
        _check_node(path, node)


def _check_node(path: str, node: Config) -> None:
    known, takes_any = arguments(_locate(path, node["_target_"]))
    for key, value in node.items():
        if key in ("_target_", "_partial_", "_args_", "_convert_", "_recursive_"):
            continue
        if key not in known and not takes_any:
            raise InputError(
                f"{path}.{key}: {node['_target_']} takes no such argument{did_you_mean(key, known)}"
            )
        expected = known.get(key, Any)
        if _fits(value, expected):
            continue
        words = [word for word in get_args(expected) if isinstance(word, str)]
        name = "a known word" if words else inspect.formatannotation(expected)
        if "Callable" in name:
            name = f"a builder (such as {path}.{key}._target_=torch.nn.ELU)"
        raise InputError(
            f"{path}.{key}: expected {name.replace('typing.', '')}, "
            f"got {value!r}{did_you_mean(str(value), words) or whole(value)}"
        )


def whole(value: object) -> str:
    """Return how a search takes whole numbers, where a fraction was refused; else nothing."""
    return "; a search takes whole ones from int(interval(A,B))" if type(value) is float else ""


def _fits(value: object, expected: Any) -> bool:
    """Whether an argument may have a value of the configuration; what it builds is not known."""
    if isinstance(value, Mapping):
        return "_target_" in value or _is_a(value, expected)
    if isinstance(value, list):
        builds = any(isinstance(part, Mapping) for part in value)
        return builds or _is_a(value, expected) or _is_a(tuple(value), expected)
    return _is_a(value, expected)


def _is_a(value: object, expected: Any) -> bool:
    try:
        check_type(value, expected)
    except TypeCheckError:
        return False
    return True


def _locate(path: str, target: str) -> Any:
    try:
        return resolve_name(target)
    except InputError:  # which says what it needs
        raise
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        parent, _, name = str(target).rpartition(".")
        hint = did_you_mean(name, dir(sys.modules[parent])) if parent in sys.modules else ""
        raise InputError(f"{path}._target_: nothing is called '{target}'{hint}") from error


def arguments(target: Any) -> tuple[dict[str, Any], bool]:
    """Return the type of every argument, and whether others are taken as well.

    A class whose `__init__` hands further arguments on takes those of its base as well.
    """
    known: dict[str, Any] = {}
    functions = [target]
    if inspect.isclass(target):
        functions = [vars(c)["__init__"] for c in target.__mro__ if "__init__" in vars(c)]
    for function in functions:
        try:
            parameters = inspect.signature(function).parameters.values()
        except ValueError:  # built in, and without a signature
            return known, True
        try:
            hints = get_type_hints(function)
        except (NameError, TypeError):  # names that exist for a type checker alone
            hints = {}
        named = [p.name for p in parameters if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)]
        named = [name for name in named if name != "self"]
        known = {name: hints.get(name, Any) for name in named} | known
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            return known, False
    return known, True


@contextmanager
def naming(part: str, way_out: str = "") -> Iterator[None]:
    """Name the part of the configuration that could not be built."""
    try:
        yield
    except InputError:
        raise
    except (ValueError, TypeError, RuntimeError, ImportError, MisconfigurationException) as error:
        lacking = short_of_memory(error)
        raise InputError(lacking or f"{part}: {error}{way_out}") from error


def build_datamodule(config: Config, **changes: Any) -> PairData:
    """Return the data module of a configuration, its arguments changed by `changes`.

    Raises:
        InputError: If the data module has no such argument.
    """
    known, _ = arguments(_locate("data", config["data"]["_target_"]))
    for key in changes:
        if key == "split" and key not in known:
            raise InputError("data.split: these data have a test split of their own; leave it out")
        if key not in known:
            raise InputError(f"data.{key}: no such setting of this data{did_you_mean(key, known)}")
    condition = built(config, "condition")
    return instantiated(config["data"], "data", **{"condition": condition, **changes})


def build_model(config: Config, sizes: Sizes, prior: str = "prior") -> CVAE:
    """Return the model of a configuration for items of these sizes.

    Args:
        config: The resolved configuration.
        sizes: What the data set's items are like.
        prior: The group that the prior is built from.

    Raises:
        InputError: If a part does not fit the data, or another part.
    """
    condition = built(config, "condition")(sizes)
    if not isinstance(condition, Condition):
        raise InputError(f"condition: expected a Condition, got a {type(condition).__name__}")
    target, latent_dim, layers = condition.target, config["latent_dim"], config["hierarchy"]
    require_between("hierarchy", layers, 1, _MOST_LAYERS)
    of_x, of_y = condition.encoder(), target.encoder()
    x_shapes = [condition.x_shape] if of_x is None else of_x.shapes
    # Of each layer of z: x, then the layers before it.
    shapes = [[*x_shapes, *[(latent_dim,)] * before] for before in range(layers)]
    build_posterior, build_prior = built(config, "posterior"), built(config, prior)
    posteriors = [build_posterior([*before, target.features], latent_dim) for before in shapes]
    known = {"y_shape": target.features, "pseudo": target.pseudo}
    priors = [
        completed(build_prior, posterior=posterior, **known)(before, latent_dim)
        for before, posterior in zip(shapes, posteriors, strict=True)
    ]
    likelihood, network = built(config, "likelihood"), built(config, "network")
    _function(likelihood).require(target.support)
    likelihood, z_dim = completed(likelihood, **target.known()), layers * latent_dim
    generator = Generator(condition.x_shape, z_dim, target, likelihood, network, of_x, x_shapes)
    return CVAE(
        condition,
        in_layers([encoded(part, of_x) for part in priors]),
        in_layers([encoded(part, of_x, of_y) for part in posteriors]),
        generator,
    )


def build_objective(config: Config, generator: Generator) -> Objective:
    """Return the objective of a configuration.

    Raises:
        InputError: If it cannot train this generator.
    """
    objective: Objective = built(config, "objective")
    if objective.decodes_prior and generator.likelihood.fits_y:
        raise InputError(
            "likelihood.scale=optimal would be fitted to what the prior draws as well, which "
            "objective=hybrid decodes; choose likelihood.scale=learned"
        )
    return objective


def built(config: Config, group: str) -> Any:
    """Return what a group's node builds: an object, or the builder of one.

    Errors of their arguments name the node, at whatever time they are raised.
    """
    return _naming_its_node(instantiated(config[group], group), group)


def instantiated(node: Any, path: str, /, **changes: Any) -> Any:
    """Return what a node builds; errors of its arguments name them by the node's path.

    Args:
        node: The node, plain data with a `_target_`.
        path: Where it is in the configuration.
        **changes: Arguments that take the place of its own.
    """
    try:
        with under(path):
            return instantiate(node, **changes)
    except InstantiationException as error:  # Hydra 1.3 wraps what a constructor raises
        cause = error.__cause__
        if isinstance(cause, InputError):
            with under(path):
                raise cause from None
        if isinstance(cause, ValueError | TypeError):
            raise InputError(f"{path}: {cause}") from error
        raise


def _naming_its_node(builder: Any, path: str) -> Any:
    """Return a builder whose errors name its node, and so on for the builders it is given."""
    if not isinstance(builder, partial):
        return builder
    given = {key: _naming_its_node(v, f"{path}.{key}") for key, v in builder.keywords.items()}
    return partial(_Named(builder.func, path, tuple(given)), *builder.args, **given)


class _Named:
    """A function whose errors of these arguments name the node that they come from.

    It is no closure, so that a model can be sent to another process.
    """

    def __init__(self, function: Callable[..., Any], path: str, given: tuple[str, ...]) -> None:
        self.__wrapped__ = function  # where `inspect.signature` looks
        self.path, self.given = path, given

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        with under(self.path, self.given):
            return self.__wrapped__(*args, **kwargs)


def _function(builder: Any) -> Any:
    """Return the class or function that a builder calls."""
    function = builder.func if isinstance(builder, partial) else builder
    return getattr(function, "__wrapped__", function)


def completed(builder: Callable[..., Any], **known: Any) -> Callable[..., Any]:
    """Return a builder with what it asks for beside what all parts of its kind are built from."""
    asked = inspect.signature(builder).parameters
    return partial(builder, **{name: value for name, value in known.items() if name in asked})
