"""The studio as a person uses it, in Chromium: by pointer, touch and keyboard, at 1280 and at 390
pixels, for images and for a table.

Screenshots are kept in the folder that QUASISTATIC_SCREENSHOTS names, by default
build/screenshots.
"""

import os
import shutil
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from studio_client import client_of
from test_complete import people

from quasistatic.data.table_files import write_table
from quasistatic.studio import Studio, create_app

playwright = pytest.importorskip(
    "playwright.sync_api", reason="the extra `browser` is not installed"
)
CHROMIUM = os.environ.get("QUASISTATIC_CHROMIUM") or shutil.which("chromium")
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on this machine"),
    pytest.mark.usefixtures("float32"),
    pytest.mark.timeout(600),
]
ROOT = Path(__file__).resolve().parents[2]
SHOTS = Path(os.environ.get("QUASISTATIC_SCREENSHOTS") or ROOT / "build" / "screenshots")
WIDTHS = {"desk": 1280, "phone": 390}


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """The address of a studio with the digits and a table, in a thread of this process."""
    import torch
    import uvicorn

    import quasistatic as qs

    folder = tmp_path_factory.mktemp("browser")
    write_table(folder / "people.csv", [people(200, 0)])
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    qs.opened.fit(folder / "people.csv", out=folder / "people", steps=0, calibration=0.3)
    torch.set_default_dtype(before)
    (folder / "broken").mkdir()
    (folder / "broken" / "config.json").write_text("{")
    studio = Studio.of(["digits", folder / "people", folder / "broken"])
    app = create_app(studio.library, studio.token)
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [studio.listening]})
    thread.start()
    yield studio.address, str(folder / "people"), folder / "people.csv"
    server.should_exit = True
    thread.join(20)


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as p:
        # A name that is not this machine's cannot be looked up.
        rules = "MAP * ~NOTFOUND , EXCLUDE 127.0.0.1"
        browser = p.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", f"--host-resolver-rules={rules}"]
        )
        yield browser
        browser.close()


class Reader:
    """A person with a browser of some width. What the browser asks for and complains of is kept."""

    def __init__(self, browser, address: str, width: str, **options) -> None:
        self.address, self.width = address, width
        size = {"width": WIDTHS[width], "height": 820}
        self.context = browser.new_context(viewport=size, has_touch=width == "phone", **options)
        self.page = self.context.new_page()
        self.page.set_default_timeout(120_000)
        self.asked, self.complaints = [], []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", self._console)

    def _console(self, message) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def open(self, run: str, view: str):
        from urllib.parse import urlencode

        self.page.goto(f"{self.address}#{urlencode({'run': run, 'view': view})}")
        self.page.wait_for_selector("h1")
        return self.page

    def press(self, name: str) -> None:
        button = self.page.get_by_role("button", name=name, exact=True)
        button.tap() if self.width == "phone" else button.click()

    def fill(self, label: str, value: str, which: int = 0) -> None:
        """Fills a field of numbers."""
        self.page.get_by_role("spinbutton", name=label, exact=True).nth(which).fill(value)

    def answered(self, count: int = 1) -> None:
        """Waits until so many answers are shown."""
        self.page.locator("details.snippet").nth(count - 1).wait_for()

    def keep(self, name: str) -> None:
        """Keeps a screenshot, and checks that nothing is wider than the screen."""
        SHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SHOTS / f"{name}-{WIDTHS[self.width]}.png", full_page=True)
        box = self.page.locator("html").bounding_box()
        assert box["width"] <= WIDTHS[self.width], f"{name} is wider than the screen"
        wide = self.page.evaluate("document.scrollingElement.scrollWidth")
        assert wide <= WIDTHS[self.width], f"{name} scrolls sideways: {wide}"

    def done(self) -> None:
        """Checks that nothing left this machine and nothing went wrong."""
        own = (self.address, "blob:", "data:")
        assert [url for url in self.asked if not url.startswith(own)] == []
        assert self.complaints == []
        self.context.close()


@pytest.fixture(params=WIDTHS)
def reader(request, browser, address):
    reader = Reader(browser, address[0], request.param)
    yield reader
    reader.done()


