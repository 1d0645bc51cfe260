"""The commands: `python -m pipeline NAME` runs the module NAME of this package.

A command reads its arguments, calls the library and prints the result. It may import anything but
the stages; nothing imports a command.
"""
