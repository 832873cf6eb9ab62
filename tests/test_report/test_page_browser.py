# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The page in a browser: what it draws, and what its controls do."""

from dataclasses import replace

import pytest
from browsers import severe
from sample import HOSTILE, sample_report
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait

from hpml_mm.report.content import ReportData
from hpml_mm.report.page import write_page

pytestmark = pytest.mark.system

SECONDS = 120
# What Plotly draws for points, lines, bars, and cells; each chart needs one.
MARKS = (
    '.scatterlayer .points path, .scatterlayer .lines path, .barlayer .point path, '
    '.heatmaplayer image, .contourlayer path'
)
RUNS = '#runs .datatable'


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


def drawn(browser) -> None:
    script = "return document.documentElement.dataset.charts === 'drawn'"
    WebDriverWait(browser, SECONDS).until(lambda b: b.execute_script(script))


def chosen(browser, label: str) -> Select:
    xpath = f'//label[span="{label}"]/select'
    return Select(browser.find_element(By.XPATH, xpath))


def texts(browser, selector: str) -> list[str]:
    """Texts of elements, seen or not."""
    script = 'return [...document.querySelectorAll(arguments[0])].map(e=>e.textContent)'
    return browser.execute_script(script, selector)


def names(browser) -> list[str]:
    return texts(browser, f'{RUNS} tbody th')


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


def test_a_number_tells_its_source(show):
    browser = show()
    row = browser.find_element(By.CSS_SELECTOR, '#rows tbody .asked')
    row.send_keys(Keys.ENTER)
    facts = (texts(browser, f'#facts {tag}') for tag in ('dt', 'dd'))
    found = dict(zip(*facts, strict=True))
    assert found['n'] == '5'
    assert found['spread'] == '1.2'
    assert found['command'] == 'hpml sweep --name toy-input'
    assert found['commit of hpml_mm'] == '0123abc+dirty'
    assert found['device'] == 'AMD EPYC'
    browser.switch_to.active_element.send_keys(Keys.ESCAPE)
    assert not browser.find_element(By.ID, 'facts').is_displayed()
    assert browser.switch_to.active_element == row


def dialog(browser) -> dict[str, str]:
    """Facts of the open dialog, the first of each name."""
    facts = (texts(browser, f'#facts {tag}') for tag in ('dt', 'dd'))
    return dict(reversed([*zip(*facts, strict=True)]))


def test_a_number_of_a_run_tells_n_and_spread_of_it_and_of_its_group(show):
    browser = show()
    throughput = "//td[button='{}']/button"
    browser.find_element(By.XPATH, throughput.format('2,010')).click()
    title, found = texts(browser, '#facts-title')[0], dialog(browser)
    assert title == 'a/seed1: throughput(img/s)'
    assert (found['value'], found['n'], found['spread']) == (
        '2,010',
        '1',
        'none: one run',
    )
    # Of 2000 and 2010; the third run of the group failed.
    assert found['mean of its group'] == '2,005'
    assert found['standard deviation of its group'] == '7.071'
    assert found['n of its group'] == '2 finished runs'
    summaries = texts(browser, '#facts summary')
    assert summaries == ['9 measurements', '3 keys of its config']
    browser.switch_to.active_element.send_keys(Keys.ESCAPE)
    browser.find_element(By.XPATH, throughput.format('2,030')).click()
    found = dialog(browser)
    assert (found['n'], 'n of its group' in found) == ('1', False)


def test_commands_that_were_recorded_and_others(show):
    data = sample_report()
    likely = 'hpml train work_dirs/a/a.py'
    runs = [replace(run, likely_command=likely) for run in data.runs]
    runs[1] = replace(runs[1], command=None, config={'lr': '1'})
    ours = replace(runs[0].environment, project_commit='def', project_dirty=True)
    runs[0] = replace(runs[0], environment=ours)
    browser = show(replace(data, runs=tuple(runs)))
    facts = []
    for button in browser.find_elements(By.CSS_SELECTOR, f'{RUNS} tbody th .asked')[:2]:
        button.send_keys(Keys.ENTER)
        facts.append((dialog(browser), texts(browser, '#facts summary')[-1]))
        browser.switch_to.active_element.send_keys(Keys.ESCAPE)
    (recorded, keys), (lost, key) = facts
    derived = 'command by the config that it left'
    assert recorded['command'] == 'hpml train configs/a.py --seed 0'
    assert derived not in recorded
    assert (lost['command'], lost[derived]) == ('not recorded', likely)
    assert (keys, key) == ('3 keys of its config', '1 key of its config')
    project = 'commit of the project'
    assert recorded['commit of hpml_mm'] == '0123abc'
    assert recorded[project] == 'def, with changes that are not in it'
    assert project not in lost
    assert {'commit of hpml_mm', project} <= set(texts(browser, f'{RUNS} thead th'))


def test_times_of_a_busy_machine_are_marked(show):
    data = sample_report()
    why = 'other processes took 60 % of the cores: measure again alone'
    first = data.runs[0]
    busy = replace(first, measurements={**first.measurements, 'cpu/crowded': why})
    browser = show(replace(data, runs=(busy, *data.runs[1:])))
    marked = texts(browser, f'{RUNS} td:has(.busy)')
    assert marked == [f'{text}⚠ busy' for text in ('6 s', '2,000', '3.5')]
    assert len(texts(browser, '#time td:has(.busy)')) == 5
    assert f'{first.name}: {why}.' in ' '.join(texts(browser, '#compare .mark'))


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
