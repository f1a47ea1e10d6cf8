"""Wrong commands, settings, checkpoints and data: each ends in one line that says the way out."""

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from conftest import altered, composed
from cvae.commands import main as cli
from cvae.config.building import build_model
from cvae.data.mnist import MNIST
from cvae.kinds import Image as ImageKind
from cvae.kinds import Sizes
from cvae.store.checkpoint import KEY, POSITION

SHARED = ["prior.network.width: prior.network is the network", "+network@prior.network=NAME"]
TRAIN = [
    (["latnt_dim=2"], ["latnt_dim: no such key", "did you mean latent_dim=2?"]),
    (["priors=gaussian"], ["priors: no such key", "did you mean prior=gaussian?"]),
    (["prior=gausian"], ["prior: no such option 'gausian'", "'gaussian'"]),
    (
        ["likelihood=zzz"],
        [
            "likelihood: no such option 'zzz'",
            "known are bernoulli, categorical, continuous_bernoulli, cross_entropy, discretized",
        ],
    ),
    (["experiment=mnits"], ["experiment: no such option 'mnits'", "'mnist'"]),
    (["optimizer.learning_rate=1"], ["optimizer.learning_rate: no such key", "optimizer.lr=1"]),
    (["+optimizer.weight_decai=1"], ["optimizer.weight_decai: torch.optim.Adam", "weight_decay"]),
    (["+latent_dims=3"], ["latent_dims: no such key", "did you mean latent_dim=3?"]),
    (["+data.rot=/tmp", "data=mnist"], ["data.rot", "takes no such argument", "'root'"]),
    (
        ["trainer.accumulate_grad_batches=2"],
        ["write +trainer.accumulate_grad_batches="],
    ),
    (["prior=null"], ["'prior=null': expected the name of an option"]),
    (["latent_dim=two"], ["latent_dim: expected int, got 'two'"]),
    (["latent_dim="], ["latent_dim: expected int, got ''"]),
    (["latent_dim=2.5"], ["latent_dim: expected int, got 2.5"]),
    (["latent_dim=-1"], ["latent_dim: expected at least 0, got -1"]),
    (["seed=some"], ["seed: expected int", "got 'some'"]),
    (["optimizer.lr=fast"], ["optimizer.lr: expected float", "got 'fast'"]),
    (["optimizer.lr=-1"], ["optimizer", "Invalid learning rate: -1"]),
    (["optimizer._target_=torch.optim.Adm"], ["optimizer._target_", "torch.optim.Adm", "'Adam'"]),
    (["trainer.max_epochs=ten"], ["trainer.max_epochs: expected", "int", "got 'ten'"]),
    (["trainer.num_sanity_val_steps=[]"], ["num_sanity_val_steps: expected", "int", "got []"]),
    (["network.width=[1]"], ["network.width: expected int, got [1]"]),
    (["network.width={a:1}"], ["network.width: expected int, got {'a': 1}"]),
    (["trainer.devices=0"], ["trainer: ", "trainer=cpu runs everywhere"]),
    (["trainer.precision=bf16-true"], ["trainer.precision: expected", "got bf16-true"]),
    (["trainer.precision=64-true"], ["trainer.precision: expected 32-true", "got 64-true"]),
    (["trainer.max_epochs=0"], ["nothing would be trained", "+trainer.limit_train_batches=1"]),
    (["+trainer.fast_dev_run=true"], ["nothing would be trained"]),
    (["~callbacks.best"], ["callbacks: best and last", "keep them"]),
    (["trainer.devices=2"], ["trainer.devices: several processes", "trainer=ddp"]),
    (["trainer.accelerator=abacus"], ["trainer: ", "abacus", "trainer=cpu"]),
    (["seed=-1"], ["seed: expected a whole number from 0", "got -1"]),
    (["seed=99999999999"], ["seed: expected a whole number from 0"]),
    (["data.split_seed=99999999999"], ["data.split_seed: expected a whole number from 0"]),
    (
        ["data.val_fraction=0.001"],
        ["0.001 of 1437 items", "another data.val_fraction"],
    ),
    (["network.activation=relu"], ["network.activation: expected a builder", "torch.nn.ELU"]),
    (["network.activation._target_=torch.relu"], ["network.activation._target_", "torch.nn."]),
    (["prior._target_=collections.OrderedDict"], ["prior._target_", "allow=[collections]"]),
    (["condition._target_=torch.nn.ReLU"], ["condition: expected a Condition, got a ReLU"]),
    (["network.width=wide"], ["network.width: expected int, got 'wide'"]),
    (["network.width=0"], ["network.width: expected at least 1, got 0"]),
    (["objective.beta=-1"], ["objective.beta: expected at least 0, got -1"]),
    (["data.batch_size=0"], ["data.batch_size: expected at least 1, got 0"]),
    (["data.binarize=dynamc"], ["data.binarize: expected a known word", "'dynamic'"]),
    (["data.binarize=none"], ["Bernoulli", "grey", "data.binarize=dynamic", "likelihood=gaussian"]),
    (
        ["likelihood=gaussian", "likelihood.scale=0"],
        ["likelihood.scale: expected a positive number"],
    ),
    (["callbacks.early_stopping.patience=x"], ["callbacks.early_stopping.patience", "int", "'x'"]),
    (["callbacks=ema", "callbacks.ema.decay=1"], ["ema.decay: expected a share", "got 1"]),
    (["refit=flow", "refit.steps=0"], ["refit.steps: expected at least 1, got 0"]),
    (["refit=vamp"], ["refit: no such option 'vamp'", "flow, mixture"]),
    (["hierarchy=0"], ["hierarchy: expected at least 1, got 0"]),
    (["objective.cycle_epochs=3"], ["cycle_epochs: a cycle begins with"]),
    (["callbacks.snapshots.every_n_epochs=0"], ["every_n_epochs: expected at least 1, got 0"]),
    (
        ["data=mnist", "data.root=nowhere", "data.download=false"],
        ["data.root", "nowhere", "digits"],
    ),
    (["hydra.run.dir=/dev/null/run"], ["/dev/null/run", "Not a directory"]),
    (["resume=nowhere"], ["resume", "nowhere", "not the folder of a run"]),
    (["prior=standard,gaussian"], ["gives several values to a single run; for a sweep, add -m"]),
    (["network.activation._target_=torch.nn.Elu"], ["did you mean 'ELU'?"]),
    (["refit.components=3"], ["refit.components: refit has no option yet", "refit=NAME"]),
    (["-m", "prior=null,mixture"], ["expected the name of an option"]),
    (["-m", "prior=standard,mixture", "prior.componets=3"], ["prior.componets: no such key"]),
    (["--nonsense"], ["unrecognized arguments: --nonsense", "--hydra-help"]),
    (["latent_dim=2", "--config-dir", "nowhere", "seed=1"], ["nowhere", "not found"]),
    (["-m", "latent_dim=2,3", "--cfg", "job"], ["--cfg", "not allowed with"]),
    (["-m", "launcher=basic,joblib", "latent_dim=2"], ["share one launcher"]),
    (["just_a_word"], ["'just_a_word' is not of the form key=value"]),
    (["latent_dim={2"], ["latent_dim={2", "key=value"]),
    (["-m", "latent_dim=-1,-2"], ["latent_dim: expected at least 0, got -1"]),
    (["prior.network.width=64"], SHARED),
    (["-m", "prior.network.width=64,32"], SHARED),
    (["-m", "prior=standard,gausian"], ["prior: no such option 'gausian'", "'gaussian'"]),
]
NEVER_ENDS = ["trainer.max_epochs: the training might never end", "+trainer.max_time="]
SHORT = "trainer.max_epochs=1"
ONE_CYCLE = ["scheduler._target_=torch.optim.lr_scheduler.OneCycleLR", "~scheduler.factor"]
LATE = [  # what would be met after a training, or in its middle
    (["+logger.tensorboard.name=mine"], ["logger.tensorboard", "name"]),
    (["logger=wandb"], ["logger.wandb: ", "pip install 'lightning-cvae[wandb]'"]),
    (["logger=[csv,mlflow]"], ["logger.mlflow: ", "pip install 'lightning-cvae[mlflow]'"]),
    (["+logger.mine=3"], ["logger.mine: expected a logger of Lightning", "_target_=CLASS, got 3"]),
    (["+logger.mine._target_=torch.nn.ReLU"], ["logger.mine: expected a logger", "a ReLU"]),
    (["+trainer.limit_train_batches=0"], ["limit_train_batches", "none of 21; got 0"]),
    (["+trainer.limit_val_batches=0"], ["limit_val_batches", "at least one batch", "none of 3"]),
    (["+trainer.limit_test_batches=0.01"], ["limit_test_batches", "none of 6; got 0.01"]),
    ([SHORT, "+trainer.check_val_every_n_epoch=5"], ["before its first validation", "least 5"]),
    (["+trainer.max_steps=4"], ["trainer.max_steps: the training would end", "least 21, got 4"]),
    (["+trainer.max_steps=0"], ["trainer.max_steps: nothing would be trained"]),
    (["+trainer.max_time=00:00:00:00"], ["trainer.max_time: nothing would be trained"]),
    (["trainer.max_epochs=null"], NEVER_ENDS),
    (["trainer.max_epochs=-1"], NEVER_ENDS),
    (["+trainer.overfit_batches=1"], ["trainer.overfit_batches", "+trainer.limit_train_batches"]),
    (["+trainer.val_check_interval=1000"], ["val_check_interval: expected a divisor of the 21"]),
    (["+trainer.val_check_interval=0.25"], ["val_check_interval: expected a divisor of the 21"]),
    (["+trainer.val_check_interval=0"], ["val_check_interval: expected a positive number"]),
    (
        ["+trainer.val_check_interval='00:00:01:00'"],
        ["val_check_interval: a validation by the clock"],
    ),
    (["+trainer.check_val_every_n_epoch=0"], ["check_val_every_n_epoch: expected at least 1"]),
    (["+trainer.accumulate_grad_batches=0"], ["accumulate_grad_batches: expected at least 1"]),
    (["+callbacks.best.save_top_k=3"], ["callbacks.best.save_top_k", "takes no such argument"]),
    (["+callbacks.best.filename=x"], ["callbacks.best.filename", "known are mode, monitor"]),
    (["callbacks.best.monitor=val/ello"], ["callbacks.best.monitor: nothing", "'val/elbo'"]),
    (["callbacks.best.mode=min"], ["callbacks.best.mode: of val/elbo the best is the maximum"]),
    (["callbacks.best.monitor=val/loss"], ["of val/loss the best is the minimum, got max"]),
    (["callbacks.early_stopping.monitor=val/ello"], ["early_stopping.monitor", "'val/elbo'"]),
    (["callbacks.best=null"], ["callbacks: best and last", "keep them"]),
    (["+callbacks.x=3"], ["callbacks.x: expected a callback", "got 3"]),
    (["+callbacks.x._target_=torch.nn.ReLU"], ["callbacks.x: expected a callback", "a ReLU"]),
    (
        ["+callbacks.x._target_=lightning.pytorch.callbacks.ModelCheckpoint"],
        ["callbacks.x: a run writes its own checkpoints", "leave the ModelCheckpoint out"],
    ),
    (
        ["optimizer._target_=torch.nn.ReLU", "~optimizer.lr", "~optimizer.fused"],
        ["ReLU is not an Optimizer"],
    ),
    (["optimizer._target_=torch.optim.SparseAdam", "~optimizer.fused"], ["dense gradients"]),
    (["scheduler._target_=torch.nn.ReLU", "~scheduler.factor"], ["scheduler: expected torch"]),
    (["scheduler=plateau", "scheduler.mode=min"], ["scheduler.mode: ", "expected max, got min"]),
    (
        ["scheduler=cosine", "trainer.max_epochs=-1", "+trainer.max_steps=99"],
        ["scheduler.T_max: expected at least 1 epoch, got -1"],
    ),
    (
        [*ONE_CYCLE, "+scheduler.max_lr=0.1", "+scheduler.total_steps=3"],
        ["scheduler: Tried to step 4 times"],
    ),
]
IGNORED = [
    (["+trainer.enable_progress_bar=false"], ["set by the program", "~callbacks.progress"]),
    (["+trainer.default_root_dir=x"], ["set by the program", "hydra.run.dir=DIR"]),
    (["+trainer.callbacks=[]"], ["set by the program", "+callbacks.NAME._target_=CLASS"]),
    (["+trainer.logger=false"], ["trainer.logger: this is set by the program"]),
    (["+trainer.plugins=[]"], ["trainer.plugins: this is set by the program"]),
    (["+trainer.enable_checkpointing=false"], ["trainer.enable_checkpointing: this is set"]),
    (["+trainer.barebones=true"], ["trainer.barebones: nothing would be logged"]),
    (["trainer.precision=16-mixed"], ["a CPU computes no 16-mixed", "bf16-mixed"]),
]
BEYOND = [
    (["optimizer.lr=inf"], ["optimizer.lr: expected a number from", "got inf"]),
    (["optimizer.lr=1e300"], ["optimizer.lr: expected a number from", "got 1e+300"]),
    (["objective.beta=nan"], ["objective.beta: expected a number from", "got nan"]),
    (["threads=0"], ["threads: expected at least 1, got 0"]),
    (["threads=1000000"], ["threads: expected at most", "got 1000000"]),
    (["parallel=0"], ["parallel: expected at least 1, got 0"]),
    (["hierarchy=1000"], ["hierarchy: expected at most 100, got 1000"]),
    (["network.depth=100000000"], ["network.depth: expected at most 100, got"]),
    (["network=conv", "network.depth=100000000"], ["network.depth: expected at most 16, got"]),
    (["prior=flow", "prior.steps=100000000"], ["prior.steps: expected at most 100"]),
    (["prior=mixture", "prior.components=1000000000"], ["prior.components: expected at most"]),
    (["objective=iwae", "objective.samples=100000000"], ["objective.samples: expected at most"]),
    (["latent_dim=100000000"], ["memory: the weights", " TB, and this machine has"]),
    (["network.width=1000000"], ["memory: the weights", " TB, and this machine has"]),
    (["network=conv", "network.depth=12"], ["memory: the weights", "network.*", " TB"]),
    (["latent_dim=9223372036854775807"], ["memory: the weights would be more than torch"]),
    (["latent_dim=99999999999999999999"], ["latent_dim: expected a number from"]),
]
TPE = ["-m", "search=tpe", "network.width=8"]
SWEEPS = [
    (["-m", "prior=glob(gausian*)"], ["prior: 'prior=glob(gausian*)' gives no value"]),
    (["-m", "seed=range(5,0)"], ["seed: 'seed=range(5,0)' gives no value", "an empty range"]),
    ([*TPE, "optimizer.lr=interval(1e-1,1e-4)"], ["optimizer.lr: an interval goes from less to"]),
    ([*TPE, "optimizer.lr=tag(log,interval(0,1e-4))"], ["optimizer.lr: the logarithm", "above 0"]),
    ([*TPE, "optimizer.lr=range(3,1)"], ["optimizer.lr: ", "gives no value to sweep over"]),
    ([*TPE, "latent_dim=interval(2,8)"], ["latent_dim: expected int", "int(interval(A,B))"]),
    ([*TPE, "network.depth=interval(1,3)"], ["network.depth: expected int", "int(interval(A,B))"]),
    (["-m", "seed=0,1", "parallel=0", "launcher=joblib"], ["parallel: expected at least 1"]),
    (["-m", "seed=0,1", "launcher=slurm"], ["launcher: slurm needs the program", "joblib"]),
]
SAMPLE = [
    ([], ["checkpoint: required but missing; give checkpoint="]),
    (["checkpoint=nowhere.ckpt"], ["'nowhere.ckpt' is not a file"]),
    (["checkpoint=."], ["'.' is not the folder of a run"]),
    (["checkpoint=foreign.ckpt"], ["written by another program"]),
    (["checkpoint=cut.ckpt"], ["cut.ckpt' is damaged"]),
    (["checkpoint=text.ckpt"], ["text.ckpt' is damaged"]),
    (["checkpoint=empty.ckpt"], ["empty.ckpt' is damaged"]),
    (["checkpoint=RUN", "digits=20a8"], ["x: no class is called '20a8'; known are 0, 1, 2"]),
    (["checkpoint=RUN", "digits=''"], ["x: no class is called ''"]),
    (["checkpoint=RUN", "digits=-1"], ["x: no class is called '-1'"]),
    (["checkpoint=RUN", "n=0"], ["n: expected at least 1, got 0"]),
    (["checkpoint=RUN", "n=100000000"], ["n: 100000000 rows of 10 images", "a smaller n"]),
    (["checkpoint=RUN", "n=2000", "plot=interpolation"], ["n: 10 rows of 2000 images"]),
    (["checkpoint=RUN", "n=many"], ["n: expected int, got 'many'"]),
    (["checkpoint=RUN", "plot=manifold", "digits=7"], ["this model has 8 dimensions"]),
    (["checkpoint=RUN", "plot=traversal", "digits=77"], ["shows one condition, got 2"]),
    (["checkpoint=RUN", "plot=travesral"], ["did you mean 'traversal'?"]),
    (["checkpoint=RUN", "plot=traversal", "digits=7", "mean=false"], ["mean: only plot=grid"]),
    (["checkpoint=RUN", "seed=-1"], ["seed: expected a whole number"]),
    (["checkpoint=RUN", "+foo=1"], ["foo: no such key"]),
    (["checkpoint=RUN", "out=picture.jpg"], ["out: expected a file name ending in .png"]),
    (["checkpoint=RUN", "out=/dev/null/a.png"], ["'/dev/null': Not a directory"]),
    (["checkpoint=RUN", "digit=7"], ["digit: no such key; did you mean x=7?"]),
]
EVALUATE = [
    (["checkpoint=RUN", "samples=0"], ["samples: expected at least 1, got 0"]),
    (["checkpoint=RUN", "samples=100000000000"], ["samples: expected at most 1000000"]),
    (["checkpoint=RUN", "images=100000000000"], ["images: expected at most 1000000"]),
    (["checkpoint=RUN", "trainer.precision=16-mixed"], ["a CPU computes no 16-mixed"]),
    (["checkpoint=RUN", "+trainer.limit_test_batches=0"], ["trainer.limit_test_batches: "]),
    (["checkpoint=RUN", "trainer.devices=2"], ["trainer.devices: one device evaluates"]),
    (["checkpoint=RUN", "+trainer.callbacks=[]"], ["trainer.callbacks: this is set by the"]),
    (["checkpoint=RUN", "images=-1"], ["images: expected at least 0, got -1"]),
    (["checkpoint=RUN", "trainer=warp"], ["trainer: no such option 'warp'"]),
    (["checkpoint=RUN", "trainer.accelerator=abacus"], ["abacus"]),
    (["checkpoint=RUN", "trainer.precision=16-true"], ["trainer.precision: expected 32-true"]),
    (["checkpoint=RUN", "data.rot=x"], ["data.rot: no such key; did you mean data.root=x?"]),
    (["checkpoint=RUN", "data.root=x"], ["data.root: no such setting of this data"]),
    (["checkpoint=RUN", "seed=-1"], ["seed: expected a whole number"]),
    (["checkpoint=RUN", "out=deep"], ["out: expected a file name ending in .json"]),
    (["checkpoint=cut.ckpt"], ["cut.ckpt' is damaged"]),
    (["checkpoint=torn_metrics"], ["torn_metrics/metrics.json' is damaged"]),
    (["checkpoint=nan.ckpt"], ["nan.ckpt' is damaged", "weights that are not finite"]),
    (["checkpoint=grown.ckpt"], ["are not those that the run was started with", "data.path=FILE"]),
    (["checkpoint=no_sum.ckpt"], ["no_sum.ckpt' is damaged (its data_checksum)"]),
    (["checkpoint=old.ckpt"], ["does not fit this program", "written by cvae 0"]),
    (["checkpoint=RUN", "allow=3"], ["allow: expected list[str]"]),
]
FILES = [
    (["data=arrays"], ["data.path: required but missing"]),
    (
        ["data=arrays", "data.path=nowhere.npz"],
        ["'nowhere.npz' is not a file; expected"],
    ),
    (["data=arrays", "data.path=text.npz"], ["text.npz' cannot be read as numpy's .npz"]),
    (["data=arrays", "data.path=cut.npz"], ["cut.npz' cannot be read as numpy's .npz"]),
    (["data=arrays", "data.path=no_y.npz"], ["array 'y' of 'no_y.npz' is missing"]),
    (["data=arrays", "data.path=dark.npz"], ["array 'y' of 'dark.npz'", "it has pixels from -1"]),
    (["data=arrays", "data.path=short.npz"], ["array 'x' of 'short.npz' has shape (9,)"]),
    (["data=arrays", "data.path=nan.npz"], ["array 'y' of 'nan.npz'", "it holds NaN"]),
    (["data=arrays", "data.path=locked.npz"], ["locked.npz' cannot be read", "is encrypted"]),
    (
        ["data=folder", "data.root=classes", "data.size=1000000"],
        ["data.size: 2 images of 1000000x1000000 pixels take", "choose a smaller size"],
    ),
    (["data=folder", "data.root=nowhere"], ["data.root: 'nowhere' is not a folder"]),
    (["data=folder", "data.root=pictures"], ["'pictures' holds no images"]),
    (["data=mnist", "data.root=torn", "data.download=false"], ["torn/MNIST/raw' are damaged"]),
    (["data=mnist", "data.root=text.npz"], ["text.npz", "Not a directory"]),
    (["condition=given"], ["condition"]),
    (["condition=quadrants", "condition.visible=5"], ["condition"]),
    (["resume=empty_run"], ["resume: ", "empty_run' is not the folder of a run"]),
    (["resume=torn_run"], ["last.ckpt' is damaged"]),
    (["resume=hollow_run"], ["not one that a run can resume from"]),
    (["resume=early_run"], ["was written by cvae 0.0.1, an earlier version", "sampled from"]),
    (["resume=odd_run"], ["overrides.yaml' is damaged"]),
    (["resume=RUN", "latent_dim=3"], ["latent_dim: a resumed run keeps its own, 8, but would"]),
    (["resume=RUN", "trainer.max_epochs=1"], ["trainer.max_epochs: the run already has 2 epochs"]),
    (["sweep.resume=empty_run"], ["sweep.resume: ", "is not the folder of a sweep"]),
    (["callbacks.last.every_n_steps=0"], ["callbacks.last.every_n_steps: expected at least 1"]),
    (["trainer.gradient_clip_val=steep"], ["trainer.gradient_clip_val: expected", "'steep'"]),
    (["search=tpe"], ["search: a search is a sweep", "add -m"]),
]
REPORT = [
    ([], ["dir: required but missing; give dir="]),
    (["nowhere"], ["dir: 'nowhere' is not a folder"]),
    (["pictures"], ["dir: 'pictures' has no run in it"]),
    (["torn_run"], ["metrics.json' is damaged"]),
    (["RUN", "out=report.pdf"], ["out: expected a file name ending in .html"]),
    (["RUN", "title=x"], ["title: no such key"]),
]
EXPORT = [
    ([], ["checkpoint: required but missing; give checkpoint="]),
    (["checkpoint=nowhere.ckpt"], ["'nowhere.ckpt' is not a file"]),
    (["checkpoint=cut.ckpt"], ["cut.ckpt' is damaged"]),
    (["checkpoint=RUN", "format=pdf"], ["format: expected html, onnx or weights, got 'pdf'"]),
    (["RUN", "format=weights", "out=RUN"], ["is the folder of a run; expected another"]),
    (["RUN", "format=weights", "out=text.ckpt"], ["'text.ckpt' is a file; expected a folder"]),
    (["checkpoint=RUN", "weights=int4"], ["weights: expected int8 or float16, got 'int4'"]),
    (["checkpoint=RUN", "images=-1"], ["images: expected at least 0, got -1"]),
    (["checkpoint=RUN", "seed=-1"], ["seed: "]),
    (["checkpoint=RUN", "out=digits.png"], ["out: expected a file name ending in .html"]),
    (["checkpoint=RUN", "digits=2018"], ["digits: no such key"]),
    (["checkpoint=quadrants.ckpt"], ["a page asks for classes", "choose format=onnx"]),
]
ENCODE = [
    ([], ["checkpoint: required but missing; give checkpoint="]),
    (["nowhere.ckpt"], ["'nowhere.ckpt' is not a file"]),
    (["RUN", "out=codes.txt"], ["out: expected a file name ending in .npz, .csv or .parquet"]),
    (["RUN", "data.split=some"], ["data.split: expected test or all, got 'some'"]),
    (["RUN", "data.path=x.npz"], ["data.path: no such setting of this data"]),
    (["grown.ckpt"], ["the targets, labels or conditions are not those"]),
    (["grown.ckpt", "data.split=all"], ["data.split: these data have a test split"]),
    (["RUN", "x=1"], ["x: no such key"]),
]
ALL = [
    *(("train", *row) for row in [*TRAIN, *FILES, *LATE, *IGNORED, *BEYOND, *SWEEPS]),
    *(("sample", *row) for row in SAMPLE),
    *(("evaluate", *row) for row in EVALUATE),
    *(("report", *row) for row in REPORT),
    *(("export", *row) for row in EXPORT),
    *(("encode", *row) for row in ENCODE),
]
assert len(ALL) >= 60


