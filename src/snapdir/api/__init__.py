"""The public functions, one module a verb. ``snapdir/__init__.pyi`` lists them.

Nothing is imported here: the module ``push`` and the function ``push`` would take each other's name.
"""
