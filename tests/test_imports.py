import subprocess
import sys

import pytest

HEAVY = "sorted({'torch', 'diffusers', 'scipy', 'skimage'} & set(sys.modules))"
STEPS = {
    "package": "import napari_diffprior; assert 'qtpy' not in sys.modules",
    "manifest": "from npe2 import PluginManifest; PluginManifest.from_distribution('napari-diffprior')",
    "widget": """
from napari.components import ViewerModel
from qtpy.QtWidgets import QApplication
app = QApplication([])
from napari_diffprior.gui.restore import RestoreWidget
viewer = ViewerModel()
before = set(sys.modules)
widget = RestoreWidget(viewer)
widget.native.show()
""",
}


@pytest.mark.parametrize("step", STEPS)
def test_neither_torch_nor_diffusers_is_imported(step):
    heavy = HEAVY if step != "widget" else "sorted({'torch', 'diffusers'} & set(sys.modules))"
    code = f"import sys\n{STEPS[step]}\nassert not {heavy}, {heavy}\n"
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False, timeout=200)
    assert done.returncode == 0, done.stderr
