"""What a learner and an instructor wait for, measured: `python -m bench`."""
