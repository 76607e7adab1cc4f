"""The public functions, one module per verb. ``snapdir/__init__.pyi`` lists them.

Nothing is imported here: the function ``push`` would shadow the module ``push``.
"""
