"""What the model promises: to samples, to the marginal likelihood, and to the logged numbers."""

import re
from functools import partial

import pytest
import torch
from lightning import LightningModule, Trainer
from torch import Tensor, nn

from cvae.batch import Batch, Items
from cvae.conditions import LabelCondition, NoCondition
from cvae.data.digits import Digits
from cvae.errors import InputError
from cvae.kinds import Image as ImageKind
from cvae.kinds import Sizes
from cvae.model.generator import Generator
from cvae.model.likelihoods.bernoulli import BernoulliLikelihood
from cvae.model.likelihoods.gaussian import GaussianLikelihood
from cvae.model.networks import MLP
from cvae.model.objectives import ELBO
from cvae.model.posteriors.gaussian import GaussianPosterior
from cvae.model.priors.gaussian import GaussianPrior
from cvae.training.module import TrainingModule
from linear_gaussian import LinearGaussian

Y = (1, 8, 8)
SMALL = partial(MLP, width=32)


def model(
    condition=LabelCondition, likelihood=BernoulliLikelihood, latent_dim=2, **options
) -> TrainingModule:
    torch.manual_seed(0)
    made = condition(Sizes(ImageKind(Y), 10))
    return TrainingModule(
        made,
        GaussianPrior([made.x_shape], latent_dim, SMALL),
        GaussianPosterior([made.x_shape, Y], latent_dim, SMALL),
        Generator(made.x_shape, latent_dim, ImageKind(Y), likelihood, SMALL),
        **options,
    )


def some_batch(count: int = 5) -> Batch:
    items = Items(torch.rand(count, *Y).round(), torch.arange(count))
    return LabelCondition(Sizes(ImageKind(Y), 10))(items)


class Untouchable(nn.Module):
    def forward(self, *_: Tensor) -> None:
        raise AssertionError("sampling must not ask the posterior")


# -- sampling ----------------------------------------------------------------------------------


def test_samples_come_from_the_prior_alone() -> None:
    cvae = model()
    cvae.posterior = Untouchable()
    assert cvae.sample([2, 0, 1, 8], 3).shape == (3, 4, *Y)


@pytest.mark.parametrize("part", ["prior", "generator"])
def test_samples_depend_on_x_through_prior_and_generator(part: str) -> None:
    cvae = model()
    x = torch.eye(10)
    if part == "prior":
        assert cvae.prior(x).mean.std(0).min() > 0
    else:
        assert cvae.generator(x, torch.zeros(10, 2)).mean.std(0).max() > 0


def test_samples_of_one_condition_differ_in_z() -> None:
    images = model().sample(3, 50, mean=True)
    assert images.std(0).max() > 0


def test_the_same_generator_gives_the_same_samples_and_advances() -> None:
    cvae, generator = model(), torch.Generator().manual_seed(1)
    first, second = cvae.sample(3, 4, generator), cvae.sample(3, 4, generator)
    assert not torch.equal(first, second)
    assert torch.equal(first, cvae.sample(3, 4, torch.Generator().manual_seed(1)))


def test_digits_lists_and_condition_tensors_mean_the_same() -> None:
    cvae = model()

    def draw(x) -> Tensor:
        return cvae.sample(x, 2, torch.Generator().manual_seed(0))

    assert torch.equal(draw(7), draw([7]))
    assert torch.equal(draw([7, 1]), draw(torch.tensor([7, 1])))
    assert torch.equal(draw([7, 1]), draw(torch.eye(10)[[7, 1]]))


@pytest.mark.parametrize("likelihood", [BernoulliLikelihood, GaussianLikelihood])
@pytest.mark.parametrize("mean", [True, False])
def test_samples_are_pixels(likelihood, mean: bool) -> None:
    images = model(likelihood=likelihood).sample(None, 6, mean=mean)
    assert images.shape == (6, 10, *Y)
    assert images.min() >= 0
    assert images.max() <= 1


def test_without_a_condition_the_plain_vae_samples_and_cannot_be_asked() -> None:
    cvae = model(NoCondition)
    assert cvae.sample(n=4).shape == (4, 1, *Y)
    with pytest.raises(InputError, match="condition=none"):
        cvae.sample(3)


@pytest.mark.parametrize("digits", [10, -1, [0, 12], []])
def test_digits_outside_the_classes_are_refused(digits) -> None:
    with pytest.raises(InputError, match="x: expected classes from 0 to 9"):
        model().sample(digits)


