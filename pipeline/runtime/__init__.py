"""The process: what repeats to the byte, how a command ends. May import errors only."""
