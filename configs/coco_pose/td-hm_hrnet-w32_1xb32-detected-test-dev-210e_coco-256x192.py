# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# A test run writes the poses of test-dev2017 for COCO's server: its annotations are
# not published, so there is nothing to evaluate on here.
_base_ = './td-hm_hrnet-w32_1xb32-detected-210e_coco-256x192.py'

test_dataloader = dict(
    dataset=dict(
        ann_file='annotations/image_info_test-dev2017.json',
        data_prefix=dict(img='test2017/'),
        bbox_file='{{$HPML_MM_DATA:data}}/coco_person/person_detection_results/'
        'COCO_test-dev2017_detections_AP_H_609_person.json',
    )
)
test_evaluator = [
    dict(
        type='CocoMetric',
        format_only=True,
        outfile_prefix='work_dirs/person_keypoints_test-dev2017_results',
    )
]
