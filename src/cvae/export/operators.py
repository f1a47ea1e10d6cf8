"""What torch knows of its operators: the names of their arguments, and whether they are views.

Torch keeps both in an operator's schema, `_schema`, which it does not promise. This is all of the
program that reads it.
"""

from operator import getitem
from typing import Any

from torch.fx import Node


def is_view(node: Node) -> bool:
    """Whether an operation gives a view of its input, or takes a part of such a view."""
    target: Any = node.all_input_nodes[0].target if node.target is getitem else node.target
    return any(part.alias_info for part in target._schema.returns)


def arguments_of(node: Node) -> dict[str, Any]:
    """Return the arguments of an operation by their names, the defaults included."""
    schema = getattr(node.target, "_schema", None)
    given = dict(node.kwargs)
    for index, argument in enumerate(schema.arguments if schema else []):
        if index < len(node.args):
            given[argument.name] = node.args[index]
        given.setdefault(argument.name, argument.default_value)
    return given
