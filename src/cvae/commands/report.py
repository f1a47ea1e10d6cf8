"""`cvae-report`: compare all runs of a folder on one page."""

from pathlib import Path

from cvae.config.compose import Config
from cvae.files import output_file, write_whole
from cvae.store.results import find_runs
from cvae.sweeps.report import page
from cvae.sweeps.tables import as_csv, as_markdown, summary


def task(config: Config) -> None:
    """Run `cvae-report`."""
    folder = Path(config["dir"]).expanduser()
    runs = find_runs(folder)
    out = output_file(config["out"] or str(folder / "report.html"), (".html",))
    title = folder.resolve().name
    for file, text in (
        (out, page(runs, title)),
        (out.with_suffix(".csv"), as_csv(runs)),
        (out.with_suffix(".md"), as_markdown(runs, title)),
    ):
        write_whole(file, text)
        print(file)
    print(summary(runs))
