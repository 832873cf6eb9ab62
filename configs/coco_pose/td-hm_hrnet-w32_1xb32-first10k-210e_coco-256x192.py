# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# hpml-2023 trained on the first 10,000 images with a person.
_base_ = './td-hm_hrnet-w32_1xb32-210e_coco-256x192.py'

train_dataloader = dict(dataset=dict(max_images=10_000))
