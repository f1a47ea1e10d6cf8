"""The notebooks run from the first cell to the last, in a kernel of their own."""

from pathlib import Path

import pytest

from cvae.config.compose import find

NOTEBOOKS = sorted((find("experiments") / "notebooks").glob("*.py"))


@pytest.mark.slow
@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_a_notebook_runs(file: Path, tmp_path: Path) -> None:
    jupytext, nbclient = pytest.importorskip("jupytext"), pytest.importorskip("nbclient")
    pytest.importorskip("pandas")
    notebook = jupytext.read(file)
    nbclient.NotebookClient(
        notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": tmp_path}}
    ).execute()
    outputs = [cell.outputs for cell in notebook.cells if cell.cell_type == "code"]
    assert any(outputs)
    assert not any(part.get("name") == "stderr" for some in outputs for part in some)
