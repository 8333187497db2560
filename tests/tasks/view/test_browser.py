"""Pages as a browser shows them: headless Chromium, WebGL in software."""

import io
import statistics

import numpy as np
import pytest
from matplotlib import image

from spikevox.tasks.view import (
    BoxLayer,
    Classes,
    PointLayer,
    Scene,
    SpikeLayer,
    Values,
    VoxelLayer,
    safe_colours,
    save_page,
)
from tasks.view.browser import open_browser, show

# selenium leaves sockets to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")
GROUND = (0x12, 0x15, 0x1A)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    driver = open_browser(tmp_path_factory.mktemp("profile"))
    yield driver
    driver.quit()


@pytest.fixture
def opened(browser, tmp_path):
    """Writes scenes as a page and opens it; afterwards nothing may stand in the console."""

    def call(*scenes, **window):
        save_page(tmp_path / "page.html", scenes)
        show(browser, tmp_path / "page.html", **window)
        return browser

    yield call
    assert browser.get_log("browser") == []


def state(browser):
    return browser.execute_script("return spikevox.state()")


def press(browser, *keys):
    for key in keys:
        browser.execute_script(
            "document.dispatchEvent(new KeyboardEvent('keydown', {key: arguments[0], bubbles: true}))", key
        )


def picture(browser):
    browser.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(arguments[0]))")
    return (image.imread(io.BytesIO(browser.get_screenshot_as_png()))[..., :3] * 255).round().astype(int)


def near(shot, colour, tolerance=3):
    return (np.abs(shot - np.asarray(colour)).max(axis=2) <= tolerance).sum()


def scene(title="all"):
    generator = np.random.default_rng(0)
    xyz = generator.uniform(-4, 4, (3000, 3))
    classes = (xyz[:, 0] > 0).astype(int)
    sites = np.argwhere(np.ones((4, 4, 1))).astype(float)
    # Site k has its first k channels fire: k of 16 at level 1, half of them at level 2, in the first of two steps alone.
    counts = np.zeros((2, 2, 16), int)
    counts[0, 0], counts[0, 1] = np.arange(16), np.arange(16) // 2
    return Scene(
        title,
        [
            PointLayer("cloud", xyz, {"side": Classes(classes, ("left", "right")), "height": Values(xyz[:, 2], "m")}),
            VoxelLayer("energy", sites, 1.0, {"energy": Values(np.arange(16.0), "pJ")}, shown=False),
            SpikeLayer("first", sites, 1.0, counts, 16),
            SpikeLayer("second", sites[:4] * 2, 2.0, counts[:1, :1, :4], 16),
            BoxLayer("found", [[0, 0, 6, 4, 2, 1.5, 0.5]], ["car 0.9"]),
        ],
        ["a note"],
    )


def test_points_stand_where_they_were_given_in_the_colours_of_their_classes(opened):
    given = scene()
    browser = opened(given)
    for row in (0, 7, 2999):
        got = browser.execute_script("return spikevox.place(0, arguments[0])", row)
        np.testing.assert_allclose(got, given.layers[0].xyz[row], atol=8 / 65535 / 2 + 1e-5)
        colour = browser.execute_script("return spikevox.colour(0, arguments[0])", row)
        assert colour[:3] == safe_colours(2)[given.layers[0].fields["side"].data[row]].tolist()
    shot = picture(browser)
    counts = [near(shot, colour) for colour in (*safe_colours(2), GROUND)]
    assert min(counts[:2]) > 2000
    assert counts[2] > 100_000
    # Seen from above, those of greater x stand farther right.
    press(browser, "t")
    middles = [np.median(np.nonzero(np.abs(picture(browser) - c).max(axis=2) <= 3)[1]) for c in safe_colours(2)]
    assert middles[0] < middles[1] - 100


def test_keys_move_and_change_what_is_shown(opened):
    browser = opened(scene(), scene("another"))
    before = state(browser)
    assert [layer["visible"] for layer in before["layers"]] == [True, False, True]
    assert not before["spikes"]["on"]
    press(browser, "ArrowLeft", "+", "2", "3", "c", "p", "s", "l")
    after = state(browser)
    assert np.linalg.norm(after["camera"]) < np.linalg.norm(before["camera"])
    assert [layer["visible"] for layer in after["layers"]] == [True, True, False]
    assert (before["layers"][0]["field"], after["layers"][0]["field"]) == ("side", "height")
    assert (before["scale"], after["scale"]) == ("viridis", "cividis")
    assert (after["spikes"]["on"], after["spikes"]["layer"]) == (True, "second")
    press(browser, " ")
    assert state(browser)["playing"]
    press(browser, "n")
    assert (state(browser)["sample"], state(browser)["playing"], browser.title) == (1, False, "another")
    press(browser, "N", "h")
    assert state(browser)["sample"] == 0
    assert browser.execute_script("return !document.getElementById('keys').hidden")
    press(browser, "r")
    np.testing.assert_allclose(state(browser)["camera"], before["camera"], atol=1e-6)


