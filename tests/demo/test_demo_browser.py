"""The page in headless Chromium: drawing, editing with the brush and without a mouse, errors, a phone's width.

Skipped where there is no Chromium; it installs nothing.
"""

import asyncio

import pytest

from demo.models import Models
from tests.demo.browser import CHROMIUM, tab
from tests.demo.served import served
from tests.painter import tiny_painter
from tests.painter.tiny_painter import PROMPTS, STUDY

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium here (apt-get install chromium)")
DONE = (
    "document.querySelector('#said').textContent.includes('pictures in') && !document.querySelector('#draw').disabled"
)
FAILED = "document.querySelector('#wrong').textContent !== '' && !document.querySelector('#draw').disabled"
PIXELS = """(async () => {
    const image = document.querySelector('#pictures img'); await image.decode();
    const canvas = document.createElement('canvas');
    canvas.width = image.naturalWidth; canvas.height = image.naturalHeight;
    const context = canvas.getContext('2d'); context.drawImage(image, 0, 0);
    return [...context.getImageData(0, 0, canvas.width, canvas.height).data];
})()"""


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    with served(Models(tiny_painter.build(tmp_path_factory.mktemp("build")))) as page:
        yield page


async def choose(tab, model):
    select = f"document.querySelector('#model').value = '{STUDY}/{model}'"
    await tab.run(f"document.querySelector('#prompt').value = '{PROMPTS[0]}'")
    await tab.run(f"{select}; document.querySelector('#model').dispatchEvent(new Event('change'))")


async def draw(tab, count):
    await tab.run(f"document.querySelector('#candidates').value = {count}")
    await tab.run("document.querySelector('#said').textContent = ''")
    await tab.click("#draw")
    await tab.until(DONE)
    assert await tab.run("document.querySelectorAll('#pictures img').length") == count


async def edited(tab):
    """Draws what is marked anew; whether each pixel of the first picture is another one."""
    before = await tab.run(PIXELS)
    await tab.run("document.querySelector('#said').textContent = ''")
    await tab.click("#fill")
    await tab.until(DONE)
    after = await tab.run(PIXELS)
    return [before[at : at + 4] != after[at : at + 4] for at in range(0, len(before), 4)]


async def visit(page, profile):
    async with tab(page.address, profile, 1100) as browser:
        await choose(browser, "latent")
        assert not await browser.run("document.querySelector('#temperature').checkVisibility()")
        await draw(browser, 2)
        assert await browser.run("document.querySelector('#editor').hidden")

        await choose(browser, "masked")
        assert await browser.run("document.querySelector('#temperature').checkVisibility()")
        await draw(browser, 1)
        text = await browser.run("document.querySelector('#pictures span').textContent")
        assert "CLIP" in text and "3 passes" in text

        await browser.click("#pictures button")
        await browser.until("!document.querySelector('#editor').hidden")
        assert await browser.run("document.querySelector('#pictures button').getAttribute('aria-pressed')") == "true"
        await browser.run("document.querySelector('[data-mark=right]').focus()")
        await browser.run("document.activeElement.click()")  # as the Enter key does
        side = tiny_painter.PICTURE
        changed = await edited(browser)
        columns = {at % side for at, other in enumerate(changed) if other}
        assert columns and min(columns) >= side // 2

        await browser.click("#pictures button")
        await browser.run("document.querySelector('[data-mark=none]').click()")
        await browser.drag("#canvas", [(0.1, 0.1), (0.2, 0.1)])
        changed = await edited(browser)
        places = {divmod(at, side) for at, other in enumerate(changed) if other}
        assert places and max(row for row, _ in places) < side // 2 and max(column for _, column in places) < side // 2

        await choose(browser, "autoregressive")
        assert not await browser.run("document.querySelector('#window').checkVisibility()")
        decoder = "document.querySelector('#decoder')"
        await browser.run(f"{decoder}.value = 'sjd'; {decoder}.dispatchEvent(new Event('change'))")
        assert await browser.run("document.querySelector('#window').checkVisibility()")
        await draw(browser, 1)
        text = await browser.run("document.querySelector('#pictures span').textContent")
        assert f" {tiny_painter.SIDE**2} passes" not in text
        await browser.click("#pictures button")
        await browser.until("!document.querySelector('#editor').hidden")
        await browser.run("document.querySelector('[data-mark=right]').click()")
        assert any(await edited(browser))

        await browser.run("document.querySelector('#prompt').value = '  '")
        await browser.click("#draw")
        await browser.until(FAILED)
        assert "a prompt is empty" in await browser.run("document.querySelector('#wrong').textContent")
        return browser


def test_a_visit(page, tmp_path):
    browser = asyncio.run(visit(page, tmp_path))
    assert not browser.said, browser.said
    assert browser.asked and all(url.startswith((page.address, "data:")) for url in browser.asked)


async def phone(page, profile):
    async with tab(page.address, profile, 390) as browser:
        await choose(browser, "masked")
        await draw(browser, 3)
        await browser.click("#pictures button")
        await browser.until("!document.querySelector('#editor').hidden")
        wide = await browser.run("document.documentElement.scrollWidth")
        unnamed = """[...document.querySelectorAll('input, select, canvas, progress')].filter((one) =>
            !one.hasAttribute('aria-label') && !document.querySelector(`label[for='${one.id}']`)).length"""
        return wide, await browser.run(unnamed)


def test_on_a_phone_nothing_is_wider_than_the_screen_and_every_control_has_a_name(page, tmp_path):
    assert asyncio.run(phone(page, tmp_path)) == (390, 0)
