# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Persons with the 14 joints of Leeds Sports Pose (LSP) and of its extension (LSPET).

Left and right are the person's. No sigmas are published for these joints: the twelve
that COCO has too take COCO's, neck and top of the head those of MMPose's MPII, which
are of COCO's nose. An OKS by them is a way to sort poses, not a number to compare with
others.
"""

_RIGHT, _LEFT, _MIDDLE = [255, 128, 0], [0, 255, 0], [51, 153, 255]
# In the order of the published files: name, the joint on the other side, half of the
# body, weight in a loss as of COCO, sigma.
_JOINTS = [
    ('right_ankle', 'left_ankle', 'lower', 1.5, 0.089),
    ('right_knee', 'left_knee', 'lower', 1.2, 0.087),
    ('right_hip', 'left_hip', 'lower', 1.0, 0.107),
    ('left_hip', 'right_hip', 'lower', 1.0, 0.107),
    ('left_knee', 'right_knee', 'lower', 1.2, 0.087),
    ('left_ankle', 'right_ankle', 'lower', 1.5, 0.089),
    ('right_wrist', 'left_wrist', 'upper', 1.5, 0.062),
    ('right_elbow', 'left_elbow', 'upper', 1.2, 0.072),
    ('right_shoulder', 'left_shoulder', 'upper', 1.0, 0.079),
    ('left_shoulder', 'right_shoulder', 'upper', 1.0, 0.079),
    ('left_elbow', 'right_elbow', 'upper', 1.2, 0.072),
    ('left_wrist', 'right_wrist', 'upper', 1.5, 0.062),
    ('neck', '', 'upper', 1.0, 0.026),
    ('head_top', '', 'upper', 1.0, 0.026),
]
_LINKS = [
    ('right_ankle', 'right_knee'),
    ('right_knee', 'right_hip'),
    ('right_hip', 'left_hip'),
    ('left_hip', 'left_knee'),
    ('left_knee', 'left_ankle'),
    ('right_wrist', 'right_elbow'),
    ('right_elbow', 'right_shoulder'),
    ('right_shoulder', 'left_shoulder'),
    ('left_shoulder', 'left_elbow'),
    ('left_elbow', 'left_wrist'),
    ('neck', 'head_top'),
]


def _color(name):
    side = {'right': _RIGHT, 'left': _LEFT}
    return side.get(name.partition('_')[0], _MIDDLE)


dataset_info = dict(
    dataset_name='lsp',
    paper_info=dict(
        author='Sam Johnson and Mark Everingham',
        title='Clustered Pose and Nonlinear Appearance Models for Human Pose '
        'Estimation',
        container='British Machine Vision Conference (BMVC)',
        year='2010',
        homepage='http://sam.johnson.io/research/lsp.html',
    ),
    keypoint_info={
        number: dict(name=name, id=number, color=_color(name), type=half, swap=swap)
        for number, (name, swap, half, _, _) in enumerate(_JOINTS)
    },
    skeleton_info={
        number: dict(link=link, id=number, color=_color(link[0]))
        for number, link in enumerate(_LINKS)
    },
    joint_weights=[weight for *_, weight, _ in _JOINTS],
    sigmas=[sigma for *_, sigma in _JOINTS],
)