def test_spikes_of_a_layer_step_and_level_are_those_that_were_given(opened):
    browser = opened(scene())
    sites = np.arange(16)
    assert state(browser)["spikes"]["rates"] == pytest.approx((sites + sites // 2) / 32, abs=1e-6)
    press(browser, ".")
    assert state(browser)["spikes"]["rates"] == pytest.approx(sites / 32, abs=1e-6)
    press(browser, "]")
    assert (state(browser)["spikes"]["step"], state(browser)["spikes"]["level"]) == (1, 1)
    assert state(browser)["spikes"]["rates"] == pytest.approx(sites / 16, abs=1e-6)
    press(browser, ".")
    assert state(browser)["spikes"]["rates"] == pytest.approx(sites // 2 / 16, abs=1e-6)
    press(browser, "]")
    assert state(browser)["spikes"]["rates"] == [0] * 16
    assert "16 of 16 sites silent" in browser.find_element("id", "spike-legend").text
    slider = (
        "const s = document.getElementById(arguments[0]); s.value = arguments[1]; s.dispatchEvent(new Event('input'))"
    )
    browser.execute_script(slider, "spike-layer-at", 1)
    browser.execute_script(slider, "spike-step", 0)
    browser.execute_script(slider, "spike-level", 0)
    assert state(browser)["spikes"]["rates"] == pytest.approx([0, 1 / 16, 2 / 16, 3 / 16], abs=1e-6)


def test_a_class_can_be_hidden_and_a_click_tells_what_a_point_is(opened):
    given = scene()
    browser = opened(given)
    press(browser, "3")
    left, _right = browser.find_elements("css selector", "#layers .classes button")
    assert left.text.startswith("left ")
    assert left.get_attribute("aria-pressed") == "true"
    left.click()
    shot = picture(browser)
    assert near(shot, safe_colours(2)[0]) < 400  # the swatch in the legend
    assert near(shot, safe_colours(2)[1]) > 2000
    shown = np.flatnonzero(given.layers[0].fields["side"].data == 1)
    row = int(shown[np.argmax(given.layers[0].xyz[shown] @ [-0.75, -1, 0.75])])
    browser.execute_script("spikevox.pick(...spikevox.screen(0, arguments[0]))", row)
    told = browser.find_element("id", "picked").text.splitlines()
    assert told[0] == f"cloud, number {row}"
    assert told[2:] == ["side: right", f"height: {float(f'{given.layers[0].xyz[row, 2]:.3g}'):g} m"]


def test_text_from_files_never_runs(opened):
    evil = "<img src=x onerror=\"document.title='run'\"></script><script>document.title='run'</script>"
    browser = opened(
        Scene(evil, [PointLayer(evil, np.eye(3), {evil: Classes(np.zeros(3, int), [evil])})], [evil]),
    )
    assert browser.title == evil
    assert browser.find_element("id", "title").text == evil
    assert evil in browser.find_element("id", "layers").text
    assert browser.execute_script("return document.images.length + document.scripts.length") == 4


def test_a_small_screen_has_room_for_the_view_and_no_text_runs_out_of_it(opened):
    browser = opened(scene("a title of many words that has to be broken into several lines"), width=360, height=640)
    sizes = browser.execute_script(
        "return [document.documentElement.scrollWidth, document.getElementById('panel').getBoundingClientRect().top, "
        "document.getElementById('title').getBoundingClientRect().right, innerWidth]"
    )
    assert sizes[0] == sizes[3] == 360
    assert sizes[1] >= 0.5 * 640
    assert sizes[2] <= 360
    before = picture(browser)
    assert near(before, safe_colours(2)[0]) > 500
    browser.find_element("id", "fold").click()
    assert not browser.find_element("id", "panel").is_displayed()


@pytest.mark.slow
@pytest.mark.alone
def test_two_hundred_thousand_points_open_and_turn_in_time(browser, tmp_path):
    """Two cores and no graphics card; while it turns the page draws as many points as the time allows, at rest all."""
    generator = np.random.default_rng(0)
    reach, angle = generator.exponential(20, 200_000) + 2, generator.uniform(0, 2 * np.pi, 200_000)
    xyz = np.stack([reach * np.cos(angle), reach * np.sin(angle), generator.normal(0, 0.5, 200_000)], axis=1)
    fields = {"sector": Classes((angle * 2).astype(int), [f"sector {n}" for n in range(13)])}
    size = save_page(tmp_path / "page.html", [Scene("200,000 points", [PointLayer("cloud", xyz, fields)])])
    # What else runs on the machine takes its part of the time: the best of three tries is what the page can do.
    tries = []
    while len(tries) < 3 and not (tries and tries[-1][0] < 3 and tries[-1][1] < 100):
        show(browser, tmp_path / "page.html")
        opened = browser.execute_script("return spikevox.opened") / 1000
        times = browser.execute_async_script("spikevox.orbit(60).then(arguments[0])")
        tries.append((opened, statistics.median(times)))
        print(
            f"{size / 1e6:.1f} MB opened in {opened:.2f} s, median frame {tries[-1][1]:.0f} ms, longest {max(times):.0f} ms, "
            f"{state(browser)['share']:.2f} of the points while it turns"
        )
    assert size < 15e6
    assert min(opened for opened, _ in tries) < 3
    assert min(median for _, median in tries) < 100
    assert browser.get_log("browser") == []
