"""Pages, links, pictures and code of README and docs; ``docs/build`` builds them, and takes longer."""

import ast
import re
from pathlib import Path

import numpy as np
import pytest
import yaml

import napari_diffprior
from napari_diffprior import testing
from napari_diffprior.registry import registered

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
GENERATED = ("_build", "tutorials")  # by Sphinx; not in the repository
PAGES = sorted(path for path in DOCS.rglob("*.md") if not set(path.relative_to(DOCS).parts) & set(GENERATED))
TEXTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *PAGES]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SUBSTITUTION = re.compile(r"(?<![\w|])\|(?=[^\s|])")  # as reStructuredText reads |x|
LINK = re.compile(r"\]\(([^)\s]+)\)")


def name(path):
    return path.relative_to(ROOT).as_posix()


def fences(path, language):
    """Content of the fenced blocks of one language."""
    return [body for head, body in FENCE.findall(path.read_text()) if head.strip() == language]


def anchor(title):
    """Anchor that Markdown gives to a heading."""
    return re.sub(r"[^\w\- ]", "", title.strip().lower()).replace(" ", "-")


def reached(page, seen):
    """Pages that the tables of contents, and what is included, lead to."""
    seen.add(page)
    for body in fences(page, "{toctree}"):
        entries = [line.strip() for line in body.splitlines() if line.strip() and not line.startswith(":")]
        for entry in entries:
            found = sorted(page.parent.glob(f"{entry}.md"))
            assert found or entry.split("/")[0] in GENERATED, f"{name(page)} lists {entry}, which is not there"
            for other in set(found) - seen:
                reached(other, seen)
    included = {page.parent / target for target in re.findall(r"```\{include\} (\S+)", page.read_text())}
    seen.update(path.resolve() for path in included)
    return seen


def test_every_page_is_in_a_table_of_contents():
    assert set(PAGES) - reached(DOCS / "index.md", set()) == set()


@pytest.mark.parametrize("path", TEXTS, ids=name)
def test_links_and_pictures_exist(path):
    for target in LINK.findall(FENCE.sub("", path.read_text())):
        if target.startswith(("https://", "http://", "mailto:")):
            continue
        file, _, part = target.partition("#")
        place = (path.parent / file).resolve() if file else path
        if place.is_relative_to(DOCS / "tutorials"):
            place = ROOT / "examples" / f"{place.name}.py" if place.name != "index" else ROOT / "examples" / "GALLERY_HEADER.rst"
        assert place.exists(), f"{name(path)} links to {target}"
        if part:
            titles = re.findall(r"^#+ (.*)$", place.read_text(), re.MULTILINE)
            assert part in {anchor(title) for title in titles}, f"{name(path)} links to {target}"


def test_every_picture_is_small_and_shown_or_the_other_theme_of_one():
    texts = "".join(path.read_text() for path in TEXTS)
    scenes = {match.split("_")[0] for match in re.findall(r"images/(\w+)\.\w+", texts)}
    for picture in (DOCS / "images").iterdir():
        assert picture.stem.split("_")[0] in scenes, f"{picture.name} is shown nowhere"
        assert picture.stat().st_size < (2_000_000 if picture.suffix == ".gif" else 300_000), picture.name


def test_python_in_pages_compiles():
    blocks = [(path, body) for path in TEXTS for body in fences(path, "python")]
    assert len(blocks) > 5
    for path, body in blocks:
        compile(body, str(path), "exec")


@pytest.mark.parametrize(
    "path", [ROOT / "README.md", DOCS / "quickstart.md", DOCS / "uncertainty.md", DOCS / "how-to" / "add-a-prior.md"], ids=name
)
def test_python_in_pages_runs(path, monkeypatch):
    """With crops of the sample and few steps in the place of what takes long."""
    from napari_diffprior.samples import bpae

    def quick(image, *arrays, **settings):
        return restore(image[:32, :32], *(array[:32, :32] for array in arrays), **{**settings, "steps": 2, "samples": 2})

    restore = napari_diffprior.restore
    monkeypatch.setattr(napari_diffprior, "restore", quick, raising=False)
    monkeypatch.setattr("napari_diffprior.samples.bpae", lambda: tuple(array[64:128, 64:128] for array in bpae()))
    scope = {}
    for body in fences(path, "python"):
        exec(compile(body, str(path), "exec"), scope)
    assert np.isfinite(scope["result"].mean).all() and scope["result"].mean.shape == (32, 32)


