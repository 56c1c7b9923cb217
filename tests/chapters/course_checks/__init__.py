"""What the checks of several files share: people and their tokens, the app under test, its database, its logs.

A check file imports what it needs by name, `from course_checks.people import People`; a fixture that lies here is given
to a file by a line such as `log = logs.log`. Only what every chapter needs is a fixture in conftest.py.
"""
