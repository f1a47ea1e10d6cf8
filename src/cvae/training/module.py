"""The model as a LightningModule: the steps, their logging, and the optimiser."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, Self

import torch
from lightning import LightningModule
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau
from torchmetrics import MeanMetric

from cvae.batch import Batch, Items
from cvae.conditions import Condition
from cvae.config.building import build_model, build_objective, built
from cvae.config.compose import Config
from cvae.errors import InputError
from cvae.evaluation.diagnostics.pairs import Keep, at_once
from cvae.evaluation.metrics.bounds import ImportanceSampledNLL, MeanTerms, StandardError
from cvae.evaluation.metrics.latent import KL_PER_DIMENSION, LatentUse
from cvae.kinds import Sizes
from cvae.left import Left
from cvae.model.cvae import CVAE
from cvae.model.distributions import ConditionalDistribution
from cvae.model.generator import Generator
from cvae.model.importance import Estimate
from cvae.model.objectives import ELBO, Objective, Terms
from cvae.random import seed_of, seed_torch
from cvae.store.checkpoint import read

MONITOR = "val/elbo"
"""What the best checkpoint, early stopping and searches go by."""

_DRAWS = 8
"""Draws of z for each validation or test target, in every validation the same ones.

One new draw in each epoch has an error of 0.13 nats on the digits, where the epochs themselves
differ by 0.05, and the best one is the luckiest. Of eight that are the same it is 0.014.
"""
_SPLITS = ("train", "val", "test")
_SUMS = "train_means"
"""Where a checkpoint holds the sums over an unfinished epoch."""
_PAIRS = (
    "batch: expected pairs (x, y); give the trainer the data module itself, datamodule=..., or a "
    "DataLoader of pairs"
)
VALIDATED = "validation"
"""Where a checkpoint holds the metrics of the last validation."""


class TrainingModule(CVAE, LightningModule):
    """A `CVAE` with what it takes to train, validate and test it.

    Args:
        condition: As for `CVAE`, and so the three networks.
        prior: p(z|x).
        posterior: q(z|x, y).
        generator: p(y|x, z).
        objective: What training minimises; None is the negative ELBO.
        optimizer: Builder of the optimiser from parameters.
        scheduler: Builder of the learning-rate schedule, stepped once per epoch, from the
            optimiser; None keeps the rate constant.

    Attributes:
        compiled: Whether torch compiles the bound and the importance weights when a trainer starts;
            takes a C++ compiler, and seconds to minutes at their first use.
        nll: Where it is set, a test estimates the NLL by importance sampling as well, and that of
            y alone where x is a class.
        left: What is left of a test; nothing is said of one without a data module.
        seed: A test draws for each batch by this seed and the batch's place.
        keep: What stores the importance-sampled NLL of the batches that are done.
        validation: The metrics of the last validation, by the names that they are logged under.
    """

    compiled: bool = False

    def __init__(
        self,
        condition: Condition,
        prior: ConditionalDistribution,
        posterior: ConditionalDistribution,
        generator: Generator,
        objective: Objective | None = None,
        optimizer: Callable[[Iterator[nn.Parameter]], Optimizer] = torch.optim.Adam,
        scheduler: Callable[[Optimizer], LRScheduler] | None = None,
    ) -> None:
        super().__init__(condition, prior, posterior, generator)
        self.objective = objective or ELBO()
        self.optimizer = optimizer
        self.scheduler = scheduler
        self.beta = 1.0
        log_prob_is = generator.likelihood.log_prob_is
        self.means = nn.ModuleDict({f"{split}_means": MeanTerms(log_prob_is) for split in _SPLITS})
        self.latent_use = LatentUse(generator.latent_dim)
        self.elbo_error = StandardError()
        self.nll: ImportanceSampledNLL | None = None
        self.marginal = MeanMetric()
        self.left = Left("test targets", 0)
        self.seed = 0
        self.keep: Keep = at_once
        self.validation: dict[str, float] = {}
        self._validated_now = False

    @classmethod
    def load_from_checkpoint(  # type: ignore[override]
        cls,
        checkpoint_path: str | Path,
        map_location: Any = None,
        *,
        allow: Sequence[str] = (),
        **others: Any,
    ) -> Self:
        """Return the model of a checkpoint, for a trainer's `validate`, `test` and `predict`.

        Lightning's own way would call `__init__` with numbers and strings from the file.

        Args:
            checkpoint_path: A checkpoint, or the folder of a run.
            map_location: The device of the weights; None is the CPU.
            allow: As for `cvae.load`.
            **others: Nothing: the checkpoint holds the settings that its model is built from.

        Raises:
            InputError: As `cvae.load`, or if there are other arguments.
        """
        if others:
            raise InputError(
                f"load_from_checkpoint: a checkpoint holds the settings of its model; leave "
                f"{', '.join(others)} out"
            )
        model = read(checkpoint_path).built(build_training_module, allow)
        return model.to(map_location or "cpu")  # type: ignore[return-value]

    # -- steps -----------------------------------------------------------------------------------

    def setup(self, stage: str) -> None:
        """Check once that the data are what the likelihood is a distribution over; compile."""
        if self.compiled:
            self.compile_parts()
        datamodule = getattr(self.trainer, "datamodule", None)
        if datamodule is not None:
            self.generator.likelihood.require(datamodule.support)

    def compile_parts(self) -> None:
        """Have torch compile the bound and the importance weights, each at its first use."""
        # Once as it is: how torch looks for a KL cannot be compiled, but it remembers what it is.
        x, y = self.condition.x_shape, self.condition.y_shape
        with torch.no_grad(), self.device:  # of the weights, which no trainer has moved yet
            self.terms(torch.zeros(1, *x), torch.zeros(1, *y))
        self._compile("terms")
        super().compile_parts()

    def terms(self, x: Tensor, y: Tensor, beta: float = 1.0) -> Terms:
        """Return the objective's terms for targets y, (B, *y_shape), under x, (B, *x_shape)."""
        q, p = self.posterior(x, y), self.prior(x)
        return self.objective(q, p, partial(self.generator, x), y, beta)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        epoch = self.current_epoch + batch_idx / self.trainer.num_training_batches
        self.beta = self.objective.beta_at(epoch)
        return self._step("train", self._pair(batch), self.beta).loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self._evaluate("val", self._pair(batch))

    def on_test_start(self) -> None:
        data: Any = getattr(self.trainer, "datamodule", None)
        if data is not None:
            limit = int(sum(self.trainer.num_test_batches)) * data.batch_size
            self.left = Left("test targets", min(len(data.test_set), limit))

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        seed_torch(seed_of(self.seed, batch_idx), self.device)
        batch = self._pair(batch)
        self.elbo_error.update(self._evaluate("test", batch))
        x, y = batch
        self.latent_use.update(self.posterior(x, y), self.prior(x))
        if self.nll is None:
            self.left.done(len(y))
            return
        todo = self.left.total
        self.left.total -= len(y)  # unless it has to be done
        found = self.keep(f"nll {batch_idx}", lambda: self._weighed(batch, todo))
        parts = {name: part.to(y.device) for name, part in found.items()}
        if self.condition.asked_by_class:
            self.marginal.update(parts.pop("marginal"))
        self.nll.update(Estimate(**parts))

    def _weighed(self, batch: Batch, todo: int) -> dict[str, Tensor]:
        """Return the parts of the estimates of a batch, and the NLL of y alone where x is a class.

        `todo` is how many targets are left with those of this batch.
        """
        assert self.nll is not None
        self.left.total = todo
        x, y = batch
        found = self.estimate(x, y, self.nll.samples)
        parts = found._asdict()
        if self.condition.asked_by_class:
            parts["marginal"] = -self.over_classes(x, y, found, self.nll.samples)
        return parts

    def predict_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return a plausible y for each x of a batch, (B, *y_shape), as `sample` draws it.

        A batch of a loader of one's own is x, or begins with it.

        Raises:
            InputError: If the model knows no such condition.
        """
        x = batch[0] if isinstance(batch, tuple | list) and not isinstance(batch, Items) else batch
        if isinstance(x, Items):
            raise InputError(_PAIRS)
        return self.sample(x)[0]

    def _pair(self, batch: Any) -> Batch:
        """Return a batch of the data module, or of a loader of one's own that gives pairs (x, y).

        Raises:
            InputError: If it is no pair, or the model knows no such condition or target.
        """
        if isinstance(batch, Batch):
            return batch
        if not isinstance(batch, tuple | list) or len(batch) != 2:
            raise InputError(_PAIRS)
        return Batch(*self._pairs(*batch))

    def _estimate(self, x: Tensor, y: Tensor, *how: Any) -> Estimate:
        found = super()._estimate(x, y, *how)
        if self.nll is not None:
            *_, samples, _ = how
            passes = 2 if self.condition.asked_by_class else 1  # all other classes are the second
            self.left.done(len(y) * samples / self.nll.samples / passes)
        return found

    def _step(self, split: str, batch: Batch, beta: float = 1.0) -> Terms:
        terms = self.terms(*batch, beta)
        self.means_of(split).update(terms.loss, terms.log_likelihood, terms.kl)
        return terms

    def _evaluate(self, split: str, batch: Batch) -> Tensor:
        """Add a batch to the means of a split; return the mean ELBO of each target, (B,)."""
        x, y = batch
        q, p = self.posterior(x, y), self.prior(x)
        elbos = []
        for _ in range(_DRAWS if self.generator.latent_dim else 1):
            terms = self.objective(q, p, partial(self.generator, x), y)
            self.means_of(split).update(terms.loss, terms.log_likelihood, terms.kl)
            elbos.append(terms.log_likelihood - terms.kl)
        return torch.stack(elbos).mean(0)

    # -- logging ---------------------------------------------------------------------------------

    def means_of(self, split: str) -> MeanTerms:
        """Return the means of this epoch over a split: "train", "val" or "test"."""
        means: Any = self.means[f"{split}_means"]
        return means

    def logged(self) -> dict[str, Literal["max", "min"] | None]:
        """Return the names that are logged at the end of an epoch, and what is better of each."""
        loss, elbo, log_prob, kl = self.means_of("val").names
        better: dict[str, Literal["max", "min"] | None]
        better = {loss: "min", elbo: "max", log_prob: "max", kl: None}
        of_both = {f"{s}/{name}": b for s in ("train", "val") for name, b in better.items()}
        return of_both | {"train/beta": None, "train/lr": None}

    def on_train_epoch_start(self) -> None:
        self._validated_now = False

    def on_validation_epoch_end(self) -> None:
        found = self._log_means("val")
        if not self.trainer.sanity_checking:
            self.validation = {name: float(value) for name, value in found.items()}
            self._validated_now = True

    def on_train_epoch_end(self) -> None:
        rate = self.trainer.optimizers[0].param_groups[0]["lr"]
        found = self._log_means("train", beta=self.beta, lr=rate)
        # Lightning would write these only after the checkpoint of the epoch that they belong to.
        for logger in self.loggers:
            logger.log_metrics({k: float(v) for k, v in found.items()}, self.global_step - 1)
        if not self._validated_now:  # what goes by the validation goes by the last one
            self.log_dict(self.validation, logger=False)
        scheduler = self.lr_schedulers()
        if isinstance(scheduler, ReduceLROnPlateau) and MONITOR in self.validation:
            scheduler.step(self.validation[MONITOR])

    def on_test_epoch_end(self) -> None:
        self._log_means("test")
        self.log("test/elbo_standard_error", self.elbo_error.compute())
        self.elbo_error.reset()
        if self.nll is not None:
            self.log_dict({f"test/{name}": value for name, value in self.nll.compute().items()})
            self.nll.reset()
            if self.condition.asked_by_class:
                self.log("test/nll_marginal", self.marginal.compute().float())
                self.marginal.reset()
        use = self.latent_use.compute()
        self.log("test/active_units", use["active_units"].float())
        if use["kl_per_dimension"].isfinite().all():
            for index, kl in enumerate(use["kl_per_dimension"].reshape(-1)):
                self.log(f"{KL_PER_DIMENSION}/{index}", kl)
        self.latent_use.reset()

    def _log_means(self, split: str, **further: float) -> dict[str, Any]:
        # Once per epoch: logging at every step would cost as much as the step itself.
        means: dict[str, Any] = {**self.means_of(split).compute(), **further}
        found = {f"{split}/{name}": value for name, value in means.items()}
        for name, value in found.items():
            self.log(name, value, prog_bar=name.endswith("/elbo"), logger=split != "train")
        self.means_of(split).reset()
        return found

    # -- checkpoints and the optimiser -----------------------------------------------------------

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint[VALIDATED] = dict(self.validation)
        with self.means_of("train").sync_context():  # of all processes, and of an unfinished epoch
            checkpoint[_SUMS] = self.means_of("train").sums()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.validation = dict(checkpoint.get(VALIDATED, {}))
        if _SUMS in checkpoint and self.global_rank == 0:  # others would count them once more
            self.means_of("train").add(checkpoint[_SUMS])

    def configure_optimizers(self) -> Any:
        optimizer = self.optimizer(self.parameters())
        if self.scheduler is None:
            return optimizer
        schedule = {"scheduler": self.scheduler(optimizer), "monitor": MONITOR}
        return {"optimizer": optimizer, "lr_scheduler": schedule}

    def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:
        # Lightning steps a plateau after the checkpoint is written, which a resumed run would miss.
        if not isinstance(scheduler, ReduceLROnPlateau):
            super().lr_scheduler_step(scheduler, metric)


def build_training_module(config: Config, sizes: Sizes) -> TrainingModule:
    """Return the model of a configuration, ready to be trained on items of these sizes.

    `optimizer` and `scheduler` may be left out where it is only to be tested.

    Raises:
        InputError: If a part does not fit the data, or another part.
    """
    model = build_model(config, sizes)
    parts = (model.condition, model.prior, model.posterior, model.generator)
    objective = build_objective(config, model.generator)
    training = {name: built(config, name) for name in ("optimizer", "scheduler") if name in config}
    return TrainingModule(*parts, objective, **training)
