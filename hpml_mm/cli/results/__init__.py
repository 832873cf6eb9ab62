# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Show results files as tables and charts."""

COMMANDS = {
    'table': 'print rows as a Markdown table, or draw them as a bar chart',
    'documents': 'write the tables of README.md and the other documents anew',
}
