"""The command line: click commands over the public API, with no logic of their own."""
