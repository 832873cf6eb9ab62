# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""What stands behind the names and numbers of a page, in a browser."""

from dataclasses import replace

import pytest
from page_parts import RUNS, dialog, texts
from sample import sample_report
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

pytestmark = pytest.mark.system


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
