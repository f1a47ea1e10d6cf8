"""What the program relies on although no library promises it: a test for each, named after it.

Where one of these fails, the library has moved: mend the file that the test names.
"""

from pathlib import Path

import pytest
import torch
from hydra.core.override_parser.overrides_parser import OverridesParser
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn
from torch.export import export
from torch.utils.tensorboard import SummaryWriter

from cvae.export.operators import arguments_of, is_view


def test_torch_keeps_an_operator_s_schema_for_export_operators() -> None:
    class Module(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return nn.functional.elu(x.transpose(0, 1), 0.5)

    program = export(Module(), (torch.zeros(2, 3),)).run_decompositions({})
    calls = {str(n.target): n for n in program.graph.nodes if n.op == "call_function"}
    assert is_view(calls["aten.transpose.int"])
    assert not is_view(calls["aten.elu.default"])
    given = arguments_of(calls["aten.elu.default"])
    assert {key: given[key] for key in ("alpha", "scale")} == {"alpha": 0.5, "scale": 1}


def test_zuko_gives_a_step_s_transform_by_meta_for_model_flows() -> None:
    transforms = pytest.importorskip("zuko.flows.autoregressive")
    torch.manual_seed(0)
    step = transforms.MaskedAutoregressiveTransform(3, 2, hidden_features=(8,))
    u, context = torch.randn(5, 3), torch.randn(5, 2)
    assert torch.allclose(step.meta(context, u)(u), step(context)(u))
    assert {name.partition(".")[0] for name, _ in step.named_parameters()} == {"hyper"}


def test_optuna_numbers_a_trial_by_trial_id_for_sweeps_search() -> None:
    optuna = pytest.importorskip("optuna")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize")
    number = study.ask({"x": optuna.distributions.FloatDistribution(0, 1)}).number
    frozen = study.get_trials(deepcopy=False)[number]
    again = optuna.trial.Trial(study, frozen._trial_id)
    again.report(1.5, 3)
    assert study.get_trials()[number].intermediate_values == {3: 1.5}


def test_tensorboard_names_files_by_their_second_for_runs_events(tmp_path: Path) -> None:
    with SummaryWriter(str(tmp_path)) as writer:
        writer.add_scalar("a", 1.0, 7)
    (file,) = tmp_path.glob("events.out.tfevents.*")
    assert file.name.split(".")[3].isdecimal()
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    assert [(point.step, point.value) for point in events.Scalars("a")] == [(7, 1.0)]


@pytest.mark.parametrize(
    ("line", "key", "value"),
    [
        ("resume=run", "resume", "run"),
        ("++resume='my run'", "resume", "my run"),
        ("+resume=null", "resume", None),
        ("latent_dim=2", "latent_dim", 2),
    ],
)
def test_hydra_parses_an_override_for_config_hydra(line: str, key: str, value: object) -> None:
    override = OverridesParser.create().parse_override(line)
    assert (override.key_or_group, override.value()) == (key, value)


def test_hydra_knows_a_sweep_for_config_hydra_and_sweeps_combinations() -> None:
    parser = OverridesParser.create()
    choice = parser.parse_override("prior=standard,gaussian")
    assert choice.is_sweep_override()
    assert choice.is_discrete_sweep()
    assert list(choice.sweep_string_iterator()) == ["standard", "gaussian"]
    assert not parser.parse_override("lr=interval(0,1)").is_discrete_sweep()
    assert parser.parse_override("~callbacks.progress").is_delete()