@pytest.fixture(scope="module")
def bad_files(run_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with files and folders of every kind of damage."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("bad"))
        damage(run_dir)
        yield Path.cwd()


def ask_for_quadrants(contents: dict[str, Any]) -> None:
    config = composed("condition=quadrants", "network.width=8")
    contents["state_dict"] = build_model(config, Sizes(ImageKind((1, 8, 8)), 10)).state_dict()
    contents[KEY]["config"] = config


def last_weight(contents: dict[str, Any]) -> Tensor:
    weights = contents["state_dict"]
    return next(weights[name] for name in reversed(weights) if name.startswith("generator."))


def of_an_early_version(contents: dict[str, Any]) -> None:
    contents[KEY]["versions"]["cvae"] = "0.0.1"
    del contents[KEY][POSITION]


def damage(run_dir: Path) -> None:
    torch.save({"state_dict": {}}, "foreign.ckpt")
    whole = (run_dir / "checkpoints" / "best.ckpt").read_bytes()
    Path("cut.ckpt").write_bytes(whole[: len(whole) // 2])
    Path("text.ckpt").write_text("not a checkpoint")
    Path("empty.ckpt").touch()
    change = {"prior": {"_target_": "cvae.model.priors.lost.LostPrior", "_partial_": True}}
    altered(run_dir, lambda contents: contents[KEY]["config"].update(change)).rename("old.ckpt")
    altered(run_dir, lambda contents: last_weight(contents).fill_(torch.nan)).rename("nan.ckpt")
    for name, checksum in (("grown", 1), ("no_sum", "?")):
        altered(run_dir, lambda c, sum_=checksum: c[KEY].update(data_checksum=sum_)).rename(
            f"{name}.ckpt"
        )
    shutil.copytree(run_dir, "torn_metrics")
    Path("torn_metrics/metrics.json").write_text("{")
    altered(run_dir, ask_for_quadrants).rename("quadrants.ckpt")
    images = np.zeros((9, 4, 4))
    for name, arrays in {
        "no_y": {"x": np.zeros((9, 2))},
        "dark": {"x": np.zeros((9, 2)), "y": images - 1},
        "short": {"x": np.zeros(9), "y": images[:8]},
        "nan": {"x": np.zeros((9, 2)), "y": images * np.nan},
    }.items():
        np.savez(f"{name}.npz", **arrays)
    Path("text.npz").write_text("not an archive")
    Path("cut.npz").write_bytes(Path("dark.npz").read_bytes()[:99])
    locked = bytearray(Path("dark.npz").read_bytes())
    for mark, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):  # of each file in the archive
        for found in re.finditer(mark, bytes(locked)):
            locked[found.start() + flags] |= 1  # "encrypted"
    Path("locked.npz").write_bytes(locked)
    for name in ("a", "b"):
        Path("classes", name).mkdir(parents=True)
        Image.new("L", (4, 4)).save(f"classes/{name}/1.png")
    Path("pictures").mkdir()
    raw = Path("torn/MNIST/raw")
    raw.mkdir(parents=True)
    for name in MNIST.files:
        (raw / name).write_bytes(b"\x00\x00\x08")
    runs = dict.fromkeys(("torn_run", "hollow_run", "early_run"), "[]")
    for name, overrides in (runs | {"odd_run": "{a: 1}"}).items():
        (Path(name) / ".hydra").mkdir(parents=True)
        (Path(name) / ".hydra" / "overrides.yaml").write_text(overrides)
    Path("torn_run/checkpoints").mkdir()
    Path("torn_run/checkpoints/last.ckpt").write_bytes(whole[:5000])
    Path("hollow_run/checkpoints").mkdir()
    torn = altered(run_dir, lambda contents: contents.pop("optimizer_states"), "last")
    torn.rename("hollow_run/checkpoints/last.ckpt")
    Path("early_run/checkpoints").mkdir()
    early = altered(run_dir, of_an_early_version, "last")
    early.rename("early_run/checkpoints/last.ckpt")
    Path("torn_run/metrics.json").write_text("{")
    Path("empty_run").mkdir()


@pytest.mark.parametrize(
    ("command", "arguments", "expected"), ALL, ids=[f"{c} {' '.join(a)}" for c, a, _ in ALL]
)
def test_bad_input_ends_in_one_line_and_nothing_is_written(
    command: str,
    arguments: list[str],
    expected: list[str],
    call: Callable[..., tuple[int, str, str]],
    run_dir: Path,
    bad_files: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def files() -> dict[Path, tuple[int, int]]:
        places = [path for folder in (bad_files, run_dir) for path in folder.rglob("*")]
        return {path: (path.stat().st_size, path.stat().st_mtime_ns) for path in places}

    monkeypatch.chdir(bad_files)
    before = files()
    arguments = [argument.replace("RUN", str(run_dir)) for argument in arguments]
    status, out, err = call(getattr(cli, command), *arguments)
    assert (status, out, err.count("\n")) == (2, "", 1), err
    assert err.startswith(f"cvae-{command}: ")
    for words in expected:
        assert words in err.replace("File exists", "Not a directory"), err
    assert files() == before