@pytest.mark.parametrize("path", EXAMPLES, ids=name)
def test_examples_are_pages_of_the_gallery(path):
    module = ast.parse(path.read_text())
    title, line = ast.get_docstring(module).splitlines()[:2]
    assert line == "=" * len(title), "a page of the gallery begins with a title"
    for node in ast.walk(module):
        if isinstance(node, ast.ImportFrom) and node.module.split(".")[0] == "napari_diffprior":
            home = __import__(node.module, fromlist=["x"])
            assert all(hasattr(home, alias.name) for alias in node.names)


def test_every_widget_and_menu_command_has_a_page():
    manifest = yaml.safe_load((ROOT / "napari.yaml").read_text())["contributions"]
    pages = {path.stem: path.read_text() for path in (DOCS / "widgets").glob("*.md")}
    for widget in manifest["widgets"]:
        page = pages[widget["display_name"].lower().replace(" ", "-")]
        assert page.startswith(f"# {widget['display_name']}\n")
    titles = {command["id"]: command["title"] for command in manifest["commands"]}
    shown = {titles[item["command"]] for items in manifest["menus"].values() for item in items if "command" in item}
    writers = {writer["display_name"] for writer in manifest["writers"]}
    for text in shown | writers:
        assert any(text in page for page in pages.values()), f"no page of a widget names {text!r}"
    for setting in manifest["configurations"]["restoration"]["properties"].values():
        assert f"| {setting['title']} |" in pages["preferences"]


def test_the_form_of_restore_image_is_described():
    from napari_diffprior.gui import extent, inputs, quality

    page = (DOCS / "widgets" / "restore-image.md").read_text()
    for task in (inputs.FILL, inputs.DEBLUR, inputs.DENOISE, inputs.UPSAMPLE, inputs.BOTH):
        assert f"*{task}*" in page
    assert all(f"*{preset}*: {samples} sample" in page for preset, (_, samples) in quality.PRESETS.items())
    assert all(word.lower() in page.lower() for word in (extent.WHOLE, extent.PLANE))


def test_the_api_page_has_every_public_name_and_they_exist():
    text = (DOCS / "api.md").read_text()
    named = set(re.findall(r"^\.\. auto\w+:: (\S+)", text, re.MULTILINE))
    for each in named:
        home, _, attribute = each.rpartition(".")
        assert hasattr(__import__(home or "napari_diffprior", fromlist=["x"]), attribute), each
    assert set(napari_diffprior.__all__) <= named
    checks = {f"napari_diffprior.testing.{each}" for each in vars(testing) if each.startswith(("check_", "measure_"))}
    assert checks <= named
    for kind in ("sampler", "operator", "noise"):
        assert f"<!-- every registered {kind} -->" in text, "the place that docs/conf.py fills in"
        for cls in registered(kind).values():
            plain = re.sub(r"``.*?``", "", cls.__doc__, flags=re.DOTALL)
            assert not SUBSTITUTION.search(plain), f"{cls.__name__}: put what has a | into double backticks"


def test_the_page_of_the_command_line_is_made_from_the_program():
    """``docs/conf.py`` adds what the program says of itself: all commands are in it."""
    from napari_diffprior.cli import app

    text = app.generate_docs(output_format="markdown")
    assert "**Commands**" in text
    for command in ("restore", "replay", "folder", "train", "list", "demo", "psf beads", "check prior", "bench quality"):
        assert re.search(rf"^#+ diffprior {command}$", text, re.MULTILINE), command
