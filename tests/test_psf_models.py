from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.ndimage import gaussian_filter, shift
from scipy.special import j0, j1

from napari_diffprior.cli import run
from napari_diffprior.io import read_image, write_image
from napari_diffprior.io.calibration import Calibration
from napari_diffprior.params import to_dict
from napari_diffprior.psf import prepare
from napari_diffprior.psf.beads import find_beads, psf_from_beads
from napari_diffprior.psf.models import gaussian_from_fwhm
from napari_diffprior.psf.optics import Optics, optics_psf, radial_intensity

GREEN = 0.52


def ideal(na: float = 0.3) -> Optics:
    return Optics(na=na, wavelength=GREEN, sample=1.515)


def aberrated() -> Optics:
    return Optics(na=1.2, wavelength=GREEN, depth=8.0, sample=1.36, immersion=1.518, thickness=165.0, coverslip=1.52)


def test_the_ideal_focus_is_the_airy_pattern() -> None:
    """[2 J1(v) / v]^2 with v = k NA r (Born & Wolf, section 8.5.2), zeros and full width included."""
    r = np.linspace(0, 4, 200)
    v = 2 * math.pi / GREEN * 0.3 * r[1:]
    line = radial_intensity(ideal(), GREEN, r, np.zeros(1))[0]
    assert line[0] == pytest.approx(1, abs=1e-12)
    assert np.allclose(line[1:], (2 * j1(v) / v) ** 2, atol=1e-12)
    zero = radial_intensity(ideal(), GREEN, np.array([0.6098 * GREEN / 0.3]), np.zeros(1))
    assert zero[0, 0] < 1e-6
    half = radial_intensity(ideal(), GREEN, np.array([0.5145 * GREEN / 0.3 / 2]), np.zeros(1))
    assert half[0, 0] == pytest.approx(0.5, abs=1e-3)


def test_the_ideal_axis_is_a_squared_sinc() -> None:
    """[sin(u / 4) / (u / 4)]^2 with u = k NA^2 z / n (Born & Wolf, section 8.8.2), for a small aperture."""
    z = np.linspace(-200, 200, 101)
    u = 2 * math.pi / GREEN * 0.08**2 * z / 1.515
    axis = radial_intensity(ideal(0.08), GREEN, np.zeros(1), z)[:, 0]
    assert np.allclose(axis, np.sinc(u / 4 / math.pi) ** 2, atol=2e-3)


def test_an_aberrated_psf_agrees_with_an_adaptive_integral() -> None:
    """The path from Snell's angles in each layer, integrated by QUADPACK point by point."""
    given, k = aberrated(), 2 * math.pi / GREEN

    def path(rho: float, z: float) -> float:
        def layer(index: float, length: float) -> float:
            return index * length * math.cos(math.asin(given.na * rho / index))

        gap = given.immersion * (150 / 1.515 + 170 / 1.515 - 165 / 1.52 - 8 / 1.36) - z
        there = layer(given.sample, 8.0) + layer(given.coverslip, 165.0) + layer(given.immersion, gap)
        return there - layer(1.515, 170.0) - layer(1.515, 150.0)

    for r, z in ((0.0, 0.0), (0.2, -1.0), (0.6, 1.5), (1.1, 0.4)):
        parts = [
            quad(lambda rho: wave(k * path(rho, z)) * j0(k * given.na * r * rho) * rho, 0, 1, limit=400)[0]  # noqa: B023
            for wave in (np.cos, np.sin)
        ]
        found = radial_intensity(given, GREEN, np.array([r]), np.array([z]))[0, 0]
        assert found == pytest.approx(4 * (parts[0] ** 2 + parts[1] ** 2), rel=1e-7, abs=1e-10)


def test_light_is_kept_from_plane_to_plane() -> None:
    """Parseval: int |U|^2 r dr = 2 int_0^1 rho d rho / (k NA)^2 in every plane."""
    r = np.linspace(0, 40, 8001)
    planes = radial_intensity(aberrated(), GREEN, r, np.array([-1.0, 0.0, 2.0]))
    light = np.trapezoid(planes * r, r, axis=1) * (2 * math.pi / GREEN * 1.2) ** 2 / 2
    assert light == pytest.approx(1, abs=0.02)