def test_draws_in_two_settings(reader):
    page = reader.open("digits", "sample")
    reader.fill("Steps", "8")
    reader.answered()  # the first draws come by themselves
    reader.press("Compare two settings")
    for label, value in (("Steps", "6"), ("Draws", "4")):
        reader.fill(label, value, 1)
    page.get_by_label("Stepper").nth(1).select_option("ddim")
    page.get_by_role("button", name="Draw", exact=True).nth(1).click()
    reader.answered(2)
    assert page.locator(".side").nth(1).locator("canvas").count() == 4
    page.locator("details.snippet summary").nth(1).click()
    code = page.locator("details.snippet").nth(1).inner_text()
    assert "model.sample(4, 6, rng=0, stepper=DDIM())" in code
    assert "--stepper ddim --steps 6" in code
    reader.keep("sample")


def test_an_answer_can_be_stopped_and_asked_again(reader):
    page = reader.open("digits", "sample")
    reader.answered()
    reader.fill("Steps", "")
    reader.fill("Draws", "64")
    reader.press("Draw")
    reader.press("Stop")
    page.get_by_text("Stopped.").wait_for()
    reader.fill("Steps", "4")
    reader.fill("Draws", "2")
    page.get_by_role("spinbutton", name="Draws").press("Enter")
    page.get_by_text("4 for each draw").wait_for()


def test_completing_what_is_hidden_by_pointer_and_keyboard(reader):
    page = reader.open("digits", "complete")
    page.get_by_text("32 of 64 pixels hidden.").wait_for()
    reader.press("Nothing")
    page.get_by_text("0 of 64 pixels hidden.").wait_for()
    canvas = page.get_by_role("application")
    box = canvas.bounding_box()
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    cell = box["width"] / 8
    if reader.width == "phone":
        for k in range(3):
            page.touchscreen.tap(box["x"] + (k + 0.5) * cell, box["y"] + 0.5 * cell)
    else:
        page.mouse.move(box["x"] + 0.5 * cell, box["y"] + 0.5 * cell)
        page.mouse.down()
        page.mouse.move(box["x"] + 2.5 * cell, box["y"] + 0.5 * cell, steps=8)
        page.mouse.up()
    page.get_by_text("3 of 64 pixels hidden.").wait_for()
    canvas.focus()
    for key in ("ArrowDown", "Space", "ArrowRight", "Space"):
        canvas.press(key)
    page.get_by_text("5 of 64 pixels hidden.").wait_for()
    reader.press("Lower half")
    for label, value in (("Steps", "12"), ("Particles", "16"), ("Draws", "4")):
        reader.fill(label, value)
    reader.press("Complete")
    reader.answered()
    assert "nats" in page.locator(".numbers").inner_text()
    page.locator("details.snippet summary").click()
    with page.expect_download() as download:
        reader.press("Save x.npy")
    x = np.load(download.value.path())
    assert x.shape == (1, 64)
    assert np.isnan(x).sum() == 32
    reader.keep("complete")


def test_scoring_a_digit_and_a_picture(reader, tmp_path):
    from PIL import Image

    page = reader.open("digits", "score")
    page.locator(".grid button").nth(11).wait_for()
    page.locator(".grid button").nth(3).click()
    reader.fill("Evaluations", "32")
    reader.press("Score")
    reader.answered()
    reader.press("Is it strange?")
    page.get_by_text("of ordinary examples is as strange or stranger").wait_for()
    page.get_by_text("How far can the bound be from the truth?").click()
    reader.fill("Paths of each", "2")
    reader.fill("Steps", "20")
    reader.press("Measure both ends")
    page.get_by_text("The two histograms cross at log p").wait_for()
    reader.keep("score")
    picture = np.zeros((32, 48), np.uint8)
    picture[4:28, 20:28] = 255
    Image.fromarray(picture).save(tmp_path / "one.png")
    page.locator("input[type=file]").nth(1).set_input_files(tmp_path / "one.png")
    page.get_by_text("resized from 48 × 32 to 8 × 8 pixels").first.wait_for()
    (tmp_path / "note.txt").write_text("no picture")
    page.locator("input[type=file]").nth(1).set_input_files(tmp_path / "note.txt")
    page.get_by_text("is no picture that can be read").wait_for()
    reader.keep("score-wrong-file")


def test_the_chain_by_slider(reader):
    page = reader.open("digits", "chain")
    reader.answered()
    slider = page.get_by_label("t", exact=True)
    slider.focus()
    before = page.locator("output").inner_text()
    slider.press("ArrowRight")
    assert page.locator("output").inner_text() != before
    slider.press("Home")
    assert page.locator("output").inner_text().startswith("t = 0 of 1000. No noise.")
    slider.press("End")
    assert page.locator("output").inner_text().startswith("t = 1000 of 1000.")
    for _ in range(18):
        slider.press("ArrowLeft")
    reader.keep("chain")


