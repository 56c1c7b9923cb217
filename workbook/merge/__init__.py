"""A cell's code put into a module: read, held against what is there, and merged so that nothing else moves.

May import: `base`.
Begin with: `assemble`, which takes a cell and a file and gives the new file; `syntax` before it, `reduction` behind
it.
"""
