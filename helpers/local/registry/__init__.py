"""A model registry for one machine: Kubeflow's REST interface over one SQLite file.

It serves registered models, model versions, model artifacts and document artifacts, under both `v1alpha3` and
`v1`, so that the real client needs no change, and answers as the real server does on MySQL. What is left out, and each
recorded call that is answered otherwise, stands in DIFFERENCES.md beside this file.

    python -m helpers.local.registry --port 0 --database registry.db
"""
