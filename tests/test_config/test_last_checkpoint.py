# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import logging
import os
import random
from pathlib import Path

import pytest
import torch

from hpml_mm.config.work_dir import find_checkpoint
from hpml_mm.config.work_dir.last_checkpoint import damage, recorded_checkpoint


def save(path, value=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({'state_dict': {'weight': torch.full((8,), float(value))}}, path)
    return path


@pytest.fixture
def told(monkeypatch):
    """Lines that the search for a checkpoint logs."""
    lines = []

    def note(text, logger, level):
        assert (logger, level) == ('current', logging.WARNING)
        lines.append(text)

    monkeypatch.setattr('hpml_mm.config.work_dir.last_checkpoint.print_log', note)
    return lines


@pytest.fixture
def run(tmp_path):
    """Directory of a run that saved three times."""
    for number in (1, 2, 10):
        save(tmp_path / f'epoch_{number}.pth', number)
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'epoch_10.pth'))
    return tmp_path


def test_an_empty_directory_is_no_run(tmp_path, told):
    (tmp_path / 'imagenet.pth').touch()
    (tmp_path / '.epoch_1.77.tmp.pth').touch()
    assert find_checkpoint(tmp_path) is None
    assert told == []


def test_the_pointer_decides(run, told):
    assert find_checkpoint(run) == str(run / 'epoch_10.pth')
    (run / 'last_checkpoint').write_text(f'{run / "epoch_2.pth"}\n')
    assert find_checkpoint(run) == str(run / 'epoch_2.pth')
    assert told == []


@pytest.mark.parametrize(
    ('content', 'reason'),
    [
        (b'', 'last_checkpoint is empty'),
        (b'\n', 'last_checkpoint is empty'),
        (b'\xff\xfe\x00', 'last_checkpoint cannot be read'),
        (b'a\0b', 'last_checkpoint holds no path'),
        (b'/gone/epoch_11.pth', '/gone/epoch_11.pth is not there'),
        (b'toy://gone/epoch_11.pth', 'toy://gone/epoch_11.pth is not there'),
        (b'/', '/ is not there'),
        (None, 'last_checkpoint is not there'),
        ('folder', 'last_checkpoint cannot be read'),
    ],
)
def test_a_pointer_that_is_no_use_is_passed_over(run, told, content, reason):
    pointer = run / 'last_checkpoint'
    pointer.unlink()
    if content == 'folder':
        pointer.mkdir()
    elif content is not None:
        pointer.write_bytes(content)
    assert find_checkpoint(run) == str(run / 'epoch_10.pth')
    [line] = told
    assert line.startswith(f'resuming from {run / "epoch_10.pth"}')
    assert reason in line


