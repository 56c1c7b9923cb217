"""What every room may use: files as bytes and text, words for people, errors, the clock, how a process is started.

May import: nothing of the engine.
Begin with: `tree` (files), `wording` (values in words), `launch` (processes).
"""
