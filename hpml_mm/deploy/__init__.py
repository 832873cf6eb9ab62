# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""A trained model as one plain network, as a file, in an engine, on images."""
