"""A black-box exam of a backend that claims the course's HTTP interface: over HTTP alone, whatever it is written in.

It imports nothing of the app. Each criterion is a coroutine in a module of its topic, named by its exercise.
"""
