"""What stands before a person: magics in the kernel, the panel, the JupyterLab server, the demo.

May import: every room but `install` and `cli`.
Begin with: `magics`, the commands of a notebook; `kernel` and `panel` behind it.
"""
