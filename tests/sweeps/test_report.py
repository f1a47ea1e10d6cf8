"""A sweep on one page: what may be compared, best first, seeds averaged, nothing executed."""

import base64
import csv
import io
import json
import math
import re
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image
from torch.utils.tensorboard import SummaryWriter

from conftest import SHORT, composed
from cvae.commands import main as cli
from cvae.evaluation.verdict import ILLNESSES
from cvae.store.events import curve
from cvae.store.results import Run, Value, differing, find_runs, grouped_by_kind, over_seeds
from cvae.store.settings import settings_by_name
from cvae.sweeps import charts, report, tables, words

MASS = {"nats_of": "mass", "data": "Digits", "data.binarize": "dynamic", "y_size": 64}
DENSITY = MASS | {"nats_of": "density", "data.binarize": "none"}


def run(
    folder: Path, settings: dict[str, Any], metrics: dict[str, float] | None = None, why: str = ""
) -> Path:
    """Leave a folder as a run would."""
    (folder / ".hydra").mkdir(parents=True)
    (folder / ".hydra" / "overrides.yaml").write_text(yaml.safe_dump(["seed=0"]))
    (folder / "hparams.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))
    if metrics is not None:
        metrics = {"epochs": 1, "seconds": 2.0} | metrics  # as the end of a training writes them
        (folder / "metrics.json").write_text(json.dumps(metrics))
    if why:
        (folder / "failure.txt").write_text(why)
    return folder


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    """Two priors by two sizes by two seeds of a mass, one density, one failure."""
    root, number = tmp_path / "sweep", 0
    for prior, base in (("GaussianPrior", 20.0), ("StandardPrior", 22.0)):
        for latent_dim in (2, 10):
            for seed in (0, 1):
                settings = {"prior": prior, "latent_dim": latent_dim, "seed": seed}
                loss = base + latent_dim / 10 + seed
                run(root / f"{number}_job", MASS | settings, {"test/elbo": -loss, "test/kl": 5.0})
                number += 1
    settings = {"prior": "GaussianPrior", "latent_dim": 2, "seed": 0}
    run(root / "8_job", DENSITY | settings, {"test/elbo": 99.0, "test/kl": 5.0})
    run(root / "9_job", MASS | settings, why="loss: became NaN at step 7\n")
    run(root / "10_job", MASS | settings)
    return root


def test_runs_are_found_in_the_order_of_their_numbers(sweep: Path) -> None:
    assert [r.name for r in find_runs(sweep)] == [f"{number}_job" for number in range(11)]


def test_seeds_are_averaged_and_the_best_comes_first(sweep: Path) -> None:
    runs = grouped_by_kind(find_runs(sweep))[("mass", "Digits", "dynamic", "64", "?")]
    names = differing(runs)
    assert names == ["prior", "latent_dim", "seed"]
    groups = over_seeds(runs, names)
    assert [tuple(group.settings.values()) for group in groups] == [
        ("GaussianPrior", 2), ("GaussianPrior", 10), ("StandardPrior", 2), ("StandardPrior", 10),
    ]  # fmt: skip
    elbo = groups[0].metrics["test/elbo"]
    assert elbo.mean == pytest.approx(-20.7)  # of -20.2 and -21.2
    assert elbo.deviation == pytest.approx(0.5**0.5)
    assert len(groups[0].runs) == 2


def test_nll_ranks_where_every_run_has_it(tmp_path: Path) -> None:
    for latent_dim, elbo, nll in ((2, -10.0, 9.0), (8, -11.0, 8.0)):
        metrics = {"test/elbo": elbo, "test/nll": nll}
        run(tmp_path / str(latent_dim), MASS | {"latent_dim": latent_dim}, metrics)
    runs = find_runs(tmp_path)
    assert [g.settings["latent_dim"] for g in over_seeds(runs, ["latent_dim"])] == [8, 2]


@pytest.mark.parametrize(
    ("checksums", "first"), [(("a", "a"), 2), (("a", "b"), 8)], ids=["same", "other items"]
)
def test_runs_of_the_same_validation_items_are_ranked_by_validation(
    tmp_path: Path, checksums: tuple[str, str], first: int
) -> None:
    """Test figures stand next to it; by them, the choice would flatter itself."""
    rows = ((2, 9.0, -10.0), (8, 8.0, -11.0))
    for (latent_dim, nll, elbo), checksum in zip(rows, checksums, strict=True):
        metrics = {"test/elbo": -nll - 1, "test/nll": nll, "val/elbo": elbo}
        settings = {"latent_dim": latent_dim, "data.checksum": checksum}
        run(tmp_path / str(latent_dim), MASS | settings, metrics)
    runs = find_runs(tmp_path)
    assert over_seeds(runs, ["latent_dim"])[0].settings["latent_dim"] == first
    text = tables.as_markdown(runs, "sweep")
    assert ("Best first, by validation ELBO." in text) == (first == 2)
    assert ("Best first, by NLL of the test, for want of" in text) == (first == 8)
    assert "| validation ELBO | NLL | ELBO |" in text


def test_kinds_are_never_in_one_table(sweep: Path) -> None:
    text = tables.as_markdown(find_runs(sweep), "sweep")
    mass, density = re.split("^## ", text, flags=re.MULTILINE)[1:3]
    assert "99.00" in density
    assert "99.00" not in mass
    assert "masses of the same targets alone" in mass
    assert "densities of the same targets alone" in density


@pytest.mark.parametrize(
    ("checksums", "warned"), [((5, 5), False), ((5, 6), True), ((5, None), True)]
)
def test_a_table_of_different_judges_says_so(
    tmp_path: Path, checksums: tuple[int | None, ...], warned: bool
) -> None:
    for latent_dim, judge in enumerate(checksums):
        found = {"test/elbo": -9.0, "distance/frechet": 1.0}
        found |= {} if judge is None else {"judge/checksum": judge}
        run(tmp_path / str(latent_dim), MASS | {"latent_dim": latent_dim}, found)
    text = tables.as_markdown(find_runs(tmp_path), "sweep")
    assert ("judged by different judges" in text) == warned


@pytest.mark.parametrize("bad", [math.nan, -math.inf, math.inf])
def test_a_metric_that_is_not_finite_is_a_dash_and_the_worst(sweep: Path, bad: float) -> None:
    settings = {"prior": "FlowPrior", "latent_dim": 2}
    for seed, elbo in enumerate((bad, -3.0)):
        metrics = {"test/elbo": elbo, "test/kl": 5.0}
        run(sweep / f"x{seed}", MASS | settings | {"seed": seed}, metrics)
    runs = find_runs(sweep)
    rows = re.findall(
        r"^\| (?:flow|gaussian|standard) .*$", tables.as_markdown(runs, "sweep"), flags=re.MULTILINE
    )
    assert [row.split(" | ")[0] for row in rows].index("| flow") == 4
    assert "| flow | 2 | – | 5.00 ± 0.00 |" in rows[4]
    assert "–" in Page(report.page(runs, "sweep")).words
    assert len(list(csv.DictReader(io.StringIO(tables.as_csv(runs))))) == 13


class Page(HTMLParser):
    """Collects what a page shows, asks for and executes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.sources: list[str] = []
        self.words: list[str] = []
        self.scripts: list[str] = []
        self.allowed = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.sources += [value or "" for name, value in attrs if name in ("src", "href")]
        assert not [name for name, _ in attrs if name.startswith("on")]
        if tag == "meta" and "Content-Security-Policy" in dict(attrs).values():
            self.allowed = dict(attrs)["content"] or ""

    def handle_data(self, data: str) -> None:
        (self.scripts if self.tags[-1:] == ["script"] and data.strip() else self.words).append(
            data.strip()
        )


OWN_SCRIPTS = [
    (Path(report.__file__).parent / name).read_text().strip()
    for name in ("uplot/uPlot.iife.min.js", "report.js")
]


def with_curves(sweep: Path) -> list[Run]:
    for number in range(8):
        writer = SummaryWriter(str(sweep / f"{number}_job"))
        for step in range(5):
            writer.add_scalar("val/elbo", -30 + step - number, step)
        writer.close()
    Image.new("L", (4, 4)).save(sweep / "0_job" / "samples.png")
    return find_runs(sweep)


def test_the_page_has_everything_and_needs_no_other_file(sweep: Path) -> None:
    runs = with_curves(sweep)
    assert curve(runs[0].folder, "val/elbo") == {step: -30 + step for step in range(5)}
    page = Page(report.page(runs, "sweep"))
    assert "11 runs: 9 finished, 2 not." in page.words[page.words.index("sweep") + 1]
    for word in ("9_job", "loss: became NaN at step 7", "10_job", "did not finish"):
        assert word in page.words
    headings = ["Learning curves, best first", "Every setting and its result", "Samples"]
    assert set(headings) <= set(page.words)
    assert any(word.startswith("ELBO over two settings") for word in page.words)
    assert "0:-30 1:-29 2:-28 3:-27 4:-26" in page.words  # without JavaScript as well
    assert "prior=gaussian latent_dim=2" in page.words
    assert page.sources
    assert all(source.startswith(("data:image/png", "#picture-")) for source in page.sources)
    assert page.scripts == OWN_SCRIPTS


def test_the_contents_of_a_run_s_files_are_shown_and_never_executed(tmp_path: Path) -> None:
    bad = "</script><script>alert(1)</script>"
    run(tmp_path / "a", MASS | {"prior": bad, "<img src=x>": 1}, {"test/elbo": -1.0})
    run(tmp_path / "b", MASS | {"prior": "x", "<img src=x>": 2}, {"test/elbo": -2.0})
    run(tmp_path / "c", MASS, why=bad)
    for name, typed in (("a", [f"prior={bad}"]), ("b", ["prior='; rm -r ~'"])):
        (tmp_path / name / ".hydra" / "overrides.yaml").write_text(yaml.safe_dump(typed))
    page = Page(report.page(find_runs(tmp_path), bad))
    assert page.scripts == OWN_SCRIPTS
    digests = [base64.b64encode(sha256(s.encode()).digest()).decode() for s in scripts(tmp_path)]
    assert [f"'sha256-{digest}'" in page.allowed for digest in digests] == [True, True]
    assert "unsafe-inline" not in page.allowed.partition("style-src")[0]
    assert "x" not in page.sources
    assert page.words.count(bad) >= 3


def scripts(folder: Path) -> list[str]:
    """What a browser takes the digests of."""
    text = report.page(find_runs(folder), "x")
    return re.findall(r"<script>(.*?)</script>", text, flags=re.DOTALL)


def test_every_chart_brings_out_the_run_that_is_pointed_at(
    browser: Any, sweep: Path, tmp_path: Path
) -> None:
    file = tmp_path / "report.html"
    file.write_text(report.page(with_curves(sweep), "sweep"))
    page = browser.new_page(viewport={"width": 1100, "height": 3000})
    told: list[str] = []
    page.on("console", lambda message: told.append(message.text))
    page.on("pageerror", lambda error: told.append(str(error)))
    page.goto(f"file://{file}")
    settled = "new Promise((d) => requestAnimationFrame(() => requestAnimationFrame(d)))"
    drawn = "all => all.map((c) => c.toDataURL())"

    def canvases() -> list[str]:
        page.evaluate(settled)
        return page.eval_on_selector_all("canvas", drawn)

    def texts(selector: str) -> list[str]:
        return page.locator(selector).all_text_contents()

    before = canvases()
    assert len(before) == 2
    page.hover(".kind >> nth=0 >> tbody tr >> nth=1")  # gaussian, 10: two seeds
    assert texts(".runs tr.lit code") == ["prior=gaussian latent_dim=10"]
    assert texts("table.map td.lit") == ["-21.50"]  # the mean of -21 and -22
    assert texts(".numbers tr.lit th") == ["2_job", "3_job"]
    assert all(one != other for one, other in zip(before, canvases(), strict=True))
    page.mouse.move(1, 1)
    assert canvases() == before
    # The best has one colour: of its dot, its cell and its lines.
    colours = "all => all.map((e) => getComputedStyle(e).backgroundColor)"
    dot, cell = (
        page.eval_on_selector_all(f".kind >> nth=0 >> {place}", colours)[0]
        for place in ("tbody tr i", "table.map td[style*='1.000']")
    )
    assert dot == cell
    box = page.locator("canvas").first.bounding_box()
    page.mouse.move(box["x"] + 0.96 * box["width"], box["y"] + 40)  # the best ends highest
    page.evaluate(settled)
    assert texts(".runs tr.lit .folders a") == ["0_job"]
    assert texts(".readout")[0] == "1: 0_job, -26 at step 4"
    # Sorted by a click, and filtered by a setting.
    first = ".kind >> nth=0 >> .runs tbody tr:not([hidden]) code"
    page.click("text=latent_dim >> visible=true >> nth=1")
    assert texts(first)[0].endswith("latent_dim=2")
    page.click(".runs thead button:has-text('ELBO')")
    assert texts(first)[0] == "prior=standard latent_dim=10"  # the lowest
    page.select_option(".filters select >> nth=0", label="gaussian")
    assert set(texts(first)) == {"prior=gaussian latent_dim=2", "prior=gaussian latent_dim=10"}
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size({"width": 360, "height": 700})
        page.evaluate(settled)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.close()
    assert told == []


FORMULA = '=HYPERLINK("http://x")'


def test_no_cell_of_the_tables_is_a_formula_or_markup(tmp_path: Path) -> None:
    for number, bad in enumerate((FORMULA, "@SUM(A1)", "+1+1", "-2", "\tx", "$\\frac{$")):
        run(tmp_path / str(number), MASS | {"prior": bad, "=a": number}, {"test/elbo": -1.0})
    run(tmp_path / "-x", MASS, why="=1+1 ![a](http://x) <script>alert(1)</script>")
    run(tmp_path / "y", MASS | {"data": "x\n# heading <script> `code`"}, {"test/elbo": 1.0})
    runs = find_runs(tmp_path)
    cells = [cell for row in csv.reader(io.StringIO(tables.as_csv(runs))) for cell in row]
    assert {f"'{FORMULA}", "'@SUM(A1)", "'+1+1", "-2", "'\tx", "'=a", "'-x"} <= {*cells}
    assert not [c for c in cells if c.startswith(("=", "@", "+", "\t"))]
    page = tables.as_markdown(runs, "a\n# b <script>")
    assert "\n# b" not in page
    assert "\n# heading" not in page
    assert not re.search(r"(?<!\\)[<>`[]", page)
    assert report.page(runs, "charts of names with dollar signs")


BILLION = "a: &a [x,x]\nb: &b [*a,*a]\nc: &c [*b,*b]\n"


def test_csv_has_every_metric_of_every_run(sweep: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(tables.as_csv(find_runs(sweep)))))
    assert len(rows) == 11
    assert rows[3]["test/elbo"] == "-22.0"
    assert rows[3]["latent_dim"] == "10"
    assert rows[9]["failure"] == "loss: became NaN at step 7"
    assert rows[8]["nats_of"] == "density"


def test_the_command_writes_three_files(call, sweep: Path, tmp_path: Path) -> None:
    status, out, error = call(cli.report, str(sweep))
    assert (status, error) == (0, "")
    for name in ("report.html", "report.csv", "report.md"):
        assert str(sweep / name) in out
        assert (sweep / name).stat().st_size > 200
    status, out, _ = call(cli.report, f"dir={sweep}", f"out={tmp_path / 'all.html'}")
    assert status == 0
    assert (tmp_path / "all.md").is_file()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: None, "is not a folder"),
        (lambda folder: folder.mkdir(), "has no run in it"),
        (lambda folder: run(folder / "a", MASS, {}).joinpath("metrics.json").write_text("{"),
         "metrics.json' is damaged"),
        (lambda folder: run(folder / "a", MASS, {}).joinpath("hparams.yaml").write_text("[1]"),
         "hparams.yaml' is damaged (it holds no names with values)"),
        (lambda folder: run(folder / "a", MASS, {}).joinpath("hparams.yaml").write_text(BILLION),
         "hparams.yaml' is damaged (it holds an alias"),
        (lambda folder: run(folder / "a", MASS | {"prior": "x" * 10**6}, {}),
         "hparams.yaml' is damaged (it is longer than"),
        (lambda folder: run(folder / "a", MASS | {"seed": 2**70}, {}),
         "hparams.yaml' is damaged (it holds a whole number of more than 64 bits)"),
        (lambda folder: run(folder / "a", MASS, {"test/elbo": 10**999}),
         "metrics.json' is damaged (it holds a whole number of more than 64 bits)"),
        (lambda folder: run(folder / "a", MASS, {}).joinpath("metrics.json").write_text("["*10**6),
         "metrics.json' is damaged (maximum recursion"),
    ],
)  # fmt: skip
def test_an_impossible_report_ends_in_one_line(call, tmp_path: Path, make, message) -> None:
    make(tmp_path / "sweep")
    status, _, error = call(cli.report, str(tmp_path / "sweep"))
    assert status == 2
    assert message in error
    assert error.count("\n") == 1
    assert not list(tmp_path.rglob("report*"))


@pytest.mark.parametrize("value", [math.nan, -math.inf, -90.0])
def test_curves_of_diverged_and_of_constant_runs_are_drawn_next_to_others(value: float) -> None:
    steps = range(30)
    found = charts.window([dict.fromkeys(steps, value), {s: s - 100.0 for s in steps}])
    assert found is not None
    bottom, top = found
    assert -120 < bottom < top < -60


def test_a_run_that_is_far_off_leaves_the_others_their_colours() -> None:
    colours = charts.scale([20.0, 21.0, 22.0, 23.0, 1e6, math.nan], 1)
    shares = [colours.share(value) for value in (20.0, 21.0, 22.0, 26.0, 1e6, math.nan)]
    assert shares == [1.0, pytest.approx(5 / 6), pytest.approx(2 / 3), 0.0, 0.0, None]
    elbos = charts.scale([-20.0, -21.0], -1)
    assert (elbos.share(-20.0), elbos.share(-21.0)) == (1.0, 0.0)
    assert charts.scale([3.0, 3.0], 1).share(3.0) == 1.0


def test_a_long_curve_keeps_its_end_and_its_best() -> None:
    steps = range(10_000)
    found = charts.thinned({s: -abs(s - 4321.0) for s in steps})
    assert len(found) <= 251
    assert {4321, 9999} <= found.keys()
    assert charts.thinned({0: math.nan, 5: 1.0}).keys() == {0, 5}


def test_a_run_says_what_was_typed() -> None:
    def typed(*overrides: str, **settings: Value) -> Run:
        return Run(overrides[0], Path(), settings, {}, None, overrides)

    runs = [
        typed("prior=standard", "seed=1", "trainer.max_epochs=3", "threads=1"),
        typed("prior=mixture", "optimizer.betas=[0.5,0.9]", "seed=2", "trainer.max_epochs=3"),
    ]
    assert [words.command(r, runs) for r in runs] == [
        "prior=standard",
        "prior=mixture 'optimizer.betas=[0.5,0.9]'",
    ]
    assert words.whole_command(runs[0]) == "cvae-train prior=standard seed=1 trainer.max_epochs=3"
    assert words.word("prior", "StandardPrior") == "standard"
    assert words.word("data", "MNIST") == "mnist"
    assert words.word("prior", "mine.Prior") == "mine.Prior"
    assert words.word("../prior", "StandardPrior") == "StandardPrior"


def test_what_follows_from_the_choice_of_an_option_is_not_named() -> None:
    def runs(*settings: dict[str, Value]) -> list[Run]:
        return [Run(str(i), Path(str(i)), s, {}, None) for i, s in enumerate(settings)]

    mixture = {"prior": "MixturePrior", "prior.components": 10.0}
    assert differing(runs({"prior": "FlowPrior", "prior.steps": 3.0}, mixture)) == ["prior"]
    fewer = mixture | {"prior.components": 5.0}
    assert differing(runs({"prior": "FlowPrior"}, mixture, fewer)) == ["prior", "prior.components"]
    assert differing(runs(mixture, fewer)) == ["prior.components"]


UNLIKE: dict[str, list[str]] = {
    "trainer.gradient_clip_val": ["trainer.gradient_clip_val=0.1"],
    "network.activation": ["network.activation._target_=torch.nn.Tanh"],
    "callbacks.ema": ["callbacks=ema"],
    "callbacks.early_stopping.patience": ["callbacks.early_stopping.patience=3"],
    "callbacks.early_stopping": ["~callbacks.early_stopping"],
    "optimizer.betas": ["+optimizer.betas=[0.5,0.9]"],
    "trainer.max_epochs": ["trainer.max_epochs=7"],
    "trainer.precision": ["trainer.precision=bf16-mixed"],
    "data.val_fraction": ["data.val_fraction=0.2"],
    "network.width": ["network.width=4"],
    "data.split_seed": ["data.split_seed=1"],
}


@pytest.mark.parametrize("name", UNLIKE)
def test_runs_that_differ_in_more_than_the_seed_are_not_averaged(name: str) -> None:
    """Every setting that changes a training tells runs apart, and by its own column alone."""

    def made(number: int, *overrides: str) -> Run:
        settings = settings_by_name(composed(f"seed={number}", *overrides))
        return Run(str(number), Path(), dict(settings), {"test/elbo": -1.0}, None)

    runs = [made(0), made(1), made(2, *UNLIKE[name])]
    assert differing(runs) == [name, "seed"]
    assert sorted(len(group.runs) for group in over_seeds(runs, differing(runs))) == [1, 2]


def test_the_network_of_one_part_tells_runs_apart() -> None:
    own = "+network@prior.network=mlp"
    of_width = [settings_by_name(composed(own, f"prior.network.width={w}")) for w in (4, 8)]
    runs = [Run(str(s["prior.network.width"]), Path(), dict(s), {}, None) for s in of_width]
    assert differing(runs) == ["prior.network.width"]


@pytest.mark.parametrize(
    "same", ["threads=1", "compile=true", "callbacks.last.every_n_steps=3", "~callbacks.progress"]
)
def test_what_changes_no_number_tells_no_runs_apart(same: str) -> None:
    assert settings_by_name(composed(same)) == settings_by_name(composed())


def test_two_files_of_data_are_two_settings_and_two_test_sets_two_tables(tmp_path: Path) -> None:
    for name, trained, tested in (("a", "aaaa", "tttt"), ("b", "bbbb", "tttt"), ("c", "a", "u")):
        settings = {"data.checksum": trained, "data.test_checksum": tested, "data.path": name}
        run(tmp_path / name, MASS | settings, {"test/elbo": -1.0})
    runs = find_runs(tmp_path)
    first, second = grouped_by_kind(runs).values()
    assert (differing(first), [r.name for r in second]) == (["data.checksum"], ["c"])
    text = tables.as_markdown(runs, "own data")
    assert text.count("## Digits") == text.count(", test data ") == 2


def test_what_follows_from_the_pixels_is_in_no_title(tmp_path: Path) -> None:
    for number, (kind, likelihood) in enumerate(((MASS, "B"), (DENSITY, "G")) * 2):
        sums = {"data.checksum": likelihood, "data.test_checksum": likelihood}
        settings = {"latent_dim": number // 2, "likelihood": likelihood, **sums}
        run(tmp_path / str(number), kind | settings, {"test/elbo": -1.0})
    runs = find_runs(tmp_path)
    assert sorted(differing(runs)) == ["latent_dim", "likelihood"]
    assert words.swept(runs) == "latent_dim × likelihood"


_CONTRASTS = """() => {
  const brush = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const luminance = (colour) => {
    brush.fillStyle = colour;
    brush.fillRect(0, 0, 1, 1);
    const linear = [...brush.getImageData(0, 0, 1, 1).data].map((v) => v / 255).map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
  };
  const contrast = (one, other) => {
    const [low, high] = [one, other].map(luminance).sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  };
  const paper = getComputedStyle(document.body).backgroundColor;
  const cells = [...document.querySelectorAll("table.map td[data-rows]")].map((cell) => getComputedStyle(cell));
  return [cells.length, Math.min(...cells.map((s) => contrast(s.color, s.backgroundColor))), Math.min(...cells.map((s) => contrast(paper, s.backgroundColor)))];
}"""  # noqa: E501
"""Of the numbers in the cells with their cells, and of the cells with the page, by WCAG 2.2."""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_can_be_read_on_the_page_and_under_numbers(
    browser: Any, scheme: str, tmp_path: Path
) -> None:
    for number in range(64):
        settings = {"latent_dim": number // 8, "network.width": number % 8}
        run(tmp_path / str(number), MASS | settings, {"test/elbo": -float(number)})
    file = tmp_path / "report.html"
    file.write_text(report.page(find_runs(tmp_path), "sweep"))
    page = browser.new_page(color_scheme=scheme)
    page.goto(f"file://{file}")
    cells, text, mark = page.evaluate(_CONTRASTS)
    assert cells == 64
    assert (text >= 4.5, mark >= 3) == (True, True), (text, mark)  # 1.4.3 and 1.4.11
    page.close()


def test_a_tie_has_one_colour() -> None:
    found = charts.scale([-1.493, -1.4931], -1)
    assert found.share(-1.493) == found.share(-1.4931) == 1
    assert charts.scale([-1.49, -1.51], -1).share(-1.51) == 0


def test_a_real_sweep_is_reported(call, tmp_path: Path) -> None:
    jobs = ["-m", "prior=standard,gaussian", "latent_dim=2", *SHORT, "hydra.sweep.dir=sweep"]
    assert call(cli.train, *jobs)[0] == 0
    runs = find_runs(Path("sweep"))
    assert differing(runs) == ["prior"]
    assert [r.settings["prior"] for r in runs] == ["StandardPrior", "GaussianPrior"]
    (kind,) = {r.kind for r in runs}
    assert kind[:4] == ("mass", "Digits", "dynamic", "64")
    assert re.fullmatch("[0-9a-f]{8}", kind[4])  # of the test data
    assert all(len(curve(r.folder, "val/elbo")) == 1 for r in runs)
    page = Page(report.page(runs, "sweep"))
    assert page.words.count("prior") >= 2  # the title, and a column
    assert {"standard", "gaussian", "prior=standard"} <= {*page.words}


def test_a_verdict_is_a_mark_in_the_table(tmp_path: Path) -> None:
    healthy = {f"verdict/is/{illness.name}": 0.0 for illness in ILLNESSES}
    for seed, ill in enumerate(({}, {"verdict/is/holes": 1.0}, {"verdict/is/holes": 1.0})):
        metrics = {"test/elbo": -9.0, "verdict/gain_by_z": 3.0, **healthy, **ill}
        run(tmp_path / str(seed), MASS | {"seed": seed}, metrics)
    text = tables.as_markdown(find_runs(tmp_path), "sweep")
    assert "| 2× holes; 1× used, calibrated | 3 |" in text
    assert "2× holes; 1× used, calibrated" in Page(report.page(find_runs(tmp_path), "sweep")).words
