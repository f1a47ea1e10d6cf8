"""A JSON schema of the files of `conf/`, by which an editor completes and checks them.

Which groups and keys there are, `conf/` says; their types, the constructors; what they mean, the
comments, or else the docstrings.
"""

import inspect
import json
import re
from collections.abc import Callable, Mapping, Sequence
from pkgutil import resolve_name
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from omegaconf import OmegaConf

from cvae.config.building import arguments
from cvae.config.options import find, groups, option, options, root
from cvae.config.schemas import TrainSchema

Schema = dict[str, Any]

_REFERENCE: Schema = {"type": "string", "pattern": r"^(\$\{.*|\?\?\?)$"}
"""What may stand for any value: ${another.setting}, or ??? for one that has to be given."""
_ROOT = get_type_hints(TrainSchema)
_PLAIN = {bool: "boolean", int: "integer", float: "number", str: "string", NoneType: "null"}
_OF_HYDRA: Schema = {
    "_target_": {"type": "string", "description": "the class or function that is called"},
    "_partial_": {"type": "boolean", "description": "whether the program completes the arguments"},
    "defaults": {"type": "array", "description": "the options that it takes settings from"},
}
_DRAFT = "http://json-schema.org/draft-07/schema#"


def text() -> str:
    """Return the schema of every file of `conf/`: of the root, or of an option of a group."""
    nodes = {group: _group(group) for group in groups() if group in _ROOT}
    said = root("train")
    properties: Schema = {
        "defaults": {"type": "array", "description": "the options that are chosen"},
        "hydra": {"type": "object", "description": "settings of Hydra's own"},
    }
    for name, kind in _ROOT.items():
        setting = said.settings.get(name) or said.chosen.get(name)
        found = {"$ref": f"#/definitions/{name}"} if name in nodes else _value(_of_type(kind))
        properties[name] = _described(found, setting.meaning if setting else "")
    whole = {"type": "object", "properties": properties, "additionalProperties": False}
    files = [{"$ref": "#/definitions/root"}, *map(_file_of, nodes)]
    schema = {"$schema": _DRAFT, "anyOf": files, "definitions": {"root": whole, **nodes}}
    return json.dumps(schema, indent=1, ensure_ascii=False)


def _file_of(group: str) -> Schema:
    """Return the schema of a file that holds an option of a group."""
    targets = [node["_target_"] for node in _nodes(group) if "_target_" in node]
    known = {"properties": {"_target_": {"enum": sorted(set(targets))}}} if targets else {}
    # Else one whose class takes any argument, as a logger, would be the schema of every file.
    named = {"required": ["_target_"]} if all("_target_" in node for node in _nodes(group)) else {}
    return {"allOf": [{"$ref": f"#/definitions/{group}"}, {"type": "object"} | known | named]}


def _nodes(group: str) -> list[Any]:
    """Return the node of each option of a group, in the order of their names."""
    found = []
    for name in options(group):
        file = find("conf") / group / f"{name}.yaml"
        contents: Any = OmegaConf.to_container(OmegaConf.load(file))
        is_global = "# @package _global_" in file.read_text()
        found.append(contents.get(group, {}) if is_global else contents)
    return found


def _group(group: str) -> Schema:
    """Return what a node of a group may hold: the settings of all of its options."""
    meanings: dict[str, str] = {}
    for name in options(group):
        for key, setting in option(group, name).settings.items():
            place, said = key.removeprefix(f"{group}."), setting.meaning
            known = meanings.setdefault(place, said)
            if said not in known:  # of another option, the same key may be another thing
                meanings[place] = f"{known}; {said}" if known else said
    return _value(_node(_nodes(group), meanings, ""))


