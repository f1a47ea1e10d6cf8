"""A model as two ONNX files, checked against onnxruntime."""

from typing import NamedTuple

import numpy as np
import torch

from cvae.errors import InputError
from cvae.export.functions import Function, functions
from cvae.model.cvae import CVAE

_COUNT = 64
"""Items by which a file's results are compared with torch's."""
_TOLERANCE = 1e-3
_FILES = {"prior": ("latent", "z"), "generator": ("mean", "y")}
"""The function in each file, and the name of its result."""


class Exported(NamedTuple):
    """A file's `contents`, and the largest absolute `difference` between its result and torch's."""

    contents: bytes
    difference: float


def onnx(model: CVAE, rng: torch.Generator) -> dict[str, Exported]:
    """Return the prior, from x and noise to z, and the generator, from x and z to mean images.

    The first dimension of every input and output is a batch of any size.

    Args:
        model: A trained model.
        rng: Source of the noise for the comparison with torch.

    Raises:
        InputError: If ONNX's packages are missing, the model has an operation without ONNX, or
            onnxruntime's result differs from torch's.
    """
    try:
        import onnxscript  # noqa: F401
        from onnxruntime import InferenceSession
    except ImportError as error:
        raise InputError(
            "format: onnx comes with an extra; pip install 'lightning-cvae[onnx]'"
        ) from error
    flushed = not (torch.full((1,), 1e-40) * 0.5).any()  # onnxruntime sets this as it likes
    parts = functions(model)
    of_data = model.condition.needs_examples
    x = parts["mean"].inputs["x"] if of_data else model.conditions_of(None)
    x = x.repeat(-(-_COUNT // len(x)), *[1] * (x.dim() - 1))[:_COUNT]
    found = {}
    for name, (function, output) in _FILES.items():
        part = parts[function]
        values = {
            key: x if key == "x" else torch.randn(_COUNT, *example.shape[1:], generator=rng)
            for key, example in part.inputs.items()
        }
        with torch.no_grad():
            expected = part.module(*values.values()).numpy()
        try:
            contents = _contents(part, output)
            session = InferenceSession(contents, providers=["CPUExecutionProvider"])
            taken = {i.name for i in session.get_inputs()}
            (got,) = session.run(None, {k: v.numpy() for k, v in values.items() if k in taken})
        except InputError:
            raise
        except Exception as error:  # three packages raise their own classes
            said = str(error).strip().partition("\n")[0]
            raise InputError(
                f"checkpoint: its {name} cannot be exported to ONNX ({said})"
            ) from error
        difference = float(np.abs(got - expected).max(initial=0))
        if not difference <= _TOLERANCE * max(1, np.abs(expected).max(initial=0)):
            raise InputError(
                f"checkpoint: onnxruntime's {name} differs from torch's by {difference:.1e}"
            )
        found[name] = Exported(contents, difference)
    torch.set_flush_denormal(flushed)
    return found


def _contents(function: Function, output: str) -> bytes:
    program = torch.onnx.export(
        function.traced(dynamic=True),
        input_names=list(function.inputs),
        output_names=[output],
        dynamo=True,
        verbose=False,
    )
    assert program is not None
    return program.model_proto.SerializeToString()
