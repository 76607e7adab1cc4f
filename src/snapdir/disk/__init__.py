"""Local files. Blocking."""
