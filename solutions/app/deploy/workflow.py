"""The tests of this app, on each push, on both databases: a workflow for GitHub."""

WORKFLOW = """\
name: tests
on: [push, pull_request]
permissions:
  contents: read
jobs:
  tests:
    runs-on: ubuntu-24.04
    timeout-minutes: 15
    services:
      database:
        image: postgres:18.1
        env:
          POSTGRES_PASSWORD: for-tests-only
        ports: ["5432:5432"]
        options: --health-cmd pg_isready --health-interval 2s --health-retries 30
    steps:
      - uses: actions/checkout@08c6903cd8c0fde910a37f88322edcfb5dd907a8 # v5.0.0
        with:
          persist-credentials: false
      - uses: actions/setup-python@e797f83bcb11b83ae66e0230d6156d7c80228e7c # v6.0.0
        with:
          python-version: "3.13"
          cache: pip
          cache-dependency-path: requirements.lock
      - run: pip install --no-deps --require-hashes -r requirements.lock
      - run: python -m pytest -o asyncio_mode=auto app/tests
      - run: python -m pytest -o asyncio_mode=auto app/tests
        env:
          TEST_DATABASE_URL: postgresql://postgres:for-tests-only@localhost/postgres
"""
