"""Draws the Mermaid fence of a page as the SVG beside it: `make diagrams`, after a fence has changed.

Needs npm and Chromium, which only whoever changes a diagram needs to have. The first line of the drawing holds the
digest of its fence, by which a test sees that one was changed without the other.
"""

import html
import re
import subprocess
import tempfile
from hashlib import sha256
from pathlib import Path

DOCS = Path(__file__).parent
FENCE = re.compile(r"^```mermaid\n(.*?)^```$", re.DOTALL | re.MULTILINE)
PAGE = """<meta charset="utf-8"><pre class="mermaid">{fence}</pre><script src="{script}"></script>
<script>mermaid.initialize({{securityLevel: "strict", htmlLabels: false, theme: "neutral"}})</script>"""


def stamp(fence: str) -> str:
    """The first line of a fence's drawing."""
    return f"<!-- drawn from the fence with sha256 {sha256(fence.encode()).hexdigest()} -->"


def draw(fence: str, folder: Path) -> str:
    """The fence as SVG."""
    page = folder / "page.html"
    script = folder / "node_modules/mermaid/dist/mermaid.min.js"
    page.write_text(PAGE.format(fence=html.escape(fence), script=script.as_uri()))
    browser = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    shown = subprocess.run(
        [*browser, f"--user-data-dir={folder}/profile", "--virtual-time-budget=20000", "--dump-dom", page.as_uri()],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    found = re.search(r"<svg .*</svg>", shown, re.DOTALL)
    assert found is not None, shown
    # The browser writes HTML; an SVG file is XML, and names its size, which a page otherwise guesses.
    svg = found[0].replace("<br>", "<br/>").replace("&nbsp;", "&#160;")
    box = re.search(r'viewBox="\S+ \S+ (\S+) (\S+)"', svg)
    assert box is not None
    return svg.replace('width="100%"', f'width="{float(box[1]):.0f}" height="{float(box[2]):.0f}"', 1)


def main() -> None:
    """Draws every fence of docs/ again."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        subprocess.run(["npm", "install", "--silent", "--prefix", temporary, "mermaid@11"], check=True)
        for page in sorted(DOCS.glob("*.md")):
            for fence in FENCE.findall(page.read_text()):
                page.with_suffix(".svg").write_text(f"{stamp(fence)}\n{draw(fence, folder)}\n")


if __name__ == "__main__":
    main()