@pytest.mark.parametrize(
    ("x", "came"),
    [
        (torch.zeros(2, 7), "(2, 7) of float32"),
        (torch.zeros(10), "(10,) of float32"),
        (torch.zeros(2, 3, 10), "(2, 3, 10) of float32"),
        (torch.zeros(2, 3).long(), "(2, 3) of int64"),
        (3.7, "() of float32"),
    ],
)
def test_what_is_neither_digits_nor_conditions_is_refused(x, came: str) -> None:
    with pytest.raises(InputError, match=re.escape(f"shape (B, 10), got {came}")):
        model().sample(x)


def test_one_hot_rows_are_conditions_whatever_their_type() -> None:
    for x in (torch.eye(10).long(), torch.eye(10).double()):
        assert model().sample(x, 2).shape == (2, 10, *Y)


def test_counts_below_one_are_refused() -> None:
    cvae, batch = model(), some_batch()
    with pytest.raises(InputError, match="n: expected at least 1, got 0"):
        cvae.sample(3, 0)
    with pytest.raises(InputError, match="samples: expected at least 1, got 0"):
        cvae.log_prob(*batch, samples=0)


def test_a_draw_is_a_draw_and_the_mean_its_mean() -> None:
    torch.manual_seed(0)
    cvae = model(likelihood=partial(GaussianLikelihood, scale=0.1))
    cvae.generator.network.layers[-2].bias.data += 0.5  # away from the ends, where pixels are cut
    z_once = torch.Generator().manual_seed(0)
    means = cvae.sample(3, 4000, z_once, mean=True)
    draws = cvae.sample(3, 4000, torch.Generator().manual_seed(0))
    spread = (draws - means).std(0)
    assert ((spread - 0.1).abs() < 0.02).all()


def test_reconstructions_are_the_generator_s_mean_at_the_posterior_s() -> None:
    cvae, (x, y) = model(), some_batch()
    expected = cvae.generator(x, cvae.posterior(x, y).mean).mean
    torch.testing.assert_close(cvae.reconstruct(x, y), expected)


# -- the marginal likelihood -------------------------------------------------------------------


def test_log_prob_agrees_with_quadrature_over_the_plane_of_z() -> None:
    cvae, batch = model(), some_batch()
    axis = torch.linspace(-7, 7, 301)
    z = torch.cartesian_prod(axis, axis).unsqueeze(1).expand(-1, len(batch.y), -1)
    with torch.no_grad():
        joint = torch.cat(
            [
                cvae.generator(batch.x, part).log_prob(batch.y) + cvae.prior(batch.x).log_prob(part)
                for part in z.split(10_000)
            ]
        )
    exact = joint.logsumexp(0) + 2 * (axis[1] - axis[0]).log()
    torch.testing.assert_close(cvae.log_prob(*batch, 20_000), exact, atol=0.02, rtol=0)


def test_log_prob_is_that_of_the_model_s_own_prior() -> None:
    # A prior far from N(0, I): with that hard-coded, the estimate would be off by whole nats.
    linear = LinearGaussian()
    exact = linear.exact()
    torch.testing.assert_close(linear.model.log_prob(linear.x, linear.y, 3), exact)


def test_streaming_in_chunks_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    cvae, batch = model(), some_batch()
    one = [part[:1] for part in batch]
    torch.manual_seed(0)
    whole = cvae.log_prob(*one, 64)
    monkeypatch.setattr("cvae.model.cvae._WEIGHED_ON_CPU", 16 * max(map(torch.numel, one)))
    torch.manual_seed(0)
    # Only the order of the draws differs.
    torch.testing.assert_close(cvae.log_prob(*one, 64), whole, atol=0.05, rtol=0)
    # Of several images each has its own estimate, in its own place.
    exact = torch.stack([cvae.log_prob(*(part[[i]] for part in batch), 5000) for i in range(3)])
    several = cvae.log_prob(*(part[:3] for part in batch), 5000)
    torch.testing.assert_close(several, exact[:, 0], atol=0.1, rtol=0)


def test_half_precision_networks_still_sum_in_full_precision() -> None:
    cvae, batch = model(), some_batch()
    exact = cvae.log_prob(*batch, 5000)
    with torch.autocast("cpu", torch.bfloat16):
        rough = cvae.log_prob(*batch, 5000)
    assert rough.dtype == torch.float32
    torch.testing.assert_close(rough, exact, atol=0.2, rtol=0)


# -- training ----------------------------------------------------------------------------------


def fitted(epochs: int = 1, **options) -> tuple[TrainingModule, Trainer, Digits]:
    data = Digits(LabelCondition, batch_size=200, binarize="dynamic")
    cvae = model(**options)
    trainer = Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(cvae, data)
    return cvae, trainer, data


