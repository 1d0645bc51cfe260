"""Pictures, report, page, terminal; no score is made here. May import evaluation and all below."""
