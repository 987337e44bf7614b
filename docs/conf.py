"""Sphinx settings; ``docs/build`` builds the pages into ``docs/_build/html``."""

from importlib.metadata import version as version_of

from sphinx.application import Sphinx

project = "napari-diffprior"
author = "napari-diffprior developers"
project_copyright = "2026, napari-diffprior developers"
version = release = version_of("napari-diffprior")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "samplers-table.md"]  # the table is included by samplers.md
myst_heading_anchors = 3
templates_path: list[str] = []

autodoc_typehints = "none"  # numpydoc says them
autodoc_member_order = "bysource"
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True

# A page of the gallery is a script of examples/ that is run: whatever fails ends the build.
sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "tutorials",
    "filename_pattern": r"\.py$",
    "within_subsection_order": "FileNameSortKey",
    "abort_on_example_error": True,
    "download_all_examples": False,
    "show_signature": False,
    "min_reported_time": 1e9,  # seconds of this machine are no figures
    "write_computation_times": False,
    "remove_config_comments": True,
    "copyfile_regex": "",
}

html_theme = "furo"
html_title = "napari-diffprior"
html_theme_options = {"navigation_with_keys": True}
html_show_sphinx = False


def describe_commands() -> str:
    """All commands with their options, as the program describes them."""
    from napari_diffprior.cli import app

    text: str = app.generate_docs(output_format="markdown")
    return text[text.index("**Commands**") :]


def describe_registered(kind: str) -> str:
    """Classes of the package that the registry knows: a new file appears by itself."""
    from napari_diffprior.registry import registered

    lines = [f".. autoclass:: {cls.__module__}.{cls.__name__}" for cls in registered(kind).values()]
    return "\n".join(["```{eval-rst}", *lines, "```"])


def fill_in(_: Sphinx, page: str, source: list[str]) -> None:
    """Put what comes from the program in the place of the comments that stand for it."""
    if page == "command-line":
        source[0] += describe_commands()
    if page == "api":
        for kind in ("sampler", "operator", "noise"):
            source[0] = source[0].replace(f"<!-- every registered {kind} -->", describe_registered(kind))


def setup(app: Sphinx) -> None:
    """Connect what is generated."""
    app.connect("source-read", fill_in)
