# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Debian's chromium without a window, for tests that look at pages."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service


@contextmanager
def headless(profile: Path, size: str) -> Iterator[webdriver.Chrome]:
    """A browser that is gone afterwards; the test is skipped where there is none."""
    chromium, driver = shutil.which('chromium'), shutil.which('chromedriver')
    if chromium is None or driver is None:
        pytest.skip('no browser: apt-get install chromium chromium-driver')
    options = Options()
    options.binary_location = chromium
    for argument in ('headless=new', 'no-sandbox', 'disable-dev-shm-usage'):
        options.add_argument(f'--{argument}')
    options.add_argument(f'--user-data-dir={profile}')
    options.add_argument(f'--window-size={size}')
    options.set_capability('goog:loggingPrefs', {'browser': 'ALL'})
    browser = webdriver.Chrome(options, Service(driver))
    try:
        yield browser
    finally:
        browser.quit()


def severe(browser: webdriver.Chrome) -> list[str]:
    """Errors that the console has got since it was read last."""
    log = browser.get_log('browser')
    return [entry['message'] for entry in log if entry['level'] == 'SEVERE']
