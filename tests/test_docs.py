"""What the README, docs/ and the docstrings name is there, and a drawing is of the diagram beside it."""

import re
import runpy
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [
    path.relative_to(ROOT)
    for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("runs/**/README.md"))
    if path.name != "CHANGELOG.md"  # it also names what is gone
]
SOURCES = [
    path for folder in ("analysis", "scaling", "benchmarks", "conf") for path in ROOT.glob(f"{folder}/**/*.*")
]
FOLDERS = "analysis|scaling|conf|tests|benchmarks|docs"
NAMED = re.compile(rf"(?<![\w/.])(?:\.\./)?((?:{FOLDERS})/[\w/.-]*\w\.(?:py|md|yaml|csv|sh|toml|svg))\b")
LINKED = re.compile(r"\]\(([^)#:\s]+)\)")


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_file_that_a_page_names_or_links_exists(page: Path) -> None:
    text = (ROOT / page).read_text()
    missing = {name for name in NAMED.findall(text) if not (ROOT / name).exists()}
    missing |= {
        link
        for link in LINKED.findall(text)
        if "_generated/" not in link and not ((ROOT / page).parent / link).exists()
    }
    assert not missing


def test_every_file_that_the_code_names_exists() -> None:
    missing = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in SOURCES
        if path.suffix in (".py", ".yaml")
        for name in NAMED.findall(path.read_text())
        if not (ROOT / name).exists()
    }
    assert not missing


def test_a_drawing_is_of_the_diagram_on_its_page() -> None:
    drawing = runpy.run_path(str(ROOT / "docs/draw_diagrams.py"))
    pages = [page for page in ROOT.glob("docs/*.md") if "```mermaid" in page.read_text()]
    assert pages
    for page in pages:
        (fence,) = drawing["FENCE"].findall(page.read_text())
        first = page.with_suffix(".svg").read_text().partition("\n")[0]
        assert first == drawing["stamp"](fence), (
            f"{page.name} has changed: draw it again with `make diagrams`"
        )


def test_the_architecture_page_names_every_room_and_its_floor() -> None:
    page = (ROOT / "docs/architecture.md").read_text()
    rooms = {path.parent.name for path in ROOT.glob("scaling/*/__init__.py")} | {"errors"}
    assert {room for room in rooms if f"`scaling.{room}`" not in page or f"**`{room}`**" not in page} == set()


def test_generated_pages_are_not_committed() -> None:
    listed = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "docs/_generated", "docs/_build"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert not listed.stdout
