"""`import analysis` gives the public names, imported when they are used."""

import subprocess
import sys

import analysis


def test_every_public_name_is_there_and_fit_is_the_function() -> None:
    for name in analysis.__all__:
        assert getattr(analysis, name) is not None
    from analysis.fit import fit

    assert analysis.fit is fit
    assert set(analysis.__all__) <= set(dir(analysis))


def test_the_package_alone_imports_nothing_heavy() -> None:
    code = "import analysis, sys; print('pandas' in sys.modules)"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        == "False\n"
    )
