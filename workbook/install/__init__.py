"""Packages installed as they are locked, JupyterLab started, and what is wrong with a machine.

May import: `installer` imports no package at all; the others every room but `cli`.
Begin with: `installer`, then `lab` and `doctor`.
"""
