"""The page, in a browser, as someone who opens it from a folder."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from conftest import SHORT, composed, model_of, train
from cvae import export
from cvae.config.building import build_datamodule, build_model
from cvae.evaluation.image_metrics import examples
from cvae.export.page import carried
from cvae.export.page import page as html
from cvae.kinds import Image as ImageKind
from cvae.kinds import Sizes
from cvae.model.cvae import CVAE
from cvae.store import checkpoint

Page = Any  # playwright's, which is imported only where a browser is started
Browser = Any

DEMO = Path(__file__).parents[2] / "experiments" / "demo.html"
FORMATS = Path(export.__file__).parent
SOONER = """const later = setTimeout;
window.setTimeout = (what, wait, ...rest) => later(what, wait === 300 ? 30 : wait, ...rest);"""
"""Has the page take a tenth of its time for settled."""
READY = """new Promise((resolve, reject) => {
    setTimeout(reject, 60000, "nothing has been drawn for a minute");
    const look = () => {
        if (document.body.dataset.state === "ready") resolve();
        else requestAnimationFrame(look);
    };
    look();
})"""
"""Asks at every frame; Playwright's own waiting asks twice a second."""


def exported(model: CVAE, sizes: Sizes, precision: str = "int8") -> str:
    made = carried(model, precision, torch.Generator().manual_seed(0))
    return html(made, sizes, "A model", {"prior": "<b>"}, 0, "hand")


