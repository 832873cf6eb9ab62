# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Stock configs of MMPose, MMDetection and MMPretrain, trained on toy data.

Two steps each, the first a warm-up, with every hook that measures. Ten of them are
tests. All of them, one after another on one core, take ten minutes:

    python tests/stock_steps.py --out results/stock-configs.csv
"""

import hpml_mm  # noqa: F401  # isort: skip  # makes mmpose and mmdet.datasets importable
import argparse
import gc
import json
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from mmengine.config import Config
from mmengine.hub import get_config
from mmengine.registry import DATASETS, Registry
from mmengine.runner import Runner
from mmpose.datasets.datasets.utils import parse_pose_metainfo

from hpml_mm.experiments.rows import ResultRow, append_results, result_row
from hpml_mm.utils.env import environment

IMAGES = 4
STEPS = 2
WIDTH, HEIGHT = 128, 96
HOOKS = [
    dict(type='hpml_mm.ThroughputHook', warmup_iters=1, interval=1),
    dict(type='hpml_mm.DataLoadRatioHook', interval=1),
    dict(type='hpml_mm.TorchProfilerHook', wait=0, warmup=1, active=1),
    dict(type='hpml_mm.SummaryHook'),
]
# Keys of sizes in pixels or cells, and the sizes to train with: half of them for poses,
# where a heatmap must go with its image, and at most 160 pixels for detectors.
SIZES = {
    *('input_size', 'heatmap_size', 'in_featuremap_size', 'img_size', 'img_scale'),
    *('out_shape', 'scale', 'scales', 'crop_size', 'size', 'random_size_range'),
}
SMALLER = {
    'mmpose': lambda size: size // 2,
    'mmdet': lambda size: min(160, round(size / 160) * 32) if size > 320 else size,
}
BODY = 'mmpose::body_2d_keypoint'
HEATMAP = f'{BODY}/topdown_heatmap/coco/td-hm_'

# Kind -> config.
CONFIGS = {
    'HRNet': f'{HEATMAP}hrnet-w32_8xb64-210e_coco-256x192.py',
    'HRNet, UDP': f'{HEATMAP}hrnet-w32_udp-8xb64-210e_coco-256x192.py',
    'HRNet, grid mask': f'{HEATMAP}hrnet-w32_gridmask-8xb64-210e_coco-256x192.py',
    'ResNet, DARK': f'{HEATMAP}res50_dark-8xb64-210e_coco-256x192.py',
    'ResNet, fp16': f'{HEATMAP}res50_fp16-8xb64-210e_coco-256x192.py',
    'MSPN': f'{HEATMAP}mspn50_8xb32-210e_coco-256x192.py',
    'Lite-HRNet': f'{HEATMAP}litehrnet-18_8xb64-210e_coco-256x192.py',
    'hourglass': f'{HEATMAP}hourglass52_8xb32-210e_coco-256x256.py',
    'ViTPose': f'{HEATMAP}ViTPose-small_8xb64-210e_coco-256x192.py',
    'Swin, pose': f'{HEATMAP}swin-t-p4-w7_8xb32-210e_coco-256x192.py',
    'MobileNet, pose': f'{HEATMAP}mobilenetv2_8xb64-210e_coco-256x192.py',
    'RTMPose-t': f'{BODY}/rtmpose/coco/rtmpose-t_8xb256-420e_coco-256x192.py',
    'RTMPose-m': f'{BODY}/rtmpose/coco/rtmpose-m_8xb256-420e_coco-256x192.py',
    'SimCC': f'{BODY}/simcc/coco/'
    'simcc_mobilenetv2_wo-deconv-8xb64-210e_coco-256x192.py',
    'DEKR': f'{BODY}/dekr/coco/dekr_hrnet-w32_8xb10-140e_coco-512x512.py',
    'associative embedding': f'{BODY}/associative_embedding/coco/'
    'ae_hrnet-w32_8xb24-300e_coco-512x512.py',
    'CID': f'{BODY}/cid/coco/cid_hrnet-w32_8xb20-140e_coco-512x512.py',
    'RTMO': f'{BODY}/rtmo/coco/rtmo-s_8xb32-600e_coco-640x640.py',
    'YOLOX-Pose': f'{BODY}/yoloxpose/coco/yoloxpose_s_8xb32-300e_coco-640.py',
    'ED-Pose': f'{BODY}/edpose/coco/edpose_res50_8xb2-50e_coco-800x1333.py',
    'integral regression': f'{BODY}/integral_regression/coco/'
    'ipr_res50_8xb64-210e_coco-256x256.py',
    'regression, RLE': f'{BODY}/topdown_regression/coco/'
    'td-reg_res50_rle-8xb64-210e_coco-256x192.py',
    'animals': 'mmpose::animal_2d_keypoint/rtmpose/ap10k/'
    'rtmpose-m_8xb64-210e_ap10k-256x256.py',
    'whole body': 'mmpose::wholebody_2d_keypoint/rtmpose/coco-wholebody/'
    'rtmpose-m_8xb64-270e_coco-wholebody-256x192.py',
    'faces': 'mmpose::face_2d_keypoint/topdown_heatmap/wflw/'
    'td-hm_hrnetv2-w18_awing-8xb64-60e_wflw-256x256.py',
    'hands': 'mmpose::hand_2d_keypoint/topdown_heatmap/coco_wholebody_hand/'
    'td-hm_mobilenetv2_8xb32-210e_coco-wholebody-hand-256x256.py',
    'ResNet': 'mmpretrain::resnet/resnet18_8xb32_in1k.py',
    'EfficientNet': 'mmpretrain::efficientnet/efficientnet-b0_8xb32_in1k.py',
    'MobileNet': 'mmpretrain::mobilenet_v3/mobilenet-v3-small_8xb128_in1k.py',
    'ShuffleNet': 'mmpretrain::shufflenet_v2/shufflenet-v2-1x_16xb64_in1k.py',
    'ConvNeXt': 'mmpretrain::convnext/convnext-tiny_32xb128_in1k.py',
    'RepVGG': 'mmpretrain::repvgg/repvgg-A0_8xb32_in1k.py',
    'ViT': 'mmpretrain::vision_transformer/vit-base-p32_64xb64_in1k.py',
    'DeiT, distilled': 'mmpretrain::deit/deit-tiny-distilled_4xb256_in1k.py',
    'Swin': 'mmpretrain::swin_transformer/swin-tiny_16xb64_in1k.py',
    'MobileViT': 'mmpretrain::mobilevit/mobilevit-xxsmall_8xb128_in1k.py',
    'SimCLR': 'mmpretrain::simclr/simclr_resnet50_8xb32-coslr-200e_in1k.py',
    'MoCo v2': 'mmpretrain::mocov2/mocov2_resnet50_8xb32-coslr-200e_in1k.py',
    'BYOL': 'mmpretrain::byol/byol_resnet50_16xb256-coslr-200e_in1k.py',
    'SimSiam': 'mmpretrain::simsiam/simsiam_resnet50_8xb32-coslr-100e_in1k.py',
    'SwAV': 'mmpretrain::swav/'
    'swav_resnet50_8xb32-mcrop-coslr-200e_in1k-224px-96px.py',
    'MAE': 'mmpretrain::mae/mae_vit-base-p16_8xb512-amp-coslr-300e_in1k.py',
    'SimMIM': 'mmpretrain::simmim/'
    'simmim_swin-base-w6_8xb256-amp-coslr-100e_in1k-192px.py',
    'Faster R-CNN': 'mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py',
    'Mask R-CNN, albumentations': 'mmdet::albu_example/'
    'mask-rcnn_r50_fpn_albu-1x_coco.py',
    'Cascade R-CNN, DCN v1': 'mmdet::dcn/cascade-rcnn_r50-dconv-c3-c5_fpn_1x_coco.py',
    'RetinaNet': 'mmdet::retinanet/retinanet_r18_fpn_1x_coco.py',
    'FCOS': 'mmdet::fcos/fcos_r50-caffe_fpn_gn-head_1x_coco.py',
    'ATSS, dynamic head': 'mmdet::dyhead/atss_r50_fpn_dyhead_1x_coco.py',
    'SSD': 'mmdet::ssd/ssdlite_mobilenetv2-scratch_8xb24-600e_coco.py',
    'YOLOv3': 'mmdet::yolo/yolov3_mobilenetv2_8xb24-320-300e_coco.py',
    'YOLOX': 'mmdet::yolox/yolox_nano_8xb8-300e_coco.py',
    'RTMDet': 'mmdet::rtmdet/rtmdet_tiny_8xb32-300e_coco.py',
    'CenterNet, DCN v2': 'mmdet::centernet/'
    'centernet_r18-dcnv2_8xb16-crop512-140e_coco.py',
    'DETR': 'mmdet::detr/detr_r18_8xb2-500e_coco.py',
    'Deformable DETR': 'mmdet::deformable_detr/'
    'deformable-detr_r50_16xb2-50e_coco.py',
    'DINO': 'mmdet::dino/dino-4scale_r50_8xb2-12e_coco.py',
    'Sparse R-CNN': 'mmdet::sparse_rcnn/sparse-rcnn_r50_fpn_1x_coco.py',
    'SOLOv2': 'mmdet::solov2/solov2_r50_fpn_1x_coco.py',
    'Mask2Former': 'mmdet::mask2former/mask2former_r50_8xb2-lsj-50e_coco.py',
}  # fmt: skip

# Kind -> reason why it does not train, here or anywhere.
DO_NOT_TRAIN = {
    'associative embedding': 'its training pipeline is empty, in MMPose 1 at all',
    'ED-Pose': 'it inherits from mmpose.configs, which the wheel of MMPose lacks',
}


def write_data(root: Path, keypoints: int = 17) -> None:
    """Write images of noise with one person each, in COCO's and ImageNet's form.

    A person has every field of COCO-WholeBody, of a face and of a hand.
    """
    rng = np.random.default_rng(0)
    (root / 'train').mkdir(parents=True)
    x, y, width, height = box = [30, 10, 60, 70]
    corners = [x, y, x + width, y, x + width, y + height, x, y + height]

    def points(number: int) -> list[float]:
        inside = rng.uniform([x, y], [x + width, y + height], (number, 2)).round(1)
        return np.column_stack([inside, np.full(number, 2)]).ravel().tolist()

    images, people = [], []
    for number in range(1, IMAGES + 1):
        picture = rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
        name = f'{number}.png'
        cv2.imwrite(str(root / 'train' / name), picture)
        images.append(dict(id=number, file_name=name, width=WIDTH, height=HEIGHT))
        parts = dict(lefthand=21, righthand=21, face=68, foot=6)
        extra: dict[str, Any] = {}
        for part, count in parts.items():
            extra[f'{part}_kpts'] = points(count)
            extra[f'{part}_box'] = box
            # One hand each, so that persons and samples are as many.
            extra[f'{part}_valid'] = part != 'righthand'
        people.append(
            dict(
                id=number, image_id=number, category_id=1, iscrowd=0, bbox=box,
                area=width * height, segmentation=[corners], num_keypoints=keypoints,
                keypoints=points(keypoints), center=[60, 45], scale=0.4, **extra,
            )
        )  # fmt: skip
    content = dict(
        images=images, annotations=people, categories=[dict(id=1, name='person')]
    )
    (root / 'train.json').write_text(json.dumps(content))
    lines = [f'{image["file_name"]} {image["id"]}\n' for image in images]
    (root / 'train.txt').write_text(''.join(lines))


def toy_config(name: str, root: Path) -> Config:
    """Stock config that trains two steps on toy data below a folder.

    What is changed: the data, smaller sizes, no weights to download, no reduced
    precision, which MMEngine refuses on a CPU, and no checkpoint.
    """
    cfg = get_config(name)
    remove_weights(cfg.model)
    cfg.load_from = None
    data = cfg.train_dataloader
    data.update(batch_size=STEPS, num_workers=0, persistent_workers=False)
    data.pop('prefetch_factor', None)
    # A detector that picks 900 of the cells needs as many of them.
    if cfg.model.get('num_queries', 0) > 300:
        cfg.model.num_queries = 100
    with DATASETS.switch_scope_and_registry(cfg.default_scope) as registry:
        write_data(root / 'data', point_to(data.dataset, root / 'data', registry))
    if smaller := SMALLER.get(name.partition('::')[0]):
        shrink(cfg.model, smaller)
        shrink(cfg.train_dataloader, smaller)
    for part in ('val', 'test'):
        for suffix in ('dataloader', 'cfg', 'evaluator'):
            cfg[f'{part}_{suffix}'] = None
    loop = cfg.train_cfg
    loop.pop('val_interval', None)
    if 'max_iters' in loop:
        loop.max_iters = STEPS
    else:
        loop.max_epochs = IMAGES // STEPS // STEPS
    schedulers = cfg.get('param_scheduler') or []
    if isinstance(schedulers, dict):
        schedulers = [schedulers]
    # Of a run so short, MMEngine refuses what begins later.
    cfg.param_scheduler = [one for one in schedulers if not one.get('begin', 0)]
    if cfg.optim_wrapper.get('type') == 'AmpOptimWrapper':
        cfg.optim_wrapper.type = 'OptimWrapper'
        for key in ('loss_scale', 'dtype', 'use_fp16'):
            cfg.optim_wrapper.pop(key, None)
    cfg.default_hooks.checkpoint = None
    cfg.custom_hooks = [*cfg.get('custom_hooks', []), *HOOKS]
    cfg.visualizer.vis_backends = [dict(type='LocalVisBackend')]
    # Of one name, there is one visualizer in a process, and it keeps its folder.
    cfg.visualizer.name = cfg.experiment_name = root.name
    cfg.work_dir = str(root / 'work')
    cfg.log_level = 'ERROR'
    return cfg


def remove_weights(part: Any) -> None:
    """Remove from a config what would be downloaded."""
    if isinstance(part, dict):
        for key, value in list(part.items()):
            pretrained = key == 'init_cfg' and (
                isinstance(value, dict) and value.get('type') == 'Pretrained'
            )
            if pretrained or key in {'pretrained', 'teacher_ckpt'}:
                part[key] = None
            else:
                remove_weights(value)
    elif isinstance(part, list | tuple):
        for value in part:
            remove_weights(value)


def point_to(dataset: dict, root: Path, registry: Registry) -> int:
    """Let a data set, or that which it wraps, read toy data; number of keypoints."""
    if 'dataset' in dataset:
        if 'times' in dataset:
            dataset['times'] = 1
        return point_to(dataset['dataset'], root, registry)
    kind = registry.get(dataset['type'])
    text = kind.__module__.startswith('mmpretrain.')
    file, images = ('train.txt', 'train') if text else ('train.json', {'img': 'train/'})
    dataset.update(data_root=str(root), ann_file=file, data_prefix=images)
    dataset.pop('split', None)
    if kind.__module__.startswith('mmpose.') and 'WholeBody' not in kind.__name__:
        return parse_pose_metainfo(kind.METAINFO)['num_keypoints']
    return 17


def shrink(part: Any, smaller: Callable[[int], int], sized: bool = False) -> Any:
    """Change the sizes of images and feature maps in a part of a config.

    Args:
        part: Any value of a config; dicts in it are changed in place.
        smaller: Gives the new size for one in the config.
        sized: True if the part itself is a size.
    """
    if isinstance(part, dict):
        for key, value in part.items():
            part[key] = shrink(value, smaller, sized=key in SIZES)
    elif isinstance(part, list | tuple):
        return type(part)(shrink(item, smaller, sized) for item in part)
    return smaller(part) if sized and isinstance(part, int) else part


def train_steps(name: str, root: Path) -> dict[str, Any]:
    """Train two steps in a folder; the summaries of the hooks, and the loss."""
    runner = Runner.from_cfg(toy_config(name, root))
    runner.train()
    numbers: dict[str, Any] = {'trained(steps)': runner.iter}
    for hook in runner.hooks:
        if type(hook).__module__.startswith('hpml_mm.') and hasattr(hook, 'summary'):
            numbers |= hook.summary()
    numbers['loss'] = runner.message_hub.get_scalar('train/loss').current()
    numbers['traces'] = len(list(root.rglob('*.trace.json.gz')))
    return numbers


def main() -> None:
    """Train each config, print what happens, and write its rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--out', type=Path, help='results file, which gains rows')
    parser.add_argument('--only', nargs='+', default=[''], help='parts of names')
    args = parser.parse_args()
    for kind, name in CONFIGS.items():
        if not any(part in f'{kind} {name}' for part in args.only):
            continue
        numbers: dict[str, Any] = {'trained(steps)': 0, 'step(GMACs)': None}
        with tempfile.TemporaryDirectory() as folder:
            try:
                numbers |= train_steps(name, Path(folder))
                print(f'{kind}: loss {numbers["loss"]:.4g}', flush=True)
            except Exception as error:  # whatever stops it is its reason
                traceback.print_exc(limit=-3)
                print(f'{kind}: {type(error).__name__}: {error}', flush=True)
        gc.collect()
        if args.out:
            append_results(args.out, rows_of(name, numbers))


def experiment_of(name: str) -> str:
    """Experiment of a config in the results file."""
    return f'stock-configs/{name.replace("::", "/").removesuffix(".py")}'


def rows_of(name: str, numbers: dict[str, Any]) -> list[ResultRow]:
    """Rows of one config: steps that were trained, and the cost of one if known."""
    return [
        result_row(
            experiment_of(name), metric, (numbers[metric], None), 1,
            environment=environment(), argv=sys.argv,
        )
        for metric in ('trained(steps)', 'step(GMACs)')
        if numbers[metric] is not None
    ]  # fmt: skip


if __name__ == '__main__':
    main()
