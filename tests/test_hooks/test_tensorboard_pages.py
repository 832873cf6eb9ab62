# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""TensorBoard's pages of a few short trainings, seen in a browser."""

import re
import socket
import subprocess
import sys
from urllib.request import urlopen

import pytest
from browsers import severe
from selenium.webdriver.support.ui import WebDriverWait
from tensorboard_runs import train

pytestmark = pytest.mark.system

SECONDS = 120
# All text that is to be seen, also in the shadow trees of TensorBoard's elements.
TEXT = """
function texts(node) {
  if (node.nodeType == Node.TEXT_NODE) return [node.textContent.trim()];
  if (node.checkVisibility && !node.checkVisibility()) return [];
  if (['STYLE', 'SCRIPT'].includes(node.nodeName)) return [];
  const inner = node.shadowRoot ? [...node.shadowRoot.childNodes] : [];
  return [...inner, ...node.childNodes].flatMap(texts);
}
return texts(document.body).filter(Boolean);
"""


@pytest.fixture(scope='module')
def address(tmp_path_factory):
    """Address of a TensorBoard over two trainings, a second start, and a failed one."""
    folder = tmp_path_factory.mktemp('pages')
    train(folder / 'work_dirs' / 'slow', profile=True)
    train(folder / 'work_dirs' / 'slow')
    train(folder / 'work_dirs' / 'fast', lr=0.2)
    with pytest.raises(RuntimeError, match='toy failure'):
        train(folder / 'work_dirs' / 'broken', fail_at=1)
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        port = probe.getsockname()[1]
    command = [sys.executable, '-m', 'tensorboard.main', '--logdir', 'work_dirs']
    command += ['--host', '127.0.0.1', '--port', str(port)]
    with (folder / 'tensorboard.log').open('w') as log:
        server = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
    try:
        yield f'http://127.0.0.1:{port}'
    finally:
        server.terminate()
        server.wait(SECONDS)


@pytest.fixture
def look(address, browser):
    """Open a page, and return its texts when some of them have come."""

    def look(page: str, *awaited: str) -> list[str]:
        def texts(browser) -> list[str] | None:
            found = browser.execute_script(TEXT)
            return found if all(text in found for text in awaited) else None

        def answers(browser) -> bool:
            try:
                with urlopen(f'{address}/data/runs') as answer:
                    return b'fast' in answer.read()
            except OSError:
                return False

        wait = WebDriverWait(browser, SECONDS)
        wait.until(answers, 'TensorBoard does not answer')
        browser.get('about:blank')  # a change of the fragment alone would load nothing
        browser.get(f'{address}/#{page}')
        found = wait.until(texts, f'{page} lacks one of {awaited}')
        assert not severe(browser)
        return found

    return look


def test_time_series_have_four_groups_and_begin_with_what_counts(look):
    found = look('timeseries', 'main', 'pictures', 'train', 'val', 'fast')
    cards = re.findall(r'\|([^|]+)\|\d+ cards?(?=\|)', '|'.join(found))
    assert cards == ['main', 'pictures', 'train', 'val']
    assert '/top1' in found[found.index('main') : found.index('pictures')]
    assert {'slow', 'slow/start2', 'fast'} <= set(found)
    assert not [text for text in found if 'broken' in text or 'vis_data' in text]


def test_hparams_compare_by_what_differs(look):
    found = look('hparams', 'Trial ID', '0.20000')
    table = found[found.index('Trial ID') :]
    # TensorBoard shows five columns of each, and those that differ first.
    assert table[2:12] == [
        *('lr', 'accumulation', 'batch_size', 'epochs', 'model'),
        *('main/accuracy/top1', 'main/throughput_img_per_s'),
        *('train/data_time', 'train/epoch', 'train/loss'),
    ]
    rows = '|'.join(table[12:])
    assert re.search(r'fast\|0.20000\|1.0000\|4.0000\|2.0000\|ToyNet\|50.000', rows)
    assert re.search(r'slow/start2\|0.10000\|1.0000', rows)


def test_images_have_one_chart_for_all_classes(look):
    found = look('images', 'pictures/by_class', 'pictures/profile/train')
    assert {'slow', 'slow/start2', 'fast'} <= set(found)
    assert not [text for text in found if 'recall' in text]


def test_the_page_of_the_profile_links_to_perfetto(look, browser):
    found = look('text', 'config/text_summary', 'ui.perfetto.dev')
    assert any('rank0_train_iter3.trace.json.gz' in text for text in found)
    links = browser.execute_script("""
        function links(node) {
          const inner = node.shadowRoot ? [...node.shadowRoot.children] : [];
          const own = node.nodeName == 'A' ? [node.href] : [];
          return own.concat([...inner, ...node.children].flatMap(links));
        }
        return links(document.body);
    """)
    assert 'https://ui.perfetto.dev/' in links