def _node(nodes: Sequence[Mapping[str, Any]], meanings: Mapping[str, str], path: str) -> Schema:
    """Return what nodes at one place may hold.

    Args:
        nodes: The nodes that there are.
        meanings: What settings mean, by their path in the group.
        path: Where the nodes are in the group, with a dot at its end.
    """
    types: dict[str, list[Schema]] = {}
    documented: dict[str, str] = {}
    is_open = False
    written = [k for node in nodes for k in node if not k.startswith("_") and k != "defaults"]
    for target in dict.fromkeys(node["_target_"] for node in nodes if "_target_" in node):
        function = _resolved(target)
        known, takes_any = arguments(function) if function else ({}, True)
        is_open = is_open or takes_any
        documented |= _arguments_in(function) if function else {}
        required = _without_default(function) if function else set()
        for key, kind in known.items():
            # Others are the program's to give, such as the sizes, or callbacks to the trainer.
            if key in written or not (key in required or key in _ROOT):
                types.setdefault(key, []).append(_of_type(kind))
    properties = dict(_OF_HYDRA)
    for key in dict.fromkeys([*written, *types]):
        inner = [node[key] for node in nodes if isinstance(node.get(key), dict)]
        found = _node(inner, meanings, f"{path}{key}.") if inner else _any_of(types.get(key, [{}]))
        said = meanings.get(f"{path}{key}") or documented.get(key) or _what(inner)
        properties[key] = _described(_value(found), said)
    # Where no class says which keys there are, as of callbacks, others are nodes of their own.
    has_class = any("_target_" in node for node in nodes)
    others = is_open if has_class else {"type": ["object", "null"], "required": ["_target_"]}
    return {"type": "object", "properties": properties, "additionalProperties": others}


def _what(nodes: Sequence[Mapping[str, Any]]) -> str:
    """Return the first line that the class of a node says of itself."""
    function = _resolved(nodes[0].get("_target_", "")) if nodes else None
    return (inspect.getdoc(function) or "").partition("\n")[0] if function else ""


def _resolved(target: str) -> Callable[..., Any] | None:
    try:
        return resolve_name(target)
    except (ImportError, AttributeError, ValueError):  # of an extra that is not installed
        return None


def _without_default(function: Callable[..., Any]) -> set[str]:
    parameters = inspect.signature(function).parameters.values()
    return {parameter.name for parameter in parameters if parameter.default is parameter.empty}


def _arguments_in(function: Callable[..., Any]) -> dict[str, str]:
    """Return what a docstring in Google's style says of each argument, also of the bases."""
    found: dict[str, str] = {}
    for part in getattr(function, "__mro__", (function,)):
        texts = (vars(part).get("__doc__"), getattr(vars(part).get("__init__"), "__doc__", None))
        said = "" if part is object else "\n".join(inspect.cleandoc(one or "") for one in texts)
        section = re.search(r"^Args:\n(.*?)(?=^\S|\Z)", said, re.DOTALL | re.MULTILINE)
        entries = re.split(r"^    (?=\S)", section[1], flags=re.MULTILINE) if section else []
        for entry in entries:
            name, _, meaning = entry.partition(":")
            found.setdefault(name.split(" ")[0].strip("*"), " ".join(meaning.split()))
    return found


def _of_type(kind: Any) -> Schema:
    """Return the schema of a type; of one that YAML has no word for, that of anything."""
    if kind in _PLAIN:
        return {"type": _PLAIN[kind]}
    origin = get_origin(kind)
    if origin is Literal:
        return {"enum": list(get_args(kind))}
    if origin in (Union, UnionType):
        return _any_of([_of_type(part) for part in get_args(kind)])
    base = origin or kind
    if inspect.isclass(base) and issubclass(base, list | tuple | Sequence):
        return {"type": "array"}
    if inspect.isclass(base) and issubclass(base, Mapping):
        return {"type": "object"}
    return {}


def _any_of(schemas: Sequence[Schema]) -> Schema:
    distinct = [one for place, one in enumerate(schemas) if one not in schemas[:place]]
    if {} in distinct:
        return {}
    return distinct[0] if len(distinct) == 1 else {"anyOf": distinct}


def _value(schema: Schema) -> Schema:
    """Return a schema by which a reference may stand in the place of a value, or null of a node."""
    if not schema:
        return schema
    null = [{"type": "null"}] if schema.get("type") == "object" else []
    return _any_of([*schema.get("anyOf", [schema]), *null, _REFERENCE])


def _described(schema: Schema, meaning: str) -> Schema:
    if not meaning:
        return schema
    return ({"allOf": [schema]} if "$ref" in schema else schema) | {"description": meaning}