def test_depth_in_water_weakens_and_moves_the_focus() -> None:
    z = np.linspace(-6, 6, 121)
    peaks = []
    for depth in (0.0, 5.0, 20.0):
        axis = radial_intensity(Optics(na=1.3, wavelength=GREEN, depth=depth), GREEN, np.zeros(1), z)[:, 0]
        peaks.append((axis.max(), abs(z[axis.argmax()])))
    assert peaks[0] == (pytest.approx(1), 0.0)
    assert peaks[0][0] > peaks[1][0] > peaks[2][0] and peaks[0][1] < peaks[1][1] < peaks[2][1]


def test_a_sampled_psf_is_centred_and_a_confocal_one_is_sharper() -> None:
    shape, voxel = (21, 33, 35), (0.2, 0.08, 0.08)
    wide = optics_psf(ideal(0.8), shape, voxel)
    confocal = optics_psf(Optics(na=0.8, wavelength=GREEN, sample=1.515, excitation=0.488), shape, voxel)
    for psf in (wide, confocal):
        assert psf.shape == shape and psf.sum() == pytest.approx(1)
        assert np.unravel_index(psf.argmax(), shape) == (10, 16, 17)
        assert np.allclose(psf, psf[::-1, ::-1, ::-1])
    assert (confocal > confocal.max() / 2).sum() < (wide > wide.max() / 2).sum()
    assert prepare(wide).done == ()  # no background is found in a model
    plane = optics_psf(ideal(0.8), shape[1:], voxel[1:])
    assert np.allclose(plane, wide[10] / wide[10].sum())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Optics(na=1.6, wavelength=0.5), "higher refractive index"),
        (lambda: optics_psf(ideal(), (5, 5), (0.1, 0.1, 0.1)), "as many positive voxel sides"),
        (lambda: psf_from_beads(np.zeros((20, 20)), (7, 7)), "none of 0 bright points"),
        (lambda: psf_from_beads(np.zeros((20, 20)), (6, 7)), "odd sides"),
        (lambda: psf_from_beads(np.zeros((20, 20)), (7, 7, 7)), "does not fit"),
    ],
)
def test_what_cannot_be_made_is_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def beads(shape: tuple[int, ...], width: float = 1.8) -> tuple[Any, Any]:
    """Image of eight equal beads between pixels, a pair, one at the edge, one far brighter; and the bead itself."""
    rng = np.random.default_rng(1)
    bead = np.zeros([31] * len(shape))
    bead[tuple(15 for _ in shape)] = 1
    bead = gaussian_filter(bead, width)
    image = np.zeros(shape)
    step = 26
    spots = [(a, b) for a in range(18, 140, step) for b in range(18, 140, step)][:9]
    for number, spot in enumerate([*spots, (100, 100), (106, 100), (2, 60)]):
        place = [shape[0] // 2] * (len(shape) - 2) + list(spot)
        moved = shift(bead, rng.uniform(-0.5, 0.5, len(shape))) * (900_000 if number == 4 else 60_000 * bead.ndim**2)
        for index in np.ndindex(bead.shape):
            at = tuple(p + i - 15 for p, i in zip(place, index, strict=True))
            if all(0 <= a < n for a, n in zip(at, shape, strict=True)):
                image[at] += moved[index]
    return 100 + image + 3 * rng.standard_normal(shape), bead


def test_beads_that_stand_alone_give_the_psf() -> None:
    image, bead = beads((150, 150))
    found = psf_from_beads(image, (17, 17))
    assert "8 of 12 beads" in found.done[0]
    for reason in ("1 too near an edge", "2 too near another", "1 far brighter"):
        assert reason in found.done[0]
    expected = bead[7:24, 7:24] / bead[7:24, 7:24].sum()
    side = found.values.shape[0] // 2
    middle = found.values[side - 6 : side + 7, side - 6 : side + 7]
    assert np.abs(middle - expected[2:15, 2:15]).max() < 0.03 * expected.max()  # a pixel's half off would be 0.07


def test_beads_in_a_stack() -> None:
    image, bead = beads((35, 70, 70))
    found = psf_from_beads(image, (15, 15, 15))
    half = [side // 2 for side in found.values.shape]
    middle = found.values[tuple(slice(h - 4, h + 5) for h in half)]
    expected = bead[11:20, 11:20, 11:20]
    assert np.abs(middle / middle.sum() - expected / expected.sum()).max() < 0.04 * expected.max() / expected.sum()
    assert len(find_beads(image)) >= 3


def test_commands_write_psfs(tmp_path: Any, capsys: Any) -> None:
    target = tmp_path / "psf.tif"
    arguments = ["psf", "optics", "-o", target, "--na", 0.8, "--wavelength", 0.52, "--voxel", 0.3, 0.1, 0.1]
    assert run([str(word) for word in [*arguments, "--shape", 9, 15, 17, "--json"]]) == 0
    said = json.loads(capsys.readouterr().out)
    values, calibration, metadata = read_image(target)
    assert values.shape == (9, 15, 17) == tuple(said["shape"]) and calibration.scale == pytest.approx((0.3, 0.1, 0.1))
    assert metadata["napari-diffprior"]["psf"]["optics"]["na"] == 0.8
    image = tmp_path / "beads.tif"
    write_image(image, beads((150, 150))[0].astype(np.float32), Calibration((0.1, 0.1), ("um", "um"), "yx"))
    assert run(["psf", "beads", str(image), "-o", str(target), "--size", "17", "17"]) == 0
    values, calibration, _ = read_image(target)
    assert values.sum() == pytest.approx(1, abs=1e-5) and calibration.scale == pytest.approx((0.1, 0.1))
    assert run(["psf", "optics", "-o", str(target), "--na", "2", "--wavelength", ".5", "--voxel", ".1", ".1"]) == 2


def test_a_gaussian_by_its_width(tmp_path: Any, capsys: Any) -> None:
    target = str(tmp_path / "psf.tif")
    for widths, voxel in ((("0.8", "0.3", "0.3"), ("0.2", "0.1", "0.1")), (("0.3", "0.3"), ("0.1", "0.1"))):
        words = ["psf", "gaussian", "--fwhm", *widths, "--voxel", *voxel, "-o", target]
        assert run(words) == 0
        values, calibration, metadata = read_image(target)
        expected = gaussian_from_fwhm([float(width) for width in widths], [float(step) for step in voxel])
        np.testing.assert_array_equal(values, expected.astype(np.float32))
        assert calibration.scale == tuple(float(step) for step in voxel) and set(calibration.units) == {"um"}
        assert metadata["napari-diffprior"]["psf"]["fwhm"] == [float(width) for width in widths]
    (tmp_path / "psf.tif").unlink()
    for widths, sentence in ((["0.3"], "along z, y and x"), (["0.3"] * 3, "one width for each axis"), (["0", "0.3"], "above 0")):
        capsys.readouterr()
        assert run(["psf", "gaussian", "--fwhm", *widths, "--voxel", ".1", ".1", "-o", target]) == 2
        error = capsys.readouterr().err
        assert sentence in error and error.count("\n") == 1 and not (tmp_path / "psf.tif").exists()


OPTICS = ["psf", "optics", "--na", "1.2", "--wavelength", "0.52", "--voxel", "0.3", "0.1", "0.1", "--shape", "9", "15", "15"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, {}),
        ({"immersion": 1.518}, {"immersion": 1.518, "nominal_immersion": 1.518}),
        ({"immersion": 1.518, "nominal-immersion": 1.515}, {"immersion": 1.518}),
        ({"coverslip": 1.525}, {"coverslip": 1.525, "nominal_coverslip": 1.525}),
        ({"coverslip": 1.525, "nominal-coverslip": 1.515}, {"coverslip": 1.525}),
        ({"coverslip-thickness": 160}, {"thickness": 160}),
        ({"nominal-coverslip-thickness": 0}, {"thickness": 0, "nominal_thickness": 0}),
        ({"coverslip-thickness": 160, "nominal-coverslip-thickness": 165}, {"thickness": 160, "nominal_thickness": 165}),
        ({"working-distance": 200, "depth": 5}, {"working_distance": 200, "depth": 5}),
    ],
)
def test_each_option_of_the_optics_reaches_the_model(options: dict[str, Any], expected: dict[str, Any], tmp_path: Any) -> None:
    target = str(tmp_path / "psf.tif")
    assert run([*OPTICS, "-o", target, *(str(word) for name, value in options.items() for word in (f"--{name}", value))]) == 0
    model = Optics(na=1.2, wavelength=0.52, **expected)
    values, _, metadata = read_image(target)
    assert metadata["napari-diffprior"]["psf"]["optics"] == to_dict(model)
    np.testing.assert_array_equal(values, optics_psf(model, (9, 15, 15), (0.3, 0.1, 0.1)).astype(np.float32))


def test_optics_that_cannot_be_are_refused_in_one_sentence(tmp_path: Any, capsys: Any) -> None:
    for option, value, sentence in (("--immersion", "1", "higher refractive index"), ("--sample", "0.5", "sample = 0.5")):
        assert run([*OPTICS, "-o", str(tmp_path / "psf.tif"), option, value]) == 2
        error = capsys.readouterr().err
        assert sentence in error and error.count("\n") == 1
