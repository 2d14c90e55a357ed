"""The border to the C core: one thin module per C file, statuses as exceptions, no copies."""
