# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The page in a browser: what it draws, and what its controls do."""

from dataclasses import replace

import pytest
from page_parts import RUNS, chosen, drawn, names, texts
from sample import HOSTILE, sample_report
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from hpml_mm.report.content import ReportData

pytestmark = pytest.mark.system

# What Plotly draws for points, lines, bars, and cells; each chart needs one.
MARKS = (
    '.scatterlayer .points path, .scatterlayer .lines path, .barlayer .point path, '
    '.heatmaplayer image, .contourlayer path'
)


def test_each_chart_has_marks_and_each_name_is_text(show):
    browser = show()
    empty = browser.execute_script(
        """return [...document.querySelectorAll('.plot')].filter((plot) =>
        !plot.querySelector(arguments[0])).map((plot) => plot.ariaLabel)""",
        MARKS,
    )
    assert not empty
    assert len(texts(browser, '.plot')) == 12
    assert HOSTILE in names(browser)
    assert not browser.find_elements(By.CSS_SELECTOR, 'main script')
    titles = texts(browser, 'section > h2')
    assert titles == [
        *('Runs', 'Comparison', 'Learning curves', 'Where the time goes'),
        *('Errors of the models', 'INT8', 'Predicted against measured', 'Searches'),
        *('Tables', 'Result rows', 'Problems (2)'),
    ]
    loaded = "return performance.getEntriesByType('resource').map((e) => e.name)"
    outside = [name for name in browser.execute_script(loaded) if name[:5] != 'data:']
    assert not outside


def test_what_is_not_known_leaves_no_section(show):
    empty = ReportData('Nothing', '2026-11-29T16:00:00+00:00', 'hpml report x')
    browser = show(empty)
    assert browser.title == 'Nothing'
    assert not texts(browser, 'section')


def test_a_table_sorts_by_mouse_and_by_key(show):
    browser = show()
    before = names(browser)
    button = browser.find_element(By.CSS_SELECTOR, f'{RUNS} [data-key="name"]')
    button.click()
    head = f'{RUNS} th:has([data-key="name"])'
    way = browser.find_element(By.CSS_SELECTOR, head).get_attribute('aria-sort')
    assert (way, names(browser)) == ('ascending', sorted(before))
    browser.switch_to.active_element.send_keys(Keys.ENTER)
    way = browser.find_element(By.CSS_SELECTOR, head).get_attribute('aria-sort')
    assert (way, names(browser)) == ('descending', sorted(before, reverse=True))
    throughput = '[data-key="measured throughput(img/s)"]'
    browser.find_element(By.CSS_SELECTOR, f'{RUNS} {throughput}').click()
    assert names(browser) == list(reversed(before))


def test_a_table_filters_by_words_and_by_status(show):
    browser = show()
    search = browser.find_element(By.CSS_SELECTOR, f'{RUNS} input[type=search]')
    search.send_keys('SEED1')
    assert names(browser) == ['a/seed1', 'b/seed1']
    search.send_keys(' running')
    assert names(browser) == ['b/seed1']
    assert texts(browser, f'{RUNS} .count') == ['1 of 6 shown, 6 selected']
    search.clear()
    search.send_keys(Keys.SPACE)
    chosen(browser, 'Status').select_by_visible_text('failed')
    assert names(browser) == ['a/seed2']


def test_selected_runs_are_compared(show):
    browser = show()
    assert texts(browser, '#compare tbody th')[:2] == ['a', 'b']
    keys = texts(browser, '#compare tbody th code')
    assert keys == ['optim_wrapper.clip_grad.max_norm', 'optim_wrapper.optimizer.lr']
    everything = browser.find_element(By.CSS_SELECTOR, f'{RUNS} thead input')
    everything.click()
    assert 'Select two or more' in texts(browser, '#compare')[0]
    for row in (1, 4):
        box = f'{RUNS} tbody tr:nth-child({row}) input'
        browser.find_element(By.CSS_SELECTOR, box).send_keys(Keys.SPACE)
    drawn(browser)
    assert texts(browser, '#compare tbody th')[:2] == ['a/seed0', 'b/seed0']
    marks = texts(browser, '#compare .mark')
    assert any('one run of 3' in mark for mark in marks)
    lines = texts(browser, '#curves .legend li > span')
    assert lines == ['a/seed0', 'b/seed0']


def test_runs_of_two_machines_and_commits_are_marked(show):
    data = sample_report()
    other = replace(data.runs[0].environment, device='NVIDIA H200', commit='fedcba9')
    runs = (*data.runs[:5], replace(data.runs[5], environment=other))
    browser = show(replace(data, runs=runs))
    marks = texts(browser, '#compare .mark')
    assert any('2 machines: AMD EPYC, NVIDIA H200' in mark for mark in marks)
    assert any('2 commits: 0123abc, fedcba9' in mark for mark in marks)


