"""The front door for the terminal: options, tables, progress and error text. What is done is decided in workflows."""
