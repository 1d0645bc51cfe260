"""An experiment's five steps, alone or in one process. May import evaluation and all below."""
