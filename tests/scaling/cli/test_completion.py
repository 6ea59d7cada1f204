"""Completion by Tab: in a real bash on a pseudo-terminal; the scripts of other shells where these are installed."""

import os
import pty
import re
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from scaling.cli.completion import SHELLS, all_words, main, script
from scaling.cli.hydra_app import refuse_unknown_flags
from scaling.cli.main import HYDRA_COMMANDS, PLAIN_COMMANDS
from scaling.config.schema import documented_keys
from scaling.errors import UserError

needs_bash = pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
PROMPT = "ready> "


class Terminal:
    """A bash that reads from a pseudo-terminal, with the completion script loaded."""

    def __init__(self, folder: Path) -> None:
        (folder / "completion.bash").write_text(script("bash"))
        (folder / "rc").write_text(
            f"PS1='{PROMPT}'\nsource completion.bash\nbind 'set enable-bracketed-paste off'\n"
        )
        self.pid, self.handle = pty.fork()
        if self.pid == 0:
            os.chdir(folder)
            os.execvpe(
                "bash", ["bash", "--rcfile", "rc", "-i"], {**os.environ, "TERM": "dumb", "COLUMNS": "500"}
            )
        self.read(PROMPT)

    def read(self, until: str | None = None, seconds: float = 10.0) -> str:
        """What appears, until a text has; without one, until nothing more comes for a moment."""
        shown, deadline = "", time.monotonic() + seconds
        while time.monotonic() < deadline and not (until and until in shown):
            if select.select([self.handle], [], [], 0.1 if until else 1.0)[0]:
                shown += os.read(self.handle, 65536).decode()
            elif not until:
                break
        return shown

    def press_tab(self, typed: str) -> str:
        """The line after a key press of Tab."""
        os.write(self.handle, b"\x15")  # Ctrl-U clears the line.
        self.read()
        os.write(self.handle, typed.encode() + b"\t")
        shown = self.read()
        return re.sub(r"\x1b\[[0-9;]*\w|\x07", "", shown)

    def close(self) -> None:
        os.close(self.handle)
        os.waitpid(self.pid, 0)


@pytest.fixture(scope="module")
def terminal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    folder = tmp_path_factory.mktemp("bash")
    (folder / "my-runs").mkdir()
    opened = Terminal(folder)
    yield opened
    opened.close()


@needs_bash
@pytest.mark.parametrize(
    ("typed", "line"),
    [
        ("scaling sw", "scaling sweep "),
        ("scaling budget sol", "scaling budget solve "),
        ("scaling train mode", "scaling train model"),
        ("scaling train model.wi", "scaling train model.width="),
        ("scaling train optim=ad", "scaling train optim=adamw "),
        ("scaling train model.width=32 schedule=co", "scaling train model.width=32 schedule=cosine "),
        ("scaling train optim.mu", "scaling train optim.muon_lr_ratio="),
        ("scaling train corpus.pa", "scaling train corpus.paths="),
        ("scaling sweep experiment=qui", "scaling sweep experiment=quickstart "),
        ("scaling sweep design.max_f", "scaling sweep design.max_flops="),
        ("scaling sweep --dry", "scaling sweep --dry-run "),
        ("scaling train --mul", "scaling train --multirun "),
        ("scaling budget model=mixtral-8x7", "scaling budget model=mixtral-8x7b "),
        ("scaling budget solve hardware=h100-p", "scaling budget solve hardware=h100-pcie "),
        ("scaling budget serve sequ", "scaling budget serve sequences="),
        ("scaling fit boot", "scaling fit bootstrap="),
        ("scaling fit my-r", "scaling fit my-runs/"),
        ("scaling status my-r", "scaling status my-runs/"),
        ("scaling sample my-runs temp", "scaling sample my-runs temperature="),
        ("scaling completion z", "scaling completion zsh "),
    ],
)
def test_tab_in_bash(terminal: Terminal, typed: str, line: str) -> None:
    assert terminal.press_tab(typed) == line


@needs_bash
def test_a_second_tab_lists_what_there_is(terminal: Terminal) -> None:
    shown = terminal.press_tab("scaling train tokenizer=\t\t")
    assert re.search(r"\bbpe\s+bytes\b", shown)


def test_every_command_and_every_documented_key_is_completed() -> None:
    words = all_words()
    assert set(words[""].first) == {*HYDRA_COMMANDS, *PLAIN_COMMANDS}
    missing = {f"{key}=" for key in documented_keys() if not key.startswith("design")} - set(
        words["train"].keys
    )
    assert {key for key in missing if key not in ("dry_run=", "ask_machine=")} == set()


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_is_one_that_its_shell_can_read(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([shell]) == 0
    text = capsys.readouterr().out
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    subprocess.run([shell, "-n"], input=text, text=True, check=True)


def test_an_unknown_shell_is_refused_and_the_help_names_the_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UserError, match="choose one shell of bash, zsh, fish"):
        main(["tcsh"])
    assert main(["--help"]) == 0
    assert 'eval "$(scaling completion bash)"' in capsys.readouterr().out


@pytest.mark.parametrize("flag", ["-sc", "--shell-completion"])
def test_hydras_own_completion_is_refused_with_the_line_to_write(flag: str) -> None:
    with pytest.raises(UserError, match=r'eval "\$\(scaling completion bash\)"'):
        refuse_unknown_flags([flag, "install=bash"])
