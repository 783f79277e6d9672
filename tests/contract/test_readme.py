"""The Python of the README runs, and prints what the README says it prints."""

import re
import textwrap
from pathlib import Path

import pytest

README = (Path(__file__).parents[2] / "README.md").read_text()
BLOCKS = [
    textwrap.dedent(block)
    for block in re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
]


def test_first_snippet_prints_what_its_comments_say(capsys):
    exec(compile(BLOCKS[0], "README.md", "exec"), {})
    said = re.findall(r"#: (.*)", BLOCKS[0])
    assert said
    assert capsys.readouterr().out.splitlines() == said


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_every_snippet_is_python(block):
    compile(block, "README.md", "exec")
