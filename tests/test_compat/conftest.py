# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import pytest
import torch

from hpml_mm.compat import install_mmcv_ops

install_mmcv_ops()


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)
