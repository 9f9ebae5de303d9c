"""The documentation does not point at what is not there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

#: Where a link or a picture leads, up to a heading's name.
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page):
    links = [link for link in LINK.findall(page.read_text()) if "://" not in link]
    assert not [link for link in links if not (page.parent / link).exists()]


def test_links_are_found():
    assert LINK.findall("a [b](c.md), ![d](e/f.svg) and [g](h.md#i)") == ["c.md", "e/f.svg", "h.md"]
    assert sum(len(LINK.findall(page.read_text())) for page in PAGES) > 20