@pytest.fixture(scope="module")
def files(run_dir: Path, folder_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pages of a trained model in bytes and in halves, and of short runs on other data."""
    folder = tmp_path_factory.mktemp("pages")
    stored = checkpoint.read(run_dir)
    for precision in ("int8", "float16"):
        text = exported(stored.model(), stored.sizes, precision)
        (folder / f"{precision}.html").write_text(text)
    own = ["data=folder", f"data.root={folder_root}"]
    for name, line in {"named": own, "plain": ["condition=none"], "flat": ["latent_dim=0"]}.items():
        train(composed(*line, *SHORT), folder / name)
        stored = checkpoint.read(folder / name)
        text = exported(stored.model(), stored.sizes)
        (folder / f"{name}.html").write_text(text)
    model = model_of()
    (folder / "odd.html").write_text(
        exported(model, Sizes(ImageKind((1, 9, 7)), 3, class_names=("cat, black", "Dog", "dog")))
    )
    return folder


@pytest.fixture(scope="module")
def window(browser: Browser) -> Iterator[Any]:
    """A window that many pages are opened in: one of its own takes each a quarter of a second."""
    context = browser.new_context(reduced_motion="reduce")
    yield context
    context.close()


@pytest.fixture
def opened(browser: Browser, window: Any, files: Path) -> Iterator[Callable[..., Page]]:
    """Opens a page; it may neither use the network nor write to the console."""
    told: list[str] = []
    opened = []

    def opens(name: str | Path, address: str = "", **how: Any) -> Page:
        place = browser.new_context(reduced_motion="reduce", **how) if how else window
        page = place.new_page()
        page.add_init_script(SOONER)
        opened.append(place if how else page)
        page.on("console", lambda message: told.append(message.text))
        page.on("pageerror", lambda error: told.append(str(error)))
        page.on("request", lambda request: told.append(request.url) if _away(request.url) else None)
        page.goto(f"file://{files / name}.html{address}")
        page.evaluate(READY)
        return page

    yield opens
    for each in opened:
        each.close()
    assert told == []


def _away(url: str) -> bool:
    return not url.startswith(("file:", "data:", "blob:"))


def images(page: Page, place: str = "#line canvas") -> list[str]:
    """Every image shown in a place, as it is."""
    page.evaluate(READY)
    return page.eval_on_selector_all(place, "all => all.map((canvas) => canvas.toDataURL())")


def ink(page: Page, place: str = "#line canvas") -> list[list[int]]:
    """How dark the pixels of every image in a place are, from 0 to 255."""
    page.evaluate(READY)
    found = """all => all.map((shown) => {
        const canvas = new OffscreenCanvas(shown.width, shown.height);
        const context = canvas.getContext("2d", { willReadFrequently: true });
        context.drawImage(shown, 0, 0);
        const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
        return [...data].filter((_, i) => i % 4 === 3);
    })"""
    return page.eval_on_selector_all(place, found)


def act(page: Page, doing: Callable[[], Any]) -> None:
    """Do something, and wait until it is drawn."""
    page.evaluate("document.body.dataset.state = 'waiting'")
    doing()
    page.evaluate(READY)


@pytest.mark.parametrize(("precision", "most"), [("int8", 6), ("float16", 2)])
def test_the_same_z_gives_the_same_pixels(
    precision: str, most: float, opened: Callable[..., Page], run_dir: Path
) -> None:
    page, model = opened(precision), checkpoint.load(run_dir)
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(20, 10, model.generator.latent_dim, generator=generator)
    p = model.prior(model.conditions_of(None)).base_dist
    z = p.loc + p.scale * noise
    expected = model.decode(None, z).flatten(2)
    shown = page.evaluate(
        """(all) => all.map((draw) => draw.map((noise, k) =>
        [...cvae.mean(k, cvae.latent(k, Float32Array.from(noise)))]))""",
        noise.tolist(),
    )
    assert (torch.tensor(shown) - expected).abs().max() * 255 < most


def test_2018_is_written_by_new_hands_at_a_click(opened: Callable[..., Page]) -> None:
    page = opened("int8")
    act(page, lambda: page.fill("#text", "2018"))
    before = images(page)
    assert len(set(before)) == 4
    assert all(max(image) > 128 for image in ink(page))
    told = page.eval_on_selector_all("#line canvas", "all => all.map((c) => c.ariaLabel[0])")
    assert told == list("2018")
    act(page, lambda: page.click("#new"))
    assert not set(before) & set(images(page))
    act(page, lambda: page.fill("#text", "2018" * 50))
    assert len(images(page)) == 200


def test_a_link_shows_the_same_digits(opened: Callable[..., Page]) -> None:
    page = opened("int8")
    act(page, lambda: page.fill("#text", "314159"))
    act(page, lambda: page.click("#new"))
    act(page, lambda: page.click("#line button:nth-child(3)"))
    act(page, lambda: page.click("#others button:nth-child(4)"))
    act(page, lambda: page.focus("#field") or page.keyboard.press("ArrowRight"))
    act(page, lambda: page.fill("#temperature", "0.8"))
    link, written = page.evaluate("location.hash"), images(page)
    other = opened("int8", link)
    assert images(other) == written
    assert other.input_value("#text") == "314159"
    act(other, lambda: other.evaluate("location.hash = '#text=7&seed=5'"))  # a link followed later
    assert images(other) == images(opened("int8", "#text=7&seed=5")) != written[:1]


def test_one_hand_writes_all_digits_and_each_one_its_own(opened: Callable[..., Page]) -> None:
    page = opened("int8", "#text=333&seed=1")
    assert len(set(images(page))) == 3
    act(page, lambda: page.check("#one"))
    assert len(set(images(page))) == 1
    assert "hand=one" in page.evaluate("location.hash")


def test_temperature_zero_leaves_one_image(opened: Callable[..., Page]) -> None:
    page = opened("int8", "#text=44&seed=1")
    cold, warm = ink(opened("int8", "#text=44&seed=1&temperature=0")), ink(page)
    assert cold[0] == cold[1]
    assert warm[0] != warm[1]


def test_temperature_zero_draws_the_mean_of_each_component_by_its_weight(
    opened: Callable[..., Page], tmp_path: Path
) -> None:
    torch.manual_seed(0)
    model = model_of("condition=none", "prior=mixture", "prior.components=3", "latent_dim=2")
    last = [part for part in model.prior.modules() if isinstance(part, torch.nn.Linear)][-1]
    torch.nn.init.normal_(last.bias, std=0.5)
    (tmp_path / "mixture.html").write_text(exported(model, model.condition.sizes, "float16"))
    page = opened(tmp_path / "mixture", "#temperature=0")
    draws = """() => Array.from({ length: 2000 }, (_, seed) =>
        [...latent(0, tempered(normals(mixed(seed, 1), MODEL.hand)))])"""
    z, p = torch.tensor(page.evaluate(draws)), model.prior(model.conditions_of(None))
    nearest, chosen = torch.cdist(z, p.components.mean[0]).min(1)
    assert nearest.max() < 1e-2
    weights = p.log_weights[0].exp()
    shares = chosen.bincount(minlength=3) / len(z)
    assert weights.min() > 0.05
    assert ((shares - weights).abs() < 5 * (weights * (1 - weights) / len(z)).sqrt()).all(), shares


def test_sampled_pixels_are_black_or_white(opened: Callable[..., Page]) -> None:
    page = opened("int8", "#text=55&seed=1&hand=one")
    act(page, lambda: page.check("#sampled"))
    one, two = ink(page)
    assert set(one) == {0, 255}
    assert one != two  # the same z, other pixels
    act(page, lambda: page.check("#mean"))
    assert len(set(ink(page)[0])) > 20


def test_the_plane_is_dragged_through(opened: Callable[..., Page]) -> None:
    page = opened("int8", "#text=26")
    before, (plane,) = images(page), ink(page, "#plane")
    page.locator("#field").scroll_into_view_if_needed()
    box = page.locator("#field").bounding_box()
    x, y, size = box["x"], box["y"], box["width"]
    page.mouse.move(x + 0.2 * size, y + 0.3 * size)
    page.mouse.down()
    page.mouse.move(x + 0.75 * size, y + 0.25 * size, steps=4)
    act(page, page.mouse.up)
    after = images(page)
    assert after[0] != before[0]
    assert after[1] == before[1]  # the other digit keeps its hand
    (again,) = ink(page, "#plane")  # the plane through the hand that was moved within it
    assert max(abs(one - other) for one, other in zip(plane, again, strict=True)) <= 2
    handle = page.evaluate("[handle.style.left, handle.style.top].map(parseFloat)")
    assert handle == pytest.approx([75, 25], abs=0.5)
    assert images(page, "#preview") == after[:1]
    act(page, lambda: page.focus("#field") or page.keyboard.press("Shift+ArrowUp"))
    assert page.evaluate("parseFloat(handle.style.top)") == pytest.approx(25 - 50 / 6, abs=0.5)


def test_the_way_to_another_hand_begins_here_and_ends_there(opened: Callable[..., Page]) -> None:
    page = opened("int8", "#text=9")
    (start,) = images(page)
    frames = images(page, "#frames canvas")
    assert frames[0] == start
    assert len(set(frames)) == len(frames)
    act(page, lambda: page.click("#frames button:last-child"))
    assert images(page) == frames[-1:]
    act(page, lambda: page.click("#further"))
    assert images(page, "#frames canvas")[-1] != frames[-1]
    act(page, lambda: page.fill("#way", "0.5"))
    assert images(page)[0] not in (start, frames[-1])


def test_other_hands_are_taken_over_at_a_click(opened: Callable[..., Page]) -> None:
    page = opened("int8", "#text=13")
    hands = images(page, "#others canvas")
    assert len(set(hands)) == len(hands) == 10
    act(page, lambda: page.click("#others button:nth-child(2)"))
    assert images(page)[0] == hands[1]


@pytest.mark.parametrize(
    ("name", "text", "words", "count"),
    [
        ("int8", "2a0", "has never seen “a”; it knows 0, 1, 2", 2),
        ("int8", "  ", "Nothing to write yet", 0),
        ("int8", "<img src=x>", "has never seen “<”", 0),
        ("int8", "1" * 3000, "the first 2000", 2000),
        ("named", "cat, Dog", "", 2),
        ("named", "cat, horse", "has never seen “horse”; it knows cat, dog", 1),
        ("named", "dog, DOG ,cat", "", 3),
        ("odd", "cat, black, Dog, dog", "", 3),
        ("odd", "DOG", "", 1),
        ("plain", "3", "", 3),
        ("plain", "many", "“many” is no number of images", 0),
        ("plain", "", "how many images", 0),
        ("flat", "12", "", 2),
    ],
)
def test_entries_are_met_kindly(
    name: str, text: str, words: str, count: int, opened: Callable[..., Page]
) -> None:
    page = opened(name)
    act(page, lambda: page.fill("#text", text))
    assert words in page.text_content("#message")
    assert page.locator("#line canvas").count() == count
    assert page.is_hidden("#closely") == (count == 0)
    assert page.is_disabled("#png") == (count == 0)


@pytest.mark.parametrize(
    "address",
    [
        "#text=5&seed=-3&temperature=x&own=0:1@99,0,0;9:a;:&pixels=<b>",
        "#text=5&own=0:1~2~1.2.3",
        "#text=5&own=0:1@5,1.2.3,0",
        "#text=5&own=0:1@5,99999999,0",
        "#text=5&seed=99999999999999999999999",
        "#text=5%01&own=all:1;__proto__:2",
    ],
)
def test_a_strange_address_is_passed_over(address: str, opened: Callable[..., Page]) -> None:
    page = opened("int8", address)
    (shown,) = ink(page)
    assert max(shown) > 128
    assert page.evaluate("Math.max(...noiseOf(handOf(0)).map(Math.abs))") < 10
    link = page.evaluate("location.hash")
    assert "NaN" not in link
    assert images(opened("int8", link)) == images(page)


def test_nothing_is_left_undrawn_by_what_comes_between(opened: Callable[..., Page]) -> None:
    page = opened("int8")
    page.evaluate("document.body.dataset.state = 'waiting'")
    page.fill("#text", "2018" * 100)
    page.click("#line button:nth-child(2)")
    page.click("#new")
    page.focus("#field")
    page.keyboard.press("ArrowRight")
    written = images(page)
    assert len(written) == 400
    assert images(opened("int8", page.evaluate("location.hash"))) == written


def test_one_hand_is_moved_for_all(opened: Callable[..., Page]) -> None:
    page = opened("int8", "#text=3838&hand=one&seed=4")
    before = images(page)
    act(page, lambda: page.focus("#field") or page.keyboard.press("Shift+ArrowRight"))
    after = images(page)
    assert not set(before) & set(after)
    assert after[:2] == after[2:]
    assert images(opened("int8", page.evaluate("location.hash"))) == after


def test_the_way_begins_where_a_hand_was_dragged_to(opened: Callable[..., Page]) -> None:
    page = opened("int8", "#text=2&seed=3")
    act(page, lambda: page.focus("#field") or page.keyboard.press("Shift+ArrowRight"))
    (dragged,) = images(page)
    assert images(page, "#frames canvas")[0] == dragged
    act(page, lambda: page.click("#frames button:nth-child(4)"))
    assert images(page, "#frames canvas")[0] == dragged
    assert images(opened("int8", page.evaluate("location.hash"))) == images(page) != [dragged]


def test_pictures_are_saved(opened: Callable[..., Page], tmp_path: Path) -> None:
    page = opened("int8", "#text=42")
    for kind, begins in {"png": b"\x89PNG", "svg": b"<svg xmlns"}.items():
        with page.expect_download() as saved:
            page.click(f"#{kind}")
        assert saved.value.suggested_filename == f"42.{kind}"
        saved.value.save_as(tmp_path / "saved")
        contents = (tmp_path / "saved").read_bytes()
        assert contents.startswith(begins)
    # Each pixel of the SVG is as dark as the model has it.
    drawn = torch.zeros(8, 16)
    for x, y, width, opacity in re.findall(
        r'<rect x="(\d+)" y="(\d+)" width="(\d+)" height="1" fill-opacity="([\d.]+)"',
        contents.decode(),
    ):
        drawn[int(y), int(x) : int(x) + int(width)] = float(opacity)
    expected = page.evaluate("entries.map((k, i) => [...pixels(k, noiseOf(handOf(i)), i)])")
    expected = torch.tensor(expected).view(2, 8, 8).transpose(0, 1).reshape(8, 16)
    torch.testing.assert_close(drawn, expected, atol=0.0051, rtol=0)


def test_everything_can_be_reached_by_keys(opened: Callable[..., Page]) -> None:
    page = opened("int8", "#text=12")
    page.focus("#text")
    reached = []
    for _ in range(40):
        page.keyboard.press("Tab")
        at = "document.activeElement"
        reached.append(page.evaluate(f"{at}.id || {at}.parentElement.id"))
    controls = ["new", "line", "one", "temperature", "mean", "png", "svg", "field", "others"]
    assert {*controls, "way", "further", "frames"} <= set(reached)
    page.focus("#line button:nth-child(2)")
    act(page, lambda: page.keyboard.press("Enter"))
    assert page.get_attribute("#line button:nth-child(2)", "aria-pressed") == "true"
    assert "“2”" in page.text_content("#which")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_it_by_day_and_by_night(scheme: Any, opened: Callable[..., Page]) -> None:
    page = opened("int8", "#text=2018", viewport={"width": 360, "height": 700}, color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    style = page.evaluate("({ ...getComputedStyle(document.body) })")
    text, ground = (
        sum(map(int, re.findall(r"\d+", style[name])[:3])) for name in ("color", "backgroundColor")
    )
    assert (text < ground) == (scheme == "light")
    assert abs(text - ground) > 500
    assert page.evaluate(
        "[...document.querySelectorAll('canvas')].every((c) => c.ariaLabel || c.ariaHidden)"
    )


def test_facts_about_the_model_are_shown_as_text(opened: Callable[..., Page]) -> None:
    assert opened("int8").text_content("dd") == "<b>"


def test_without_noise_there_are_no_hands_to_choose(opened: Callable[..., Page]) -> None:
    page = opened("flat", "#text=12")
    assert page.is_hidden("#new")
    assert page.is_hidden("#field")


OWN = Path(__file__).parents[2] / "experiments" / "own_data"


@pytest.mark.parametrize(
    ("word", "kind", "shown"),
    [("sequences", "lines", 2), ("label_maps", "map", 2), ("vectors", "bars", 2)],
)
def test_what_is_no_image_is_drawn_as_what_it_is(
    word: str, kind: str, shown: int, opened: Callable[..., Page], tmp_path: Path
) -> None:
    torch.manual_seed(0)
    line = [f"data={word}", f"data.path={OWN / word}.npz", "latent_dim=2", "network.width=16"]
    config = composed(*line)
    data = build_datamodule(config)
    x = examples(data, 3).x
    model = build_model(config, data.sizes).eval()
    for weight in model.parameters():
        torch.nn.init.normal_(weight, std=0.5)
    rng = torch.Generator().manual_seed(0)
    made = carried(model, "float16", rng, x=x)
    names = ["one", "two", "three"]
    (tmp_path / "own.html").write_text(
        html(made, model.condition.sizes, "A model", {}, 0, names=names)
    )
    page = opened(tmp_path / "own", "#text=two,three&seed=1")
    assert page.evaluate("MODEL.kind") == kind
    assert "one of 3 conditions of the test data" in page.text_content("header")
    assert page.is_hidden("#svg")
    assert "New variant" in page.text_content("#new")
    drawn = images(page)
    assert len(set(drawn)) == shown
    if kind == "bars":  # has names, values and a scale for each, of the second condition
        listed = [row.split("\t") for row in page.locator("#values tbody tr").all_inner_texts()]
        assert [name for name, _, _ in listed] == model.condition.target.columns()
        here = page.evaluate("[...pixels(1, noiseOf(handOf(0)), 0)]")
        told = [float(value.replace("−", "-")) for _, value, _ in listed]
        assert told == pytest.approx(here, rel=0.01)
        assert all(" … " in scale for _, _, scale in listed)
    z = torch.randn(4, 3, 2, generator=rng)
    expected = made.model.decode(x, z).flatten(2)
    found = page.evaluate(
        """(all) => all.map((draw) => draw.map(
        (z, k) => [...cvae.mean(k, Float32Array.from(z))]))""",
        z.tolist(),
    )
    torch.testing.assert_close(
        torch.tensor(found).float(), expected.float().nan_to_num(), rtol=1e-3, atol=1e-4
    )
    act(page, lambda: page.check("#sampled"))
    assert not set(drawn) & set(images(page))


def test_the_ready_page_is_of_this_program(opened: Callable[..., Page]) -> None:
    text = DEMO.read_text()
    for part in ("page.css", "runtime.js", "hands.js", "drawings.js", "images.js", "app.js"):
        assert (FORMATS / part).read_text().strip() in text, "make demo-page makes it anew"
    page = opened(DEMO.with_suffix(""))
    assert len(set(images(page))) == 4
