"""The backend that you build: it grows as you run the exercises."""
