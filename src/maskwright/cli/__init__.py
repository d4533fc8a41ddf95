"""The command line: options, tables, progress and error text. The work is done in workflows."""
