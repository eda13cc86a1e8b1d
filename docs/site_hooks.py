"""Hooks of mkdocs: pages that lie outside docs/, the Python reference, and links between all of them.

A document stays where a reader of the repository looks for it; the site shows the same file under another
address.
"""

from __future__ import annotations

import importlib
import posixpath
import re
from pathlib import Path
from typing import Any, Final

from mkdocs.structure.files import File, Files

ROOT: Final = Path(__file__).resolve().parents[1]

OUTSIDE: Final = {
    "data/README.md": "data-sets.md",
    "rust/h264mv/README.md": "crates/h264mv.md",
    "rust/h265mv/README.md": "crates/h265mv.md",
    "ARCHITECTURE.md": "architecture.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "README.md": "index.md",
    "docs/index.md": "documents.md",
}
"""Document in the repository -> page of the site, where that is not its place in docs/."""

_LINK: Final = re.compile(r"(?P<before>\]\()(?P<target>[^)\s#]+)(?P<anchor>#[^)\s]*)?(?=\))")
_CODE: Final = re.compile(r"(^```.*?^```|`[^`\n]+`)", re.MULTILINE | re.DOTALL)


def on_files(files: Files, config: Any) -> Files:
    """Add the documents outside docs/ and the pages of the Python reference."""
    replaced = files.get_file_from_path("index.md")
    if replaced is not None:
        files.remove(replaced)
    for source, page in OUTSIDE.items():
        files.append(File.generated(config, page, content=(ROOT / source).read_text(encoding="utf-8")))
    for package in ("mv_tools", "moclip_lite"):
        files.append(File.generated(config, f"reference/{package}.md", content=_reference(package)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Point links at pages of the site, and links to other files at the repository."""
    shown = page.file.src_uri
    source = next((path for path, other in OUTSIDE.items() if other == shown), f"docs/{shown}")
    if shown.startswith("reference/"):
        return markdown

    def rewrite(match: re.Match[str]) -> str:
        target, anchor = match["target"], match["anchor"] or ""
        if re.match(r"[a-z]+:", target):
            return match[0]
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
        return f"{match['before']}{_address(path, shown, config.extra['repository'])}{anchor}"

    parts = _CODE.split(markdown)
    return "".join(part if _CODE.fullmatch(part) else _LINK.sub(rewrite, part) for part in parts)


def on_page_content(html: str, page: Any, config: Any, files: Files) -> str:
    """Take the roles of docstrings, such as ``:class:``, off the names behind them."""
    return re.sub(r":(?:attr|class|data|exc|func|meth|mod):(?=<code>)", "", html)


def _address(path: str, shown: str, repository: str) -> str:
    """The link to a path of the repository from a page of the site."""
    page = OUTSIDE.get(path) or (path.removeprefix("docs/") if path.startswith("docs/") else None)
    if page is not None and not page.endswith(".py"):
        return posixpath.relpath(page, posixpath.dirname(shown) or ".")
    if not (ROOT / path).exists():
        return path  # a warning, and so an error
    return f"{repository.rstrip('/')}/{'tree' if (ROOT / path).is_dir() else 'blob'}/main/{path}"


def _reference(package: str) -> str:
    """A page with the public names of a package, from their docstrings."""
    module = importlib.import_module(package)
    lines = [f"# {package}", "", str(module.__doc__).strip().splitlines()[0], ""]
    for heading, wanted in (("Classes", True), ("Functions", False)):
        names = [name for name in module.__all__ if _documented(module, name, wanted)]
        lines += [f"## {heading}", ""] if names else []
        for name in names:
            lines += [f"::: {package}.{name}", ""]
    return "\n".join(lines)


def _documented(module: Any, name: str, is_class: bool) -> bool:
    value = getattr(module, name)
    return callable(value) and isinstance(value, type) is is_class
