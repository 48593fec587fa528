"""The backend: it greets."""

import os


def answer(path):
    name = os.environ.get("NAME", "world")
    return f"Hello, {name}!\n"
