"""
Sphinx's configuration.
"""

from importlib.metadata import version as version_of
from typing import Any

project = "Local Telemetry"
author = "Local Telemetry contributors"
copyright = f"2026, {author}"  # noqa: A001 (Sphinx's own name)
version = release = version_of("telemetry")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build", "README.md"]
default_role = "code"

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
# Quotes and ellipses, but no dashes: `--json` is an option.
smartquotes_action = "qe"

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
napoleon_numpy_docstring = False

html_theme = "furo"
html_title = f"Local Telemetry {release}"
html_show_sourcelink = False


def literal_blocks(
    _app: Any, what: str, _name: str, _obj: Any, _options: Any, lines: list[str]
) -> None:
    """
    Take what a module's docstring indents for a drawing: a literal block.
    """
    if what != "module":
        return
    for at in range(len(lines) - 1, 0, -1):
        before, line = lines[at - 1], lines[at]
        opens = line.startswith("    ") and not before and not lines[at - 2].startswith("    ")
        if opens and not lines[at - 2].endswith("::"):
            lines[at:at] = ["::", ""]


def setup(app: Any) -> None:
    """
    Register the hook.
    """
    app.connect("autodoc-process-docstring", literal_blocks)
