"""A function of a model in JavaScript: a line for each operation on tensors.

A tensor is a flat Float32Array in JavaScript; its shape is a constant in the line that makes it. x
is the number of a class, so everything that depends on x alone is computed here, as a row for each
class: of a learned prior with its network, only two rows of numbers per class remain.
"""

import math
from collections.abc import Callable, Sequence
from json import dumps
from operator import getitem
from typing import Any

import torch
from torch import Tensor
from torch.export.graph_signature import InputKind
from torch.fx import Graph, Node, map_arg

from cvae.errors import InputError
from cvae.export.functions import Function
from cvae.export.operators import arguments_of, is_view
from cvae.export.pointwise import POINTWISE

_UNCHANGED = ("clone", "_to_copy", "_unsafe_view", "alias")
"""Operations that change neither the numbers nor their order."""

Arrays = dict[str, Tensor]
"""Arrays that the lines refer to: weights under their name in the model, and rows by class."""


def javascript(name: str, function: Function, rows: Tensor, arrays: Arrays) -> str:
    """Return a function as JavaScript's source.

    Args:
        name: Its name.
        function: The function, whose first input is x.
        rows: The condition of each class number, (C, *x_shape).
        arrays: Receives the arrays of the source, which refers to the i-th as `w[i]`.

    Raises:
        InputError: If it contains an operation that has no JavaScript here.
    """
    return _Writer(name, function, rows, arrays).source