def test_the_axis_of_curves_changes(show):
    browser = show()
    axis = chosen(browser, 'Axis')
    for name, last in (('epochs', 4), ('seconds of training', 6), ('samples', 12800)):
        axis.select_by_visible_text(name)
        drawn(browser)
        assert texts(browser, '#curves .xtitle') == [name, name]
        script = "return document.querySelector('#curves .plot').data.at(-1).x.at(-1)"
        assert browser.execute_script(script) == last


@pytest.mark.parametrize('width', [360, 768, 1300])
def test_only_tables_scroll_sideways(show, width):
    data = sample_report()
    first, *others = data.runs
    runs = (replace(first, name='x' * 300, command='y' * 300), *others)
    browser = show(replace(data, runs=runs), width=width)
    script = 'return document.documentElement.scrollWidth'
    assert browser.execute_script(script) <= width


def test_charts_follow_the_theme(show):
    browser = show(theme='dark')
    script = (
        'return [document.documentElement.dataset.theme,'
        "document.querySelector('#curves .plot').layout.font.color,"
        'getComputedStyle(document.body).color]'
    )
    theme, ink, text = browser.execute_script(script)
    assert (theme, ink, text) == ('dark', '#e4e9ee', 'rgb(228, 233, 238)')
    chosen(browser, 'Theme').select_by_visible_text('light')
    drawn(browser)
    theme, ink, _ = browser.execute_script(script)
    assert (theme, ink) == ('light', '#17202a')


def test_a_figure_with_a_white_ground_follows_the_theme(show):
    """Lines as light as they were dark, and texts that can be read."""
    data = sample_report()
    white = {
        'data': [
            {'type': 'scatter', 'mode': 'lines', 'x': [0, 1], 'y': [0, 1]}
            | {'line': {'color': 'rgb(8,48,107)'}},
            {'type': 'scatter', 'mode': 'markers', 'x': [None], 'y': [None]}
            | {'marker': {'color': [0], 'colorscale': [[0, '#fff'], [1, '#08306b']]}},
        ],
        'layout': {
            'plot_bgcolor': 'white',
            'shapes': [{'type': 'line', 'line': {'color': '#222'}}],
            'annotations': [{'text': 'a', 'font': {'color': '#555'}}],
        },
    }
    (study,) = data.studies
    studies = (replace(study, figures={'parallel': white}),)
    browser = show(replace(data, studies=studies), theme='dark')
    script = (
        "const plot = [...document.querySelectorAll('.plot')].find((one) =>"
        " one.ariaLabel.startsWith('parallel'));"
        'const { data: [line, marks], layout } = plot;'
        'return [layout.plot_bgcolor, layout.paper_bgcolor, line.line.color,'
        ' marks.marker.colorscale[1][1], layout.shapes[0].line.color,'
        ' layout.annotations[0].font.color]'
    )
    clear = 'rgba(0,0,0,0)'
    blue = 'rgb(148,188,247)'
    assert browser.execute_script(script) == [
        *(clear, clear, blue, blue, 'rgb(221,221,221)', 'rgb(170,170,170)')
    ]
    chosen(browser, 'Theme').select_by_visible_text('light')
    drawn(browser)
    assert browser.execute_script(script) == [
        *(clear, clear, 'rgb(8,48,107)', '#08306b', '#222', '#555')
    ]


def test_a_band_tells_of_runs_that_have_not_finished(show):
    browser = show()
    told = 'runs that have not finished count'
    assert any(told in note for note in texts(browser, '#curves figcaption p'))
    data = sample_report()
    runs = tuple(replace(run, status='finished') for run in data.runs)
    browser = show(replace(data, runs=runs))
    notes = texts(browser, '#curves figcaption p')
    assert notes
    assert not any(told in note for note in notes)


def test_print_is_light_and_fits_the_sheet(show):
    browser = show(theme='dark')
    seen = (
        "addEventListener('beforeprint', () => { window.seen = ["
        'document.documentElement.dataset.theme,'
        "...[...document.querySelectorAll('.plot .main-svg')].map((e) => e.clientWidth)"
        ']; })'
    )
    browser.execute_script(seen)
    assert browser.print_page()
    theme, *widths = browser.execute_script('return window.seen')
    assert theme == 'light'
    assert max(widths) <= 680
    drawn(browser)
    back = browser.execute_script('return document.documentElement.dataset.theme')
    assert back == 'dark'