def test_compressing_test_rows(reader):
    page = reader.open("digits", "compress")
    for label, value in (("Steps", "4"), ("Test rows", "4"), ("Layers", "2")):
        reader.fill(label, value)
    reader.press("Compress test rows")
    page.get_by_text("every value is the same").wait_for()
    reader.answered()
    assert "JPEG XL" in page.locator("main").inner_text() or not _has("imagecodecs")
    page.get_by_label("Layers that were read").press("Home")
    page.get_by_text("the model's estimate at t = 1000").wait_for()
    reader.keep("compress")


def _has(module: str) -> bool:
    from importlib.util import find_spec

    return find_spec(module) is not None


def test_the_curves_of_a_training(reader):
    page = reader.open("digits", "train")
    reader.answered()
    assert "2.025" in page.locator(".numbers").inner_text()
    reader.keep("train")


@pytest.fixture(scope="module")
def training(tmp_path_factory):
    """A real training in a thread that waits for its reader: after its first checkpoint, and after
    a second one. The studio that shows it, its folder, and the two gates."""
    import torch
    import uvicorn

    import quasistatic as qs
    from quasistatic.recipes.newest import newest_step

    folder = tmp_path_factory.mktemp("training") / "run"
    gates, steps = [threading.Event(), threading.Event()], []

    def wait(progress):
        saved = newest_step(folder)
        if progress.step < 400 and saved is not None and saved not in steps and len(steps) < 2:
            steps.append(saved)
            assert gates[len(steps) - 1].wait(200), "nobody looked"

    def train():
        images = qs.data.split(qs.data.digits()).train[:256].reshape(-1, 1, 8, 8)
        model = qs.Diffusion(
            qs.Quantized((1, 8, 8), 17),
            qs.GaussianKernel(qs.schedules.linear_log_snr(20, 7, -7)),
            qs.Velocity(),
            qs.networks.MLP((1, 8, 8), width=32),
        )
        how = {"steps": 400, "batch": 64, "validations": 400, "save_every": 0.0}
        qs.fit(model, images, images[:32], run=folder, callbacks=[wait], progress=False, **how)

    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    learner = threading.Thread(target=train)
    learner.start()
    while learner.is_alive() and newest_step(folder) is None:
        time.sleep(0.05)
    studio = Studio.of([folder])
    app = create_app(studio.library, studio.token)
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [studio.listening]})
    thread.start()
    yield studio.address, str(folder), gates, steps
    for gate in gates:
        gate.set()
    learner.join(100)
    server.should_exit = True
    thread.join(20)
    torch.set_default_dtype(before)


def test_draws_of_a_run_while_it_trains(browser, training):
    """Draws of the first checkpoint come by themselves, then those of the second one; when the run
    is done, it is opened with all its views."""
    source, run, gates, steps = training
    desk, phone = (Reader(browser, source, each) for each in WIDTHS)
    page = desk.open(run, "train")
    page.get_by_role("heading", name=f"At step {steps[0]}").wait_for()
    assert (
        page.get_by_role("list", name=f"Draws at step {steps[0]}").locator("canvas").count() == 16
    )
    assert page.get_by_role("link").all_inner_texts()[-1] == "Train"
    gates[0].set()
    until = time.monotonic() + 60
    while len(steps) < 2 and time.monotonic() < until:
        time.sleep(0.05)
    page.get_by_role("heading", name=f"At step {steps[1]}").wait_for()
    page.get_by_role("heading", name=f"At step {steps[0]}").wait_for()  # the earlier ones stay
    page.locator("details.snippet summary").first.click()
    assert "open_newest(" in page.locator("details.snippet").first.inner_text()
    desk.keep("training")
    other = phone.open(run, "train")  # on demand, with settings of its own
    other.get_by_role("heading", name=f"At step {steps[1]}").wait_for()
    phone.fill("Draws", "5")
    phone.press("Draw from the newest weights")
    draws = other.get_by_role("list", name=f"Draws at step {steps[1]}").locator("canvas")
    draws.nth(5).wait_for(state="detached")
    assert draws.count() == 5
    phone.keep("training")
    gates[1].set()
    page.get_by_text("The run is done").wait_for()
    page.get_by_role("heading", name="At step 400").wait_for()
    other.goto("about:blank")
    phone.open(run, "sample")
    phone.answered()
    desk.done()
    phone.done()