class _Writer:
    def __init__(self, name: str, function: Function, rows: Tensor, arrays: Arrays) -> None:
        self.name, self.rows, self.arrays = name, rows, arrays
        self.known: dict[Node, list[Any]] = {}  # for each class, of nodes that depend on x alone
        self.weights: dict[Node, str] = {}
        self.written: dict[Node, str] = {}
        self.lines: list[str] = []
        program = function.traced()
        held = {**program.state_dict, **program.constants}
        kinds = {spec.arg.name: spec for spec in program.graph_signature.input_specs}
        needed = _needed(program.graph)
        for node in program.graph.nodes:
            if node.op == "placeholder":
                spec = kinds[node.name]
                if spec.kind is not InputKind.USER_INPUT:
                    self.weights[node] = str(spec.target)
                    self.known[node] = [held[spec.target].detach()] * len(rows)
                elif node.name == "x":
                    self.known[node] = list(rows.unsqueeze(1))
                else:
                    self.written[node] = node.name
            elif node.op == "output":
                result = self.value(node.args[0][0])
            elif node in needed:
                self.operation(node)
        body = "".join(f"  {line}\n" for line in self.lines)
        self.source = (
            f"function {name}({', '.join(function.inputs)}) {{\n{body}  return {result};\n}}"
        )

    def operation(self, node: Node) -> None:
        if all(part in self.known for part in node.all_input_nodes):
            self.known[node] = [self.computed(node, k) for k in range(len(self.rows))]
            return
        if isinstance(node.meta["val"], tuple | list) and is_view(node):
            return  # the parts of a tensor; each is handled where it is used
        expression, variable = self.expression(node), f"v{len(self.lines)}"
        if not expression.isidentifier():
            self.lines.append(f"const {variable} = {expression};")
            expression = variable
        self.written[node] = expression

    def computed(self, node: Node, number: int) -> Any:
        """Return the value of a node that depends on x alone, for the class of this number."""

        def value(part: Node) -> Any:
            return self.known[part][number]

        args, kwargs = map_arg((node.args, node.kwargs), value)
        return node.target(*args, **kwargs)  # type: ignore[operator]

    def expression(self, node: Node) -> str:
        if isinstance(node.meta["val"], tuple | list):
            raise self.refused(str(node.target))
        shape, given = _shape(node), arguments_of(node)
        name = str(node.target).removeprefix("aten.").partition(".")[0]
        written: Callable[..., str] | None = getattr(self, f"_{name.lstrip('_')}", None)
        if written is not None:
            return written(shape, **given)
        if is_view(node):
            return self.view(node, shape)
        if name in _UNCHANGED and _keeps_numbers(node):
            return self.value(node.args[0])
        words = {part for part in given.values() if isinstance(part, str)}
        if name in POINTWISE and words <= {"none"}:
            return self.pointwise(POINTWISE[name], shape, given)
        raise self.refused(str(node.target))

    def refused(self, operation: str) -> InputError:
        return InputError(
            f"checkpoint: this model's {self.name} needs {operation}, which a page cannot do; "
            "choose format=onnx"
        )

    def require_one(self, images: Node) -> None:
        if _shape(images)[0] != 1:
            raise self.refused("features of several images at once")

    def require_last(self, shape: Sequence[int], dim: int, what: str) -> None:
        if dim % len(shape) != len(shape) - 1:
            raise self.refused(f"{what} over another dimension than the last")

    def pointwise(self, form: str, shape: Sequence[int], given: dict[str, Any]) -> str:
        tensors = {key: part for key, part in given.items() if isinstance(part, Node)}
        letters = dict(zip(tensors, "abc", strict=False))
        open_ends = {"min": "-Infinity", "max": "Infinity"}
        numbers = {
            key: open_ends[key] if part is None and key in open_ends else dumps(part)
            for key, part in given.items()
            if part is None or isinstance(part, int | float)
        }
        operands = ", ".join(self.expanded(part, shape) for part in tensors.values())
        parameters = ", ".join(letters.values())
        return f"map(({parameters}) => {form.format(**letters, **numbers)}, {operands})"

    def expanded(self, node: Node, shape: Sequence[int]) -> str:
        if math.prod(_shape(node)) == math.prod(shape):
            return self.value(node)
        strides = torch.empty(_shape(node), device="meta").expand(*shape).stride()
        return f"view({self.value(node)}, {dumps(shape)}, {dumps(strides)}, 0)"

    def view(self, node: Node, shape: Sequence[int]) -> str:
        # torch itself computes which numbers of a flat array a view contains.
        part = node.args[1] if node.target is getitem else None
        node = node.args[0] if node.target is getitem else node  # type: ignore[assignment]
        source, *rest = node.args
        flat = torch.empty(_shape(source), device="meta")
        seen = node.target(flat, *rest, **node.kwargs)  # type: ignore[operator]
        seen = seen if part is None else seen[part]
        value = self.value(source)
        if seen.is_contiguous() and seen.numel() == math.prod(_shape(source)):
            return value
        return f"view({value}, {dumps(shape)}, {dumps(seen.stride())}, {seen.storage_offset()})"

    def value(self, node: Any) -> str:
        """Return the expression of a tensor; one that depends on x alone goes into the arrays."""
        if node is None:
            return "null"
        if node not in self.written:
            same = len({id(part) for part in self.known[node]}) == 1 or all(
                torch.equal(part, self.known[node][0]) for part in self.known[node]
            )
            key = self.weights.get(node, f"{self.name}: {node.name}")
            kept = self.known[node][0] if same else torch.stack(self.known[node])
            self.arrays[key] = kept.float()
            place = list(self.arrays).index(key)
            self.written[node] = f"w[{place}]" if same else f"row(w[{place}], x, {len(self.rows)})"
        return self.written[node]

    # -- operations on several numbers at once -----------------------------------------------------

    def _linear(self, shape: Sequence[int], input: Node, weight: Node, bias: Node | None) -> str:
        parts = (self.value(input), self.value(weight), self.value(bias), shape[-1])
        return "linear({}, {}, {}, {})".format(*parts)

    def _bmm(self, shape: Sequence[int], /, **given: Any) -> str:
        parts = (self.value(given[name]) for name in ("self", "mat2"))
        return f"matmul({', '.join(parts)}, {dumps([*_shape(given['self']), shape[-1]])})"

    def _cumsum(self, shape: Sequence[int], /, **given: Any) -> str:
        self.require_last(shape, given["dim"], "a running sum")
        return f"runningSum({self.value(given['self'])}, {shape[-1]})"

    def _log_softmax(self, shape: Sequence[int], /, **given: Any) -> str:
        self.require_last(shape, given["dim"], "a softmax")
        return f"logSoftmax({self.value(given['self'])}, {shape[-1]})"

    def _softmax(self, shape: Sequence[int], /, **given: Any) -> str:
        return f"map(Math.exp, {self._log_softmax(shape, **given)})"

    def _amax(self, shape: Sequence[int], /, **given: Any) -> str:
        return self.of_the_last("amax", given["self"], given["dim"])

    def _argmax(self, shape: Sequence[int], /, **given: Any) -> str:
        return self.of_the_last("argmax", given["self"], [given["dim"]])

    def of_the_last(self, function: str, source: Node, dims: Sequence[int]) -> str:
        sizes = _shape(source)
        if len(dims) != 1 or dims[0] is None:
            raise self.refused("a maximum over several dimensions")
        self.require_last(sizes, dims[0], "a maximum")
        return f"{function}({self.value(source)}, {sizes[-1]})"

    def _index_select(self, shape: Sequence[int], /, **given: Any) -> str:
        source, index = given["self"], self.known.get(given["index"])
        if index is None or given["dim"] % len(shape) != len(shape) - 1:
            raise self.refused("a choice of places along another dimension than the last")
        return f"take({self.value(source)}, {_shape(source)[-1]}, {dumps(index[0].tolist())})"

    def _conv2d(self, shape: Sequence[int], **given: Any) -> str:
        if given["groups"] != 1 or set(given["dilation"]) != {1} or given["padding"] == "same":
            raise self.refused("a convolution in groups, dilated or padded to the same size")
        self.require_one(given["input"])
        source = self.value(given["input"])
        weight, bias = self.value(given["weight"]), self.value(given["bias"])
        sizes = _shape(given["input"])[1:], _shape(given["weight"]), shape[1:]
        how = ", ".join(map(dumps, (*sizes, _pair(given["stride"]), _pair(given["padding"]))))
        return f"conv2d({source}, {weight}, {bias}, {how})"

    def _group_norm(self, shape: Sequence[int], **given: Any) -> str:
        self.require_one(given["input"])
        parts = (self.value(given[name]) for name in ("input", "weight", "bias"))
        how = f"{given['num_groups']}, {shape[1]}, {dumps(given['eps'])}"
        return f"groupNorm({', '.join(parts)}, {how})"

    def _upsample_nearest2d(self, shape: Sequence[int], input: Node, **given: Any) -> str:
        if given.get("scale_factors") is not None:
            raise self.refused("an enlargement by a factor (one to a size it can)")
        return f"upsample({self.value(input)}, {dumps(_shape(input)[-2:])}, {dumps(shape[-2:])})"

    def _sum(self, shape: Sequence[int], /, **given: Any) -> str:
        if len(given["dim"] or ()) != 1:
            raise self.refused("a sum over several dimensions")
        (place,), sizes = given["dim"], _shape(given["self"])
        return f"sum({self.value(given['self'])}, {math.prod(sizes[:place])}, {sizes[place]})"

    def _cat(self, shape: Sequence[int], tensors: list[Node], dim: int) -> str:
        parts = ", ".join(self.value(part) for part in tensors)
        return f"cat({math.prod(shape[:dim])}, {parts})"


def _needed(graph: Graph) -> set[Node]:
    needed: set[Node] = set()
    for node in reversed(graph.nodes):
        if node.op == "output" or node in needed:
            needed |= set(node.all_input_nodes)
    return needed


def _shape(node: Any) -> tuple[int, ...]:
    return tuple(node.meta["val"].shape)


def _pair(numbers: Sequence[int]) -> list[int]:
    return [*numbers] * (2 // len(numbers))


def _keeps_numbers(node: Node) -> bool:
    """Whether numbers keep their value: they are not truncated to integers, nor to 0 and 1."""
    source: Any = node.args[0]
    return node.meta["val"].is_floating_point() or not source.meta["val"].is_floating_point()
