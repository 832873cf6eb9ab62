# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The page of a report in a browser."""

import pytest
from browsers import severe
from page_parts import drawn
from sample import sample_report

from hpml_mm.report.content import ReportData
from hpml_mm.report.page import write_page


@pytest.fixture
def show(browser, tmp_path):
    """Open the page of a report, and wait for its charts."""

    def show(data: ReportData | None = None, width: int = 1300, theme='light'):
        write_page(data or sample_report(), tmp_path / 'index.html')
        feature = {'name': 'prefers-color-scheme', 'value': theme}
        screen = {'width': width, 'height': 900, 'deviceScaleFactor': 1}
        browser.execute_cdp_cmd('Emulation.setEmulatedMedia', {'features': [feature]})
        browser.execute_cdp_cmd(
            'Emulation.setDeviceMetricsOverride', screen | {'mobile': width < 500}
        )
        browser.get((tmp_path / 'index.html').as_uri())
        drawn(browser)
        return browser

    yield show
    assert not severe(browser)
