"""People who use the console in windows of a real Chromium, so that a journey reads as sentences.

    mona = people.join("manager", acme)
    mona.goes_to("Integrations")                      # by the menu, which a phone folds away
    mona.clicks("Add an integration")
    mona.fills("Name", "Orders")
    mona.sees("The destination took it.")

Whoever looks also watches: a page wider than its screen, an error of a script, a resource that was refused and an
answer of 400 or more fail the test, unless the journey says that it leads there (`is_refused`, `finds_nothing_at`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from integrations.tests.services import wait_until
from tenants.models import Membership, Tenant

PATIENCE = 15_000  # milliseconds that somebody waits for what is to come
TABS = 150  # of a keyboard, until somebody gives up
FITS = "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
HAS_FOCUS = "element => element === document.activeElement"
SHOWS_FOCUS = """element => {
    for (let each = element; each && each !== document.body; each = each.parentElement)
        if (getComputedStyle(each).outlineStyle !== "none") return true;
    return false;
}"""
# What each role is called by, in every test; root runs the product, and sees all tenants.
NAMES = {"viewer": "vera", "operator": "olga", "manager": "mona", "root": "root"}


@dataclass(frozen=True)
class Screen:
    """What somebody looks at."""

    width: int
    height: int
    scheme: str

    def __str__(self) -> str:
        return f"{self.width}-{self.scheme}"


DESK, PHONE = Screen(1400, 900, "light"), Screen(390, 844, "dark")
on_each_screen = pytest.mark.parametrize("screen", [DESK, PHONE], ids=str)


class Mouse:
    """Hands that point, and type where they pointed."""

    def __init__(self, window: Any) -> None:
        self.window = window

    def press(self, target: Any) -> None:
        target.click()

    def fill(self, target: Any, text: str) -> None:
        target.fill(text)

    def tick(self, target: Any, key: str = " ") -> None:
        target.check()


class Keyboard(Mouse):
    """Hands that know Tab, Enter and the space bar alone; they must see where they are."""

    def press(self, target: Any) -> None:
        self._reach(target)
        self.window.keyboard.press("Enter")

    def fill(self, target: Any, text: str) -> None:
        self._reach(target)
        self.window.keyboard.press("Control+a")
        self.window.keyboard.type(text)

    def tick(self, target: Any, key: str = " ") -> None:
        self._reach(target)
        if not target.is_checked():
            self.window.keyboard.press("Space")

    def _reach(self, target: Any) -> None:
        target.wait_for()
        for _ in range(TABS):
            if target.evaluate(HAS_FOCUS):
                assert target.evaluate(SHOWS_FOCUS), f"nobody sees that this has the focus: {target}"
                return
            self.window.keyboard.press("Tab")
        raise AssertionError(f"the keyboard does not reach {target}")


@dataclass
class Person:
    """Somebody at a window of the console; whatever they do there is a method.

    Attributes:
        name: that of their account.
        window: their page of Chromium, for what no method says.
        troubles: what went wrong beside what they looked at; the test fails on it.
    """

    name: str
    window: Any
    home: str
    hands: Mouse
    troubles: list[str] = field(default_factory=list)
    _announced: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.window.set_default_timeout(PATIENCE)
        self.window.on("pageerror", lambda error: self.troubles.append(f"{self.name}: {error}"))
        self.window.on("response", self._watch_answer)
        self.window.on("console", self._watch_script)

    # -- where they go ------------------------------------------------------------------------------------

    def opens(self, path: str = "") -> None:
        """Type an address below /console/."""
        self._leave()
        self.window.goto(self.home + path)

    def opens_again(self) -> None:
        """Load the same page anew."""
        self._leave()
        self.window.reload()

    def goes_to(self, entry: str) -> None:
        """Follow an entry of the menu."""
        self._leave()
        self.unfolds_the_menu()
        self.hands.press(self._menu.get_by_role("link", name=entry, exact=True))
        self.window.locator("nav a[aria-current=page]", has_text=re.compile(f"^{entry}$")).wait_for(state="attached")

    def looks_at(self, tenant: Tenant) -> None:
        """Choose one tenant of several in the menu."""
        self.unfolds_the_menu()
        with self.window.expect_navigation():
            self.window.locator("#tenant-switch").select_option(tenant.name)

    def unfolds_the_menu(self) -> None:
        button = self.window.get_by_role("button", name="Menu")
        if button.is_visible() and button.get_attribute("aria-expanded") == "false":
            self.hands.press(button)

    # -- what they do there -------------------------------------------------------------------------------

    def clicks(self, name: str, *, exact: bool = False) -> None:
        """Press the first button, or follow the first link, of that name."""
        self._leave()
        self.hands.press(self._offered(name, exact))

    def agrees(self, to: str) -> None:
        """Press the button of the dialog that says what will happen, and asks whether it is meant."""
        self.window.locator("#confirm-words").get_by_text(to).wait_for()
        self.hands.press(self.window.locator("#confirm [data-confirmed]"))

    def fills(self, label: str, text: str) -> None:
        self.hands.fill(self._field(label), text)

    def types(self, label: str, text: str) -> None:
        """Type letter by letter into a field that answers meanwhile."""
        self._field(label).press_sequentially(text)

    def ticks(self, label: str) -> None:
        self.hands.tick(self._field(label))

    def chooses(self, label: str, option: str) -> None:
        self._field(label).select_option(label=option)

    # -- what they read -----------------------------------------------------------------------------------

    def sees(self, *words: str | re.Pattern[str]) -> None:
        """Wait until all of that stands on the page, which may change by itself."""
        for each in words:
            self.main.get_by_text(each).locator("visible=true").first.wait_for()

    def no_longer_sees(self, *words: str) -> None:
        """Wait until none of that stands on the page."""
        for each in words:
            wait_until(lambda each=each: not self._stands_there(each), PATIENCE / 1000, f"{each!r} is still there")

    def is_offered(self, *names: str) -> None:
        """Wait until there are buttons or links of these names."""
        for name in names:
            self._offered(name, exact=False).wait_for()

    def is_not_offered(self, *names: str) -> None:
        """Make sure that there are none, on a page that is there (`sees` something of it first)."""
        offered = [name for name in names if self._every(name, exact=False).count()]
        assert not offered, f"{self.name} is offered {offered} at {self.window.url}"

    def has_entries(self, *entries: str) -> None:
        """Make sure that the menu leads there."""
        self.unfolds_the_menu()
        for entry in entries:
            self._menu.get_by_role("link", name=entry, exact=True).wait_for()

    def has_no_entries(self, *entries: str) -> None:
        """Make sure that the menu, which is there, does not lead there."""
        self.has_entries("Overview")
        found = self._menu.get_by_role("link").all_inner_texts()
        assert not {*entries} & {*map(str.strip, found)}, found

    def reads(self, selector: str) -> str:
        """Return what stands in the first element that is found by a selector of CSS."""
        return str(self.main.locator(selector).first.inner_text())

    def is_refused(self, path: str, needs: str, *, to: str, ask: str) -> None:
        """Type an address that their role does not open: the page says why, and who can help."""
        with self.announced(403):
            self.opens(path)
            self.sees("You may not do this", f"You need the role {needs} to {to}.", ask)
            self.is_offered("Go to the overview", "See who works here")

    def is_told_why(self, needs: str, *, to: str) -> None:
        """Find, where the button would be, which role it takes."""
        self.sees(f"You need the role {needs} to {to}.")

    def finds_nothing_at(self, address: str) -> None:
        """Type an address that does not exist for them, that only a button opens, or that their role never opens."""
        with self.announced(403, 404, 405):
            self.window.goto(address)
            self.sees(re.compile("There is nothing here|You may not do this"))

    # -- beside all that ----------------------------------------------------------------------------------

    @property
    def main(self) -> Any:
        return self.window.locator("main")

    @contextmanager
    def announced(self, *statuses: int) -> Iterator[None]:
        """Let pages answer with these statuses meanwhile."""
        self._announced = {*statuses}
        yield
        self._check_width()
        self._announced = set()

    def waits(self, seconds: int) -> None:
        """Let the clock of the page go on by that much at once: what asks the server now and then asks now."""
        self.window.clock.fast_forward(1000 * seconds)

    def leaves(self) -> None:
        """Close the window."""
        if self.window.url.startswith("http"):
            self._check_width()
        self.window.context.close()

    @property
    def _menu(self) -> Any:
        return self.window.get_by_role("navigation", name="Console")

    def _every(self, name: str, exact: bool) -> Any:
        link = self.main.get_by_role("link", name=name, exact=exact)
        return self.main.get_by_role("button", name=name, exact=exact).or_(link)

    def _offered(self, name: str, exact: bool) -> Any:
        return self._every(name, exact).first

    def _field(self, label: str) -> Any:
        """Find a field by its label; one that must be filled says so behind its name."""
        return self.main.get_by_label(re.compile(rf"^{re.escape(label)}(\s*\((required|optional)\))?$")).first

    def _stands_there(self, words: str) -> bool:
        return bool(self.main.get_by_text(words).locator("visible=true").count())

    def _leave(self) -> None:
        if self.window.url.startswith("http"):
            self._check_width()

    def _check_width(self) -> None:
        """Note a page that is wider than the screen; a chart is drawn anew a moment after its place has changed."""
        with suppress(pytest.fail.Exception):
            wait_until(self._fits, timeout=5, interval=0.05)
            return
        self.troubles.append(f"{self.name}: {self.window.url} is wider than the screen")

    def _fits(self) -> bool:
        from playwright.sync_api import Error

        try:
            return bool(self.window.evaluate(FITS))
        except Error:  # it is on its way to the next page
            return False

    def _watch_answer(self, answer: Any) -> None:
        if answer.status >= 400 and answer.status not in self._announced:
            self.troubles.append(f"{self.name}: {answer.url} answers {answer.status}")

    def _watch_script(self, message: Any) -> None:
        if message.type == "error" and not message.text.startswith("Failed to load resource"):
            self.troubles.append(f"{self.name}: {message.text}")


class People:
    """Everybody of one test."""

    def __init__(self, chromium: Any, server: str, screen: Screen) -> None:
        self.chromium, self.server, self.screen = chromium, server, screen
        self.all: list[Person] = []

    def join(self, role: str, *tenants: Tenant, hands: type[Mouse] = Mouse, name: str = "") -> Person:
        """Return somebody with that role for these tenants, signed in; root runs the product."""
        username = name or NAMES[role]
        if role == "root":
            user = User.objects.create_superuser(username)
        else:
            user = User.objects.create_user(username)
            for tenant in tenants:
                Membership.objects.create(tenant=tenant, user=user, role=role)
        person = self.sit_down(username, hands)
        client = Client()
        client.force_login(user)
        cookie = {"name": "sessionid", "value": client.cookies["sessionid"].value, "url": self.server}
        person.window.context.add_cookies([cookie])
        person.opens()
        if role == "root" and tenants:
            person.looks_at(tenants[0])
        return person

    def sit_down(self, username: str, hands: type[Mouse] = Mouse) -> Person:
        """Return somebody in front of a window in which nobody has signed in."""
        context = self.chromium.new_context(
            viewport={"width": self.screen.width, "height": self.screen.height},
            color_scheme=self.screen.scheme,
            reduced_motion="reduce",
        )
        context.clock.install()  # it goes on as any other until somebody `waits`
        window = context.new_page()
        person = Person(username, window, f"{self.server}/console/", hands(window))
        self.all.append(person)
        return person

    def leave(self) -> None:
        """Close all windows, and fail on what went wrong beside what was looked at."""
        for person in self.all:
            person.leaves()
        troubles = [trouble for person in self.all for trouble in person.troubles]
        assert not troubles, "\n".join(troubles)
