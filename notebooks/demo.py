"""Run the quickstart, kill its kernel, run it again in a new kernel, and compare the times.

What is printed is what happened: the times are those that the kernels reported for their cells, and each cell's own
provenance line says whether its answer came from the database or from the cache.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import sys
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import flights
import nbformat
from jupyter_client.manager import AsyncKernelManager
from jupyter_core.utils import run_sync
from nbclient import NotebookClient

HERE = Path(__file__).resolve().parent
QUICKSTART = HERE / "quickstart.ipynb"
DEMO = HERE.parent / ".demo"
MARK = "query: "
"""A cell whose tags hold `query: TITLE` asks a question that the table shows."""

CELL_SECONDS = 300
KERNELSPEC = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}


@dataclass(frozen=True)
class Question:
    """One query of one run of the notebook.

    Args:
        title: what the cell's tag calls it.
        outcome: the first word of its provenance line: `hit`, `miss`, ...
        seconds: from the kernel's starting on the cell to its being idle again.
    """

    title: str
    outcome: str
    seconds: float


def execute(notebook: nbformat.NotebookNode) -> None:
    """Execute the notebook in a kernel of its own, and then kill that kernel: no last words, nothing handed over."""
    kernel = AsyncKernelManager(kernel_name=KERNELSPEC["name"])
    client = NotebookClient(
        notebook,
        kernel,
        timeout=CELL_SECONDS,
        # What newer kernels say of their transport at every start is nothing to a kernel on this machine.
        extra_arguments=["--log-level=ERROR"],
        record_timing=True,
        resources={"metadata": {"path": str(HERE)}},
    )
    with client.setup_kernel():
        for index, cell in enumerate(notebook.cells):
            client.execute_cell(cell, index)
        run_sync(kernel.signal_kernel)(signal.SIGKILL)


def outcome(cell: nbformat.NotebookNode) -> str:
    """The first word of the provenance line among the cell's outputs."""
    shown = [output.get("text") or output.get("data", {}).get("text/plain", "") for output in cell.outputs]
    match = re.search(r"^(hit|miss|refreshed|not cached)\b", "\n".join(shown), re.MULTILINE)
    return match[0] if match else "silent"


def seconds(cell: nbformat.NotebookNode) -> float:
    """How long the kernel was busy with the cell, by the kernel's own clock."""
    times: dict[str, str] = cell.metadata.execution
    start, end = (datetime.fromisoformat(times[f"iopub.status.{state}"]) for state in ("busy", "idle"))
    return (end - start).total_seconds()


def questions(notebook: nbformat.NotebookNode) -> list[Question]:
    """The queries of an executed notebook, in its order."""
    return [
        Question(tag.removeprefix(MARK), outcome(cell), seconds(cell))
        for cell in notebook.cells
        for tag in cell.metadata.get("tags", [])
        if tag.startswith(MARK)
    ]


def expect(run: list[Question], wanted: str, when: str) -> None:
    """Stop the demo unless every query of the run had the outcome that is wanted."""
    others = [f"{question.title}: {question.outcome}" for question in run if question.outcome != wanted]
    if others or not run:
        raise SystemExit(
            f"{when}, every query should have been a {wanted}, but: {'; '.join(others) or 'none was asked'}"
        )


def shown(time: float) -> str:
    """Seconds, or milliseconds where they tell more."""
    return f"{time:.2f} s" if time >= 1 else f"{1000 * time:.0f} ms"


def table(first: list[Question], again: list[Question]) -> str:
    """The two runs side by side."""
    width = max(len(question.title) for question in first)
    lines = [f"{'query':{width}}  {'first time':>10}  {'after the restart':>17}  {'speed-up':>8}"]
    for before, after in zip(first, again, strict=True):
        times = f"{shown(before.seconds):>10}  {shown(after.seconds):>17}"
        lines.append(f"{before.title:{width}}  {times}  {before.seconds / after.seconds:>7,.0f}x")
    return "\n".join(lines)


def cleaned(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The executed notebook without what differs between machines and runs, but for its outputs.

    Raises:
        SystemExit: an output shows a path of this machine.
    """
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        outputs = str(cell.get("outputs", ""))
        for path in {str(HERE.parent), str(Path.home()), sys.prefix} - {"/"}:
            if path in outputs:
                raise SystemExit(f"an output of this cell shows {path}:\n{cell.source}")
    notebook.metadata = nbformat.from_dict({"kernelspec": KERNELSPEC, "language_info": {"name": "python"}})
    return notebook


def prepare() -> None:
    """Build the database, empty the demo's own cache, and keep a person's settings of IPython and Jupyter out of it."""
    flights.build(DEMO / "flights.db")
    shutil.rmtree(DEMO / "cache", ignore_errors=True)
    os.environ["SQLCACHE_NB_DIR"] = str(DEMO / "cache")
    os.environ["IPYTHONDIR"] = str(DEMO / "ipython")
    # Else the debugger that comes with kernels greets on Python 3.11 with a warning.
    os.environ["PYDEVD_DISABLE_FILE_VALIDATION"] = "1"
    for name in ("CONFIG", "DATA", "RUNTIME"):
        os.environ[f"JUPYTER_{name}_DIR"] = str(DEMO / "jupyter" / name.lower())


def main() -> None:
    """Show the comparison; with --write, keep the outputs of one run in the notebook instead."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="run once and keep the outputs in the notebook")
    write: bool = parser.parse_args().write
    prepare()
    first = nbformat.read(QUICKSTART, as_version=4)
    print("Running notebooks/quickstart.ipynb against 336,776 flights, with an empty cache ...", flush=True)
    execute(first)
    expect(questions(first), "miss", "With an empty cache")
    if write:
        nbformat.write(cleaned(first), QUICKSTART)
        print("Its outputs are kept in it.")
        return
    print("Killed its kernel. Running the notebook again in a new one ...\n", flush=True)
    again = nbformat.read(QUICKSTART, as_version=4)
    execute(again)
    expect(questions(again), "hit", "After the restart")
    print(table(questions(first), questions(again)))


if __name__ == "__main__":
    main()