def test_a_table_as_a_form_as_rows_and_as_a_file(reader, address):
    _, run, file = address
    page = reader.open(run, "complete")
    reader.answered()
    page.get_by_role("textbox", name="height").fill("1.9")
    page.get_by_role("combobox", name="town").select_option("Rome")
    page.locator("figure h2").nth(1).wait_for(state="detached")
    assert page.locator("figure h2").all_inner_texts() == ["weight"]
    assert "90 % between" in page.locator("figure").inner_text()
    page.get_by_role("textbox", name="height").fill("tall")
    page.get_by_text("height holds a number, and 'tall' is none").wait_for()
    page.get_by_role("textbox", name="height").fill("1.7")
    page.get_by_role("alert").first.wait_for(state="hidden")
    reader.keep("table-complete")
    page = reader.open(run, "sample")
    reader.answered()
    assert page.locator("tbody tr").count() == 20
    reader.keep("table-sample")
    page = reader.open(run, "score")
    page.locator("input[type=file]").set_input_files(file)
    reader.answered()
    assert "Strange rows" in page.locator(".numbers").inner_text()
    reader.keep("table-score")
    assert page.get_by_role("link").all_inner_texts()[-4:] == [
        "Sample",
        "Complete",
        "Score",
        "Compress",
    ]


def test_one_tab_does_not_block_another(browser, address):
    """A long answer in one tab, and a short one in the other: the short one comes first."""
    slow, fast = (Reader(browser, address[0], "desk") for _ in range(2))
    page = slow.open("digits", "sample")
    slow.answered()
    slow.fill("Steps", "")
    slow.fill("Draws", "64")
    slow.press("Draw")
    fast.open("digits", "train")
    fast.answered()
    assert page.get_by_role("button", name="Stop").is_visible(), "the long answer goes on"
    slow.context.close()
    fast.done()


def test_a_reader_who_leaves_stops_the_work(browser, address):
    from quasistatic.studio import jobs

    stopped = threading.Event()
    before = jobs.Job.stop

    def stop(self):
        stopped.set()
        before(self)

    reader = Reader(browser, address[0], "desk")
    page = reader.open("digits", "sample")
    reader.answered()
    reader.fill("Steps", "")
    reader.fill("Draws", "64")
    reader.press("Draw")
    page.get_by_role("button", name="Stop").wait_for()
    jobs.Job.stop = stop
    try:
        reader.context.close()
        assert stopped.wait(20)
    finally:
        jobs.Job.stop = before


def test_dark_colours_and_the_keyboard_alone(browser, address):
    reader = Reader(browser, address[0], "desk", color_scheme="dark")
    page = reader.open("digits", "sample")
    reader.answered()
    reader.keep("sample-dark")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the view"
    seen = []
    for _ in range(12):
        page.keyboard.press("Tab")
        seen.append(page.evaluate("document.activeElement.tagName"))
    assert {"SELECT", "BUTTON", "A", "INPUT"} <= set(seen)
    page.get_by_label("Dark or light colours").focus()
    page.keyboard.press("Enter")
    assert page.evaluate("document.documentElement.dataset.theme") == "light"
    reader.done()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_serious_finding_of_axe(browser, address, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="no axe-core here")
    source, run, _ = address
    reader = Reader(browser, source, "desk", color_scheme=scheme, bypass_csp=True)
    views = [
        ("digits", each) for each in ("sample", "complete", "score", "chain", "compress", "train")
    ]
    found = []
    for name, view in [*views, (run, "complete"), (run, "sample")]:
        page = reader.open(name, view)
        if view in ("sample", "train", "chain") or name == run:
            reader.answered()
        results = axe.Axe().run(page).response["violations"]
        found += [
            f"{view}: {each['id']}: {each['nodes'][0]['html'][:120]}"
            for each in results
            if each["impact"] in ("serious", "critical", "moderate")
        ]
    assert found == []
    reader.done()


def test_a_damaged_run_is_a_message_and_the_others_stay(reader, address):
    broken = str(Path(address[1]).parent / "broken")
    page = reader.open(broken, "sample")
    page.get_by_text("This run cannot be opened.").wait_for()
    assert "is damaged" in page.get_by_role("alert").inner_text()
    reader.keep("damaged")
    page.get_by_label("Model").select_option("digits")
    reader.answered()
    # The browser itself notes the answer with status 400.
    assert all("400" in each for each in reader.complaints)
    reader.complaints.clear()
