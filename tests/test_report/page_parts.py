# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Parts of a page that a browser shows."""

from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select, WebDriverWait

_SECONDS = 120
#: Selector of the table of runs.
RUNS = '#runs .datatable'


def drawn(browser) -> None:
    script = "return document.documentElement.dataset.charts === 'drawn'"
    WebDriverWait(browser, _SECONDS).until(lambda b: b.execute_script(script))


def chosen(browser, label: str) -> Select:
    xpath = f'//label[span="{label}"]/select'
    return Select(browser.find_element(By.XPATH, xpath))


def texts(browser, selector: str) -> list[str]:
    """Texts of elements, seen or not."""
    script = 'return [...document.querySelectorAll(arguments[0])].map(e=>e.textContent)'
    return browser.execute_script(script, selector)


def names(browser) -> list[str]:
    return texts(browser, f'{RUNS} tbody th')


def dialog(browser) -> dict[str, str]:
    """Facts of the open dialog, the first of each name."""
    facts = (texts(browser, f'#facts {tag}') for tag in ('dt', 'dd'))
    return dict(reversed([*zip(*facts, strict=True)]))
