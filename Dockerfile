# The pipeline with its command; docker-compose.yml runs the UI and the daemon from it.
FROM python:3.11-slim

ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONUNBUFFERED=1 \
    DAGSTER_DISABLE_TELEMETRY=1 DO_NOT_TRACK=1 MLFLOW_DISABLE_TELEMETRY=true GX_ANALYTICS_ENABLED=false

WORKDIR /app
COPY constraints.txt pyproject.toml README.md LICENSE THIRD_PARTY_NOTICES.md workspace.yaml ./
RUN pip install --upgrade pip && pip install --constraint constraints.txt torch==2.13.0
COPY strategy_pipeline ./strategy_pipeline
COPY dbt ./dbt
RUN pip install --constraint constraints.txt --editable . \
    && useradd --create-home pipeline && mkdir /state && chown -R pipeline /state /app

USER pipeline
ENV STRATEGY_PIPELINE_HOME=/state
VOLUME /state
EXPOSE 3000
ENTRYPOINT ["strategy-pipeline"]
CMD ["ui", "--host", "0.0.0.0"]
