"""Raw table to regular series, spans, windows; a first card. May import config and all below."""
