"""The chat page in a real browser, against the real daemon."""
import os
import pathlib
import time
import urllib.request

import pytest

browser = pytest.importorskip("browser")
from selenium.webdriver.common.action_chains import ActionChains  # noqa: E402
from selenium.webdriver.common.actions.action_builder import ActionBuilder  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.support.ui import WebDriverWait  # noqa: E402

pytestmark = [browser.needed, pytest.mark.slow]
SECONDS = 30
SEND = "#composer button:not([type=button])"
SLOW = "delay_ms = 30; chunk_ms = 40; chunk_chars = 6;"
PICTURES = os.environ.get("PICTURES")  # a folder: screenshots are kept there, to be looked at


def picture(driver, name):
    if PICTURES:
        driver.save_screenshot(str(pathlib.Path(PICTURES) / f"{name}.png"))


def until(driver, condition):
    return WebDriverWait(driver, SECONDS, poll_frequency=0.05).until(lambda _: condition())


def messages(driver):
    """(class, text) of every message that the page shows."""
    return driver.execute_script(
        "return [...document.querySelectorAll('#log .message')].map((m) => [m.className, m.innerText])")


def shows(driver, text):
    return any(text in shown for _, shown in messages(driver))


def say(driver, text):
    entry = until(driver, lambda: driver.find_element(By.ID, "entry"))
    until(driver, entry.is_enabled)
    entry.send_keys(text)
    entry.send_keys(Keys.ENTER)


def assert_clean(driver, allowed=()):
    """No error, and no violation of the content security policy."""
    trouble = [e for e in driver.get_log("browser") if e["level"] == "SEVERE" and not any(a in e["message"] for a in allowed)]
    assert not trouble, trouble


def test_type_stream_reload(make_daemon):
    daemon = make_daemon(practice=SLOW).start()
    with browser.window() as page:
        page.get(daemon.http + "/")
        say(page, "please show some code")
        lengths = set()

        def streamed():
            text = messages(page)
            lengths.add(len(text[-1][1]) if len(text) > 1 else 0)
            return len(lengths) > 5
        until(page, streamed)  # it grew, at least five times
        picture(page, "streaming")
        until(page, lambda: page.find_elements(By.CSS_SELECTOR, "#log .code"))
        until(page, lambda: not page.find_element(By.ID, "stop").is_displayed())
        before = messages(page)
        assert len(before) == 2
        picture(page, "answer")
        page.refresh()
        until(page, lambda: len(messages(page)) == 2 and page.find_elements(By.CSS_SELECTOR, "#log .code"))
        assert shows(page, "please show some code")
        assert_clean(page)


def test_recovers_from_a_power_cut(make_daemon):
    daemon = make_daemon().start()
    daemon.configure()  # the same port from now on
    with browser.window() as page:
        page.get(daemon.http + "/")
        say(page, "#echo first")
        until(page, lambda: len(messages(page)) == 2)
        daemon.kill()
        until(page, lambda: page.find_element(By.ID, "status").is_displayed())
        picture(page, "offline")
        say(page, "#echo second")
        daemon.start()
        until(page, lambda: len(messages(page)) == 4)
        until(page, lambda: not page.find_element(By.ID, "status").is_displayed())
        time.sleep(0.5)  # long enough for a second answer, which must not come
        assert [kind.split()[1] for kind, _ in messages(page)] == ["you", "bot", "you", "bot"], messages(page)
        assert_clean(page, allowed=("WebSocket", "ERR_CONNECTION_REFUSED"))


@pytest.mark.parametrize("lang,word", [("zh-CN", "发送"), ("en-US", "Send")])
def test_language(make_daemon, lang, word):
    daemon = make_daemon().start()
    with browser.window(lang=lang, size=(390, 844)) as page:
        page.get(daemon.http + "/")
        until(page, lambda: page.find_element(By.CSS_SELECTOR, SEND).get_attribute("aria-label") == word)
        say(page, "你好，介绍一下 Warbler" if lang == "zh-CN" else "Hello, tell me a long story")
        until(page, lambda: len(messages(page)) == 2)
        until(page, lambda: not page.find_element(By.ID, "stop").is_displayed())
        picture(page, f"phone-{lang}")
        assert page.execute_script("return document.documentElement.scrollWidth <= innerWidth")
        assert_clean(page)


def test_room_with_two_people(make_daemon):
    daemon = make_daemon().start()
    with browser.window() as alice, browser.window(dark=True) as bob:
        for page in (alice, bob):
            page.get(daemon.http + "/?room=garden")
        say(alice, "hello bob")
        until(bob, lambda: shows(bob, "hello bob"))
        say(bob, "@bo #echo hello both")
        for page in (alice, bob):
            until(page, lambda: any(" bot" in kind and "hello both" in text for kind, text in messages(page)))
            assert len(messages(page)) == 3
        picture(bob, "room-dark")
        assert_clean(alice)
        assert_clean(bob)


def frames(driver):
    tree = driver.execute_cdp_cmd("Page.getFrameTree", {})["frameTree"]
    return [child["frame"]["url"] for child in tree.get("childFrames", ())]


def received(daemon):
    with urllib.request.urlopen(daemon.http + "/metrics") as answer:
        return "warbler_messages_received_total 0\n" not in answer.read().decode()


def test_widget(make_daemon):
    """Its shadow tree is closed to scripts, so it is used as a person does: mouse and keyboard."""
    daemon = make_daemon().start()
    with browser.window() as page:
        page.get(daemon.http + "/demo")
        until(page, lambda: page.execute_script("return document.readyState") == "complete")
        width, height = page.execute_script("return [innerWidth, innerHeight]")

        def opened():
            if not frames(page):
                bubble = ActionBuilder(page)
                bubble.pointer_action.move_to_location(width - 48, height - 48).click()
                bubble.perform()
            return frames(page)
        assert "embed=1" in until(page, opened)[0]

        def said():  # nothing out here can see when the page in the frame is ready: click and type until it has heard
            write = ActionBuilder(page)
            write.pointer_action.move_to_location(width - 300, height - 138).click()
            write.perform()
            ActionChains(page).send_keys("#echo from the widget", Keys.ENTER).pause(0.5).perform()
            return received(daemon)
        until(page, said)
        picture(page, "widget")
        assert_clean(page)
