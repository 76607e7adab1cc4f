"""HTML pages: each is one file that needs nothing else. Pure."""
