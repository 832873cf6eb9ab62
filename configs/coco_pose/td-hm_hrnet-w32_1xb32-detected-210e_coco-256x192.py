# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# Evaluated on a detector's boxes, as HRNet's authors do. Such a box has no true
# keypoints: neither a PCK nor a sheet of truth and prediction is possible.
_base_ = './td-hm_hrnet-w32_1xb32-210e_coco-256x192.py'

boxes = dict(
    bbox_file='{{$HPML_MM_DATA:data}}/coco_person/person_detection_results/'
    'COCO_val2017_detections_AP_H_56_person.json'
)
val_dataloader = dict(dataset=boxes)
test_dataloader = dict(dataset=boxes)
val_evaluator = [dict(type='CocoMetric')]
test_evaluator = [dict(type='CocoMetric')]
custom_hooks = [h for h in _base_.custom_hooks if h.type != 'hpml_mm.PoseSheetHook']
del boxes
