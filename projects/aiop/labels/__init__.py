# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Judgement of predictors by labels of one's own, whose noise is known."""
