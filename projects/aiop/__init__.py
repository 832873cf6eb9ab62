# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Predictors judged on published tables, beside what simple methods reach there."""
