"""The command line, `workbook`: a module for each group of commands.

May import: every room.
Begin with: `main`.
"""