@pytest.mark.parametrize(
    ('content', 'reason'),
    [
        (lambda whole: b'', 'is empty'),
        (lambda whole: whole[: len(whole) // 2], 'is cut off or damaged'),
        (lambda whole: whole[:-1], 'is cut off or damaged'),
        (lambda whole: whole[:100] + b'?' + whole[101:], 'is damaged (in '),
        (lambda whole: b'<html>', 'is cut off or damaged'),
        (None, 'is not there'),
    ],
)
def test_a_damaged_checkpoint_is_passed_over(run, told, content, reason):
    newest = run / 'epoch_10.pth'
    whole = newest.read_bytes()
    newest.unlink()
    if content is not None:
        newest.write_bytes(content(whole))
    assert find_checkpoint(run) == str(run / 'epoch_2.pth')
    [line] = told
    assert f'{newest} {reason}' in line


def test_a_file_is_passed_over_once_by_whatever_path(run, told, monkeypatch):
    monkeypatch.chdir(run.parent)
    (run / 'epoch_10.pth').write_bytes(b'')
    assert find_checkpoint(Path(run.name)) == f'{run.name}/epoch_2.pth'
    assert told[0].count('is empty') == 1


def test_any_flipped_bit_is_noticed_or_changes_nothing(tmp_path):
    path = save(tmp_path / 'epoch_1.pth', 7)
    whole, chance = path.read_bytes(), random.Random(0)
    noticed = 0
    for _ in range(300):
        broken = bytearray(whole)
        broken[chance.randrange(len(whole))] ^= 1 << chance.randrange(8)
        path.write_bytes(broken)
        if damage(path) is None:
            weight = torch.load(path, weights_only=True)['state_dict']['weight']
            assert torch.equal(weight, torch.full((8,), 7.0))
        else:
            noticed += 1
    assert noticed > 50


def test_a_run_without_a_whole_checkpoint_is_never_started_anew(run):
    (run / 'last_checkpoint').write_text('/gone/epoch_11.pth')
    save(run / 'best_acc_epoch_2.pth')
    for number in (1, 2, 10):
        (run / f'epoch_{number}.pth').write_bytes(b'')
    with pytest.raises(ValueError, match=r'epoch_11.*epoch_10.pth is empty.*overwrite'):
        find_checkpoint(run)


@pytest.mark.parametrize('left', ['best_acc_epoch_2.pth', 'epoch_2-0a1b2c3d.pth'])
def test_weights_alone_are_no_place_to_resume_from(tmp_path, left):
    save(tmp_path / left)
    with pytest.raises(ValueError, match=rf'{left} has weights alone'):
        find_checkpoint(tmp_path)


def test_a_pointer_alone_is_a_run(tmp_path):
    (tmp_path / 'last_checkpoint').touch()
    with pytest.raises(ValueError, match='last_checkpoint is empty'):
        find_checkpoint(tmp_path)


def test_a_folder_is_whole_if_it_holds_something(tmp_path, told):
    folder = tmp_path / 'epoch_4.pth'
    folder.mkdir()
    save(tmp_path / 'epoch_3.pth')
    (tmp_path / 'last_checkpoint').write_text(str(folder))
    assert find_checkpoint(tmp_path) == str(tmp_path / 'epoch_3.pth')
    assert f'{folder} is an empty folder' in told[0]
    (folder / 'mp_rank_00_model_states.pt').touch()
    assert find_checkpoint(tmp_path) == str(folder)


def test_a_moved_directory_resumes_from_its_own(tmp_path):
    old, new = tmp_path / 'old', tmp_path / 'new'
    for place in (old, new):
        save(place / 'epoch_3.pth')
        (place / 'last_checkpoint').write_text(str(old / 'epoch_3.pth'))
    assert find_checkpoint(new) == str(new / 'epoch_3.pth')
    (new / 'epoch_3.pth').unlink()
    assert find_checkpoint(new) == str(old / 'epoch_3.pth')


@pytest.mark.parametrize('template', ['model_{}.pth', 'run/{:03d}.pth', 'v2_{}.pth'])
def test_names_of_ones_own_are_found_elsewhere(tmp_path, template):
    hook = {'out_dir': str(tmp_path / 'out'), 'filename_tmpl': template}
    work_dir, folder = tmp_path / 'toy', tmp_path / 'out' / 'toy'
    assert find_checkpoint(work_dir, [hook]) is None
    for number in (9, 10):
        save(folder / template.format(number))
    newest = str(folder / template.format(10))
    assert find_checkpoint(work_dir, [hook]) == newest
    work_dir.mkdir()
    for recorded in (newest, f'/moved/toy/{template.format(10)}'):
        (work_dir / 'last_checkpoint').write_text(recorded)
        assert find_checkpoint(work_dir, [hook]) == newest


def test_the_newest_is_that_of_the_highest_number_or_the_last_time(run, told):
    (run / 'last_checkpoint').unlink()
    # As after a copy of the folder.
    os.utime(run / 'epoch_10.pth', (1000, 1000))
    assert find_checkpoint(run) == str(run / 'epoch_10.pth')
    stopped = save(run / 'interrupted.pth')
    os.utime(stopped, (1e10, 1e10))
    assert find_checkpoint(run) == str(stopped)
    os.utime(stopped, (1, 1))
    assert find_checkpoint(run) == str(run / 'epoch_10.pth')


@pytest.mark.parametrize(
    ('content', 'path', 'reason'),
    [
        (None, None, 'is not there'),
        (b' \n', None, 'is empty'),
        (b'\xff', None, 'cannot be read'),
        (b'/a\0b', None, 'holds no path'),
        (b'/a/epoch_3.pth\n', '/a/epoch_3.pth', ''),
    ],
)
def test_what_a_pointer_names(tmp_path, content, path, reason):
    if content is not None:
        (tmp_path / 'last_checkpoint').write_bytes(content)
    found, why = recorded_checkpoint(tmp_path)
    assert found == path
    assert why.startswith(reason)
    assert bool(why) is (path is None)
