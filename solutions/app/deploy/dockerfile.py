"""The box that the app is delivered in."""

DOCKERFILE = """\
FROM python:3.13-slim AS build
COPY requirements.lock /tmp/requirements.lock
RUN python -m venv /venv && \\
    /venv/bin/pip install --no-cache-dir --no-deps --require-hashes -r /tmp/requirements.lock

FROM python:3.13-slim
RUN useradd --system --no-create-home app
WORKDIR /srv
COPY --from=build /venv /venv
COPY app /srv/app
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER app
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \\
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/health')"]
CMD ["python", "-m", "app.serve", "--host", "0.0.0.0"]
"""