def test_the_logged_bound_has_its_sign_and_is_the_sum_of_its_terms() -> None:
    _, trainer, _ = fitted()
    for split in ("train", "val"):
        logged = {
            name: trainer.callback_metrics[f"{split}/{name}"].item()
            for name in ("loss", "elbo", "log_likelihood", "kl")
        }
        assert logged["elbo"] < 0 < logged["kl"]
        assert logged["elbo"] == pytest.approx(logged["log_likelihood"] - logged["kl"], rel=1e-5)
        assert logged["loss"] == pytest.approx(-logged["elbo"], rel=1e-5)


def test_validation_and_test_report_the_bound_whatever_beta_is() -> None:
    cvae, trainer, data = fitted(objective=ELBO(beta=50))
    logged = dict(trainer.callback_metrics)
    assert logged["train/beta"].item() == 50
    weighed = 50 * logged["train/kl"] - logged["train/log_likelihood"]
    assert logged["train/loss"].item() == pytest.approx(weighed.item(), rel=1e-5)
    assert logged["val/loss"].item() == pytest.approx(-logged["val/elbo"].item(), rel=1e-5)
    tested = trainer.test(cvae, data, verbose=False)[0]
    assert tested["test/loss"] == pytest.approx(-tested["test/elbo"], rel=1e-5)


def test_validation_samples_z() -> None:
    cvae, trainer, data = fitted()
    first, second = (trainer.validate(cvae, data, verbose=False)[0] for _ in range(2))
    assert first["val/kl"] == second["val/kl"]
    assert first["val/log_likelihood"] != second["val/log_likelihood"]


def test_a_validation_averages_over_eight_draws_of_z() -> None:
    """So its noise is that of one draw over the root of eight."""
    cvae, batch = model().eval(), some_batch(10)

    def validated() -> float:
        cvae.validation_step(batch, 0)
        means = cvae.means_of("val")
        found = means.compute()["elbo"].item()
        means.reset()
        return found

    with torch.no_grad():
        one = torch.tensor([cvae.terms(*batch).elbo.mean() for _ in range(300)])
        several = torch.tensor([validated() for _ in range(300)])
    assert several.mean().item() == pytest.approx(one.mean().item(), abs=one.std().item() / 6)
    assert (one.std() / several.std()).item() == pytest.approx(8**0.5, rel=0.2)


def test_the_mean_over_a_split_weighs_every_image_the_same() -> None:
    cvae, trainer, data = fitted()
    found = []
    for size in (7, 144):  # of 144 validation images; in batches of 7 the last one holds 4
        data.batch_size = size
        found.append(trainer.validate(cvae, data, verbose=False)[0]["val/kl"])
    assert found[0] == pytest.approx(found[1], rel=1e-5)


def test_fitting_never_reads_the_test_split(monkeypatch: pytest.MonkeyPatch) -> None:
    read = Digits.read

    def guarded(self: Digits, train: bool):
        assert train, "the test split was read while fitting"
        return read(self, train)

    monkeypatch.setattr(Digits, "read", guarded)
    fitted()


def test_grey_pixels_are_refused_at_set_up_without_any_config() -> None:
    trainer = Trainer(max_epochs=1, logger=False, enable_checkpointing=False, accelerator="cpu")
    with pytest.raises(InputError, match="grey"):
        trainer.fit(model(), Digits(LabelCondition, binarize="none"))


def test_beta_warms_up_over_the_steps_of_training() -> None:
    # Two epochs of 7 batches: the last batch of the first epoch starts at 6/7 of it.
    _, trainer, _ = fitted(objective=ELBO(warmup_epochs=2))
    assert trainer.callback_metrics["train/beta"].item() == pytest.approx(6 / 7 / 2)
    assert trainer.callback_metrics["val/loss"] == -trainer.callback_metrics["val/elbo"]


def test_the_schedule_is_stepped_every_epoch() -> None:
    halved = partial(torch.optim.lr_scheduler.StepLR, step_size=1, gamma=0.5)
    _, trainer, _ = fitted(epochs=3, scheduler=halved)
    assert trainer.optimizers[0].param_groups[0]["lr"] == pytest.approx(1e-3 / 8)


def test_training_lowers_the_loss() -> None:
    _, first, _ = fitted(epochs=1)
    _, last, _ = fitted(epochs=15)
    assert last.callback_metrics["val/elbo"] > first.callback_metrics["val/elbo"] + 3


def test_the_model_is_a_lightning_module_that_a_notebook_can_build() -> None:
    assert isinstance(model(), LightningModule)
