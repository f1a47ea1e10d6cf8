r"""Training objectives: the evidence lower bound and its relatives, in nats per target.

For a posterior q(z|x, y), a prior p(z|x) and a generator p(y|x, z),

.. math::
    \log p(y \mid x) \ge \mathrm{ELBO} = \mathbb{E}_{q(z \mid x, y)} [\log p(y \mid x, z)]
        - \mathrm{KL}(q(z \mid x, y) \,\|\, p(z \mid x))

(Kingma & Welling 2014, equation 3; with a condition, Sohn, Lee & Yan 2015, equation 4.)

An objective sees two distributions, a decoder from z to a distribution over y, and y. It knows no
network, no kind of data and no configuration, and never sums over elements: the distributions do.
"""

from cvae.model.objectives.balanced import BalancedELBO
from cvae.model.objectives.base import (
    Decoder,
    Objective,
    Terms,
    kl_or_estimate,
    kl_per_dimension,
)
from cvae.model.objectives.elbo import ELBO
from cvae.model.objectives.free_bits import FreeBits
from cvae.model.objectives.geco import GECO
from cvae.model.objectives.hybrid import Hybrid
from cvae.model.objectives.iwae import IWAE

__all__ = [
    "ELBO",
    "GECO",
    "IWAE",
    "BalancedELBO",
    "Decoder",
    "FreeBits",
    "Hybrid",
    "Objective",
    "Terms",
    "kl_or_estimate",
    "kl_per_dimension",
]
