"""
Sphinx's configuration.
"""

from importlib.metadata import version as version_of

project = "Local Telemetry"
author = "Local Telemetry contributors"
copyright = f"2026, {author}"  # noqa: A001 (Sphinx's own name)
version = release = version_of("telemetry")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build", "README.md"]
default_role = "code"

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
napoleon_numpy_docstring = False

html_theme = "furo"
html_title = f"Local Telemetry {release}"
html_show_sourcelink = False
