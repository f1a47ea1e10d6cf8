"""What several processes that train one model agree on."""

from torch import Tensor, distributed


def mean_over_processes(value: Tensor) -> Tensor:
    """Return the mean over all processes of a number that each of them has, (); without gradient.

    Of batches of one size it is the mean over all their items.
    """
    value = value.detach()
    if not (distributed.is_available() and distributed.is_initialized()):
        return value
    total = value.clone()
    distributed.all_reduce(total)
    return total / distributed.get_world_size()
