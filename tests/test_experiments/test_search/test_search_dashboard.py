# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Optuna's dashboard on the storages of a search, seen in a browser."""

import json
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
from selenium.webdriver.support.ui import WebDriverWait
from toy_study import ACCURACY, LR, SPACE

from hpml_mm.experiments.search.study import Settings, open_study, study_url

pytest.importorskip('optuna_dashboard')
pytestmark = pytest.mark.system

SECONDS = 110
TRIALS = 4


def add_trials(study, count):
    for _ in range(count):
        trial = study.ask()
        score = 100 * SPACE.suggest(trial)[LR]
        for epoch in (1, 2, 3):
            trial.report(score * epoch / 3, epoch)
        study.tell(trial, score)


@pytest.fixture(params=['journal', 'sqlite'])
def served(request, tmp_path):
    """Study of a search, the address of a dashboard on it, and its number there."""
    place = study_url(request.param, tmp_path)
    study = open_study(place, Settings('config.py', '', (ACCURACY,)))
    add_trials(study, TRIALS)
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        port = probe.getsockname()[1]
    dashboard = Path(sys.executable).with_name('optuna-dashboard')
    command = [dashboard, place, '--host', '127.0.0.1', '--port', str(port)]
    with (tmp_path / 'dashboard.log').open('w') as log:
        server = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        yield study, f'http://127.0.0.1:{port}', study._study_id
    finally:
        server.terminate()
        server.wait(SECONDS)


def see(browser, address, *awaited):
    """Open a page and return its text when all that is awaited has come."""

    def text(browser):
        found = browser.execute_script('return document.body.innerText')
        return found if all(one in found for one in awaited) else None

    wait = WebDriverWait(browser, SECONDS)
    wait.until(lambda _: answers(address), f'nothing answers at {address}')
    browser.get(address)
    return wait.until(text, f'{address} lacks one of {awaited}')


def answers(address):
    try:
        with urlopen(address) as answer:
            return answer.status == 200
    except OSError:
        return False


def write_notes(address, count):
    """Write into the storage as a user of the dashboard does."""
    for version in range(1, count + 1):
        body = json.dumps({'body': f'note {version}', 'version': version}).encode()
        header = {'Content-Type': 'application/json'}
        urlopen(Request(address, body, header, method='PUT')).close()


def points(browser):
    """Count the points of the chart of the history, when there are some."""
    script = 'return document.querySelectorAll("#plot-history .point").length'
    wait = WebDriverWait(browser, SECONDS)
    return wait.until(lambda _: browser.execute_script(script), 'no chart')


def test_the_dashboard_shows_a_search_that_goes_on(served, browser, tmp_path):
    study, address, page = served
    browser.set_window_size(1400, 1000)
    see(browser, f'{address}/dashboard/studies/{page}', 'History', ACCURACY)
    assert points(browser) >= TRIALS
    # It locks the journal in another way than the search does.
    with ThreadPoolExecutor() as threads:
        notes = threads.submit(write_notes, f'{address}/api/studies/{page}/note', 20)
        add_trials(study, 3)
        notes.result()
    trials = f'{address}/dashboard/studies/{page}/trials'
    see(browser, trials, f'{TRIALS + 3} Trials', f'Trial {TRIALS + 2}')
    journal = tmp_path / 'journal.log'
    if journal.is_file():
        assert all(map(json.loads, journal.read_text().splitlines()))
    add_trials(study, 1)
    assert [trial.number for trial in study.trials] == list(range(TRIALS + 4))
