# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Trainings that label networks: limits of time, and weights of a supernet."""

import json
from dataclasses import dataclass, field

import pytest
import torch
from toy_labels import FINISHED, METRIC, SPACE, write_config

from hpml_mm.config.overrides import load_config
from hpml_mm.experiments.executors import Ended
from hpml_mm.experiments.jobs import Job
from hpml_mm.predictor.graphs.cache import GraphCache
from hpml_mm.predictor.labels.hours import Estimate
from hpml_mm.predictor.labels.labelling import Labelling
from hpml_mm.predictor.labels.networks import Networks
from hpml_mm.predictor.labels.plan import Plan, claim_folder, sample_archs
from hpml_mm.predictor.labels.scores import Score
from hpml_mm.predictor.spaces import get_space
from hpml_mm.predictor.stock.config_model import config_model


@dataclass
class HourlyExecutor:
    """Executor whose trainings take an hour of a clock each."""

    now: float = 0.0
    started: list[str] = field(default_factory=list)
    held: list[Job] = field(default_factory=list)

    def free(self):
        return 1 - len(self.held)

    def start(self, job):
        self.started.append(f'{job.directory.parent.name}/{job.directory.name}')
        self.held.append(job)
        return True

    def ended(self):
        ends = []
        for job in self.held:
            self.now += 3600
            job.directory.mkdir(parents=True)
            held = FINISHED | {'train': {'wall_time(s)': 3600.0}}
            (job.directory / 'summary.json').write_text(json.dumps(held))
            ends.append(Ended.of(job, 0))
        self.held = []
        return ends

    def running(self):
        return self.held

    def close(self):
        pass


@pytest.mark.slow
def test_no_training_is_started_that_would_end_too_late(tmp_path):
    write_config(tmp_path)
    plan = Plan(SPACE, str(tmp_path / 'config.py'), '', {}, 0, None, None, None, False)
    archs = sample_archs(get_space(SPACE), 3, seed=0)
    networks = Networks(plan, archs, tmp_path / 'a')
    networks.prepare(range(3), lambda done, total: None)
    labelling = Labelling(networks, [Score.parse(METRIC)], [0], tmp_path / 'a.csv')
    executor = HourlyExecutor()
    # Thought to take half an hour, they take one: the third would end after 3.
    estimate = Estimate([(1.0, 0.5)])
    ends = labelling.run(range(3), executor, estimate, 2.5, lambda: executor.now)
    assert [(number, seed) for number, seed, _ in ends] == [(0, 0), (1, 0)]
    assert executor.started == ['0000/seed0', '0001/seed0']
    assert [row.entry.arch for row in labelling.rows()] == archs[:2]
    assert labelling.row(2) is None
    assert GraphCache.load(tmp_path / 'a.cache').archs == archs[:2]


@pytest.mark.slow
def test_bodies_start_from_a_supernet(tmp_path):
    write_config(tmp_path)
    space = get_space('ofa-mbv3-w1.0')
    largest = space.build(space.decode({'ks': 7, 'e': 6, 'd': 4})).state_dict()
    torch.save({'state_dict': largest}, tmp_path / 'net.pth')
    weights, config = str(tmp_path / 'net.pth'), str(tmp_path / 'config.py')
    plan = Plan(space.name, config, '', {}, 0, weights, 'digest', None, False)
    claim_folder(tmp_path / 'a', plan, tmp_path / 'a.csv')
    (tmp_path / 'net.pth').unlink()  # as a training does with what is no longer best
    networks = Networks(plan, sample_archs(space, 1, seed=0), tmp_path / 'a')
    networks.prepare([0], lambda done, total: None)
    cfg = load_config(str(networks.leaf(0)))
    assert cfg.model.backbone.supernet == str(tmp_path / 'a' / 'supernet.pth')
    model = config_model(cfg, 'a')
    model.init_weights()
    found = model.backbone.state_dict()
    assert {key.split('.')[0] for key in found} == {'first_conv', 'blocks'}
    name = 'blocks.1.conv.point_linear.conv.weight'
    width = found[name].shape[1]
    assert torch.equal(found[name], largest[name][:, :width])
