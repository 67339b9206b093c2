"""A model registry for one machine: Kubeflow's REST interface over one SQLite file.

It serves registered models, model versions, model artifacts and document artifacts, under both `v1alpha3` and
`v1`, so that the real client needs no change. Left out: serving environments, inference services, experiments, and
the artifact types `dataset-artifact`, `metric` and `parameter` (refused with 400); no stage of Assay uses them.

    python -m helpers.local.registry --port 0 --database registry.db
"""
