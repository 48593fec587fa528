"""The frontend: it asks the backend by the name of its Service."""

import os
import urllib.request


def answer(path):
    backend = os.environ.get("BACKEND", "http://backend:8080")
    with urllib.request.urlopen(backend + path, timeout=5) as response:
        return "The backend says: " + response.read().decode()
